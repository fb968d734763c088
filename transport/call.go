package transport

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/stayauth/stayauth/provider"
)

// A call is one call of the token provider, in a goroutine of its own: a provider may panic, end its goroutine or never
// return, and none of that may take a refresh along.
type call struct {
	old     provider.Token
	started time.Time

	// Written by the call's goroutine before it closes done, under Transport.mu.
	done   chan struct{}
	token  provider.Token
	err    error
	took   time.Duration
	broken bool // the provider did not return in the ordinary way

	left bool // the refresh has gone on without it; guarded by Transport.mu
}

// asksFor marks the context of a provider's call with the Transport that it works for. The value is the *call.
type asksFor struct{ t *Transport }

// fromProvider reports whether ctx is that of the provider's call under way. t.mu is held.
func (t *Transport) fromProvider(ctx context.Context) bool {
	c, _ := ctx.Value(asksFor{t}).(*call)
	return c != nil && c == t.call
}

// reenter notes that the provider waits for itself, so that the refresh ends instead of trying that again. t.mu is held.
func (t *Transport) reenter() error {
	if t.refresh != nil {
		t.refresh.reentered = true
	}
	return errOwnClient
}

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

	ctx, cancel := context.WithDeadline(context.WithValue(context.Background(), asksFor{t}, c), deadline)
	go func() {
		defer cancel()
		var tok provider.Token
		err := errGoexit
		broken := true
		defer func() {
			if v := recover(); v != nil {
				err = &panicError{v}
				t.onProviderPanic(v, debug.Stack())
			}
			t.returned(c, tok, err, broken)
		}()
		tok, err = t.Provider.Token(ctx, c.old)
		broken = false
	}()
	return c
}

// returned publishes what the provider brought. If the refresh has gone on without c its answer is settled here, in the same
// breath: a token that came late is still the next one, the refresh token that it carries may be the only one, and nobody
// may spend the old secret again in between.
func (t *Transport) returned(c *call, tok provider.Token, err error, broken bool) {
	t.mu.Lock()
	c.token, c.err, c.broken, c.took = tok, err, broken, time.Since(c.started)
	t.call = nil
	close(c.done)
	if !c.left || t.closed {
		t.mu.Unlock()
		return
	}
	a := c.answer()
	if a.err != nil && !provider.IsPermanent(a.err) {
		// The refresh has failed already. What is new is when to come again.
		t.holdOff(a)
		if t.failure != nil && t.failure.NextTry.Before(t.pausedTo) {
			e := *t.failure // others have the old one
			e.NextTry = t.pausedTo
			t.failure = &e
		}
		t.mu.Unlock()
		return
	}
	done, _ := t.conclude(&refresh{reason: ReasonLate, began: c.started, attempts: 1, done: make(chan struct{})}, a)
	t.onRefreshDone(done)
	t.mu.Unlock()
}

// answer returns what c brought, once it is done.
func (c *call) answer() answer {
	a := answer{token: c.token, err: c.err, took: c.took}
	if a.err == nil {
		a.err = checkToken(c.token)
	}
	if d, ok := provider.RetryDelay(a.err); ok {
		a.notBefore = time.Now().Add(d)
	}
	return a
}

// holdOff notes a RetryAfter, and sees to it that the pause after a failure is no shorter. t.mu is held.
func (t *Transport) holdOff(a answer) {
	if a.notBefore.After(t.notBefore) {
		t.notBefore, t.notBeforeErr = a.notBefore, a.err
	}
	if t.pausedTo.Before(t.notBefore) {
		t.pausedTo = t.notBefore
	}
}
