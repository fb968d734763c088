package shared

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/stayauth/stayauth/provider"
)

const (
	defaultLease   = 15 * time.Second
	defaultTimeout = time.Minute
)

// errProviderTimeout is why the Provider's context ends.
var errProviderTimeout = errors.New("shared: the token provider took longer than Login.Timeout")

func (l *Login) leaseLength() time.Duration {
	if l.Lease > 0 {
		return l.Lease
	}
	return defaultLease
}

func (l *Login) timeout() time.Duration {
	if l.Timeout > 0 {
		return l.Timeout
	}
	return defaultTimeout
}

// opLimit is how long one operation of the store may take.
func (l *Login) opLimit() time.Duration { return l.leaseLength() / 3 }

// pollInterval is the pause after so many looks at a record that another process works on.
func (l *Login) pollInterval(looks int) time.Duration {
	most := l.leaseLength() / 15
	d := min(most, most/20<<min(looks, 5))
	return d/2 + rand.N(d/2+1)
}

// pause waits for d and returns nil, or ctx.Err() once ctx is done.
func (l *Login) pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// observe notes since when the record has been at version, by this process's monotonic clock, which stands still while the
// machine is suspended: so its own sleep is never taken for another's silence.
func (l *Login) observe(version uint64) {
	if l.seen.since.IsZero() || l.seen.version != version {
		l.seen.version, l.seen.since = version, time.Now()
	}
}

// lapsed reports whether the holder has been silent for its whole lease, while this process watched.
func (l *Login) lapsed(rec loginRecord, version uint64) bool {
	return l.seen.version == version && time.Since(l.seen.since) >= rec.lease
}

// A leaseClaim is the right to ask the Provider, as long as it is renewed in time.
type leaseClaim struct {
	l *Login

	// Changed by the renewing goroutine while it runs, and otherwise by whoever made the claim.
	rec     loginRecord // as this process wrote it
	version uint64
	until   time.Time // when others may take over; counted from before the write, so never later than they count
}

// claim writes this process into rec as the holder of the lease. It returns ErrConflict if another process got ahead.
func (l *Login) claim(ctx context.Context, rec loginRecord, version uint64) (*leaseClaim, error) {
	c := &leaseClaim{l: l, rec: rec, until: time.Now().Add(l.leaseLength())}
	c.rec.holder, c.rec.lease = l.id, l.leaseLength()

	v, err := l.swap(ctx, c.rec, version)
	if err != nil && !errors.Is(err, ErrConflict) { // it may be written: look
		if now, found, lerr := l.load(ctx); lerr == nil && now.holder == l.id && found != version {
			v, err = found, nil
		}
	}
	if err != nil {
		return nil, err
	}
	c.version = v
	switch {
	case ctx.Err() != nil: // the last chance to leave
		c.release(context.WithoutCancel(ctx), errors.New("the process that was about to try left"))
		return nil, l.gaveUp(ctx)
	case !time.Now().Before(c.until): // suspended meanwhile: look what has become of the record
		return nil, ErrConflict
	}
	return c, nil
}

// ask calls the Provider and renews the lease meanwhile. If the Provider panics or calls runtime.Goexit the lease is released.
func (c *leaseClaim) ask(ctx context.Context, given provider.Token) (t provider.Token, err error) {
	callCtx, cancel := context.WithTimeoutCause(ctx, c.l.timeout(), errProviderTimeout)
	defer cancel()

	renewed := make(chan struct{})
	renewCtx, stop := context.WithCancel(callCtx)
	go func() { // ends with renewCtx, which is before ask returns
		defer close(renewed)
		c.renew(renewCtx)
	}()
	returned := false
	defer func() {
		stop()
		<-renewed
		if !returned {
			c.release(ctx, errors.New("the token provider did not return"))
		}
	}()

	t, err = c.l.Provider.Token(callCtx, given)
	returned = true
	ranOut := context.Cause(callCtx) == errProviderTimeout
	if ranOut && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
		err = errProviderTimeout // a time limit of ours, which nobody must take for their own
	}
	return t, err
}

// renew rewrites the record every third of the lease until ctx is done or another process has taken over.
//
// A lost lease is no reason to disturb the Provider: its answer may be the only copy of the next refresh token.
func (c *leaseClaim) renew(ctx context.Context) {
	third := c.l.leaseLength() / 3
	next := time.Now().Add(third)
	for c.l.pause(ctx, time.Until(next)) == nil {
		start := time.Now()
		version, err := c.l.swap(ctx, c.rec, c.version)
		switch {
		case err == nil:
			c.version, c.until = version, start.Add(c.l.leaseLength())
			next = start.Add(third)
			continue
		case errors.Is(err, ErrConflict):
			rec, version, err := c.l.load(ctx)
			if err == nil {
				if rec.holder != c.l.id || rec.generation != c.rec.generation {
					return // another process took over
				}
				c.version = version // an earlier renewal, whose outcome was unknown, was carried out
			}
		}
		next = time.Now().Add(third / 4)
	}
}

// load reads the record. Its errors name the key.
func (l *Login) load(ctx context.Context) (loginRecord, uint64, error) {
	opCtx, cancel := context.WithTimeout(ctx, l.opLimit())
	defer cancel()
	data, version, err := l.Store.Load(opCtx, l.Key)
	if err != nil {
		return loginRecord{}, 0, l.storeError(ctx, "loading", err)
	}
	if version == 0 {
		return loginRecord{}, 0, nil
	}
	rec, err := decodeRecord(data)
	if err != nil {
		return loginRecord{}, 0, fmt.Errorf("shared: the stored record of the shared login %q %w; it is left as it is: "+
			"remove it from the store by hand, or use another program or key", l.Key, err)
	}
	return rec, version, nil
}

// swap writes rec over version. It returns ErrConflict itself; its other errors name the key.
func (l *Login) swap(ctx context.Context, rec loginRecord, version uint64) (uint64, error) {
	data, err := rec.encode()
	if err != nil {
		return 0, fmt.Errorf("shared: encoding the shared login %q: %w", l.Key, err)
	}
	opCtx, cancel := context.WithTimeout(ctx, l.opLimit())
	defer cancel()
	version, err = l.Store.CompareAndSwap(opCtx, l.Key, data, version)
	switch {
	case err == nil:
		return version, nil
	case errors.Is(err, ErrConflict):
		return 0, ErrConflict
	}
	return 0, l.storeError(ctx, "saving", err)
}

// storeError describes an error of the store. A time limit that is not the caller's does not show as one.
func (l *Login) storeError(ctx context.Context, doing string, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("shared: gave up %s the shared login %q: %w", doing, l.Key, context.Cause(ctx))
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fmt.Errorf("shared: %s the shared login %q: the store did not answer within %v", doing, l.Key, l.opLimit())
	}
	return fmt.Errorf("shared: %s the shared login %q: %w", doing, l.Key, err)
}
