package transport

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"golang.org/x/sync/singleflight"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport/internal/journal"
	"github.com/stayauth/stayauth/transport/internal/session"
)

// This file does what package session decides: it holds the lock, waits, runs the clock and begins
// the calls of the provider. It is the only one that has to be read with the lock in mind.

// A login is the token of a Transport and its refresh.
type login struct {
	// view is what requests go out under. It is replaced as a whole under mu, and what it points to
	// never changes, so that a request under a valid token needs no lock. Nil if there is no such
	// token.
	view atomic.Pointer[session.View]

	waiting atomic.Int64 // requests in wait; each adds and removes itself

	mu sync.Mutex // guards the fields below and the replacing of view; never held across a wait or a call of anybody's code

	session session.Session    // all decisions; see act
	journal journal.Journal    // what the log is told; see journalize
	flight  *flight            // what everybody waits for; made by want, ended by act
	calls   singleflight.Group // the provider's one call
	call    *call              // the one under way, or nil; set by start, cleared when the provider has returned
	timer   *time.Timer        // runs tick; made by the first that needs it
	wake    time.Duration      // what timer is set to; 0: it is not
}

// A flight is what everybody waits for who wants the same token: a channel that is closed once, so
// that a waiter costs little, is visible to a synctest bubble, and all are woken at the same time.
type flight struct {
	done    chan struct{}
	came    session.Done // written before done is closed
	refresh int64        // its number
	first   string       // the request that has waited longest, for the log
	began   time.Time    // and since when
}

// now returns the time as the session wants it.
func (t *Transport) now() session.Instant {
	now := time.Now()
	return session.Instant{Wall: now.Round(0), Run: now.Sub(t.began)}
}

// fresh reports whether a request may go out under v with nothing else to think of. It is all that
// stands between a request under a valid token and the network.
func (t *Transport) fresh(v *session.View) bool {
	return v != nil && (v.Until.IsZero() || !t.now().Reached(v.Until))
}

// acquire returns what to send under, and waits for the refresh if it has to. Except for n.Valid
// the token need not be valid: while dead tokens are paced, requests go out under the last one. req
// is nil if it is not for a request.
func (t *Transport) acquire(ctx context.Context, n session.Need, req *http.Request) (*session.View, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	v, f := t.want(ctx, n, req)
	if f == nil {
		err := refreshError(v.Err)
		if err != nil {
			t.onWaited(Waited{Context: ctx, Err: err})
		}
		return v.View, err
	}
	valid := n.Valid // n itself, and the answer that it may hold, is not kept while we wait
	if w := t.waiting.Add(1); t.MaxWaiting > 0 && w > int64(t.MaxWaiting) {
		t.waiting.Add(-1)
		if v.View != nil {
			return v.View, nil
		}
		err := &queueFullError{t.MaxWaiting}
		t.onWaited(Waited{Context: ctx, Err: err})
		return nil, err
	}
	began := time.Now()
	err := t.wait(ctx, f, cancelOf(req), began)
	if err == nil && (f.came.View == nil || valid) {
		err = refreshError(f.came.Err)
	}
	t.onWaited(Waited{Context: ctx, Duration: time.Since(began), Refresh: f.refresh, Err: err})
	if err != nil {
		return nil, err
	}
	return f.came.View, nil
}

// refreshFor begins a refresh if n needs one, and does not wait for it.
func (t *Transport) refreshFor(ctx context.Context, n session.Need) {
	if ctx.Err() != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	n.Own = t.isOwn(ctx)
	t.session.Want(t.now(), n)
	t.act()
}

// isOwn reports whether ctx comes from the provider's call that is under way. t.mu is held.
func (t *Transport) isOwn(ctx context.Context) bool {
	c, _ := ctx.Value(asksFor{t}).(*call)
	return c != nil && c == t.call
}

// want asks the session for n. f is what to wait for, or nil.
func (t *Transport) want(ctx context.Context, n session.Need, req *http.Request) (v session.Verdict, f *flight) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n.Own = t.isOwn(ctx)
	v = t.session.Want(t.now(), n)
	if v.Wait {
		if t.flight == nil {
			t.flight = t.newFlight(req)
		}
		f = t.flight
	}
	t.act()
	if v.Err != nil {
		t.journalize((*journal.Journal).Failing)
	}
	return v, f
}

