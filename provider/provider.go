package provider

import (
	"context"
	"errors"
	"time"
)

// A TokenProvider is where tokens come from: a call to your own backend, a signing key at hand, a
// file, a person.
//
// package transport calls it: one call at a time for each Transport, from a goroutine of its own.
type TokenProvider interface {
	// Token returns a token to use in place of old, which has expired, is about to, or was rejected
	// by the API. old is the zero Token at first; later it carries the refresh token, if there is
	// one. The new token takes old's place whole: a refresh token that stays in force has to be in
	// it again.
	//
	// Token should return when ctx is done. ctx belongs to the refresh, not to any of the requests
	// that wait for it. Why the API rejected old is in it, for those who want to know: see
	// [RejectionFrom].
	//
	// An error is taken as temporary, and Token is called again after a pause, unless it was made
	// by [Permanent]: then the session is over. [RetryAfter] says how long the pause has to be, and
	// [NoRetry] that another call would not help now.
	Token(ctx context.Context, old Token) (Token, error)
}

// A Waiter is a [TokenProvider] that may have something left to do when Token has returned: a new
// refresh token that could not be saved yet, say. Closing a transport waits for that. What wraps
// another provider hands Wait on to it.
type Waiter interface {
	TokenProvider

	// Wait returns when nothing is left to do, and otherwise an error that says what is, at the
	// latest when ctx is done.
	Wait(ctx context.Context) error
}

// Func makes a TokenProvider of a plain function that returns a token's value: the quickest start.
// If the value is a JWT its expiry is read from it, as [ParseJWT] does; otherwise the expiry is
// unknown and the token is used until it is rejected.
//
//	provider.Func(func(ctx context.Context) (string, error) { return myBackend.Token(ctx, "alice") })
type Func func(ctx context.Context) (string, error)

// Token calls f. It implements [TokenProvider].
func (f Func) Token(ctx context.Context, _ Token) (Token, error) {
	if f == nil {
		return Token{}, Permanent(errors.New("provider: Func is nil: there is no function to ask for a token"))
	}
	value, err := f(ctx)
	if err != nil {
		return Token{}, err
	}
	return tokenOf(value), nil
}

// TokenFunc makes a TokenProvider of a function that returns a whole Token: one with an expiry that
// is not in the token itself, or with a refresh token. What the function doesn't return is gone:
// where its source leaves the old refresh token in force, it returns that one, old.RefreshToken(),
// again.
type TokenFunc func(ctx context.Context, old Token) (Token, error)

// Token calls f. It implements [TokenProvider].
func (f TokenFunc) Token(ctx context.Context, old Token) (Token, error) {
	if f == nil {
		return Token{}, Permanent(errors.New("provider: TokenFunc is nil: there is no function to ask for a token"))
	}
	return f(ctx, old)
}

// tokenOf returns value as a Token, with whatever a JWT says about its own life.
func tokenOf(value string) Token {
	if t, err := ParseJWT(value); err == nil {
		return t
	}
	return NewToken(value, time.Time{})
}

// Permanent marks err as final: asking the token provider again won't help, because the session was
// revoked, the user was deleted or the secret is wrong. The client's session ends with this error.
// Permanent(nil) is nil.
//
// When in doubt leave an error unmarked. A temporary error costs a few more calls; a permanent one
// logs a user out.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

// IsPermanent reports whether err, or an error that it wraps, was marked by [Permanent].
func IsPermanent(err error) bool {
	_, ok := errors.AsType[*permanentError](err)
	return ok
}

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// NoRetry marks err as one that asking again at once can't cure, although it does not end the
// session: a mistake in the configuration, a file that a person has to repair, a program that is
// not installed. Everyone who waits is told it at once, instead of after the half minute in which a
// temporary error is retried, and a later request asks again. NoRetry(nil) is nil.
func NoRetry(err error) error {
	if err == nil {
		return nil
	}
	return &noRetryError{err}
}

// IsNoRetry reports whether err, or an error that it wraps, was marked by [NoRetry].
func IsNoRetry(err error) bool {
	_, ok := errors.AsType[*noRetryError](err)
	return ok
}

type noRetryError struct{ err error }

func (e *noRetryError) Error() string { return e.err.Error() }
func (e *noRetryError) Unwrap() error { return e.err }

// RetryAfter marks err as temporary and says that the token provider must not be asked again before
// d has passed, as an HTTP Retry-After header does (RFC 9110 section 10.2.3). That is also when it
// is worth asking: after a refresh that failed with it a transport does not pause for longer than d
// or 5 seconds, whichever is more, where other failures that go on let the pauses grow to 30
// seconds. A negative d counts as 0. RetryAfter(nil, d) is nil.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &retryAfterError{err, max(d, 0)}
}

// RetryDelay returns the duration that [RetryAfter] put on err or on an error that it wraps, and
// whether there was one.
func RetryDelay(err error) (time.Duration, bool) {
	if e, ok := errors.AsType[*retryAfterError](err); ok {
		return e.after, true
	}
	return 0, false
}

type retryAfterError struct {
	err   error
	after time.Duration
}

func (e *retryAfterError) Error() string { return e.err.Error() }
func (e *retryAfterError) Unwrap() error { return e.err }
