package shared

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared/internal/lease"
)

// askProvider calls the Provider. Its time limit is ours, so it does not look like one of the
// caller's.
func (l *Login) askProvider(ctx context.Context, given provider.Token) (provider.Token, error) {
	t, err := l.Provider.Token(context.WithValue(ctx, inside{l}, true), given)
	if context.Cause(ctx) == errProviderTimeout && endsContext(err) {
		err = fmt.Errorf("%w: %w", errProviderTimeout, notTheCallers(err))
	}
	return t, err
}

// errProviderTimeout is why the Provider's context ends.
var errProviderTimeout = errors.New("shared: the token provider took longer than Login.Timeout")

// A leaseClaim is the right to ask the Provider, as long as it is renewed in time.
type leaseClaim struct {
	c      *call
	unlock func() // gives the store's lock back, if it has one

	// Changed by the renewing goroutine while it runs, and otherwise by the call that made the
	// claim.
	rec     lease.Record // as this process wrote it
	version uint64
	began   time.Time // when it was made
	since   time.Time // when it was written last, counted from before the write, so never later than others count
}

// claim writes this process into rec as the holder of the lease. It returns ErrConflict if another
// process got ahead.
func (c *call) claim(ctx context.Context, rec lease.Record, version uint64) (_ *leaseClaim, err error) {
	began := lease.At(time.Now())
	c.claims++
	unlock, locked := c.lock(ctx)
	k := &leaseClaim{
		c: c, unlock: unlock, began: began.Running, since: began.Running,
		rec: rec.Claimed(fmt.Sprintf("%s/%d", c.id, c.claims), c.leaseLength(), locked),
	}
	defer func() {
		if err != nil {
			unlock()
		}
	}()
	k.version, err = c.write(ctx, k.rec, version)
	if err != nil && err != ErrConflict { // it may be written, also after errTwice: look
		switch now, found, lerr := c.read(ctx); {
		case lerr != nil:
		case now.Holder == k.rec.Holder:
			k.version, err = found, nil
		case !now.Same(rec), now.Holder != "" && now.Holder != rec.Holder: // what this process can't replace another has, or is about to
			err = ErrConflict
		}
	}
	if err != nil {
		return nil, err
	}
	switch {
	case ctx.Err() != nil: // the last chance to leave
		k.withdraw(context.WithoutCancel(ctx))
		return nil, c.gaveUp(ctx)
	case lease.At(time.Now()).Since(began) >= c.leaseLength(): // suspended meanwhile: look what has become of the record
		return nil, ErrConflict
	}
	return k, nil
}

// lock takes the store's lock, if it has one and no other process has it.
func (l *Login) lock(ctx context.Context) (unlock func(), ok bool) {
	if s, has := l.Store.(Locker); has {
		ctx, cancel := context.WithTimeout(ctx, l.opLimit()/5)
		defer cancel()
		if unlock, ok, err := s.TryLock(ctx, l.Key); err == nil && ok {
			return unlock, true
		}
	}
	return func() {}, false
}

// ask calls the Provider, and renews the lease meanwhile. done is false if the result is void: the
// caller looks again.
func (k *leaseClaim) ask(ctx context.Context, given provider.Token) (t provider.Token, done bool, err error) {
	t, verdict, err := k.call(ctx, given)
	switch {
	case verdict.Reason == "":
		return k.answered(ctx, given, t)
	case verdict.permanent:
		return k.rejected(ctx, given, err)
	}
	k.release(ctx, verdict.Failure)
	return provider.Token{}, true, err
}

// A verdict is what becomes of an answer. The zero verdict is a token.
type verdict struct {
	permanent bool
	lease.Failure
}

// call calls the Provider. If that panics or calls runtime.Goexit, as also its error may when it is
// looked at, the lease is released.
func (k *leaseClaim) call(ctx context.Context, given provider.Token) (t provider.Token, v verdict, err error) {
	callCtx, cancel := context.WithTimeoutCause(ctx, k.c.timeout(), errProviderTimeout)
	defer cancel()

	// Renewing starts when it is due: most calls are over by then.
	renewed := make(chan struct{})
	renewCtx, stop := context.WithCancel(callCtx)
	renewing := time.AfterFunc(k.renewal()-time.Since(k.since), func() { // ends with renewCtx, which is before call returns
		defer close(renewed)
		k.renew(renewCtx)
	})
	returned := false
	defer func() {
		stop()
		if !renewing.Stop() {
			<-renewed
		}
		if !returned {
			k.release(ctx, lease.Failure{Reason: "the token provider did not return"})
		}
	}()

	t, err = k.c.askProvider(callCtx, given)
	switch {
	case err != nil:
		v.permanent = provider.IsPermanent(err)
		v.Reason = lease.Reason(err)
		v.RetryAfter, _ = provider.RetryDelay(err)
		v.NoRetry = provider.IsNoRetry(err)
	case t.IsZero(): // for the caller to complain about; to the others it is a failure
		v.Reason = "the token provider returned an empty token"
	}
	returned = true
	return t, v, err
}

// renewal is how often the lease is renewed: so often that one failure, or a store that is slow, is
// no silence.
func (k *leaseClaim) renewal() time.Duration { return k.rec.Lease / 5 }

// renew rewrites the record every fifth of the lease, until ctx is done or another process has
// taken over.
//
// A lost lease is no reason to disturb the Provider: its answer may be the only copy of the next
// refresh token.
func (k *leaseClaim) renew(ctx context.Context) {
	for conflicts := 0; ctx.Err() == nil; {
		start := time.Now()
		version, err := k.c.write(ctx, k.rec, k.version)
		next := start.Add(k.renewal() / 12) // after a failure
		switch {
		case err == nil:
			k.version, k.since, conflicts = version, start, 0
			next = start.Add(k.renewal())
		case errors.Is(err, ErrConflict):
			// An earlier renewal was carried out without an answer, others have noted the silence,
			// or the store has lost the claim.
			found, version, err := k.c.read(ctx)
			if err == nil && k.rec.Fate(k.version, found, version) == lease.TakenOver {
				return
			}
			if err == nil {
				k.version, next = version, start
			}
			k.c.breathe(ctx, conflicts)
			conflicts++
		}
		_ = pause(ctx, time.Until(next))
	}
}