// newFlight returns one that req is the first to wait for.
func (t *Transport) newFlight(req *http.Request) *flight {
	f := &flight{done: make(chan struct{}), began: time.Now(), refresh: t.session.Number()}
	switch {
	case t.Logger == nil: // it would not be read
	case req == nil:
		f.first = "Token"
	default:
		f.first = nameOf(req)
	}
	return f
}

// wait waits for f, as long as ctx and cancel allow. A select on three channels costs each waiter
// another 96 bytes, so only those pay for it who have a Cancel channel.
func (t *Transport) wait(ctx context.Context, f *flight, cancel <-chan struct{}, began time.Time) error {
	defer t.waiting.Add(-1)
	if cancel == nil {
		select {
		case <-f.done:
			return nil
		case <-ctx.Done():
			return t.gaveUp(ctx.Err(), context.Cause(ctx), began)
		}
	}
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return t.gaveUp(ctx.Err(), context.Cause(ctx), began)
	case <-cancel:
		return t.gaveUp(context.Canceled, nil, began)
	}
}

// gaveUp returns the error of a caller who has stopped waiting, and why.
func (t *Transport) gaveUp(err, cause error, began time.Time) error {
	t.mu.Lock()
	said := t.session.Said()
	t.mu.Unlock()
	return &waitError{err: err, cause: cause, since: began, after: time.Since(began), said: said}
}

// act does what the session has decided. t.mu is held.
func (t *Transport) act() {
	r := t.session.Ready()
	if r.View != t.view.Load() {
		t.view.Store(r.View)
	}
	t.journalize((*journal.Journal).Look)
	for _, e := range r.Reports {
		t.journalize(func(j *journal.Journal, s journal.Scene) { j.Report(s, e) })
		t.report(e)
	}
	if f := t.flight; r.Done != nil && f != nil {
		f.came = *r.Done
		close(f.done)
		t.flight = nil
	}
	if r.Call != nil {
		t.start(r.Call)
	}
	if r.Wake != t.wake {
		t.setTimer(r.Wake)
	}
}

// scene returns how things stand, for the journal. t.mu is held.
func (t *Transport) scene() journal.Scene {
	now := t.now()
	st := t.session.Status()
	s := journal.Scene{Now: now, Standing: t.session.Standing(now), Strikes: st.Strikes, Waiting: int(t.waiting.Load()),
		Failed: t.counters.failed(), Rejected: t.counters.rejected.Load()}
	if f := t.flight; f != nil {
		s.First, s.Waited = f.first, now.Wall.Sub(f.began)
	}
	return s
}

// journalize lets the journal see an event, and queues the lines that come of it. t.mu is held.
func (t *Transport) journalize(event func(*journal.Journal, journal.Scene)) {
	if t.Logger == nil {
		return
	}
	s := t.scene()
	event(&t.journal, s)
	for _, l := range t.journal.Take() {
		t.events.tell(func() { t.write(s.Now.Wall, l) })
	}
}

// setTimer has tick called at wake, or not. t.mu is held.
func (t *Transport) setTimer(wake time.Duration) {
	t.wake = wake
	switch d := wake - t.now().Run; {
	case wake == 0:
		t.timer.Stop()
	case t.timer == nil:
		t.timer = time.AfterFunc(d, t.tick)
	default:
		t.timer.Reset(d)
	}
}

func (t *Transport) tick() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.session.Tick(t.now())
	t.wake = 0 // the timer has run out
	t.act()
}

// A call is one call of the token provider. It may outlast the refresh that it was made for.
type call struct {
	old    provider.Token
	made   time.Time
	done   chan struct{} // closed when the provider has returned and the session knows
	ctx    context.Context
	cancel context.CancelFunc
}

// asksFor marks the context of a provider's call with the Transport that it works for. The value is
// the *call.
type asksFor struct{ t *Transport }

