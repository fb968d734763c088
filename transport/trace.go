package transport

import (
	"context"
	"log/slog"
	"time"
)

// A Trace is a set of functions that are told what a Transport does, in the manner of [net/http/httptrace]. Any of them may be
// nil. They get values only, and never a token.
//
// Hooks are called with no lock held, so they may call every method of the Transport. They may be called from several
// goroutines at once, and what they hold up is held up: RefreshStart and AttemptFailed the refresh, Rejected, Waited and
// Replayed one request. A hook that panics does so in the goroutine that it was called from.
type Trace struct {
	// RefreshStart is called when the token provider is about to be called, once for each refresh and once more each time
	// that it has brought a rejected token again.
	RefreshStart func(RefreshStart)

	// AttemptFailed is called when a call of the provider failed in passing and the same refresh will call it again.
	AttemptFailed func(AttemptFailed)

	// RefreshDone is called when the provider has brought a token or the refresh has failed. Its waiters already know.
	RefreshDone func(RefreshDone)

	// Rejected is called when the API has refused a token.
	Rejected func(Rejected)

	// Waited is called when a request has ended its wait for a token, with or without one.
	Waited func(Waited)

	// Replayed is called before a request is sent again.
	Replayed func(Replayed)

	// SessionEnded is called once, when a permanent failure has ended the session.
	SessionEnded func(*RefreshError)
}

// A Reason says why a refresh was begun.
type Reason string

const (
	Initial        Reason = "initial"  // there was no token yet
	Early          Reason = "early"    // the token was about to end; requests went on under it
	Expired        Reason = "expired"  // the token had ended by this machine's clock
	AfterRejection Reason = "rejected" // the API had refused the token
	Late           Reason = "late"     // not begun: the answer of a provider that had been given up came after all
)

// RefreshStart is what [Trace.RefreshStart] gets.
type RefreshStart struct {
	Reason Reason
}

// AttemptFailed is what [Trace.AttemptFailed] gets.
type AttemptFailed struct {
	Reason  Reason
	Attempt int           // counts from 1
	Err     error         // what the provider said
	RetryIn time.Duration // how long until the next call
}

// RefreshDone is what [Trace.RefreshDone] gets.
type RefreshDone struct {
	Reason       Reason
	Attempts     int           // calls of the provider
	Duration     time.Duration // from the moment that a token was needed, pauses included
	Waiting      int           // requests that waited at the end
	Unchanged    bool          // the provider brought the token that it was asked to replace
	Message      string        // what the API said of the old token, if a refused response began the refresh
	Expiry       time.Time     // of the token now held, by this machine's clock; zero: unknown, or none is held
	Err          error         // nil, or a *RefreshError
	SessionEnded bool          // Err is permanent, and no token is left to go on with
}

// Rejected is what [Trace.Rejected] gets. The last four fields are empty when it comes from [Transport.Reject].
type Rejected struct {
	Late       bool   // the token had been replaced already: nothing is refreshed for this
	Strikes    int    // rejections of current tokens since a replay was last accepted; past 3, requests stop waiting
	Method     string // of the request
	Host       string // that it went to
	StatusCode int    // of the response
	Message    string // what the API said, shortened and without the token
	OneShot    bool   // the request can't be replayed: its body is gone
}

// Waited is what [Trace.Waited] gets.
type Waited struct {
	Duration time.Duration
	Err      error // why the request got no token
}

// Replayed is what [Trace.Replayed] gets.
type Replayed struct {
	Method string
	Host   string
	Replay int // counts from 1, to 3 at most
}

func (t *Transport) onRefreshStart(e RefreshStart) {
	t.log(slog.LevelDebug, "asking the token provider", "reason", e.Reason)
	if t.Trace != nil && t.Trace.RefreshStart != nil {
		t.Trace.RefreshStart(e)
	}
}

func (t *Transport) onAttemptFailed(e AttemptFailed) {
	t.log(slog.LevelWarn, "token provider failed, will ask again", "reason", e.Reason, "attempt", e.Attempt, "retry_in", e.RetryIn, "err", e.Err)
	if t.Trace != nil && t.Trace.AttemptFailed != nil {
		t.Trace.AttemptFailed(e)
	}
}

func (t *Transport) onRefreshDone(e RefreshDone) {
	args := []any{"reason", e.Reason, "attempts", e.Attempts, "took", e.Duration, "waiting", e.Waiting, "expiry", e.Expiry}
	switch {
	case e.Err != nil:
		t.log(slog.LevelWarn, "refresh failed", append(args, "err", e.Err)...)
	case e.Unchanged:
		t.log(slog.LevelWarn, "token provider brought the same token again", args...)
	case e.Reason == AfterRejection || e.Reason == Late:
		t.log(slog.LevelInfo, "token replaced", args...)
	default:
		t.log(slog.LevelDebug, "token replaced", args...)
	}
	if t.Trace != nil && t.Trace.RefreshDone != nil {
		t.Trace.RefreshDone(e)
	}
	if err, ok := e.Err.(*RefreshError); ok && e.SessionEnded {
		t.onSessionEnded(err)
	}
}

func (t *Transport) onRejected(e Rejected) {
	if e.OneShot {
		t.counters.notReplayable.Add(1)
		t.log(slog.LevelWarn, "a refused request can't be replayed: its body is gone; give it GetBody or a larger KeepBody",
			"method", e.Method, "host", e.Host, "status", e.StatusCode)
	}
	t.counters.rejected.Add(1)
	t.log(slog.LevelDebug, "token refused", "late", e.Late, "strikes", e.Strikes, "method", e.Method, "host", e.Host,
		"status", e.StatusCode, "message", e.Message)
	if t.Trace != nil && t.Trace.Rejected != nil {
		t.Trace.Rejected(e)
	}
}

func (t *Transport) onWaited(e Waited) {
	if t.Trace != nil && t.Trace.Waited != nil {
		t.Trace.Waited(e)
	}
}

func (t *Transport) onReplayed(e Replayed) {
	t.counters.replayed.Add(1)
	if t.Trace != nil && t.Trace.Replayed != nil {
		t.Trace.Replayed(e)
	}
}

func (t *Transport) onSessionEnded(err *RefreshError) {
	t.log(slog.LevelError, "session ended", "err", err)
	if t.Trace != nil && t.Trace.SessionEnded != nil {
		t.Trace.SessionEnded(err)
	}
}

func (t *Transport) onProviderPanic(value any, stack []byte) {
	t.log(slog.LevelError, "token provider panicked", "panic", value, "stack", string(stack))
}

func (t *Transport) log(level slog.Level, msg string, args ...any) {
	if t.Logger != nil {
		t.Logger.Log(context.Background(), level, "stayauth: "+msg, args...)
	}
}
