package filestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// atMost is how many calls of the system a Store makes at a time. Each that hangs holds a thread,
// and a process that has too many of those dies.
const atMost = 16

// obey returns what operation returns, or an error as soon as ctx is done: the system itself can't
// be called off. It calls operation again, after a pause, as long as that returns errLocked.
//
// The operation's goroutine ends when the system answers. A result that comes too late is closed if
// it can be.
func obey[T any](ctx context.Context, s *Store, doing string, operation func() (T, error)) (T, error) {
	// The holder of the lock writes one small file, so the first pauses are short.
	for pause := time.Millisecond; ; pause = min(2*pause, 32*time.Millisecond) {
		value, err := attempt(ctx, s, doing, operation)
		if !errors.Is(err, errLocked) {
			return value, err
		}
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return value, fmt.Errorf("filestore: %s: waiting for the lock: %w", doing, ctx.Err())
		}
	}
}

// attempt calls operation once.
func attempt[T any](ctx context.Context, s *Store, doing string, operation func() (T, error)) (value T, err error) {
	s.once.Do(func() { s.busy = make(chan struct{}, atMost) })
	if err := ctx.Err(); err != nil {
		return value, fmt.Errorf("filestore: %s: %w", doing, err)
	}
	select {
	case s.busy <- struct{}{}:
	case <-ctx.Done():
		return value, fmt.Errorf("filestore: %s: the system has not answered %d calls before this one: %w", doing, atMost, ctx.Err())
	}
	type result struct {
		value T
		err   error
	}
	done := make(chan result)
	go func() {
		defer func() { <-s.busy }()
		value, err := operation()
		select {
		case done <- result{value, err}:
		case <-ctx.Done():
			if c, ok := any(value).(io.Closer); ok && err == nil {
				_ = c.Close()
			}
		}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return value, fmt.Errorf("filestore: %s: the system has not answered: %w", doing, ctx.Err())
	}
}