// start calls the provider. A call that is under way still, because a refresh has given it up, is
// joined: it may have spent the only refresh token, and its answer will do. t.mu is held.
func (t *Transport) start(order *session.Call) {
	c := t.call
	if c == nil {
		c = &call{old: order.Old, made: time.Now(), done: make(chan struct{})}
		ctx := context.WithValue(context.Background(), asksFor{t}, c)
		if why := order.Why; why != nil {
			ctx = provider.WithRejection(ctx, provider.Rejection{StatusCode: why.Status, Challenges: why.Challenges})
		}
		c.ctx, c.cancel = context.WithTimeout(ctx, order.Limit)
		t.call = c
	}
	// The channel is not read. The session has to know in the same breath in which the call ends,
	// or the next refresh would spend the old refresh token again.
	t.calls.DoChan("", func() (any, error) {
		a := t.ask(c)
		t.mu.Lock()
		defer t.mu.Unlock()
		c.cancel()
		t.call = nil
		t.calls.Forget("") // or the call that the session may ask for now would join this one, and be lost
		t.session.Answered(t.now(), a)
		t.act()
		close(c.done)
		return nil, nil
	})
}

// reject notes that the API rejected tok, and why. resp is the answer that did, or nil if it was
// none.
func (t *Transport) reject(tok provider.Token, why *session.Rejection, resp *http.Response) session.Strike {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.session.Reject(t.now(), tok, why)
	t.journalize(func(j *journal.Journal, s journal.Scene) {
		r := journal.Request{}
		if resp != nil {
			r.Name, r.Status = nameOf(resp.Request), resp.StatusCode
		}
		if why != nil {
			r.Message = why.Message
		}
		j.Rejection(s, k, r)
	})
	t.act()
	return k
}

// accepted notes that a replay under v was accepted.
func (t *Transport) accepted(v *session.View) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.session.Accept(v) > session.Patience {
		t.journalize((*journal.Journal).Look)
	}
}

// give takes tok as the token.
func (t *Transport) give(tok provider.Token) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	closed := t.session.Standing(t.now()) == session.Closed
	taken := t.session.Give(t.now(), tok)
	if taken {
		t.journalize((*journal.Journal).Given)
	}
	t.act()
	switch {
	case closed:
		return ErrClosed
	case !taken:
		return errRejectedAlready
	}
	return nil
}

// close ends the session, and waits for a call of the provider whose answer could be lost.
func (t *Transport) close() error {
	t.mu.Lock()
	t.session.Close()
	t.journalize((*journal.Journal).Closed)
	t.act()
	c := t.call
	t.mu.Unlock()
	defer t.flush()
	if c != nil && !losable(t.Provider, c.old) {
		c.cancel()
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), t.refreshTimeout())
	defer cancel()
	if c != nil {
		select {
		case <-c.done:
		case <-ctx.Done():
			return fmt.Errorf("transport: Close has waited for the token provider, which was called at %s and has not returned",
				c.made.Format(time.RFC3339))
		}
	}
	if p, ok := t.Provider.(provider.Waiter); ok {
		return p.Wait(ctx)
	}
	return nil
}

// flush waits until the Logger and the Trace have been told what they are still to be told, for a
// second at most: a hook that calls Close waits for itself.
func (t *Transport) flush() {
	idle := t.events.drained()
	if idle == nil {
		return
	}
	limit := time.NewTimer(time.Second)
	defer limit.Stop()
	select {
	case <-idle:
	case <-limit.C:
	}
}

func (t *Transport) isClosed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.session.Standing(t.now()) == session.Closed
}

// everAsked reports whether a request has needed a token so far.
func (t *Transport) everAsked() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.session.Number() > 0
}

// status returns what the session counts.
func (t *Transport) status() session.Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.session.Status()
}

// newSession makes the session of what t's fields say.
func (t *Transport) newSession() session.Session {
	return session.Session{
		Timeout: t.refreshTimeout(),
		Jitter:  func(d time.Duration) time.Duration { return rand.N(d + 1) },
		Pace: func() backoff.BackOff {
			return backoff.NewExponentialBackOff(backoff.WithInitialInterval(200*time.Millisecond), backoff.WithMultiplier(2),
				backoff.WithMaxInterval(session.LongestRetry), backoff.WithMaxElapsedTime(0))
		},
	}
}

var _ http.RoundTripper = (*Transport)(nil)
