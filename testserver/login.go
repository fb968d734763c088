package testserver

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// A Rotation says what POST /token does with a refresh token that is used.
type Rotation int

const (
	// SingleUse replaces a refresh token by a new one when it is used. If a used one comes again, somebody may have stolen
	// it, and the whole login ends: none of its refresh tokens works any more (RFC 9700 section 4.14.2).
	SingleUse Rotation = iota

	// SingleUseWithGrace is SingleUse, but the refresh token that was used last is answered again, with the same result, until
	// its successor is used. A client whose answer got lost can ask again.
	SingleUseWithGrace

	// Reusable keeps the refresh token, and the answer to it names no new one (RFC 6749 section 6: the client goes on with
	// the one that it has).
	Reusable
)

// A login is what one POST /token with a session secret began: a family of refresh tokens, each made from the one before.
type login struct {
	user  string
	turn  int       // the number of the refresh token that is good now
	ended bool      // a used refresh token came again
	token string    // the newest token, which a grace period answers again
	exp   time.Time // when it ends; zero: never
}

// token is POST /token, the endpoint that stands for a user's own backend. It needs no API key:
//
//	{"user_id": "alice", "session": "secret"}      -> {"token": "...", "refresh_token": "...", "expires_in": 2}
//	{"user_id": "alice", "refresh_token": "..."}   -> the same again
//
// Without a refresh_token it logs the user in, and Server.Session must match. With one it refreshes; user_id and session may
// be left out then, but must not be wrong. expires_in has whole seconds, rounded down, and is missing if the token never ends.
// Errors have the form of RFC 6749 section 5.2: 400 invalid_request, 401 invalid_grant.
func (s *Server) token(c *call) (object, *failure) {
	var req struct {
		UserID  string `json:"user_id"`
		Session string `json:"session"`
		Refresh string `json:"refresh_token"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	if len(req.UserID) > maxUserID {
		return nil, badInput("user_id must have at most %d characters", maxUserID)
	}
	if s.Session != "" && req.Session != s.Session && (req.Session != "" || req.Refresh == "") {
		return nil, &failure{status: 401, inner: "the session is missing or wrong"}
	}
	if req.Refresh != "" {
		return s.refresh(c, req.UserID, req.Refresh)
	}
	if req.UserID == "" {
		return nil, badInput("user_id is missing")
	}
	l := &login{user: req.UserID}
	l.token, l.exp = s.issue(l.user, c.fault.Dead)
	s.logins.put(strconv.FormatUint(s.serial, 10), l, 0)
	return s.tokenAnswer(l, s.refreshToken(strconv.FormatUint(s.serial, 10), 0)), nil
}

// refresh answers a call that brings a refresh token. s.mu is held.
func (s *Server) refresh(c *call, userID, value string) (object, *failure) {
	family, rest, _ := strings.Cut(value, ".")
	number, _, _ := strings.Cut(rest, ".")
	turn, err := strconv.Atoi(number)
	l, known := s.logins.get(family)
	switch {
	case err != nil || !known || !hmac.Equal([]byte(value), []byte(s.refreshToken(family, turn))):
		return nil, &failure{status: 401, inner: "the refresh token is unknown"}
	case userID != "" && userID != l.user:
		return nil, &failure{status: 401, inner: "the refresh token belongs to another user"}
	case l.ended:
		return nil, &failure{status: 401, inner: "the login has ended, because a refresh token was used twice"}
	case s.Rotation == SingleUseWithGrace && turn == l.turn-1:
		return s.tokenAnswer(l, s.refreshToken(family, l.turn)), nil
	case turn != l.turn:
		l.ended = true
		return nil, &failure{status: 401, inner: "the refresh token was used before: the login has ended"}
	}
	l.token, l.exp = s.issue(l.user, c.fault.Dead)
	if s.Rotation == Reusable {
		return s.tokenAnswer(l, ""), nil
	}
	l.turn++
	return s.tokenAnswer(l, s.refreshToken(family, l.turn)), nil
}

// refreshToken makes the refresh token of a family's turn. Used ones need not be remembered: what this makes and what is not
// the family's turn has been used.
func (s *Server) refreshToken(family string, turn int) string {
	head := family + "." + strconv.Itoa(turn)
	mac := hmac.New(sha256.New, []byte(s.instance))
	mac.Write([]byte(head))
	return head + "." + hex.EncodeToString(mac.Sum(nil)[:16])
}

func (s *Server) tokenAnswer(l *login, refresh string) object {
	ans := object{"token": l.token}
	if !l.exp.IsZero() {
		ans["expires_in"] = max(0, int(l.exp.Sub(s.now()).Seconds()))
	}
	if refresh != "" {
		ans["refresh_token"] = refresh
	}
	return ans
}
