package shared

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared/internal/lease"
)

// without answers a call of Token whose record can't be loaded, or not be mended, because of err:
// with the newest token that this process knows, if that is one the caller does not have yet, and
// else with one of its own.
func (c *call) without(ctx context.Context, err error) (provider.Token, error) {
	newest, unsaved := c.current()
	switch {
	case ctx.Err() != nil:
		return provider.Token{}, err
	case c.reads && newest.Empty() && (!newest.Ended() || c.old.IsZero() && !c.WaitForLogin):
		return c.alone(ctx, newest, err) // a new session
	case newest.Ended() && unsaved != nil:
		if c.reads && c.outdated(ctx, newest) {
			return c.without(ctx, err)
		}
		return provider.Token{}, c.over(errors.New(newest.Why()), err)
	case newest.Generation == 0, newest.Ended():
		return provider.Token{}, err
	case newest.Token.IsZero() || newest.Token.Value() == c.old.Value():
		return c.alone(ctx, newest, err)
	}
	if unsaved != nil {
		c.warn(ctx, newest, err)
	}
	c.unstored = true
	return newest.Token, nil
}

// withoutClaim answers a call of Token that can't claim the lease because of err. The record is as it
// was seen last, with the claim that another may have made since.
func (c *call) withoutClaim(ctx context.Context, err error) (provider.Token, error) {
	if ctx.Err() != nil {
		return provider.Token{}, err
	}
	rec, kept := c.last, c.keepItsRejection(ctx)
	newest, _ := c.current()
	switch {
	case !newest.Rejects(rec):
		return c.alone(ctx, rec, err)
	case !kept && c.old.IsZero() && !c.WaitForLogin: // a new session
		return c.alone(ctx, newest, err)
	case c.outdated(ctx, newest):
		return c.without(ctx, err)
	}
	return provider.Token{}, c.over(errors.New(newest.Why()), err)
}

// alone gets a token for this process only, since nothing can be saved because of cause. It does so
// where no refresh token is at stake: any process may ask the Provider for a token of its own then.
// Where that is rejected for good the shared one counts again, and the Provider is asked with it.
func (c *call) alone(ctx context.Context, rec lease.Record, cause error) (provider.Token, error) {
	newest, unsaved := c.current()
	switch {
	case provider.IsPermanent(cause):
		return provider.Token{}, cause
	case rec.Token.RefreshToken() != "", newest.Token.RefreshToken() != "", c.old.RefreshToken() != "", beginsWithRefreshToken(c.Provider):
		if errors.Is(cause, ErrUnwritable) {
			cause = fmt.Errorf("%w; no new token is asked for, because the refresh token may be good for a single use and what comes "+
				"with the new one could not be kept: make the store writable", cause)
		}
		return provider.Token{}, cause
	}
	ctx = context.WithoutCancel(ctx)
	callCtx, cancel := context.WithTimeoutCause(ctx, c.timeout(), errProviderTimeout)
	defer cancel()
	given := c.given(rec)
	t, err := c.askProvider(callCtx, given)
	c.asked = true
	switch {
	case provider.IsPermanent(err):
		dead := rec.Rejected(given, err)
		switch {
		case c.outdated(ctx, dead):
			return c.without(ctx, cause)
		case unsaved == nil:
			c.keepRejection(ctx, dead, cause)
		case !newest.Ended(): // it was one of its own, of which the others know nothing
			if c.dropOwn(); !c.last.Empty() {
				return c.alone(ctx, c.last, cause)
			}
		}
		return provider.Token{}, c.over(err, cause)
	case err != nil || t.IsZero():
		return provider.Token{}, err
	}
	answer := c.answer(rec, t)
	if unsaved != nil && !newest.Ended() { // to the others rec's token is no step: theirs may be as new
		answer.Generation = newest.Generation
	}
	if !c.learn(answer, cause) { // it is void: there was a logout here, or a login
		return provider.Token{}, cause
	}
	c.warn(ctx, answer, cause)
	if answer.Token.RefreshToken() != "" {
		c.saveInBackground(ctx, func() {})
	}
	c.unstored = true
	return answer.Token, nil
}

// outdated reads the record once more, and reports whether that has come further than what dead
// rejects: there was a login since, or another process has got a token.
func (c *call) outdated(ctx context.Context, dead lease.Record) bool {
	_, _, _ = c.read(ctx)
	now, _ := c.current()
	return !dead.Newer(now) && !now.Ended()
}

// over says that the Provider has rejected the login for good, and that this can't be saved because
// of cause. It is final where the record could be read since, and no other process has claimed it
// that may know better: one that is at work, or that may have spent the refresh token.
func (c *call) over(rejection, cause error) error {
	newest, _ := c.current()
	do := lease.Decide(c.last, c.known(), c.old, time.Now()).Do
	switch {
	case !c.reads:
		return fmt.Errorf("%w; and no other process's newer token can be looked for: %w", temporary{rejection}, cause)
	case do == lease.Wait, do == lease.Note && newest.AtStake():
		return fmt.Errorf("shared: the login %q was rejected, and another process may have more luck: %w; %w", c.Key, temporary{rejection}, cause)
	}
	return c.endedError("", rejection)
}

// beginsWithRefreshToken reports whether p has a refresh token of its own, to begin a login with.
func beginsWithRefreshToken(p provider.TokenProvider) bool {
	switch p := p.(type) {
	case provider.OAuth2:
		return !p.RefreshToken.IsZero()
	case *provider.OAuth2:
		return !p.RefreshToken.IsZero()
	}
	return false
}

// warn says that rec's token could not be saved because of err: each time it is handed out where a
// refresh token is at stake, and otherwise once, until the store works again.
func (l *Login) warn(ctx context.Context, rec lease.Record, err error) {
	switch {
	case rec.Token.RefreshToken() != "":
		l.logger().WarnContext(ctx, "stayauth: the new token of the shared login could not be saved: only this process has it, and "+
			"if it ends before the store works again the login may be lost", "login", l.Key, "err", err)
	case !l.warned.Swap(true):
		l.logger().WarnContext(ctx, "stayauth: the tokens of the shared login can't be saved: this process gets its own, and nothing is lost",
			"login", l.Key, "err", err)
	}
}
