package login

import "time"

// A Reason says why a token is not good. The zero Reason is that it is.
type Reason int

const (
	Good         Reason = iota
	BadSignature        // it was signed by somebody else, or not at all
	NotYetValid         // nbf
	IssuedLater         // iat
	Expired             // exp
	Revoked
)

// Judge decides whether a token is good at this moment. rec is its record. anySignature leaves out
// the check of who signed it.
func (a *Authority) Judge(t Token, rec *TokenRecord, anySignature bool) Reason {
	now := a.Now()
	switch {
	case !t.Signed && !anySignature:
		return BadSignature
	case t.NotBefore.After(now):
		return NotYetValid
	case t.IssuedAt.After(now):
		return IssuedLater
	case !t.Expires.IsZero() && !now.Before(t.Expires):
		return Expired
	case rec.dead, a.outlived(rec), t.User != "" && a.revoked(t, rec):
		return Revoked
	}
	return Good
}

// outlived reports whether a token's end was brought about by its login.
func (a *Authority) outlived(rec *TokenRecord) bool {
	f := rec.family
	return f != nil && (a.Bound && f.ended || a.RotationRevokes && rec.serial != f.serial)
}

// RevokeToken kills one token, be it known here or not. It returns false, and does nothing, if it
// is another client's.
func (a *Authority) RevokeToken(value string, t Token, client string) bool {
	rec, ok := a.Ledger.Tokens.Get(ID(value))
	switch {
	case !ok:
		rec = a.meet(ID(value), t)
		rec.FirstUsed = time.Time{} // it was not used, only named
	case rec.family != nil && rec.family.client != "" && client != rec.family.client:
		return false
	}
	rec.dead = true
	return true
}

// Floor returns t without the fraction of its second.
func Floor(t time.Time) time.Time { return time.Unix(t.Unix(), 0) }
