package testserver

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/stayauth/stayauth/testserver/internal/live"
	"github.com/stayauth/stayauth/testserver/internal/login"
)

// Page returns the page that shows the server at work, always the same one. It shows what happens
// after the first call.
func (s *Server) Page() *Page {
	s.init()
	return pageOf(&s.page, &s.mu, &s.authority, func(p *Page) live.Subject { return &serverSubject{s, p} }, s.kill)
}

// kill revokes one token.
func (s *Server) kill(value string) {
	t, f := s.parse(value)
	if f != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.authority.RevokeToken(value, t, "")
	s.recheckSockets()
}

// tellCall tells the page of a call that has been answered or cut off, once.
func (p *Page) tellCall(c *call) {
	if c.told {
		return
	}
	c.told = true
	r := live.Request{Begin: c.start, End: time.Now(), Status: c.status, Op: c.route.op}
	if c.route.access == tokenEndpoint {
		r.User, r.Token, r.Op = c.issued.User, tokenID(c.issued), c.why
		p.tellTokenCall(c.asker, r)
		return
	}
	if r.Op == "" {
		r.Op, r.Detail = c.r.Method, c.r.URL.Path
	}
	p.tellRequest(r, c.attempt, c.token, c.malformed == nil, c.rejection)
}

// A serverSubject is what the page knows of a Server.
type serverSubject struct {
	*Server
	page *Page
}

func (v *serverSubject) Done() <-chan struct{} { return v.done }

func (v *serverSubject) Look(tokens []live.Token, users []live.User) live.View {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range tokens {
		t := &tokens[i]
		v.page.look(t, v.app.disableAuthChecks)
		if t.State == live.StateOf(login.Good) && t.User != live.ServerLane && v.cutOff(t.Claims) {
			t.State = live.StateOf(login.Revoked)
		}
		if t.State == live.StateOf(login.Revoked) {
			t.Cut = v.page.real(v.revokedAt(t.User))
		}
	}
	for i := range users {
		users[i].Revoked = v.page.real(latest(v.authority.Revoked(users[i].ID), v.cutoffOf(users[i].ID)))
	}
	view := v.page.view()
	view.Kind = "server"
	view.Can = []string{"revoke", "undo", "revoke-all", "undo-all", "auth-checks", "generate", "developer", "faults", "clock", "cut-sockets"}
	view.Settings.AuthChecks = !v.app.disableAuthChecks
	view.Settings.Revoked = v.page.real(latest(v.authority.Revoked(""), v.app.cutoff))
	for _, k := range v.sockets {
		view.Sockets = append(view.Sockets, live.Socket{
			ID: k.id, User: k.user, Token: k.tokenID, Since: live.TimeOf(k.since), Feeds: len(k.watching),
		})
	}
	view.Sockets = newestSockets(view.Sockets)
	view.Ledger = append(view.Ledger, live.Count{Name: "Sockets opened", Value: v.authority.Ledger.Sockets, Hint: "their token was accepted"})
	return view
}

// cutoffOf returns the cutoff that the API's calls have set for a user. s.mu is held.
func (s *Server) cutoffOf(user string) time.Time {
	if u, ok := s.users.Get(user); ok {
		return u.cutoff
	}
	return time.Time{}
}

// revokedAt returns when the user's tokens were revoked last, by whatever. s.mu is held.
func (s *Server) revokedAt(user string) time.Time {
	return latest(s.authority.Revoked(user), s.authority.Revoked(""), s.cutoffOf(user), s.app.cutoff)
}

func (v *serverSubject) Do(a live.Action) (value string, err error) {
	if a.Do == "cut-sockets" {
		v.CloseSockets(a.User, 1006)
		return "", nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if a.Do == "generate" {
		return v.generate(a)
	}
	known := v.page.turn(a)
	switch a.Do { // what Stream's API knows of it besides
	case "revoke":
		for _, user := range a.Users {
			v.ensureUser(user)
		}
	case "undo":
		for _, user := range a.Users {
			if u, ok := v.users.Get(user); ok && !u.cutoff.IsZero() {
				u = u.clone()
				u.cutoff = time.Time{}
				v.keepUser(u)
			}
		}
	case "undo-all":
		v.app.cutoff = time.Time{}
	case "auth-checks":
		v.app.disableAuthChecks = !a.On
	default:
		if !known {
			return "", errors.New("a Server has no such switch")
		}
	}
	v.recheckSockets()
	return "", nil
}

// generate makes the token that a person has asked for. s.mu is held.
func (s *Server) generate(a live.Action) (string, error) {
	switch a.Form {
	case "token":
		s.ensureUser(a.User)
		value, _ := s.authority.IssueFor(a.User, a.Validity.Duration(), false)
		return value, nil
	case "developer":
		return developerToken(a.User), nil
	}
	return "", errors.New("a Server makes tokens and developer tokens")
}

// developerToken is what Stream's client SDKs make without a secret. It is accepted while auth
// checks are disabled.
func developerToken(user string) string {
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err) // strings alone
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	return part(jwt.MapClaims{"alg": "HS256", "typ": "JWT"}) + "." + part(jwt.MapClaims{"user_id": user}) + ".devtoken"
}
