package login

import (
	"time"

	"github.com/stayauth/stayauth/testserver/internal/memory"
)

// A revocation is the newest one of a user, or of all users.
type revocation struct {
	serial uint64 // tokens up to this number are revoked
	at     time.Time
}

// revocations are those that are in force.
type revocations struct {
	byUser memory.Map[revocation] // one that was forgotten is undone
	all    revocation
}

// Revoke kills the tokens that the user has at this moment, and none that comes later. What was
// minted elsewhere, and is not yet known here, dies if its iat lies in an earlier second.
func (a *Authority) Revoke(user string) {
	a.revocations.byUser.Put(user, revocation{a.serial, a.Now()}, 0)
}

// RevokeAll is Revoke of every user, known or not.
func (a *Authority) RevokeAll() { a.revocations.all = revocation{a.serial, a.Now()} }

// Restore undoes Revoke: what it killed and what has not expired is valid again.
func (a *Authority) Restore(user string) { a.revocations.byUser.Remove(user) }

// RestoreAll undoes RevokeAll. What Revoke killed stays dead.
func (a *Authority) RestoreAll() { a.revocations.all = revocation{} }

// Revoked returns when the user's tokens were revoked last, by the authority's clock, or the zero
// time. An empty user asks for RevokeAll.
func (a *Authority) Revoked(user string) time.Time {
	if user == "" {
		return a.revocations.all.at
	}
	r, _ := a.revocations.byUser.Get(user)
	return r.at
}

// kills reports whether a revocation is about the token.
func (r revocation) kills(t Token, rec *TokenRecord) bool {
	serial := t.Serial
	if serial == 0 {
		serial = rec.serial
	}
	switch {
	case serial <= r.serial:
		return true
	case t.Serial == 0 && !t.IssuedAt.IsZero() && !r.at.IsZero() && t.IssuedAt.Before(Floor(r.at)):
		return true // minted elsewhere and first seen after the revocation, but older than it
	}
	return false
}

func (a *Authority) revoked(t Token, rec *TokenRecord) bool {
	r, _ := a.revocations.byUser.Get(t.User)
	return r.kills(t, rec) || a.revocations.all.kills(t, rec)
}
