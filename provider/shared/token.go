package shared

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared/internal/lease"
)

// Token returns the shared token, or gets a new one if it is old. It implements
// [provider.TokenProvider].
//
// A token in the Store that is not old is returned whatever the clock says about it, unless it was
// rejected for good and only this process knows: a clock may be wrong, and a token that has ended
// costs one rejection. The zero Token as old stands for a new session: if the login had ended before
// this call, the Provider is asked to log in, unless WaitForLogin is set. Errors of the Store are
// temporary, except a mistake in its configuration.
//
// When ctx ends Token returns, unless the Provider is at work. A claim that it has just made it
// gives back first, which takes a third of the Lease at most; one that it was about to make may stay
// behind, and the others wait for a Lease, as after a death.
func (l *Login) Token(ctx context.Context, old provider.Token) (provider.Token, error) {
	if err := l.prepare(); err != nil {
		return provider.Token{}, provider.Permanent(err)
	}
	if ctx.Value(inside{l}) != nil {
		return provider.Token{}, l.calledByProvider("Token")
	}
	began, seen := time.Now(), l.outcome.Load()
	until := began.Add(l.hold(ctx))
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return provider.Token{}, l.gaveUp(ctx)
	}
	was := l.outcome.Load()
	if was != seen && was.serves(old, began, until) {
		return was.token, was.err // of the attempt that this call has waited for
	}
	c := call{Login: l, old: old, until: until, lookout: lookout{l: l}}
	defer c.lookout.end()
	t, err := c.run(ctx)
	if err != nil && !errors.Is(err, ErrEnded) {
		c.keepItsRejection(ctx)
	}
	anew := outcome{old: old, token: t, err: err, all: l.WaitForLogin && errors.Is(err, ErrEnded)}
	switch {
	case errors.Is(err, ErrEnded) && !c.asked: // it has been read
		anew.asOf, anew.notYet = c.looked, c.notYet
		l.outcome.Store(&anew)
	case c.unstored: // those who wait would look in the store in vain, too
		anew.all = true
		l.outcome.Store(&anew)
	case err == nil && !t.IsZero() && t.Value() != old.Value(): // which those who wait find by themselves
		if was != nil && was.old.Value() != t.Value() { // also those who wait with what was rejected before
			l.outcome.Store(nil)
		}
	case err == nil, c.asked, ctx.Err() == nil: // and else it may be this caller's alone
		l.outcome.Store(&anew)
	}
	return t, err
}

// An outcome is how a call of Token ended, for those who have waited for it.
type outcome struct {
	old, token provider.Token
	err        error
	all        bool      // it is not for those alone who have the same old token
	asOf       time.Time // when the record was looked at that says so; zero: it is not a record that says so
	notYet     time.Time // when that did not say so yet; zero: not known
}

// serves reports whether o is an answer to a call with the given token, which began before and waits
// for a new login until then.
func (o *outcome) serves(old provider.Token, began, until time.Time) bool {
	switch {
	case o == nil:
		return false
	case !o.asOf.IsZero() && (began.After(o.asOf) || time.Now().Before(until)):
		return false // there may be a login since
	case !o.asOf.IsZero() && old.IsZero() && !o.all && !began.Before(o.notYet):
		return false // a new session: it may have begun after that end
	case o.old.Value() == old.Value() && (old.Value() != "" || o.old.RefreshToken() == old.RefreshToken()):
		return true
	}
	if o.err != nil {
		return o.all && !time.Now().Before(until)
	}
	return o.all && o.token.Value() != old.Value()
}

// inside is the key of what the Provider's context carries.
type inside struct{ *Login }

// Wait waits until all calls of Token that have begun in this process have returned, and nothing is
// left to be saved by one: for a program that ends after its callers have given up, because a
// refresh goes on without them, and its answer may be the only one. It returns ctx's error if that
// ends first, and an error that says why a token with a refresh token is not saved, or that one was
// rejected for good; what was given up after ten minutes it tries to save once more. Closing a
// transport does the same: it implements [provider.Waiter].
func (l *Login) Wait(ctx context.Context) error {
	if l.prepare() != nil {
		return nil // Token has said what is wrong
	}
	if ctx.Value(inside{l}) != nil {
		return l.calledByProvider("Wait")
	}
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return l.gaveUp(ctx)
	}
	for try, turn := 0, true; ; try++ {
		if turn {
			left := false
			if newest, unsaved := l.current(); unsaved != nil && newest.AtStake() {
				c := call{Login: l}
				left = c.save(ctx)
			}
			<-l.turn
			if left {
				return nil
			}
		}
		if ended, err := l.saved(ctx, pollInterval(l.leaseLength(), try)); ended {
			return err
		}
		select {
		case l.turn <- struct{}{}:
			turn = true
		default: // who has it does the same
			turn = false
		}
	}
}

func (l *Login) calledByProvider(method string) error {
	return provider.NoRetry(fmt.Errorf("shared: the Provider of the login %q has called the login's own %s, which waits for the Provider",
		l.Key, method))
}

