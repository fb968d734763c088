package testserver

import (
	"encoding/json"
	"net/url"

	"github.com/stayauth/stayauth/testserver/internal/login"
)

// recordArrival writes down that the request has come, and with which token. A socket's token comes
// later, in its first frame.
func (s *Server) recordArrival(c *call) {
	s.mu.Lock()
	s.authority.Ledger.Arrived++
	if c.route.access == tokenEndpoint {
		s.authority.Ledger.TokenCalls++
	}
	s.mu.Unlock()
	switch {
	case c.route.access == firstFrame:
	case c.route.access == tokenEndpoint && !s.Foreign:
		s.recordToken(c, "") // whatever it sends, it is no token of the API
	default:
		s.recordToken(c, sentToken(c.r))
	}
}

// recordToken writes down which token the request carries, and compares it with those that came
// under the same id.
func (s *Server) recordToken(c *call, value string) {
	c.token, c.malformed = s.parse(value)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Foreign && value != "" {
		s.authority.Ledger.Violation("token %s reached a foreign server, with %s %s", TokenID(value), c.r.Method, c.r.URL.Path)
	}
	c.attempt = s.authority.Arrive(login.Arrival{
		RequestID: c.r.Header.Get(RequestID),
		Value:     value, Token: c.token, Malformed: c.malformed != nil,
		Endpoint: c.route.access == tokenEndpoint,
	})
}

// recordBody looks for secrets in a body that has reached a foreign server.
func (s *Server) recordBody(c *call) {
	if !s.Foreign {
		return
	}
	var body struct {
		Session any `json:"session"`
		Refresh any `json:"refresh_token"`
		Secret  any `json:"client_secret"`
	}
	if json.Unmarshal(c.body, &body) != nil { // then it may be a form; anything else holds none
		form, _ := url.ParseQuery(string(c.body))
		body.Session, body.Refresh, body.Secret = form.Get("session"), form.Get("refresh_token"), form.Get("client_secret")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range []struct {
		name  string
		value any
	}{{"session secret", body.Session}, {"refresh token", body.Refresh}, {"client secret", body.Secret}} {
		if secret.value != nil && secret.value != "" {
			s.authority.Ledger.Violation("a %s reached a foreign server, with %s %s", secret.name, c.r.Method, c.r.URL.Path)
		}
	}
}

// recordRejection writes down that the request's token was judged and rejected. s.mu is held.
func (s *Server) recordRejection(c *call, f *failure) { s.authority.Ledger.Reject(c.attempt, f.inner) }

// recordEffect writes down that the request has changed something. s.mu is held.
func (s *Server) recordEffect(c *call) { s.authority.Ledger.Effect(c.attempt, c.route.op) }

// recordAnswer writes down that the client is about to be told that its token is rejected.
func (s *Server) recordAnswer(c *call, rejection bool) {
	if !rejection {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.authority.Ledger.AnswerRejection(c.attempt)
}
