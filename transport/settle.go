package transport

import (
	"time"

	"github.com/stayauth/stayauth/provider"
)

// settle turns the answer into the next state and ends r with it, or reports that the provider has to be asked again.
func (t *Transport) settle(r *refresh, a answer) (again bool) {
	t.mu.Lock()
	if t.refresh != r { // closed meanwhile
		t.mu.Unlock()
		return false
	}
	if c := a.pending; c != nil {
		select {
		case <-c.done: // it has returned since
			if late := c.answer(); late.err == nil || provider.IsPermanent(late.err) {
				a = late
			} else if late.notBefore.After(a.notBefore) {
				a.notBefore = late.notBefore
			}
		default:
			c.left = true
		}
	}
	if a.err == errNotDue {
		t.refresh = nil
		r.finish(t.state.Load(), nil)
		t.mu.Unlock()
		return false
	}
	if a.spared && !t.state.Load().usable(time.Now()) {
		t.mu.Unlock()
		t.onAttemptFailed(AttemptFailed{Reason: r.reason, Attempt: r.attempts, Err: a.err})
		return true // the token died at that moment, and now it is needed
	}
	done, again := t.conclude(r, a)
	if !again {
		t.refresh = nil
	}
	if again {
		t.onBroughtAgain(done)
	} else {
		t.onRefreshDone(done)
	}
	t.mu.Unlock()
	return again
}

// conclude is settle's decision. t.mu is held.
func (t *Transport) conclude(r *refresh, a answer) (done RefreshDone, again bool) {
	now := time.Now()
	s := t.state.Load()
	done = RefreshDone{Reason: r.reason, Attempts: r.attempts, Duration: now.Sub(r.began), Waiting: int(t.waiting.Load()), Err: a.err}
	if r.rejection != nil {
		done.Message = r.rejection.message
	}
	if a.err == nil {
		again = t.concludeToken(r, s, a, now, &done)
		return done, again
	}

	e := &RefreshError{Permanent: provider.IsPermanent(a.err), Attempts: r.attempts, Err: a.err}
	if r.rejection != nil {
		e.StatusCode, e.Message = r.rejection.status, r.rejection.message
	}
	done.Err = e
	switch {
	case s.usable(now) && e.Permanent:
		// The token is as good as before. There will be no other.
		t.doomed = e
		n := s.askNoMore()
		t.state.Store(n)
		r.finish(n, nil)
		done.Expiry = n.expiry
		t.counters.failedPermanently.Add(1)
	case s.usable(now):
		t.holdOff(a)
		n := s.askAgain(now, t.notBefore)
		t.state.Store(n)
		r.finish(n, nil)
		done.Expiry = n.expiry
		t.counters.failed.Add(1)
	case e.Permanent:
		t.state.Store(&state{ended: e})
		r.finish(nil, e)
		done.SessionEnded = true
		t.counters.failedPermanently.Add(1)
	default:
		t.failures++
		t.failure = e
		t.pausedTo = now.Add(failurePause(t.failures))
		t.holdOff(a)
		e.NextTry = t.pausedTo
		r.finish(nil, e)
		t.counters.failed.Add(1)
	}
	return done, false
}

// concludeToken is conclude for an answer with a token.
func (t *Transport) concludeToken(r *refresh, s *state, a answer, now time.Time, done *RefreshDone) (again bool) {
	t.failures, t.failure = 0, nil
	var n *state
	switch same := s != nil && s.token.Value() == a.token.Value(); {
	case same && !s.live:
		// The token that was rejected, once more. It is not sent, save in the pauses that end everybody's patience.
		t.strikes++
		again = t.strikes <= patience
		n = received(a.token, now, 0).rejected(s.why)
		done.Unchanged = true
		t.counters.unchanged.Add(1)
	case same && s.usable(now) && !s.prolongedBy(a.token, now):
		n = s.askAgain(now, time.Time{})
		n.token = a.token // its refresh token may be new
		done.Unchanged = true
		t.counters.unchanged.Add(1)
	default:
		t.doomed = nil
		n = received(a.token, now, a.took)
		t.counters.refreshed.Add(1)
	}
	if n.live {
		done.Expiry = n.expiry
	}
	t.state.Store(n)
	if !again {
		r.finish(n, nil)
	}
	return again
}

// failurePause is how long requests fail at once after the nth refresh in a row that brought nothing.
func failurePause(n int) time.Duration {
	const first, longest = 100 * time.Millisecond, 30 * time.Second
	if n > 9 { // 100 ms << 9 is past the longest
		return longest
	}
	return min(first<<(n-1), longest)
}
