package testserver

import (
	"errors"
	"time"

	"github.com/stayauth/stayauth/testserver/internal/live"
	"github.com/stayauth/stayauth/testserver/internal/login"
)

// Page returns the page that shows the guard at work: see [Server.Page].
func (g *Guard) Page() *Page {
	g.init()
	if p := g.page.Load(); p != nil {
		return p
	}
	p := &Page{feed: live.NewFeed()}
	p.subject = &guardSubject{g, p}
	p.revoke, p.owner = g.kill, g.owner
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.page.CompareAndSwap(nil, p) {
		g.authority.Met = p.feed.Met
	}
	return g.page.Load()
}

// kill revokes one token.
func (g *Guard) kill(value string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t, err := g.authority.Parse(value); err == nil {
		g.authority.RevokeToken(value, t, "")
	}
}

// owner returns whose login a refresh token belongs to, or "".
func (g *Guard) owner(refresh string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.authority.Owner(refresh)
}

// tellVisit tells the page of a request that has been answered or cut off. own is true for one of
// the guard's own endpoints.
func (p *Page) tellVisit(v *visit, own bool) {
	r := live.Request{Begin: v.start, End: time.Now(), Status: v.status, Op: v.r.Method, Detail: v.r.URL.Path}
	if v.tokenCall {
		r.User, r.Token, r.Op, r.Detail = v.issued.User, tokenID(v.issued), v.about, ""
		p.tellTokenCall(v.asker, r)
		return
	}
	r.User, r.Token = live.NobodyLane, v.attempt.TokenID
	if !own && r.Token != "" {
		r.User = live.LaneOf(v.token)
	}
	r.Kind = kindOf(v.status, v.rejected, v.attempt.Replay)
	p.feed.Request(r)
}

// A guardSubject is what the page knows of a Guard.
type guardSubject struct {
	*Guard
	page *Page
}

func (v *guardSubject) Done() <-chan struct{} { return v.done }

func (v *guardSubject) Look(tokens []live.Token, users []live.User) live.View {
	v.mu.Lock()
	defer v.mu.Unlock()
	a := &v.authority
	real := func(t time.Time) live.Milliseconds {
		if t.IsZero() {
			return 0
		}
		return live.TimeOf(t.Add(-a.Offset()))
	}
	for i := range tokens {
		t := &tokens[i]
		look(a, t, false)
		if t.State == live.StateOf(login.Revoked) {
			t.Cut = real(latest(a.Revoked(t.User), a.Revoked("")))
		}
	}
	for i := range users {
		users[i].Revoked = real(a.Revoked(users[i].ID))
	}
	return live.View{
		Kind: "guard", Can: []string{"revoke", "undo", "revoke-all", "undo-all", "log-out", "generate", "refresh", "faults", "clock"},
		Settings: live.Settings{
			AuthChecks: true, Offset: live.OffsetOf(a.Offset()), Faults: v.page.settings(), Revoked: real(a.Revoked("")),
		},
		Check: violations(&a.Ledger), Ledger: counts(&a.Ledger), Sockets: []live.Socket{}, Logins: logins(a),
	}
}

func (v *guardSubject) Do(a live.Action) (value string, err error) {
	if a.Do == "fault" || a.Do == "heal" {
		v.page.setFault(a)
		return "", nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	switch a.Do {
	case "revoke":
		for _, user := range a.Users {
			v.authority.Revoke(user)
		}
	case "undo":
		for _, user := range a.Users {
			v.authority.Restore(user)
		}
	case "revoke-all":
		v.authority.RevokeAll()
	case "undo-all":
		v.authority.RestoreAll()
	case "log-out":
		for _, user := range a.Users {
			v.authority.EndLogins(user)
		}
	case "clock":
		v.authority.Advance(a.Offset.Duration() - v.authority.Offset())
	case "generate":
		switch a.Form {
		case "token":
			value, _ = v.authority.IssueFor(a.User, a.Validity.Duration(), false)
		case "refresh":
			value = v.authority.Begin(a.User, "", "")
		default:
			return "", errors.New("a Guard makes tokens and refresh tokens")
		}
	default:
		return "", errors.New("a Guard has no such switch")
	}
	return value, nil
}
