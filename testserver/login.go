package testserver

import "github.com/stayauth/stayauth/testserver/internal/login"

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
	if len(req.UserID) > login.MaxUserID {
		return nil, badInput("user_id must have at most %d characters", login.MaxUserID)
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
	s.ensureUser(req.UserID)
	return s.tokenAnswer(s.authority.LogIn(req.UserID, c.fault.Dead)), nil
}

// refresh answers a call that brings a refresh token. s.mu is held.
func (s *Server) refresh(c *call, userID, value string) (object, *failure) {
	g, err := s.authority.Refresh(value, userID, c.fault.Dead)
	if err != nil {
		return nil, &failure{status: 401, inner: err.Error()}
	}
	s.ensureUser(g.User)
	return s.tokenAnswer(g), nil
}

func (s *Server) tokenAnswer(g login.Grant) object {
	ans := object{"token": g.Token}
	if !g.Expires.IsZero() {
		ans["expires_in"] = max(0, int(g.Expires.Sub(s.now()).Seconds()))
	}
	if g.Refresh != "" {
		ans["refresh_token"] = g.Refresh
	}
	return ans
}
