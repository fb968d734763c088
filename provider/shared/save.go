package shared

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/stayauth/stayauth/provider"
)

// current loads the record. If this process knows of a newer one, because saving failed or the store lost a write, it is put
// in place first: others must not spend the secret that it replaced.
func (l *Login) current(ctx context.Context) (loginRecord, uint64, error) {
	for {
		rec, version, err := l.load(ctx)
		if err != nil {
			// A store that can't be read may be one that the holder can't write to: its silence so far proves nothing.
			l.seen.since = time.Time{}
			return loginRecord{}, 0, err
		}
		l.observe(version)
		newest, unsaved := l.known()
		if newest.empty() || !newest.follows(rec) {
			if unsaved != nil {
				// Saved after all, or overtaken: by another login, a logout, or a process that took over the lease.
				l.remember(rec, nil)
			}
			return rec, version, nil
		}
		if unsaved == nil {
			l.logger().WarnContext(ctx, "shared: the store lost the shared login's newest token: writing it back",
				"login", l.Key, "generation", newest.generation, "found", rec.generation)
		}
		newest.attempts = max(newest.attempts, rec.attempts+1)
		newest.holder, newest.lease, newest.failure = "", 0, nil
		version, err = l.swap(ctx, newest, version)
		if errors.Is(err, ErrConflict) {
			continue
		}
		if err != nil {
			l.remember(newest, err)
			return loginRecord{}, 0, err
		}
		l.observe(version)
		l.remember(newest, nil)
		return newest, version, nil
	}
}

// answered saves the Provider's answer, for as long as the lease is held. done is false if the record has moved on in a way
// that makes the answer void: the caller looks again.
//
// When another process has taken over the lease but has not ended its attempt, the answer is written over its claim: it is the
// successor of the secret that the other one is about to be refused with. That one finds the newer token and adopts it.
func (c *leaseClaim) answered(ctx context.Context, given, t provider.Token) (_ provider.Token, done bool, err error) {
	if t.RefreshToken() == "" {
		t = t.WithRefreshToken(given.RefreshToken()) // RFC 6749 section 6: the old one stays valid
	}
	t = storable(t)
	answer := loginRecord{
		login: c.rec.login, base: c.rec.login, generation: c.rec.generation + 1, attempts: c.rec.attempts + 1, token: t,
	}
	if c.rec.empty() {
		answer.login = rand.Text()
	}

	limit := c.until
	if earliest := time.Now().Add(c.l.opLimit()); limit.Before(earliest) {
		limit = earliest // the lease may be lost, the answer must not be
	}
	rec, err := c.conclude(ctx, limit, func(rec loginRecord) (loginRecord, bool) {
		answer.attempts = max(answer.attempts, rec.attempts+1)
		return answer, answer.follows(rec)
	})
	switch {
	case err != nil:
		c.l.remember(answer, err)
		c.l.warnUnsaved(ctx, err)
		return t, true, nil
	case rec.same(answer):
		c.l.remember(answer, nil)
		return t, true, nil
	}
	return provider.Token{}, false, nil
}

// refused marks the record dead, unless another process has got a newer token or is about to: then done is false, err is
// cause, and the caller looks again.
func (c *leaseClaim) refused(ctx context.Context, cause error) (_ provider.Token, done bool, err error) {
	mine := false
	_, err = c.conclude(ctx, c.until, func(rec loginRecord) (loginRecord, bool) {
		if mine = c.holds(rec); !mine {
			return rec, false
		}
		// The secrets go: the backend takes them no more.
		return loginRecord{
			login: rec.login, generation: rec.generation, dead: reasonOf(cause), forgotten: rec.forgotten,
			attempts: rec.attempts + 1,
		}, true
	})
	switch {
	case err != nil:
		// Whether others have got a newer token can't be known, and a permanent error would log this process out for good.
		return provider.Token{}, true, fmt.Errorf("%w; and no other process's newer token can be looked for: %w", unmarked(cause), err)
	case mine:
		return provider.Token{}, true, c.l.endedError("", cause)
	}
	return provider.Token{}, false, cause
}

// release gives the lease back after a failure, and tells those who wait. If the store fails, the lease runs out by itself.
func (c *leaseClaim) release(ctx context.Context, cause error) {
	_, _ = c.conclude(ctx, time.Now(), func(rec loginRecord) (loginRecord, bool) {
		if !c.holds(rec) {
			return rec, false
		}
		delay, _ := provider.RetryDelay(cause)
		rec.failure = &loginFailure{reason: reasonOf(cause), retryAfter: delay}
		rec.attempts++
		rec.holder, rec.lease = "", 0
		return rec, true
	})
}

// holds reports whether rec still carries this claim.
func (c *leaseClaim) holds(rec loginRecord) bool {
	return rec.holder == c.l.id && rec.login == c.rec.login && rec.generation == c.rec.generation
}

// conclude ends an attempt by writing what change makes of the record. When the record is not as this process left it, change
// sees what it is now, and declines by returning false. conclude returns the record that is in place then. Errors of the store
// are outlasted until limit; one try is always made.
func (c *leaseClaim) conclude(ctx context.Context, limit time.Time, change func(loginRecord) (loginRecord, bool)) (loginRecord, error) {
	rec, version := c.rec, c.version
	for tries := 0; ; tries++ {
		next, ok := change(rec)
		if !ok {
			return rec, nil
		}
		_, err := c.l.swap(ctx, next, version)
		if err == nil {
			return next, nil
		}
		conflict := errors.Is(err, ErrConflict)
		if !conflict && !time.Now().Before(limit) {
			return loginRecord{}, err
		}
		now, found, lerr := c.l.load(ctx)
		switch {
		case lerr == nil:
			rec, version = now, found
			if conflict {
				continue
			}
		case !time.Now().Before(limit):
			return loginRecord{}, lerr
		}
		_ = c.l.pause(ctx, min(c.l.pollInterval(tries), time.Until(limit)))
	}
}
