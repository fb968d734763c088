package transport

import (
	"log/slog"
	"net/http"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport/internal/session"
)

// The functions here tell what happens to the counters, the Logger and the Trace. What belongs to a
// request is told in its own goroutine, with no lock held; what belongs to a refresh, and whatever
// the Logger gets above Debug, goes through a queue.

// report tells the Trace what the session reports. It only queues the call of a hook, so it may be
// called with the lock held.
func (t *Transport) report(e any) {
	if t.Trace == nil {
		return
	}
	switch e := e.(type) {
	case session.Started:
		hook(t, t.Trace.RefreshStart, RefreshStart{Refresh: e.Refresh, Reason: Reason(e.Reason)})
	case session.Retrying:
		hook(t, t.Trace.AttemptFailed, AttemptFailed{Refresh: e.Refresh, Reason: Reason(e.Reason), Attempt: e.Attempt, Err: e.Err, RetryIn: e.RetryIn})
	case session.Ended:
		hook(t, t.Trace.SessionEnded, (*RefreshError)(e.Err))
	case session.Refreshed:
		if e.Again { // the refresh is not done
			return
		}
		done := RefreshDone{Refresh: e.Refresh, Reason: Reason(e.Reason), Attempts: e.Attempts, Duration: e.Duration,
			Waiting: int(t.waiting.Load()), Unchanged: e.Unchanged, Message: e.Message, Expiry: e.Expiry, SessionEnded: e.Ended}
		if e.Err != nil {
			done.Err = (*RefreshError)(e.Err)
		}
		hook(t, t.Trace.RefreshDone, done)
		if e.Ended {
			hook(t, t.Trace.SessionEnded, (*RefreshError)(e.Err))
		}
	}
}

// hook queues a call of f, unless that is nil.
func hook[E any](t *Transport, f func(E), e E) {
	if f != nil {
		t.events.tell(func() { f(e) })
	}
}

// onRejected tells of a rejection. The journal has been told already, when the session was.
func (t *Transport) onRejected(e Rejected) {
	t.counters.rejected.Add(1)
	request := ""
	if e.StatusCode != 0 {
		request = name(e.Method, e.Host, e.Path)
	}
	if e.OneShot {
		n := t.counters.notReplayable.Add(1)
		if t.throttles.oneShot.due(t.now()) {
			t.note(slog.LevelWarn, "a rejected request can't be replayed, its body is gone: give it GetBody or a larger KeepBody",
				"request", request, "status", e.StatusCode, "message", e.Message, "so_far", n)
		}
	}
	t.debug("a request was rejected", "request", request, "status", e.StatusCode, "message", e.Message, "strikes", e.Strikes, "late", e.Late)
	if t.Trace != nil && t.Trace.Rejected != nil {
		t.Trace.Rejected(e)
	}
}

func (t *Transport) onOther401(req *http.Request, resp *http.Response, sent provider.Token) {
	t.tellOther401(req, resp, sent, t.counters.other401.Add(1))
}

// onBare tells of a request that goes out without the token, because its origin may not have it.
func (t *Transport) onBare(req *http.Request) {
	t.tellBare(req, t.counters.otherOrigin.Add(1))
}

// onWaited tells of a request that has waited for a token, or that fails at once because there is
// none.
func (t *Transport) onWaited(e Waited) {
	c := &t.counters
	if e.Duration > 0 {
		c.waited.Add(1)
		c.waitTime.Add(int64(e.Duration))
		for longest := c.longestWait.Load(); int64(e.Duration) > longest && !c.longestWait.CompareAndSwap(longest, int64(e.Duration)); {
			longest = c.longestWait.Load()
		}
	}
	switch e.Err.(type) {
	case nil:
	case *waitError:
		c.gaveUp.Add(1)
	case *queueFullError:
		n := c.queueFull.Add(1)
		if t.throttles.queueFull.due(t.now()) {
			t.note(slog.LevelWarn, "requests are turned away, too many wait for a token", "max_waiting", t.MaxWaiting, "so_far", n)
		}
	default:
		c.noToken.Add(1)
	}
	t.debug("a request has waited for a token", "waited", e.Duration, "err", e.Err)
	if t.Trace != nil && t.Trace.Waited != nil {
		t.Trace.Waited(e)
	}
}

func (t *Transport) onReplayed(e Replayed) {
	t.counters.replayed.Add(1)
	t.debug("a request is sent again", "request", e.Method+" "+e.Host, "replay", e.Replay)
	if t.Trace != nil && t.Trace.Replayed != nil {
		t.Trace.Replayed(e)
	}
}

func (t *Transport) onProviderPanic(value any, stack []byte) {
	if t.throttles.panics.due(t.now()) {
		t.note(slog.LevelError, "the token provider panicked", "panic", value, "stack", string(stack))
	}
}
