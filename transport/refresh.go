package transport

import (
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/stayauth/stayauth/provider"
)

// A refresh is one exchange of a token for the next. It belongs to none of the requests that wait for it.
//
// The tempting shape is singleflight.Group.Do around the provider. But its slot is free again as soon as its result is out,
// so a latecomer would start another refresh; whether one is needed, paused or forbidden has to be decided in the same
// breath as whether one is under way. That is admit, and once it holds the lock one pointer is all that is left to do.
type refresh struct {
	reason    Reason
	rejection *rejection // the response that made it necessary, or nil
	began     time.Time

	// Of the refresh's own goroutine.
	deadline time.Time // RefreshTimeout from began, and as much later as dead tokens have had to be sat out
	attempts int       // calls of the provider so far

	// Written by finish, under Transport.mu, before it closes done.
	done  chan struct{}
	state *state
	err   error

	reentered bool // the provider waited for itself; guarded by Transport.mu
}

// begin starts a refresh in a goroutine that ends with it. t.mu is held, and t.refresh and t.call are nil.
func (t *Transport) begin(reason Reason, why *rejection) *refresh {
	now := time.Now()
	r := &refresh{reason: reason, rejection: why, began: now, deadline: now.Add(t.refreshTimeout()), done: make(chan struct{})}
	t.refresh = r
	go t.run(r)
	return r
}

// finish publishes what came of r. Transport.mu is held. Only the first call counts.
func (r *refresh) finish(s *state, err error) {
	select {
	case <-r.done:
	default:
		r.state, r.err = s, err
		close(r.done)
	}
}

// run is the life of a refresh. It ends when r is done.
func (t *Transport) run(r *refresh) {
	for again := true; again; {
		a := t.pause(r)
		if a.err == nil {
			t.onRefreshStart(RefreshStart{Reason: r.reason})
			a = t.ask(r)
		}
		again = t.settle(r, a)
	}
}

// errNotDue ends a refresh in which it turns out that the provider may not be called yet, and that nobody has to wait for that.
var errNotDue = errors.New("the token provider may not be called yet")

// pause sits out the time in which the provider may not be called: a dead token's, or the provider's own RetryAfter. An
// answer with an error ends the refresh: t was closed, or the pause is longer than anybody waits.
func (t *Transport) pause(r *refresh) answer {
	t.mu.Lock()
	now := time.Now()
	strikes, dead, notBefore, because := t.strikes, t.due(t.state.Load()).Sub(now), t.notBefore, t.notBeforeErr
	t.mu.Unlock()
	switch {
	case dead > 0 && strikes > patience:
		return answer{err: errNotDue}
	case notBefore.After(r.deadline):
		return answer{err: because, notBefore: notBefore}
	}
	d := max(dead, notBefore.Sub(now))
	if d <= 0 {
		return answer{}
	}
	if !sleep(d, r.done) {
		return answer{err: ErrClosed}
	}
	r.deadline = r.deadline.Add(max(dead, 0))
	if _, _, dead, patient := t.look(r); dead > 0 && !patient { // the token was rejected meanwhile
		return answer{err: errNotDue}
	}
	return answer{}
}

// sleep waits for d, or until stop is closed, and reports whether it slept to the end.
func sleep(d time.Duration, stop <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-stop:
		return false
	}
}

// An answer is what the provider's calls came to: a usable token or an error.
type answer struct {
	token     provider.Token
	err       error
	took      time.Duration // the call that brought the token
	notBefore time.Time     // the provider said RetryAfter
	pending   *call         // time has run out, and this call had not returned
	spared    bool          // the failure is temporary and was not retried, because the old token lived
}

// ask calls the provider until it brings a token, fails in a way that asking again won't cure, or the time is up. While the
// old token lives one call is all: the token's own remaining life is the time to try again.
func (t *Transport) ask(r *refresh) answer {
	limit := time.NewTimer(time.Until(r.deadline))
	defer limit.Stop()
	slow := time.NewTicker(slowProvider)
	defer slow.Stop()
	pace := backoff.NewExponentialBackOff(backoff.WithInitialInterval(200*time.Millisecond), backoff.WithMultiplier(2),
		backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))

	last := answer{err: &timeoutError{after: t.refreshTimeout()}} // if the time is up
	for {
		c := t.startCall(r.deadline)
		if c == nil {
			return answer{err: ErrClosed}
		}
		r.attempts++
		slow.Reset(slowProvider)
		for returned := false; !returned; {
			select {
			case <-c.done:
				returned = true
			case <-slow.C:
				t.onSlowProvider(r.reason, c.started)
			case <-limit.C:
				last.pending = c
				return last
			case <-r.done:
				return answer{err: ErrClosed}
			}
		}
		a := c.answer()
		usable, reentered, dead, patient := t.look(r)
		switch {
		case a.err == nil, provider.IsPermanent(a.err), c.broken, notAToken(a.err):
			return a
		case reentered:
			return answer{err: errReentry}
		case !time.Now().Before(r.deadline):
			// What the provider said at the end of its time is that its time has ended, and perhaps when to come again.
			if a.notBefore.After(last.notBefore) {
				last.notBefore = a.notBefore
			}
			return last
		case usable:
			a.spared = true
			return a
		case a.notBefore.After(r.deadline), dead > 0 && !patient, time.Now().Add(dead).After(r.deadline):
			return a
		}
		last = answer{err: &timeoutError{t.refreshTimeout(), a.err}, notBefore: a.notBefore}
		wait := max(pace.NextBackOff(), time.Until(a.notBefore), dead)
		if left := time.Until(r.deadline); wait >= left {
			sleep(left, r.done)
			return last
		}
		t.onAttemptFailed(AttemptFailed{Reason: r.reason, Attempt: r.attempts, Err: a.err, RetryIn: wait})
		if !sleep(wait, r.done) {
			return answer{err: ErrClosed}
		}
	}
}

// look returns what ask has to know of the rest of t: whether the token lives, whether the provider has waited for itself, and
// how long it has to be left in peace because of dead tokens, and whether anybody waits for that.
func (t *Transport) look(r *refresh) (usable, reentered bool, dead time.Duration, patient bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, now := t.state.Load(), time.Now()
	return s.usable(now), r.reentered, t.due(s).Sub(now), t.strikes <= patience
}
