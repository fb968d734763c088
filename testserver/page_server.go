package testserver

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/stayauth/stayauth/testserver/internal/live"
	"github.com/stayauth/stayauth/testserver/internal/login"
)

// Page returns the page that shows the server at work, always the same one. It shows what happens
// after the first call.
func (s *Server) Page() *Page {
	s.init()
	if p := s.page.Load(); p != nil {
		return p
	}
	p := &Page{feed: live.NewFeed()}
	p.subject = &serverSubject{s, p}
	p.revoke, p.owner = s.kill, s.owner
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.page.CompareAndSwap(nil, p) {
		s.authority.Met = p.feed.Met
	}
	return s.page.Load()
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

// owner returns whose login a refresh token belongs to, or "".
func (s *Server) owner(refresh string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.authority.Owner(refresh)
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
	r.User, r.Token = live.NobodyLane, c.attempt.TokenID
	if c.malformed == nil && r.Token != "" {
		r.User = live.LaneOf(c.token)
	}
	r.Kind = kindOf(c.status, c.rejection, c.attempt.Replay)
	p.feed.Request(r)
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
		look(&v.authority, t, v.app.disableAuthChecks)
		if t.State == live.StateOf(login.Good) && t.User != live.ServerLane && v.cutOff(t.Claims) {
			t.State = live.StateOf(login.Revoked)
		}
		if t.State == live.StateOf(login.Revoked) {
			t.Cut = v.real(v.revokedAt(t.User))
		}
	}
	for i := range users {
		users[i].Revoked = v.real(latest(v.authority.Revoked(users[i].ID), v.cutoffOf(users[i].ID)))
	}
	l := &v.authority.Ledger
	view := live.View{
		Kind: "server", Can: []string{"revoke", "undo", "revoke-all", "undo-all", "auth-checks", "generate", "developer", "faults", "clock", "cut-sockets"},
		Settings: live.Settings{
			AuthChecks: !v.app.disableAuthChecks, Offset: live.OffsetOf(v.authority.Offset()), Faults: v.page.settings(),
			Revoked: v.real(latest(v.authority.Revoked(""), v.app.cutoff)),
		},
		Check: violations(l), Ledger: counts(l), Sockets: []live.Socket{}, Logins: logins(&v.authority),
	}
	for _, k := range v.sockets {
		view.Sockets = append(view.Sockets, live.Socket{
			ID: k.id, User: k.user, Token: k.tokenID, Since: live.TimeOf(k.since), Feeds: len(k.watching),
		})
	}
	view.Sockets = newestSockets(view.Sockets)
	view.Ledger = append(view.Ledger, live.Count{Name: "Sockets opened", Value: l.Sockets, Hint: "their token was accepted"})
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

// real turns a time of the server's clock into a real one. s.mu is held.
func (s *Server) real(t time.Time) live.Milliseconds {
	if t.IsZero() {
		return 0
	}
	return live.TimeOf(t.Add(-s.authority.Offset()))
}

func (v *serverSubject) Do(a live.Action) (value string, err error) {
	if a.Do == "cut-sockets" {
		v.CloseSockets(a.User, 1006)
		return "", nil
	}
	if a.Do == "fault" || a.Do == "heal" {
		v.page.setFault(a)
		return "", nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	switch a.Do {
	case "revoke":
		for _, user := range a.Users {
			v.ensureUser(user)
			v.authority.Revoke(user)
		}
	case "undo":
		for _, user := range a.Users {
			v.authority.Restore(user)
			if u, ok := v.users.Get(user); ok && !u.cutoff.IsZero() {
				u = u.clone()
				u.cutoff = time.Time{}
				v.keepUser(u)
			}
		}
	case "revoke-all":
		v.authority.RevokeAll()
	case "undo-all":
		v.authority.RestoreAll()
		v.app.cutoff = time.Time{}
	case "auth-checks":
		v.app.disableAuthChecks = !a.On
	case "clock":
		v.authority.Advance(a.Offset.Duration() - v.authority.Offset())
	case "generate":
		return v.generate(a)
	default:
		return "", errors.New("a Server has no such switch")
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

var _ http.Handler = (*Page)(nil)
