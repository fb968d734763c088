package transport

import (
	"context"
	"runtime/debug"
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

	// Written by finish, under Transport.mu, before it closes done.
	done  chan struct{}
	state *state
	err   error

	reentered bool // the provider waited for itself; guarded by Transport.mu
}

// begin starts a refresh in a goroutine that ends with it. t.mu is held, and t.refresh and t.call are nil.
func (t *Transport) begin(reason Reason, why *rejection) *refresh {
	r := &refresh{reason: reason, rejection: why, began: time.Now(), done: make(chan struct{})}
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
	defer t.abandoned(r)
	for again := true; again; {
		var a answer
		if a.err = t.pause(r); a.err == nil {
			t.onRefreshStart(RefreshStart{Reason: r.reason})
			a = t.ask(r)
		}
		again = t.settle(r, a)
	}
}

// abandoned ends r if its goroutine ends before it: a Trace hook called runtime.Goexit, as t.Fatal does in a test, or
// panicked. The panic is the hook's own and goes on; nobody is left waiting for either.
func (t *Transport) abandoned(r *refresh) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.refresh == r {
		t.refresh = nil
		r.finish(nil, &RefreshError{Err: errHookEnded})
	}
}

// pause sits out the time in which the provider may not be called: a dead token's, or the provider's own RetryAfter. An
// error ends the refresh: t was closed, or the RetryAfter is longer than a refresh may take.
func (t *Transport) pause(r *refresh) error {
	t.mu.Lock()
	now := time.Now()
	due, notBefore, because := t.due(t.state.Load()), t.notBefore, t.notBeforeErr
	t.mu.Unlock()
	if busy := notBefore.Sub(now); busy > t.refreshTimeout() {
		return provider.RetryAfter(because, busy)
	}
	if d := max(due.Sub(now), notBefore.Sub(now)); d > 0 && !sleep(d, r.done) {
		return ErrClosed
	}
	return nil
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

// An answer is what the provider's calls in one refresh came to: a usable token or an error.
type answer struct {
	token    provider.Token
	err      error
	attempts int
	took     time.Duration // the call that brought the token
}

// ask calls the provider until it brings a token, fails in a way that asking again won't cure, or RefreshTimeout has passed.
// While the old token lives one call is all: the token's own remaining life is the time to try again.
func (t *Transport) ask(r *refresh) answer {
	timeout := t.refreshTimeout()
	began := time.Now()
	deadline := began.Add(timeout)
	limit := time.NewTimer(timeout)
	defer limit.Stop()
	slow := time.NewTicker(slowProvider)
	defer slow.Stop()

	pace := backoff.NewExponentialBackOff(backoff.WithInitialInterval(200*time.Millisecond), backoff.WithMultiplier(2),
		backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	var last error // what the provider last said
	for n := 1; ; n++ {
		c := t.startCall(deadline)
		if c == nil {
			return answer{err: ErrClosed, attempts: n - 1}
		}
		for returned := false; !returned; {
			select {
			case <-c.done:
				returned = true
			case <-slow.C:
				t.onSlowProvider(r.reason, c.started)
			case <-limit.C:
				if t.leave(c) {
					return answer{err: &timeoutError{timeout, last}, attempts: n}
				}
			case <-r.done:
				return answer{err: ErrClosed, attempts: n}
			}
		}
		a := answer{token: c.token, err: c.err, attempts: n, took: c.took}
		if a.err == nil {
			a.err = checkToken(c.token)
			return a
		}
		retryAfter, _ := provider.RetryDelay(a.err)
		switch {
		case provider.IsPermanent(a.err), c.broken:
			return a
		case t.wasReentered(r):
			a.err = errReentry
			return a
		case !time.Now().Before(deadline):
			a.err = &timeoutError{timeout, last}
			return a
		case time.Now().Add(retryAfter).After(deadline), t.state.Load().usable(time.Now()):
			return a
		}
		last = a.err
		wait := max(pace.NextBackOff(), retryAfter)
		t.onAttemptFailed(AttemptFailed{Reason: r.reason, Attempt: n, Err: a.err, RetryIn: wait})
		if left := time.Until(deadline); wait >= left {
			sleep(left, r.done)
			a.err = &timeoutError{timeout, last}
			return a
		}
		if !sleep(wait, r.done) {
			return answer{err: ErrClosed, attempts: n}
		}
	}
}

// A call is one call of the token provider, in a goroutine of its own: a provider may panic, end its goroutine or never
// return, and none of that may take a refresh along.
type call struct {
	old     provider.Token
	started time.Time

	// Written by the call's goroutine before it closes done.
	done   chan struct{}
	token  provider.Token
	err    error
	took   time.Duration
	broken bool // the provider did not return in the ordinary way

	left bool // the refresh has gone on without it; guarded by Transport.mu
}

// asksFor marks the context of a provider's call with the Transport that it works for.
type asksFor struct{ t *Transport }

func (t *Transport) fromProvider(ctx context.Context) bool { return ctx.Value(asksFor{t}) != nil }

// startCall calls the provider and returns without waiting for it; nil if t is closed. The goroutine ends when the provider
// returns. Its context is the refresh's alone: it knows nothing of the requests, and it ends at deadline.
func (t *Transport) startCall(deadline time.Time) *call {
	c := &call{started: time.Now(), done: make(chan struct{})}
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	if s := t.state.Load(); s != nil {
		c.old = s.token
	}
	t.call = c
	t.mu.Unlock()

	ctx, cancel := context.WithDeadline(context.WithValue(context.Background(), asksFor{t}, true), deadline)
	go func() {
		defer cancel()
		defer t.returned(c)
		c.broken = true
		defer func() {
			if !c.broken {
				return
			}
			c.err = errGoexit
			if v := recover(); v != nil {
				c.err = &panicError{v}
				t.onProviderPanic(v, debug.Stack())
			}
		}()
		c.token, c.err = t.Provider.Token(ctx, c.old)
		c.broken = false
	}()
	return c
}

// returned publishes what c brought. If the refresh has gone on without c its answer is settled here, in the same breath:
// a token that came late is still the next one, the refresh secret that it carries may be the only one, and nobody may
// spend the old secret again in between.
func (t *Transport) returned(c *call) {
	c.took = time.Since(c.started)
	a := answer{token: c.token, err: c.err, attempts: 1, took: c.took}
	if a.err == nil {
		a.err = checkToken(c.token)
	}
	t.mu.Lock()
	t.call = nil
	close(c.done)
	var done *RefreshDone
	if c.left && !t.closed && (a.err == nil || provider.IsPermanent(a.err)) {
		d, _ := t.conclude(&refresh{reason: ReasonLate, began: c.started, done: make(chan struct{})}, a)
		done = &d
	}
	t.mu.Unlock()
	if done != nil {
		t.onRefreshDone(*done)
	}
}

// leave goes on without c, and reports whether it is still under way.
func (t *Transport) leave(c *call) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-c.done:
		return false
	default:
		c.left = true
		return true
	}
}

// reenter notes that the provider waits for itself, so that the refresh ends instead of trying that again. t.mu is held.
func (t *Transport) reenter() error {
	if t.refresh != nil {
		t.refresh.reentered = true
	}
	return errOwnClient
}

func (t *Transport) wasReentered(r *refresh) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return r.reentered
}
