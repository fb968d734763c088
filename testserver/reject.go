package testserver

import (
	"net/http"

	"github.com/stayauth/stayauth/testserver/internal/login"
)

// A Reason says why a [Guard] rejects a request. It is a sentence for people: compare it with the
// constants, and print it.
type Reason string

const (
	NoToken     Reason = "The request carries no token"
	Malformed   Reason = "The request carries no token that could be one"
	Unknown     Reason = "The token was not issued here"
	NotYetValid Reason = "The token is not valid yet"
	Expired     Reason = "The token has expired"
	Revoked     Reason = "The token was revoked"
)

// Challenge returns the WWW-Authenticate header that RFC 6750 section 3 wants with the reason: a
// scheme and a realm alone for a request without a token, and error="invalid_token" with the
// sentence for all else.
func (r Reason) Challenge() string {
	const scheme = `Bearer realm="testserver"`
	if r == NoToken {
		return scheme
	}
	return scheme + `, error="invalid_token", error_description="` + string(r) + `"`
}

// reject is what a Guard does that has no Reject of its own.
func reject(w http.ResponseWriter, _ *http.Request, reason Reason) {
	w.Header().Set("WWW-Authenticate", reason.Challenge())
	http.Error(w, string(reason), http.StatusUnauthorized)
}

// reasonOf says in a Guard's words how a token was judged; "" is that it is good.
func reasonOf(r login.Reason) Reason {
	switch r {
	case login.Good:
		return ""
	case login.NotYetValid, login.IssuedLater:
		return NotYetValid
	case login.Expired:
		return Expired
	case login.Revoked:
		return Revoked
	default:
		return Unknown
	}
}
