package transport

import (
	"errors"
	"fmt"
	"time"

	"github.com/stayauth/stayauth/provider"
)

// ErrClosed is the error of requests that need a token after [Transport.Close], and of those that waited for one.
var ErrClosed = errors.New("transport: the session is closed")

// ErrQueueFull is the error of a request that would have had to wait for a token while Transport.MaxWaiting others did.
var ErrQueueFull = errors.New("transport: too many requests are waiting for a token")

// A RefreshError says that no token could be had. All requests that waited for the same refresh get the same one.
//
// If it is Permanent the session is over: log the user in again, with a new Transport. Otherwise the trouble may pass, and
// the next request tries again.
type RefreshError struct {
	// Permanent reports whether the session is over.
	Permanent bool

	// Attempts is how many times the token provider was called in the refresh.
	Attempts int

	// Err is why: the token provider's own last error, as it came, or what was wrong with its answer.
	Err error

	// StatusCode and Message are those of the rejected response that made the refresh necessary, if one did: what the API
	// says in its body's "message", "error_description" or "error", or in WWW-Authenticate, shortened and without the token.
	StatusCode int
	Message    string

	// NextTry is when the token provider may be called again; until then requests get this same error. It is zero if the
	// session is over, and in the errors of requests that found the provider still at work.
	NextTry time.Time
}

func (e *RefreshError) Error() string {
	s := "transport: no token: "
	if e.Permanent {
		s = "transport: no token, and asking again won't help: "
	}
	s += e.Err.Error()
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

// errReentry is what a provider gets that waits for itself, and with it all that wait for the provider.
var errReentry = errors.New("the token provider sent a request through its own Transport, which was waiting for the provider: " +
	"give the provider an http.Client of its own, or mark its requests with WithoutToken")

// errOwnClient is errReentry as the provider's own request gets it.
var errOwnClient = fmt.Errorf("transport: %w", errReentry)

var (
	errGoexit  = errors.New("the token provider ended its goroutine (runtime.Goexit) instead of returning")
	errNoToken = errors.New("the token provider returned neither a token nor an error")
)

// A panicError says that the provider panicked.
type panicError struct{ value any }

func (e *panicError) Error() string { return fmt.Sprintf("the token provider panicked: %v", e.value) }

// A hungError says that the provider was called and has not returned.
type hungError struct{ since time.Time }

func (e *hungError) Error() string {
	return fmt.Sprintf("the token provider was called at %s and has not returned since", e.since.Format(time.RFC3339))
}

// A timeoutError says that RefreshTimeout ended the refresh. It unwraps to what the provider last said before, and never to
// the context's error: callers would take context.DeadlineExceeded for a deadline of their own.
type timeoutError struct {
	after time.Duration
	last  error // nil if the provider said nothing
}

func (e *timeoutError) Error() string {
	if e.last == nil {
		return fmt.Sprintf("the token provider has not returned within %s", e.after)
	}
	return fmt.Sprintf("the token provider has brought no token within %s, its last error: %v", e.after, e.last)
}

func (e *timeoutError) Unwrap() error { return e.last }

// A badTokenError says that the provider returned something that is no token.
type badTokenError struct{ why string }

func (e *badTokenError) Error() string {
	return "the token provider returned an unusable token: " + e.why
}

// notAToken reports whether err is checkToken's.
func notAToken(err error) bool {
	_, bad := err.(*badTokenError)
	return bad || err == errNoToken
}

// maxToken is the longest token that is sent. Servers reject headers long before this.
const maxToken = 64 << 10

// checkToken reports what makes tok unfit to be sent. It never repeats any of it.
func checkToken(tok provider.Token) error {
	v := tok.Value()
	switch {
	case v == "":
		return errNoToken
	case len(v) > maxToken:
		return &badTokenError{fmt.Sprintf("it has %d bytes, more than %d", len(v), maxToken)}
	case v[0] == ' ' || v[len(v)-1] == ' ':
		return &badTokenError{"it begins or ends with a space"}
	}
	for i := range len(v) {
		// RFC 9110 section 5.5 less tab and obs-text, which no token uses and some servers mangle.
		if v[i] < ' ' || v[i] > '~' {
			return &badTokenError{fmt.Sprintf("byte %d of it may not stand in a header (a line break, perhaps, or another "+
				"control or non-ASCII character)", i)}
		}
	}
	return nil
}
