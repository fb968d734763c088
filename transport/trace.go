package transport

import (
	"context"
	"time"
)

// A Trace is a set of functions that are told what a Transport does, in the manner of
// [net/http/httptrace]. Any of them may be nil. They get values, never a token, and of the request
// its context where one is named.
//
// Hooks are called with no lock held, so they may call every method of the Transport, and from
// several goroutines at once. RefreshStart, AttemptFailed, RefreshDone and SessionEnded are called
// in order, one at a time, by a goroutine of their own: they hold up only each other, and may come
// a little after what they tell of. The Logger is called by that goroutine, too, except at Debug;
// its lines have the time of what they tell of. Rejected, Waited and Replayed are called by the
// request's goroutine, and a slow one delays that request. A hook that panics does so in the
// goroutine that it was called from.
type Trace struct {
	// RefreshStart is called when the token provider is about to be called, once for each refresh
	// and once more each time that it has returned the rejected token again.
	RefreshStart func(RefreshStart)

	// AttemptFailed is called when a call of the provider failed temporarily and the same refresh
	// will call it again.
	AttemptFailed func(AttemptFailed)

	// RefreshDone is called when the provider has returned a token or the refresh has failed.
	RefreshDone func(RefreshDone)

	// Rejected is called when the API has rejected a token.
	Rejected func(Rejected)

	// Waited is called when a request has ended its wait for a token, with or without one, and when
	// one fails at once, because there is no token or because MaxWaiting others wait.
	Waited func(Waited)

	// Replayed is called before a request is sent again.
	Replayed func(Replayed)

	// SessionEnded is called once, when a permanent failure has ended the session.
	SessionEnded func(*RefreshError)
}

// A Reason says why a refresh was begun.
type Reason string

const (
	ReasonInitial  Reason = "initial"  // there was no token yet
	ReasonEarly    Reason = "early"    // the token was about to end; requests went on under it
	ReasonExpired  Reason = "expired"  // the token had ended by this machine's clock
	ReasonRejected Reason = "rejected" // the API had rejected the token
	ReasonLate     Reason = "late"     // the answer of a provider that had been given up came later
)

// RefreshStart is what [Trace.RefreshStart] gets.
type RefreshStart struct {
	Refresh int64 // the number of the refresh; the first is 1
	Reason  Reason
}

// AttemptFailed is what [Trace.AttemptFailed] gets.
type AttemptFailed struct {
	Refresh int64 // the number of the refresh
	Reason  Reason
	Attempt int           // counts from 1
	Err     error         // what the provider said
	RetryIn time.Duration // how long until the next call
}

// RefreshDone is what [Trace.RefreshDone] gets.
type RefreshDone struct {
	Refresh      int64 // the number of the refresh
	Reason       Reason
	Attempts     int           // calls of the provider
	Duration     time.Duration // from the moment that a token was needed, pauses included
	Waiting      int           // requests that waited at the end
	Unchanged    bool          // the provider returned the token that it was asked to replace
	Message      string        // what the API said of the old token, if a rejected response began the refresh
	Expiry       time.Time     // of the token now held, by this machine's clock; zero: unknown, or none is held
	Err          error         // nil, or a *RefreshError
	SessionEnded bool          // Err is permanent, and no token is left to go on with
}

// Rejected is what [Trace.Rejected] gets. If it comes from [Transport.Reject], only Late and
// Strikes are set, and Context is context.Background().
type Rejected struct {
	Context    context.Context // the request's
	Late       bool            // the token had been replaced already: nothing is refreshed for this
	Strikes    int             // rejections of current tokens since a replay was last accepted; past 3, requests stop waiting
	Method     string          // of the request
	Host       string          // that it went to
	Path       string          // of its URL, without the query
	StatusCode int             // of the response
	Message    string          // what the API said, shortened and without the token
	OneShot    bool            // the request can't be replayed: its body is gone
}

// Waited is what [Trace.Waited] gets.
type Waited struct {
	Context  context.Context // the request's, or the one that [Transport.Token] was called with
	Duration time.Duration   // 0: it failed at once
	Refresh  int64           // the number of the refresh that it waited for, to link their spans; 0: none
	Err      error           // why the request got no token
}

// Replayed is what [Trace.Replayed] gets.
type Replayed struct {
	Context context.Context // the request's
	Method  string
	Host    string
	Replay  int // counts from 1, to 3 at most
}
