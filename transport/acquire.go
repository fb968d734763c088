package transport

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A need is what a request wants of a token.
type need struct {
	// young: a token that is about to end won't do, because the request can be sent only once.
	young bool
	// rejection: the request was rejected, and this is what the API said.
	rejection *rejection
	// under is what the rejected request was sent under.
	under *state
	// first: the request has not been sent yet.
	first bool
	// goAhead: begin a refresh if one is needed, but don't wait for it.
	goAhead bool
}

// A rejection is what is kept of the response that made a refresh necessary.
type rejection struct {
	status  int
	message string
}

// acquire returns the state to send under, and waits for a refresh if there is none.
//
// The state that it returns need not have a live token: while dead tokens are paced, requests go out under the last one.
func (t *Transport) acquire(ctx context.Context, n need) (*state, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t.mu.Lock()
	s, r, err := t.admit(ctx, time.Now(), n)
	if e, ok := errors.AsType[*endsNow](err); ok {
		err = e.RefreshError
		t.onSessionEnded(e.RefreshError)
	}
	t.mu.Unlock()
	if r == nil || n.goAhead {
		return s, err
	}

	if w := t.waiting.Add(1); t.MaxWaiting > 0 && w > int64(t.MaxWaiting) {
		t.waiting.Add(-1)
		if s != nil {
			return s, nil
		}
		t.onQueueFull()
		return nil, fmt.Errorf("%w: MaxWaiting is %d", ErrQueueFull, t.MaxWaiting)
	}
	began := time.Now()
	s, err = t.wait(ctx, r)
	t.onWaited(Waited{Duration: time.Since(began), Err: err})
	return s, err
}

// wait waits for r, as long as ctx allows. It looks at nothing but channels, so that waiting is cheap, visible to a
// synctest bubble, and over for everybody at once. A select on three channels would cost each waiter another 96 bytes,
// which is why Close ends the refresh instead of closing a channel of its own.
func (t *Transport) wait(ctx context.Context, r *refresh) (*state, error) {
	defer t.waiting.Add(-1)
	select {
	case <-r.done:
		return r.state, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// admit decides what a request does: it goes out under the state that is returned, fails with the error, or waits for the
// refresh. If both a state and a refresh are returned the request may go, but would rather wait. t.mu is held.
func (t *Transport) admit(ctx context.Context, now time.Time, n need) (*state, *refresh, error) {
	s := t.state.Load()
	switch {
	case t.closed && n.under != nil:
		return n.under, nil, nil // its 401 stands
	case t.closed:
		return nil, nil, ErrClosed
	case s != nil && s.ended != nil:
		return nil, nil, s.ended
	case s.usable(now):
		switch {
		case !s.earlyDue(now) || t.refresh != nil:
		case t.call != nil || now.Before(t.notBefore): // it hangs since an earlier one, or has said when to come again
			t.state.Store(s.askAgain(now, t.notBefore))
		default:
			t.state.Store(s.askingEarly())
			t.begin(ReasonEarly, nil)
		}
		if n.young && t.refresh != nil && !t.fromProvider(ctx) {
			return s, t.refresh, nil
		}
		return s, nil, nil
	case t.doomed != nil:
		t.state.Store(&state{ended: t.doomed})
		return nil, nil, &endsNow{t.doomed}
	case n.first && t.strikes > patience && s != nil && !s.live && (s.expiry.IsZero() || now.Before(s.expiry)):
		// Some endpoint rejects every token, and why should this one? The request goes out under the last, and waits only if
		// it is rejected as well.
		if t.refresh == nil && t.call == nil && !now.Before(t.due(s)) && !now.Before(t.pausedTo) {
			t.begin(ReasonRejected, s.why)
		}
		if n.young && t.refresh != nil && !t.fromProvider(ctx) {
			return s, t.refresh, nil // and one that can be sent only once had better wait
		}
		return s, nil, nil
	case t.refresh != nil || t.call != nil:
		if t.fromProvider(ctx) {
			return nil, nil, t.reenter()
		}
	}
	switch {
	case t.refresh != nil:
		return nil, t.refresh, nil
	case s != nil && t.strikes > patience && now.Before(t.due(s)):
		return s, nil, nil
	case t.failure != nil && now.Before(t.pausedTo):
		return nil, nil, t.failure
	case t.call != nil:
		return nil, nil, &RefreshError{Err: &hungError{t.call.started}}
	}
	switch {
	case s == nil:
		return nil, t.begin(ReasonInitial, nil), nil
	case s.live:
		return nil, t.begin(ReasonExpired, n.rejection), nil
	case n.rejection == nil:
		// Whoever comes first begins it, and that need not be the request that was rejected.
		return nil, t.begin(ReasonRejected, s.why), nil
	}
	return nil, t.begin(ReasonRejected, n.rejection), nil
}

// due returns when the provider may be asked to replace the rejected token of s.
func (t *Transport) due(s *state) time.Time {
	if s == nil || s.live {
		return time.Time{}
	}
	return s.arrived.Add(pauseAfter(t.strikes))
}

// endsNow is how admit says that the session ended at this very request, so that one event tells it.
type endsNow struct{ *RefreshError }
