package transport

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport/internal/session"
)

// The functions here tell what happens: to the counters, the Logger and the Trace. What belongs to a
// request is told in its own goroutine, with no lock held; what belongs to a refresh goes through a queue, because whoever is
// told may wait for that very refresh. It is queued under the Transport's lock where the order of events depends on it.

// An eventQueue calls functions one after the other, in a goroutine that ends when there are none left.
type eventQueue struct {
	mu      sync.Mutex // guards the fields below; never held across a call
	waiting []func()   // in the order in which they are to be called
	running bool       // the goroutine is there
}

// tell has f called after everything that was told before.
func (q *eventQueue) tell(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, f)
	if !q.running {
		q.running = true
		go q.run()
	}
}

func (q *eventQueue) run() {
	finished := false
	defer func() {
		if !finished { // a hook called runtime.Goexit, as t.Fatal does in a test, or panicked, which is its own affair
			go q.run()
		}
	}()
	for {
		q.mu.Lock()
		if len(q.waiting) == 0 {
			q.running, finished = false, true
			q.mu.Unlock()
			return
		}
		f := q.waiting[0]
		q.waiting = q.waiting[1:]
		q.mu.Unlock()
		f()
	}
}

// tell puts f into the queue, unless nobody listens.
func (t *Transport) tell(f func()) {
	if t.Logger != nil || t.Trace != nil {
		t.events.tell(f)
	}
}

// report tells what the session reports. t.mu is held.
func (t *Transport) report(e any) {
	waiting := int(t.waiting.Load())
	switch e := e.(type) {
	case session.Started:
		t.onRefreshStart(RefreshStart{Reason(e.Reason)})
	case session.Retrying:
		t.onAttemptFailed(AttemptFailed{Reason: Reason(e.Reason), Attempt: e.Attempt, Err: e.Err, RetryIn: e.RetryIn}, waiting)
	case session.Slow:
		t.onSlowProvider(Reason(e.Reason), e.Ago, waiting)
	case session.Ended:
		t.onSessionEnded((*RefreshError)(e.Err))
	case session.Refreshed:
		done := RefreshDone{Reason: Reason(e.Reason), Attempts: e.Attempts, Duration: e.Duration, Waiting: waiting, Unchanged: e.Unchanged,
			Message: e.Message, Expiry: e.Expiry, SessionEnded: e.Ended}
		if e.Err != nil {
			done.Err = (*RefreshError)(e.Err)
		}
		if e.Again {
			t.onBroughtAgain(done)
		} else {
			t.onRefreshDone(done)
		}
	}
}

func (t *Transport) onRefreshStart(e RefreshStart) {
	t.tell(func() {
		t.log(slog.LevelDebug, "asking the token provider", "reason", e.Reason)
		if t.Trace != nil && t.Trace.RefreshStart != nil {
			t.Trace.RefreshStart(e)
		}
	})
}

func (t *Transport) onAttemptFailed(e AttemptFailed, waiting int) {
	t.tell(func() {
		t.log(slog.LevelWarn, "token provider failed, will ask again",
			"reason", e.Reason, "attempt", e.Attempt, "retry_in", e.RetryIn, "waiting", waiting, "err", e.Err)
		if t.Trace != nil && t.Trace.AttemptFailed != nil {
			t.Trace.AttemptFailed(e)
		}
	})
}

func (t *Transport) onSlowProvider(reason Reason, ago time.Duration, waiting int) {
	if waiting > 0 {
		t.tell(func() {
			t.log(slog.LevelWarn, "requests wait for the token provider", "reason", reason, "waiting", waiting, "called_ago", ago)
		})
	}
}

func (t *Transport) onBroughtAgain(e RefreshDone) {
	t.tell(func() {
		t.log(slog.LevelWarn, "token provider brought the rejected token again, will ask again", "reason", e.Reason, "waiting", e.Waiting)
	})
}

func (t *Transport) onRefreshDone(e RefreshDone) { t.tell(func() { t.tellRefreshDone(e) }) }

func (t *Transport) tellRefreshDone(e RefreshDone) {
	args := []any{"reason", e.Reason, "attempts", e.Attempts, "took", e.Duration, "waiting", e.Waiting}
	if !e.Expiry.IsZero() {
		args = append(args, "expiry", e.Expiry)
	}
	if e.Message != "" {
		args = append(args, "message", e.Message)
	}
	err, _ := e.Err.(*RefreshError)
	switch {
	case err != nil && e.SessionEnded:
		// onSessionEnded says it.
	case err != nil && err.Permanent:
		t.log(slog.LevelError, "the next token can't be had: the session ends with the one it has", append(args, "err", err.Err)...)
	case err != nil:
		t.log(slog.LevelWarn, "refresh failed", append(args, "err", err.Err)...)
	case e.Unchanged:
		t.log(slog.LevelWarn, "token provider brought the same token again", args...)
	case e.Reason == ReasonInitial:
		t.log(slog.LevelDebug, "token received", args...)
	case e.Reason == ReasonEarly || e.Reason == ReasonExpired:
		t.log(slog.LevelDebug, "token replaced", args...)
	default:
		t.log(slog.LevelInfo, "token replaced", args...)
	}
	if t.Trace != nil && t.Trace.RefreshDone != nil {
		t.Trace.RefreshDone(e)
	}
	if e.SessionEnded {
		t.tellSessionEnded(err)
	}
}

