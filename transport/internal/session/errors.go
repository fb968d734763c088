package session

import (
	"errors"
	"fmt"
	"time"
)

// ErrClosed is why there is no token after Close.
var ErrClosed = errors.New("transport: the session is closed")

// An Error says why there is no token. It is transport's RefreshError by another name.
type Error struct {
	Permanent  bool
	Attempts   int
	Err        error
	StatusCode int
	Message    string
	NextTry    time.Time
}

func (e *Error) Error() string { return e.Err.Error() }

// ErrReentry is what a provider gets that waits for itself, and with it all that wait for the
// provider.
var ErrReentry = errors.New("the token provider sent a request through its own Transport, which was waiting for the provider: " +
	"give the provider an http.Client of its own, or mark its requests with WithoutToken")

// ErrOwnClient is ErrReentry as the provider's own request gets it.
var ErrOwnClient = fmt.Errorf("transport: %w", ErrReentry)

// A TimeoutError says that the time limit ended the refresh. It unwraps to what the provider last
// said before, and never to the context's error, which a caller would take for its own.
type TimeoutError struct {
	After  time.Duration
	Called time.Time // when the call was made that was under way then, if one was; else zero
	Last   error     // nil if the provider had said nothing
}

func (e *TimeoutError) Error() string {
	s := fmt.Sprintf("the token provider has returned no token within %s", e.After)
	if !e.Called.IsZero() {
		s += fmt.Sprintf("; it was called at %s", e.Called.Format(time.RFC3339))
	}
	if e.Last != nil {
		s += fmt.Sprintf("; its last error: %v", e.Last)
	}
	return s
}

func (e *TimeoutError) Unwrap() error { return e.Last }

// A RejectedError says that tokens were rejected one after another, and when the provider may be
// asked for another.
type RejectedError struct {
	Strikes int
	Due     time.Time
}

func (e *RejectedError) Error() string {
	return fmt.Sprintf("the API has rejected %d tokens in a row, and the token provider is not asked for another before %s",
		e.Strikes, e.Due.Format(time.RFC3339))
}
