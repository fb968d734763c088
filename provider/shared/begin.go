package shared

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared/internal/lease"
)

// Login saves t as a new login, in place of whatever was there: no login, one that ended, or one
// that is still alive. All who share it use t from now on; a refresh of the old login that is under
// way loses its result. A Token without a value but with a refresh token will do.
//
// Use it where a person has logged in, or to revive a fleet whose processes have WaitForLogin set.
func (l *Login) Login(ctx context.Context, t provider.Token) error {
	if t.IsZero() && t.RefreshToken() == "" {
		return errors.New("shared: Login needs a token or a refresh token, and got the zero Token")
	}
	return l.replace(ctx, lease.Record{Token: lease.Storable(t)})
}

// Forget logs out: it ends the login for everyone who shares it and removes its secrets from the
// Store. A refresh that is under way loses its result. What stays is a record that says so, so that
// no one mistakes the empty place for a lost login.
//
// It does not tell the backend: revoke the refresh token there first, if it can be revoked. Tokens
// that are already in use stay valid until they expire.
//
// A Provider that can log in by itself does so for the next new session: a [provider.OAuth2] with a
// RefreshToken sends that once more.
func (l *Login) Forget(ctx context.Context) error {
	return l.replace(ctx, lease.Record{Forgotten: true})
}

// replace puts next in the place of the record, no matter which process holds the lease. It gets a
// name, by which it is found again where it is not known whether it was written: it must not be
// written twice, since others may have spent its refresh token meanwhile.
func (l *Login) replace(ctx context.Context, next lease.Record) error {
	if err := l.prepare(); err != nil {
		return err
	}
	next.Login = rand.Text()
	for tries := 0; ; tries++ {
		rec, version, err := l.load(ctx)
		if err != nil {
			return err
		}
		newest, _ := l.current()
		next.Epoch = lease.NextEpoch(time.Now(), rec, newest)
		next.Generation, next.Attempts = rec.Generation+1, rec.Attempts+1
		_, err = l.swap(ctx, next, version, once)
		if errors.Is(err, ErrConflict) {
			l.breathe(ctx, tries)
			continue
		}
		if err != nil { // it may be written: look
			if now, _, lerr := l.load(ctx); lerr != nil || now.Login != next.Login {
				return err
			}
		}
		l.learn(next, nil)
		return nil
	}
}