// onRejected tells of a rejection, and of what it came to.
func (t *Transport) onRejected(e Rejected, k session.Strike) {
	t.counters.rejected.Add(1)
	args := []any{"strikes", e.Strikes}
	if e.StatusCode != 0 {
		args = append(args, "method", e.Method, "host", e.Host, "path", e.Path, "status", e.StatusCode, "message", e.Message)
	}
	switch {
	case e.OneShot:
		n := t.counters.notReplayable.Add(1)
		if !t.throttles.oneShot.due(t.now()) {
			break
		}
		args = append(args, "so_far", n)
		t.log(slog.LevelWarn, "a rejected request can't be replayed, its body is gone: give it GetBody or a larger KeepBody", args...)
	case k.Counted && k.Strikes > session.Patience && k.Pause > 0:
		t.log(slog.LevelWarn, "new tokens are rejected too: requests go out under the last one and get its 401",
			append(args, "next_call_in", k.Pause)...)
	default:
		t.log(slog.LevelDebug, "token rejected", append(args, "late", e.Late)...)
	}
	if t.Trace != nil && t.Trace.Rejected != nil {
		t.Trace.Rejected(e)
	}
}

// onOther401 tells of a 401 that the classifier did not take for a rejection, which is how a wrong secret or a wrong
// classifier shows. It may be every response, so the log gets one in a while.
func (t *Transport) onOther401(req *http.Request, resp *http.Response, sent provider.Token) {
	n := t.counters.other401.Add(1)
	if t.Logger == nil || !t.throttles.other401.due(t.now()) {
		return
	}
	args := []any{"method", req.Method, "host", req.URL.Host, "path", req.URL.Path, "so_far", n}
	if why := rejectionOf(resp, sent); why.Message != "" { // as far as the classifier has read
		args = append(args, "message", why.Message)
	}
	if t.IsRejected == nil && len(resp.Header.Values("WWW-Authenticate")) == 0 {
		args = append(args, "hint", "there is no WWW-Authenticate header in it; if this API answers expired tokens so, set IsRejected: transport.Any401")
	}
	t.log(slog.LevelWarn, "a 401 was handed on: IsRejected did not take it for a rejected token", args...)
}

// onBare tells of a request that goes out without the token, because its origin may not have it. That is as it should be where a
// redirect has led to another host, and a mistake in Origins where the program itself sends it there.
func (t *Transport) onBare(req *http.Request) {
	n := t.counters.otherOrigin.Add(1)
	if t.Logger == nil || req.Response != nil || !t.throttles.otherOrigin.due(t.now()) {
		return
	}
	where := (&url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host}).String()
	t.log(slog.LevelWarn, "a request goes out without the token: its origin is not in Origins", "origin", where, "origins", t.Origins, "so_far", n)
}

func (t *Transport) onQueueFull() {
	t.counters.queueFull.Add(1)
	if t.throttles.queueFull.due(t.now()) {
		t.log(slog.LevelWarn, "requests are turned away, too many wait for a token", "max_waiting", t.MaxWaiting)
	}
}

// onWaited tells of a request that has waited for a token, or that fails at once because there is none.
func (t *Transport) onWaited(e Waited) {
	c := &t.counters
	if e.Duration > 0 {
		c.waited.Add(1)
		c.waitTime.Add(int64(e.Duration))
		for longest := c.longestWait.Load(); int64(e.Duration) > longest && !c.longestWait.CompareAndSwap(longest, int64(e.Duration)); {
			longest = c.longestWait.Load()
		}
	}
	if _, gaveUp := e.Err.(*waitError); e.Err != nil && !gaveUp {
		c.noToken.Add(1)
	}
	t.log(slog.LevelDebug, "a request has waited for a token", "for", e.Duration, "err", e.Err)
	if t.Trace != nil && t.Trace.Waited != nil {
		t.Trace.Waited(e)
	}
}

func (t *Transport) onReplayed(e Replayed) {
	t.counters.replayed.Add(1)
	t.log(slog.LevelDebug, "sending a request again", "method", e.Method, "host", e.Host, "replay", e.Replay)
	if t.Trace != nil && t.Trace.Replayed != nil {
		t.Trace.Replayed(e)
	}
}

func (t *Transport) onSessionEnded(err *RefreshError) { t.tell(func() { t.tellSessionEnded(err) }) }

func (t *Transport) tellSessionEnded(err *RefreshError) {
	t.log(slog.LevelError, "session ended", "attempts", err.Attempts, "err", err)
	if t.Trace != nil && t.Trace.SessionEnded != nil {
		t.Trace.SessionEnded(err)
	}
}

func (t *Transport) onProviderPanic(value any, stack []byte) {
	t.tell(func() { t.log(slog.LevelError, "token provider panicked", "panic", value, "stack", string(stack)) })
}

func (t *Transport) log(level slog.Level, msg string, args ...any) {
	if t.Logger != nil {
		t.Logger.Log(context.Background(), level, "stayauth: "+msg, args...)
	}
}

// throttles are of what would otherwise be logged with every request.
type throttles struct{ other401, otherOrigin, queueFull, oneShot throttle }

// A throttle lets something be said once in a while, at first at once.
type throttle struct{ next atomic.Int64 } // when it may be said again, by the monotonic clock; written by due

const quiet = 30 * time.Second

func (l *throttle) due(now session.Instant) bool {
	next := l.next.Load()
	return int64(now.Run) >= next && l.next.CompareAndSwap(next, int64(now.Run+quiet))
}
