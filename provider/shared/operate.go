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
	began := time.Now()
	found, err := hedge(ctx, l.opLimit(), func(ctx context.Context) (stored, error) {
		data, version, err := l.Store.Load(ctx, l.Key)
		return stored{data, version}, err
	})
	if err != nil {
		return lease.Record{}, 0, l.storeError(ctx, "loading", began, err)
	}
	if found.version == 0 {
		return lease.Record{}, 0, nil
	}
	rec, err := lease.Decode(found.data)
	if err != nil {
		return lease.Record{}, 0, toBeMended(fmt.Errorf("shared: the stored record of the login %q %w; it is left as it is: "+
			"remove it from the store by hand, or use another program or key", l.Key, err))
	}
	return rec, found.version, nil
}

// swap writes rec over version, sent by hedge or once. It returns ErrConflict itself, or errTwice,
// which is one: the caller looks. Its other errors name the key.
func (l *Login) swap(ctx context.Context, rec lease.Record, version uint64, send sending) (uint64, error) {
	data, err := rec.Encode()
	if err != nil {
		return 0, fmt.Errorf("%w: the token of the login %q can't be kept: %w", ErrUnwritable, l.Key, err)
	}
	began := time.Now()
	next, err := send(ctx, l.opLimit(), func(ctx context.Context) (uint64, error) {
		return l.Store.CompareAndSwap(ctx, l.Key, data, version)
	})
	switch {
	case err == nil:
		l.warned.Store(false)
		return next, nil
	case errors.Is(err, errTwice):
		return 0, errTwice
	case errors.Is(err, ErrConflict):
		return 0, ErrConflict
	}
	return 0, l.storeError(ctx, "saving", began, err)
}

// errTwice is the conflict of a write that was sent again: it may have met itself, and be carried
// out.
var errTwice = fmt.Errorf("%w, maybe by the same write", ErrConflict)

// storeError describes an error of the store. A time limit that is not the caller's does not show
// as one.
func (l *Login) storeError(ctx context.Context, doing string, began time.Time, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("shared: gave up %s the login %q: %w", doing, l.Key, whyEnded(ctx))
	case endsContext(err) && time.Since(began) >= l.opLimit():
		err = fmt.Errorf("the store did not answer within %v: %w", l.opLimit(), err)
	}
	err = fmt.Errorf("shared: %s the login %q: %w", doing, l.Key, notTheCallers(err))
	if errors.Is(err, ErrUnwritable) {
		return toBeMended(err)
	}
	return err
}

// toBeMended marks what a person has to mend: those who wait are told at once, and once it is
// mended the next request finds out soon.
func toBeMended(err error) error { return provider.RetryAfter(provider.NoRetry(err), 5*time.Second) }

// A sending is hedge or once.
type sending func(context.Context, time.Duration, func(context.Context) (uint64, error)) (uint64, error)

// once runs op for at most limit.
func once(ctx context.Context, limit time.Duration, op func(context.Context) (uint64, error)) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return op(ctx)
}

// hedge runs op until it has an answer, for at most limit. One that has none after a fifth of the
// limit is sent again beside itself, and again: what hangs on one connection goes through on
// another; a conflict is errTwice then. The first answer that is no failure counts, and the others
// are cancelled.
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
	if again.Stop() {
		return value, err
	}
	close(over)
	if !good(err) {
		for r := range results {
			if good(r.err) {
				value, err = r.value, r.err
				break
			}
		}
	}
	if errors.Is(err, ErrConflict) {
		err = errTwice
	}
	return value, err
}
