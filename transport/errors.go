package transport

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport/internal/session"
)

// ErrClosed is the error of requests that need a token after [Transport.Close], and of those that
// waited for one.
var ErrClosed = errors.New("transport: the session is closed")

// ErrQueueFull is the error of a request that would have had to wait for a token while
// Transport.MaxWaiting others did.
var ErrQueueFull = errors.New("transport: too many requests are waiting for a token")

// A queueFullError is ErrQueueFull with the limit.
type queueFullError struct{ limit int }

func (e *queueFullError) Error() string {
	return fmt.Sprintf("%v: MaxWaiting is %d", ErrQueueFull, e.limit)
}
func (e *queueFullError) Unwrap() error { return ErrQueueFull }

// A RefreshError says that there is no token. All requests that waited for the same refresh get
// the same one.
//
// If it is Permanent the session is over: log the user in again, with a new Transport or
// [Transport.SetToken]. Otherwise the trouble may pass, and the next request tries again.
type RefreshError struct {
	// Permanent reports whether the session is over.
	Permanent bool

	// Attempts is how many times the token provider was called in the refresh.
	Attempts int

	// Err is why: the token provider's own last error, or what was wrong with its answer. It
	// matches what the provider's error matches, except context.DeadlineExceeded and
	// context.Canceled: a caller would take them for its own context's.
	Err error

	// StatusCode and Message are those of the rejected response that made the refresh necessary, if
	// one did: what the API says in its body's "message", "error_description" or "error", or in
	// WWW-Authenticate, shortened and without the token.
	StatusCode int
	Message    string

	// NextTry is when the token provider may be called again, by the wall clock; until then
	// requests get this same error. It is zero if the session is over.
	NextTry time.Time
}

func (e *RefreshError) Error() string {
	s := "transport: no token: "
	if e.Permanent {
		s = "transport: no token, and asking again won't help: "
	}
	if e.Err != nil {
		s += e.Err.Error()
	} else {
		s += "no reason is known"
	}
	if e.Attempts > 1 {
		s += fmt.Sprintf(" (after %d attempts)", e.Attempts)
	}
	if e.StatusCode != 0 {
		s += fmt.Sprintf("; the API had rejected the old one with status %d", e.StatusCode)
		if e.Message != "" {
			s += fmt.Sprintf(": %q", e.Message)
		}
	}
	return s
}

// Unwrap returns Err.
func (e *RefreshError) Unwrap() error { return e.Err }

// refreshError returns err as callers know it.
func refreshError(err error) error {
	if err == session.ErrClosed {
		return ErrClosed
	}
	if e, ok := err.(*session.Error); ok {
		return (*RefreshError)(e)
	}
	return err
}

var (
	errGoexit          = errors.New("the token provider ended its goroutine (runtime.Goexit) instead of returning")
	errNoToken         = errors.New("the token provider returned neither a token nor an error")
	errEmpty           = errors.New("it is empty")
	errRejectedAlready = errors.New("transport: SetToken: this token was just rejected by the API")
)

// A panicError says that the provider panicked.
type panicError struct{ value any }

func (e *panicError) Error() string { return fmt.Sprintf("the token provider panicked: %v", e.value) }

// A badErrorError says that the provider returned an error that is none.
type badErrorError struct {
	is  reflect.Type
	how string
}

func (e *badErrorError) Error() string {
	return fmt.Sprintf("the token provider returned an error of type %s that %s", e.is, e.how)
}

// notOurs returns err so that it does not match the errors of contexts. A program that asks whether
// a request's error is context.DeadlineExceeded means the request's context, and that has not
// ended: the provider's has, or one of its own.
func notOurs(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return &foreignError{err}
	}
	return err
}

// A foreignError is an error that matches all that it wraps, except the errors of contexts.
type foreignError struct{ err error }

func (e *foreignError) Error() string { return e.err.Error() }

func (e *foreignError) Is(target error) bool {
	return target != context.DeadlineExceeded && target != context.Canceled && errors.Is(e.err, target)
}

func (e *foreignError) As(target any) bool { return errors.As(e.err, target) }

// A waitError is what a caller gets who has given up waiting for a token.
type waitError struct {
	err, cause error // of its context; cause may be the same, or nil
	since      time.Time
	after      time.Duration
	said       error // what the provider last said; or nil
}

func (e *waitError) Error() string {
	s := fmt.Sprintf("transport: gave up waiting for a token after %s (since %s): %v", e.after.Round(time.Millisecond), e.since.Format(time.TimeOnly), e.err)
	if e.cause != nil && e.cause != e.err {
		s += fmt.Sprintf(" (%v)", e.cause)
	}
	if e.said != nil {
		s += fmt.Sprintf("; the token provider last said: %v", e.said)
	}
	return s
}

// Unwrap returns what the caller's own context says, and not what the provider said.
func (e *waitError) Unwrap() []error {
	if e.cause != nil && e.cause != e.err {
		return []error{e.err, e.cause}
	}
	return []error{e.err}
}

// Timeout reports whether the caller's time was up, for [net/url.Error.Timeout].
func (e *waitError) Timeout() bool { return errors.Is(e.err, context.DeadlineExceeded) }

// maxToken is the longest token that is sent. Servers reject headers long before this.
const maxToken = 64 << 10

// checkToken reports what makes tok unfit to be sent. It never repeats any of it.
func (t *Transport) checkToken(tok provider.Token) error {
	v := tok.Value()
	switch {
	case v == "":
		return errEmpty
	case len(v) > maxToken:
		return fmt.Errorf("it has %d bytes, more than %d", len(v), maxToken)
	case v[0] == ' ' || v[len(v)-1] == ' ':
		return errors.New("it begins or ends with a space")
	}
	for i := range len(v) {
		// RFC 9110 section 5.5 less tab and obs-text, which no token uses and some servers mangle.
		if v[i] < ' ' || v[i] > '~' {
			return fmt.Errorf("byte %d of it may not stand in a header (a line break, perhaps, or another "+
				"control or non-ASCII character)", i)
		}
	}
	if t.Authorize == nil && strings.Contains(v, " ") { // RFC 6750 section 2.1
		return errors.New("it has a space in it, so it is more than a token; return it without the scheme (\"Bearer\"), or set Authorize")
	}
	return nil
}
