package testserver

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/stayauth/stayauth/testserver/internal/login"
)

// Revoke kills the tokens that the user has at this moment, and none that is issued later, not even
// in the same second. There is no undo; for that use the API's own calls, PATCH /api/v2/users and
// PATCH /api/v2/app, which go by a token's iat.
//
// It is exact for every token that the server has met: it minted it, or a request has brought it.
// Of the others, minted by your own backend with the same secret and never used so far, it kills
// those whose iat lies in an earlier second than the call. One of the running second, or without an
// iat, can't be told from a new one and lives. A backend that back-dates iat therefore mints dead
// tokens for as long as it back-dates them.
//
// A user that the server doesn't know yet comes into being. Server tokens belong to no user and
// stay valid, and refresh tokens are no tokens: the user's next POST /token succeeds.
func (s *Server) Revoke(userID string) {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ensureUser(userID)
	s.authority.Revoke(userID)
	s.recheckSockets()
}

// cutOff reports whether a revocation through the API kills a user's token. s.mu is held.
func (s *Server) cutOff(t login.Token) bool {
	u, ok := s.users.Get(t.User)
	return ok && s.before(t, u.cutoff) || s.before(t, s.app.cutoff)
}

// before reports whether the token was issued before a cutoff. A token without an iat could be from
// any time, and is dead while there is a cutoff.
func (s *Server) before(t login.Token, cutoff time.Time) bool {
	if cutoff.IsZero() {
		return false
	}
	if !s.StrictRevocation {
		cutoff = login.Floor(cutoff)
	}
	return t.IssuedAt.IsZero() || t.IssuedAt.Before(cutoff)
}

// parseCutoff reads a revoke_tokens_issued_before: RFC 3339, with or without a fraction, or null
// for none (the zero time).
func parseCutoff(raw json.RawMessage) (time.Time, *failure) {
	var text *string
	bad := badInput("revoke_tokens_issued_before must be a time such as 2026-01-02T15:04:05Z, or null")
	if json.Unmarshal(raw, &text) != nil {
		return time.Time{}, bad
	}
	if text == nil {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, *text)
	if err != nil || (*text)[len("2026-01-02T15")] != ':' || strings.Contains(*text, ",") {
		return time.Time{}, bad // Parse alone would also take an hour of one digit, and a comma for the point
	}
	return t, nil
}
