package testserver

import (
	"time"

	"github.com/stayauth/stayauth/testserver/internal/login"
)

// A Rotation says what a token endpoint does with a refresh token that is used.
type Rotation int

const (
	// SingleUse replaces a refresh token by a new one when it is used. If a used one comes again,
	// somebody may have stolen it, and the whole login ends: none of its refresh tokens works any
	// more (RFC 9700 section 4.14.2).
	SingleUse Rotation = iota

	// SingleUseWithGrace is SingleUse, but the refresh token that was used last is answered again,
	// with the same result, until its successor is used. A client whose answer got lost can ask
	// again.
	SingleUseWithGrace

	// Reusable keeps the refresh token, and the answer to it names no new one (RFC 6749 section 6:
	// the client goes on with the one that it has).
	Reusable
)

// token is POST /token, the endpoint that stands for a user's own backend. It needs no API key:
//
//	{"user_id": "alice", "session": "secret"}      -> {"token": "...", "refresh_token": "...", "expires_in": 2}
//	{"user_id": "alice", "refresh_token": "..."}   -> the same again
//
// Without a refresh_token it logs the user in, and Server.Session must match. With one it
// refreshes; user_id and session may be left out then, but must not be wrong. expires_in has whole
// seconds, rounded down, and is missing if the token never ends. Errors have the form of RFC 6749
// section 5.2: 400 invalid_request, 401 invalid_grant.
func (s *Server) token(c *call) (object, *failure) {
	req, f := readTokenRequest(c.body, s.Session)
	if f != nil {
		c.why = f.inner
		return nil, f
	}
	g, f := req.grant(&s.authority, c.fault.Dead)
	if f != nil {
		c.why = f.inner
		return nil, f
	}
	s.ensureUser(g.User)
	c.issued = g
	ans := object{"token": g.Token}
	fillGrant(ans, g, s.now())
	return ans, nil
}

// A tokenRequest is the JSON that a user's own backend is asked with.
type tokenRequest struct {
	UserID  string `json:"user_id"`
	Session string `json:"session"`
	Refresh string `json:"refresh_token"`
}

// readTokenRequest reads a request and checks it against the session that is wanted, if any.
func readTokenRequest(body []byte, session string) (req tokenRequest, f *failure) {
	if f := decode(body, &req); f != nil {
		return req, f
	}
	if len(req.UserID) > login.MaxUserID {
		return req, badInput("user_id must have at most %d characters", login.MaxUserID)
	}
	if session != "" && req.Session != session && (req.Session != "" || req.Refresh == "") {
		return req, &failure{status: 401, inner: "the session is missing or wrong"}
	}
	if req.Refresh == "" && req.UserID == "" {
		return req, badInput("user_id is missing")
	}
	return req, nil
}

// grant logs in or refreshes. The authority's lock is held.
func (req tokenRequest) grant(a *login.Authority, dead bool) (login.Grant, *failure) {
	if req.Refresh == "" {
		return a.LogIn(req.UserID, "", "", dead), nil
	}
	g, err := a.Refresh(req.Refresh, req.UserID, "", dead)
	if err != nil {
		return login.Grant{}, &failure{status: 401, inner: err.Error()}
	}
	return g, nil
}

// fillGrant adds to a token endpoint's answer what all of them have under the same names.
func fillGrant(ans map[string]any, g login.Grant, now time.Time) {
	if !g.Expires.IsZero() {
		ans["expires_in"] = max(0, int(g.Expires.Sub(now).Seconds()))
	}
	if g.Refresh != "" {
		ans["refresh_token"] = g.Refresh
	}
}
