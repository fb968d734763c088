package shared

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared/internal/lease"
)

// answered saves the Provider's answer, for as long as the lease is held. done is false if the
// record has moved on in a way that makes the answer void: the caller looks again.
//
// When another process has taken over the lease but has not ended its attempt, the answer is
// written over its claim: it is the successor of the refresh token that the other one is about to
// be rejected with. That one finds the newer token and adopts it.
//
// A new login takes the place of what was there when it was claimed, and of nothing that came
// meanwhile, save what the Provider was given, which is spent.
func (k *leaseClaim) answered(ctx context.Context, given, t provider.Token) (_ provider.Token, done bool, err error) {
	answer := k.c.answer(k.rec, t)
	answer.Spent = given
	// as it is known to be: there may have been a logout since, which the store may have lost
	replaces := func(r lease.Record) bool { return answer.Newer(r) || k.rec.Empty() && !r.Empty() && answer.HasSpent(r) }
	inPlaceOf := func(before ...lease.Record) lease.Record {
		next := answer
		if k.rec.Empty() {
			next.Epoch = lease.NextEpoch(k.began, append(before, k.rec)...)
		}
		return next
	}
	limit := k.since.Add(k.rec.Lease)
	if earliest := time.Now().Add(k.c.opLimit()); limit.Before(earliest) {
		limit = earliest // the lease may be lost, the answer must not be
	}
	rec, err := k.conclude(ctx, limit, func(rec lease.Record) (lease.Record, bool) {
		answer.Attempts = max(answer.Attempts, rec.Attempts+1)
		newest, _ := k.c.current()
		return inPlaceOf(rec, newest), replaces(rec) && replaces(newest)
	})
	newest, _ := k.c.current()
	switch {
	case err != nil && !(replaces(newest) && k.c.learn(inPlaceOf(newest), err)): // it is void: there was a logout here, or a login
		return provider.Token{}, true, err
	case err != nil:
		k.c.warn(ctx, answer, err)
		k.c.saveInBackground(ctx, k.unlock) // which has the store's lock until then
		k.unlock = func() {}
		return answer.Token, true, nil
	case rec.Same(answer):
		return answer.Token, true, nil
	}
	return provider.Token{}, false, nil
}

// answer returns the record that t makes of rec. Which refresh token is in force is for the
// Provider to say: one that t has dropped must not come back, since the backend may take it for
// stolen.
func (l *Login) answer(rec lease.Record, t provider.Token) lease.Record {
	answer := lease.Record{
		Login: rec.Login, Epoch: rec.Epoch, Generation: rec.Generation + 1, Attempts: rec.Attempts + 1, Token: lease.Storable(t),
	}
	if rec.Empty() {
		answer.Login = rand.Text()
	}
	return answer
}

// rejected marks the record dead, unless another process has got a newer token or is about to: then
// done is false, err is cause, and the caller looks again.
func (k *leaseClaim) rejected(ctx context.Context, given provider.Token, cause error) (_ provider.Token, done bool, err error) {
	mine, dead := false, k.rec.Rejected(given, cause)
	_, err = k.conclude(ctx, k.since.Add(k.rec.Lease), func(rec lease.Record) (lease.Record, bool) {
		mine = false
		if newest, _ := k.c.current(); newest.Newer(dead) { // there was a login since, which the store may have lost
			return rec, false
		}
		if !k.holds(rec) {
			// It may be marked already, by this very write or by one who was rejected, too. One with
			// a claim is what another's new session began with.
			mine = rec.Dead != "" && rec.Holder == "" && rec.Login == k.rec.Login && rec.Generation == k.rec.Generation
			return rec, false
		}
		mine = true
		return rec.Rejected(given, cause), true
	})
	switch {
	case err != nil:
		// Whether others have got a newer token can't be known, and a permanent error would log
		// this process out for good.
		k.c.keepRejection(ctx, dead, err)
		return provider.Token{}, true, fmt.Errorf("%w; and no other process's newer token can be looked for: %w", temporary{cause}, err)
	case mine:
		return provider.Token{}, true, k.c.endedError("", cause)
	}
	return provider.Token{}, false, cause
}

// keepRejection keeps that a login was rejected for good, which could not be saved because of why:
// this process does not ask with its token again, and saves it later. It returns false if there is
// a newer one.
func (c *call) keepRejection(ctx context.Context, dead lease.Record, why error) bool {
	if !c.learn(dead, why) {
		return false
	}
	if dead.AtStake() {
		c.saveInBackground(context.WithoutCancel(ctx), func() {})
	}
	return true
}

// release gives the lease back after a failure, and tells those who wait. If the store fails, the
// lease runs out by itself.
func (k *leaseClaim) release(ctx context.Context, failure lease.Failure) {
	_, _ = k.conclude(ctx, time.Now(), func(rec lease.Record) (lease.Record, bool) {
		if !k.holds(rec) {
			return rec, false
		}
		rec = rec.Unclaimed()
		rec.Failure = &failure
		rec.Attempts++
		return rec, true
	})
}

