package shared

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/stayauth/stayauth/provider"
)

// A temporary is an error without the mark of [provider.Permanent]. It says and matches all else
// that the error does.
type temporary struct{ err error }

func (t temporary) Error() string        { return t.err.Error() }
func (t temporary) Is(target error) bool { return errors.Is(t.err, target) }
func (t temporary) As(target any) bool {
	return reflect.TypeOf(target) != permanentMark && errors.As(t.err, target)
}

var permanentMark = reflect.PointerTo(reflect.TypeOf(provider.Permanent(errors.New("for its type"))))

// notTheCallers returns err so that it does not match the errors of contexts, where the context is
// not the caller's.
func notTheCallers(err error) error {
	if endsContext(err) {
		return foreign{err}
	}
	return err
}

// whyEnded returns ctx's error, and its cause if that is another.
func whyEnded(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// endsContext reports whether err says that a context has ended.
func endsContext(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// A foreign is an error that matches all that it wraps, except the errors of contexts.
type foreign struct{ err error }

func (f foreign) Error() string { return f.err.Error() }
func (f foreign) Is(target error) bool {
	return target != context.DeadlineExceeded && target != context.Canceled && errors.Is(f.err, target)
}
func (f foreign) As(target any) bool { return errors.As(f.err, target) }