// A call is a call of Token whose turn it is.
type call struct {
	*Login
	old     provider.Token
	lookout lookout

	reads bool          // the record could be loaded, the last time
	since uint64        // the attempts that had ended when look first saw it
	was   *lease.Record // the newest by then; nil: look has not seen it yet
	asked bool          // the Provider has answered, and the call ends with that

	unstored bool // the token that the call ends with is not from the store, which fails

	rejected  lease.Record // what this call was rejected with for good, after it had lost the lease
	rejection error        // how

	unnoted   time.Time // since when a holder's silence can't be noted; zero: it can
	until     time.Time // when a new login is not waited for any more, where the last one has ended
	looked    time.Time // when the record was loaded last
	notYet    time.Time // when it was last seen not to answer this call; zero: never
	conflicts int       // of writes that put back what the store has lost
}

// run looks at the record and does what it calls for, until there is a token or an error.
func (c *call) run(ctx context.Context) (provider.Token, error) {
	if c.asRemembered() {
		// The usual refresh: no other process has touched the record since this process saw it
		// last. If one has, this finds out.
		if t, done, err := c.refresh(ctx, c.last, c.at); done {
			return t, err
		}
	}
	rec, version, err := c.look(ctx)
	for {
		if err != nil {
			return c.without(ctx, err)
		}
		if ctx.Err() != nil {
			return provider.Token{}, c.gaveUp(ctx)
		}
		seen := c.looked
		switch do := lease.Decide(rec, c.known(), c.old, time.Now()); do.Do {
		case lease.Use:
			return rec.Token, nil
		case lease.End:
			if c.awaitLogin(ctx, version) {
				rec, version, err = c.look(ctx)
				continue
			}
			if c.until.After(c.looked) && !c.lookout.told() { // it may have told too early, or not at all
				if now, at, lerr := c.look(ctx); lerr == nil && at != version {
					rec, version = now, at
					continue
				}
			}
			return provider.Token{}, c.endedError(rec.Why(), nil)
		case lease.Share:
			if !c.keepItsRejection(ctx) {
				return provider.Token{}, c.sharedError(rec.Failure)
			}
			continue // another has failed for now, and this one for good
		case lease.Mend:
			rec, version, err = c.mend(ctx, do.Record, rec, version)
			continue
		case lease.Note:
			at, err := c.write(ctx, do.Record, version)
			if err == nil {
				rec, version, c.unnoted = do.Record, at, time.Time{}
				continue
			}
			if c.cannotNote(err) {
				return c.withoutClaim(ctx, err)
			}
		case lease.Claim:
			if t, done, err := c.refresh(ctx, rec, version); done {
				return t, err
			}
		case lease.Wait:
			c.lookout.due, c.unnoted = do.Within, time.Time{}
		}
		c.notYet = seen
		if c.lookout.wait(ctx, rec, version) != nil {
			return provider.Token{}, c.gaveUp(ctx)
		}
		rec, version, err = c.look(ctx)
	}
}

// cannotNote reports whether a holder's silence can't be noted, because of err, so that the wait for
// its end has none: a person has to mend the store, or it has failed for a lease.
func (c *call) cannotNote(err error) bool {
	switch {
	case errors.Is(err, ErrConflict):
		c.unnoted = time.Time{}
		return false
	case c.unnoted.IsZero():
		c.unnoted = time.Now()
	}
	return errors.Is(err, ErrUnwritable) || time.Since(c.unnoted) >= c.leaseLength()
}

// asRemembered reports whether old is the token of the record that this process has seen last, and
// it would claim the lease if it saw the same again.
func (c *call) asRemembered() bool {
	newest, unsaved := c.current()
	return c.at > 0 && c.last.Holder == "" && !c.last.Ended() && !c.last.Token.IsZero() &&
		c.last.Token.Value() == c.old.Value() && unsaved == nil && newest.Same(c.last) && !c.sight.Lost(time.Now(), c.leaseLength())
}

// known is what there is to know beside the record.
func (c *call) known() lease.Known {
	newest, unsaved := c.current()
	return lease.Known{
		ID: c.id, Lease: c.leaseLength(), Newest: newest, Unsaved: unsaved != nil, Sight: &c.sight, Since: c.since, Was: c.was, Waits: c.WaitForLogin,
	}
}

// read loads the record and takes it in: whatever this process has seen counts.
func (c *call) read(ctx context.Context) (lease.Record, uint64, error) {
	began := time.Now()
	rec, version, err := c.load(ctx)
	c.reads = err == nil
	if err != nil {
		c.sight.Blind(time.Now(), c.leaseLength())
		return rec, version, err
	}
	c.looked = began
	c.sight.Look(rec, version, c.id, time.Now())
	c.saw(rec, version)
	return rec, version, nil
}