// withdraw gives the lease back without an attempt: those who wait go on, and ask.
func (k *leaseClaim) withdraw(ctx context.Context) {
	_, _ = k.conclude(ctx, time.Now(), func(rec lease.Record) (lease.Record, bool) { return rec.Unclaimed(), k.holds(rec) })
}

// holds reports whether rec still carries this claim.
func (k *leaseClaim) holds(rec lease.Record) bool {
	return rec.Holder == k.rec.Holder && rec.Login == k.rec.Login && rec.Generation == k.rec.Generation
}

// conclude ends an attempt by writing what change makes of the record. When the record is not as
// this process left it, change sees what it is now, and declines by returning false. conclude
// returns the record that is in place then. Errors of the store are outlasted until limit, save
// ErrUnwritable, which a person has to mend; one try is always made. A process that is suspended
// meanwhile gets as much time as it has missed, and so tries again when it is resumed.
func (k *leaseClaim) conclude(ctx context.Context, limit time.Time, change func(lease.Record) (lease.Record, bool)) (lease.Record, error) {
	rec, version := k.rec, k.version
	// An operation returns in time, so what lasted longer was this process standing still. It is
	// the monotonic clock that counts here, as for limit: one that stands still itself has moved
	// neither.
	resume := func(began time.Time) { limit = limit.Add(max(0, time.Since(began)-k.c.opLimit())) }
	for tries := 0; ; tries++ {
		next, ok := change(rec)
		if !ok {
			return rec, nil
		}
		began := time.Now()
		_, err := k.c.write(ctx, next, version)
		resume(began)
		if err == nil {
			return next, nil
		}
		conflict := errors.Is(err, ErrConflict)
		if !conflict && (!time.Now().Before(limit) || errors.Is(err, ErrUnwritable)) {
			return lease.Record{}, err
		}
		began = time.Now()
		now, found, lerr := k.c.read(ctx)
		resume(began)
		switch {
		case lerr == nil:
			rec, version = now, found
			if conflict {
				k.c.breathe(ctx, tries)
				continue
			}
		case !time.Now().Before(limit):
			return lease.Record{}, lerr
		}
		_ = pause(ctx, min(pollInterval(k.rec.Lease, tries), time.Until(limit)))
	}
}

// saveInBackground lets saveLater run.
func (l *Login) saveInBackground(ctx context.Context, unlock func()) {
	ended := make(chan struct{})
	l.mu.Lock()
	l.saving = ended
	l.mu.Unlock()
	go func() { // ends when the answer is saved, or void, or after ten minutes
		defer close(ended)
		l.saveLater(ctx, unlock)
	}()
}

// saved waits for a while until the save in the background has ended, if there is one, and returns
// why there is something left to save. Without a refresh token nothing is lost with the token.
func (l *Login) saved(ctx context.Context, while time.Duration) (ended bool, err error) {
	l.mu.Lock()
	saving := l.saving
	l.mu.Unlock()
	newest, unsaved := l.current()
	if saving == nil || unsaved != nil && !newest.AtStake() {
		return true, nil
	}
	timer := time.NewTimer(while)
	defer timer.Stop()
	select {
	case <-saving:
	case <-ctx.Done():
	case <-timer.C:
		return false, nil
	}
	if newest, unsaved = l.current(); unsaved == nil {
		return true, nil
	}
	what := "the newest token of the login %q"
	if newest.Ended() {
		what = "that the login %q has ended"
	}
	err = fmt.Errorf("shared: "+what+" is not saved: %w", l.Key, unsaved)
	if ctx.Err() != nil {
		err = fmt.Errorf("%w; %w", err, l.gaveUp(ctx))
	}
	return true, err
}

// saveLater goes on trying to save an answer that could not be saved in time, until it is, or is
// void, or ten minutes have passed. Calls of Token go first: they do the same. It calls unlock in
// the end.
func (l *Login) saveLater(ctx context.Context, unlock func()) {
	defer unlock()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	for try := 0; pause(ctx, pollInterval(l.leaseLength(), try)) == nil; try++ {
		select {
		case l.turn <- struct{}{}:
		case <-ctx.Done():
			return
		}
		c := call{Login: l}
		_, unsaved := l.current()
		if unsaved != nil {
			c.save(ctx)
			_, unsaved = l.current()
		}
		<-l.turn
		if unsaved == nil {
			return
		}
	}
}

// save tries to put in place what this process could not save yet. It tries again where another
// process, which notes the silence of this one, say, has been quicker. left reports that there is
// only a rejection to save, and another process works with the token, which will find out.
func (c *call) save(ctx context.Context) (left bool) {
	rec, version, err := c.look(ctx)
	for range 3 {
		if err != nil {
			return false
		}
		if _, unsaved := c.current(); unsaved == nil {
			return false // it is saved, or was after all, or is void: look has found out
		}
		do := lease.Decide(rec, c.known(), provider.Token{}, time.Now())
		if do.Do != lease.Mend {
			newest, _ := c.current()
			return newest.Rejects(rec)
		}
		rec, version, err = c.mend(ctx, do.Record, rec, version)
	}
	return false
}
