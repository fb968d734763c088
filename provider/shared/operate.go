package shared

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared/internal/lease"
)

// load reads the record. Its errors name the key.
func (l *Login) load(ctx context.Context) (lease.Record, uint64, error) {
	type stored struct {
		data    []byte
		version uint64
	}
	found, err := hedge(ctx, l.opLimit(), func(ctx context.Context) (stored, error) {
		data, version, err := l.Store.Load(ctx, l.Key)
		return stored{data, version}, err
	})
	if err != nil {
		return lease.Record{}, 0, l.storeError(ctx, "loading", err)
	}
	if found.version == 0 {
		return lease.Record{}, 0, nil
	}
	rec, err := lease.Decode(found.data)
	if err != nil {
		// Asking again won't mend it: those who wait are told at once.
		return lease.Record{}, 0, provider.RetryAfter(fmt.Errorf("shared: the stored record of the login %q %w; it is left as it is: "+
			"remove it from the store by hand, or use another program or key", l.Key, err), untilMended)
	}
	return rec, found.version, nil
}

// swap writes rec over version. It returns ErrConflict itself, also where the write was carried out
// and sent twice: the caller looks. Its other errors name the key.
func (l *Login) swap(ctx context.Context, rec lease.Record, version uint64) (uint64, error) {
	data, err := rec.Encode()
	if err != nil {
		return 0, fmt.Errorf("shared: encoding the login %q: %w", l.Key, err)
	}
	next, err := hedge(ctx, l.opLimit(), func(ctx context.Context) (uint64, error) {
		return l.Store.CompareAndSwap(ctx, l.Key, data, version)
	})
	switch {
	case err == nil:
		l.warned.Store(false)
		return next, nil
	case errors.Is(err, ErrConflict):
		return 0, ErrConflict
	}
	return 0, l.storeError(ctx, "saving", err)
}

// storeError describes an error of the store. A time limit that is not the caller's does not show
// as one.
func (l *Login) storeError(ctx context.Context, doing string, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("shared: gave up %s the login %q: %w", doing, l.Key, context.Cause(ctx))
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fmt.Errorf("shared: %s the login %q: the store did not answer within %v", doing, l.Key, l.opLimit())
	}
	err = fmt.Errorf("shared: %s the login %q: %w", doing, l.Key, err)
	if errors.Is(err, ErrUnwritable) {
		return provider.RetryAfter(err, untilMended)
	}
	return err
}

// untilMended is how soon it is worth asking again after what a person has to mend. It is longer
// than a transport waits, so that callers are told at once.
const untilMended = time.Minute

// hedge runs op until it has an answer, for at most limit. One that has none after a fifth of the
// limit is sent again beside itself, and again: what hangs on one connection goes through on
// another. The first answer that is no failure counts, and the others are cancelled.
//
// The first op runs right here: in the usual case this costs a timer.
func hedge[T any](ctx context.Context, limit time.Duration, op func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	type result struct {
		value T
		err   error
	}
	good := func(err error) bool { return err == nil || errors.Is(err, ErrConflict) }
	results := make(chan result, 4)
	over := make(chan struct{})
	again := time.AfterFunc(limit/5, func() { // ends with the last op, which ends with ctx
		defer close(results)
		var running sync.WaitGroup
		defer running.Wait()
		ticker := time.NewTicker(limit / 5)
		defer ticker.Stop()
		for range cap(results) {
			running.Go(func() {
				value, err := op(ctx)
				results <- result{value, err}
				if good(err) {
					cancel()
				}
			})
			select {
			case <-ticker.C:
			case <-over:
				return
			case <-ctx.Done():
				return
			}
		}
	})
	value, err := op(ctx)
	if again.Stop() || good(err) {
		close(over)
		return value, err
	}
	close(over)
	for r := range results {
		if good(r.err) {
			return r.value, r.err
		}
	}
	return value, err
}