// write writes rec over version and takes it in, as read does.
func (c *call) write(ctx context.Context, rec lease.Record, version uint64) (uint64, error) {
	at, err := c.swap(ctx, rec, version, hedge)
	switch {
	case err == nil:
		c.sight.Wrote(rec, at, c.id, c.claims, time.Now())
		c.saw(rec, at)
	case !errors.Is(err, ErrConflict):
		c.sight.Blind(time.Now(), c.leaseLength())
	}
	return at, err
}

// look reads the record, and what the store knows of its holder.
func (c *call) look(ctx context.Context) (lease.Record, uint64, error) {
	rec, version, err := c.read(ctx)
	if err != nil {
		return rec, version, err
	}
	first := c.was == nil
	if first {
		newest, _ := c.current()
		c.since, c.was = rec.Attempts, &newest
	}
	if rec.Holder != "" {
		c.askAbout(ctx, rec, version, first)
	}
	return rec, version, nil
}

// askAbout asks the store about the holder, where it can tell, and does not insist on an answer.
// Its clock is asked once: a process that watches for longer sees for itself.
func (c *call) askAbout(ctx context.Context, rec lease.Record, version uint64, first bool) {
	ctx, cancel := context.WithTimeout(ctx, c.opLimit()/5)
	defer cancel()
	if s, ok := c.Store.(Ager); ok && first {
		if age, err := s.Age(ctx, c.Key, version); err == nil {
			c.sight.Age(rec, age, time.Now())
		}
	}
	if s, ok := c.Store.(Locker); ok && rec.Locked {
		unlock, free, err := s.TryLock(ctx, c.Key)
		switch {
		case err != nil:
			c.sight.Lock(rec, lease.Unknown)
		case free:
			unlock()
			c.sight.Lock(rec, lease.Free)
		default:
			c.sight.Lock(rec, lease.Taken)
		}
	}
}

// mend writes next over rec, which is behind what this process knows, or has lost a claim.
func (c *call) mend(ctx context.Context, next, rec lease.Record, version uint64) (lease.Record, uint64, error) {
	newest, unsaved := c.current()
	at, err := c.write(ctx, next, version)
	switch {
	case errors.Is(err, ErrConflict):
		c.breathe(ctx, c.conflicts)
		c.conflicts++
		return c.look(ctx)
	case err != nil:
		return rec, version, err
	}
	if c.was != nil && newest.Same(*c.was) { // it was known before this call: no attempt has ended with it since
		c.since = max(c.since, next.Attempts)
	}
	switch {
	case next.Same(rec): // it has lost a claim at most
	case unsaved != nil && newest.Ended():
		c.logger().InfoContext(ctx, "stayauth: that the shared login has ended is saved at last", "login", c.Key)
	case unsaved != nil:
		c.logger().InfoContext(ctx, "stayauth: the new token of the shared login is saved at last", "login", c.Key)
	case newest.Ended():
		c.logger().WarnContext(ctx, "stayauth: the store lost the end of the shared login: it was written back",
			"login", c.Key, "generation", newest.Generation, "found", rec.Generation)
	default:
		c.logger().WarnContext(ctx, "stayauth: the store lost the newest token of the shared login: it was written back",
			"login", c.Key, "generation", newest.Generation, "found", rec.Generation)
	}
	return next, at, nil
}

// refresh claims the lease and asks the Provider. done is false when another process got ahead: the
// caller looks again. A permanent rejection is noted then: should the other one leave the record as
// it is, the next refresh gets it, and does not ask again.
func (c *call) refresh(ctx context.Context, rec lease.Record, version uint64) (t provider.Token, done bool, err error) {
	if rec.Login != c.rejected.Login || rec.Generation != c.rejected.Generation {
		c.rejection = nil
	}
	claim, err := c.claim(ctx, rec, version)
	switch {
	case errors.Is(err, ErrConflict):
		return provider.Token{}, false, nil
	case err != nil:
		c.sight.Doubt(time.Now(), c.leaseLength())
		t, err = c.withoutClaim(ctx, err)
		return t, true, err
	}
	defer func() { claim.unlock() }()
	// From here on the caller's end no longer counts: the backend may have spent the refresh token.
	ctx = context.WithoutCancel(ctx)
	if c.rejection != nil {
		t, done, err = claim.rejected(ctx, c.given(rec), c.rejection)
	} else {
		t, done, err = claim.ask(ctx, c.given(rec))
	}
	c.asked, c.rejection = done, nil
	if !done {
		c.rejected, c.rejection = rec, err
	}
	return t, done, err
}

// keepItsRejection keeps what this call was rejected with, if it was, and nobody else has said more
// since. It returns false if there is nothing to keep.
func (c *call) keepItsRejection(ctx context.Context) bool {
	base, why := c.rejected, c.rejection
	c.rejection = nil
	return why != nil && c.keepRejection(ctx, base.Rejected(c.given(base), why), why)
}

// given is what the Provider gets: the record's token, or the caller's where there is none.
func (c *call) given(rec lease.Record) provider.Token {
	if rec.Empty() {
		return c.old
	}
	return rec.Token
}
