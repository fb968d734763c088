package testserver

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/stayauth/stayauth/testserver/internal/login"
)

// Issue mints a token for the user: user_id, iat (now), exp (see TTL), and a jti that makes each
// token a different one. The user comes into being with it. An empty userID panics.
func (s *Server) Issue(userID string) string {
	if userID == "" {
		panic("testserver: Issue needs a user id")
	}
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	value, _ := s.issue(userID, false)
	return value
}

// ServerToken returns a server token: valid for ever, of no user, and allowed to do everything,
// such as PATCH /api/v2/users.
func (s *Server) ServerToken() string {
	s.init()
	return s.authority.Sign(jwt.MapClaims{"server": true})
}

// TokenID returns the name under which a token stands in the [Ledger]. It is a short hash: no
// secret, and always the same.
func TokenID(token string) string { return login.ID(token) }

// issue mints a token, and its user comes into being. s.mu is held.
func (s *Server) issue(userID string, dead bool) (value string, exp time.Time) {
	s.ensureUser(userID)
	return s.authority.Issue(userID, dead)
}

// parse reads a token. It fails if the token makes no sense. Who has signed it does not matter.
func (s *Server) parse(value string) (login.Token, *failure) {
	if len(value) > len(bearer) && strings.EqualFold(value[:len(bearer)], bearer) {
		return login.Token{}, rejected(codeMalformed, "token is malformed: it begins with Bearer, and has to stand alone in Authorization")
	}
	var claims jwt.MapClaims
	var signed bool
	var err error
	if parts := strings.Split(value, "."); len(parts) == 3 && parts[2] == "devtoken" {
		// jwt does not read a developer token's payload, which is in standard base64 with padding.
		payload := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(parts[1], "="))
		raw, decodeErr := base64.RawStdEncoding.DecodeString(payload)
		if decodeErr != nil || json.Unmarshal(raw, &claims) != nil {
			return login.Token{}, rejected(codeMalformed, "token is malformed")
		}
	} else if claims, signed, err = s.authority.Open(value); err != nil {
		return login.Token{}, rejected(codeMalformed, err.Error())
	}
	t, err := s.authority.Read(claims, signed)
	if err != nil {
		return login.Token{}, rejected(codeMalformed, err.Error())
	}
	return t, nil
}

// bearer is what other APIs want ahead of a token (RFC 6750 section 2.1), and Stream does not.
const bearer = "Bearer "
