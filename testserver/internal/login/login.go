// Package login is what the test servers have in common: keys, tokens and their judgement,
// revocation, refresh tokens, and the ledger. It knows neither HTTP nor any API's words.
package login

import (
	"time"

	"github.com/stayauth/stayauth/testserver/internal/memory"
)

// An Authority issues, judges and revokes the tokens of one server, and keeps its ledger.
//
// Set the fields before the first use. An Authority has no lock: its owner's is held during every
// call of a method, those apart that say otherwise.
type Authority struct {
	Secret   []byte        // signs the tokens (HS256)
	Instance string        // random: marks the tokens that this authority minted, and keys its refresh tokens
	Claim    string        // the name of the claim that says whose a token is
	Other    string        // another one, read where that is missing; if it is set, a token has to have one of them
	TTL      time.Duration // how long tokens live; 0 or less: for ever
	Opaque   bool          // tokens say nothing; the ledger's records do
	Rotation Rotation      // what becomes of a refresh token that is used
	Grace    time.Duration // how long SingleUseWithGrace lasts; 0: until the successor is used

	Bound           bool // a login's tokens end when the login does
	RotationRevokes bool // a login's tokens end when the next one comes

	Ledger Ledger

	// Met, if not nil, is told of each token that is minted here or seen for the first time. It
	// must not call the Authority.
	Met func(id string, t Token, rec *TokenRecord)

	offset      time.Duration // the clock's, see Advance
	serial      uint64        // the newest token's; see Token.Serial
	revocations revocations
	families    memory.Map[*family]
}

// Advance moves the authority's clock by d.
func (a *Authority) Advance(d time.Duration) { a.offset += d }

// Offset returns how far the clock was moved.
func (a *Authority) Offset() time.Duration { return a.offset }

// Now returns the time by the authority's clock.
func (a *Authority) Now() time.Time { return time.Now().Round(0).Add(a.offset) }
