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
	return pageOf(&g.page, &g.mu, &g.authority, func(p *Page) live.Subject { return &guardSubject{g, p} }, g.kill)
}

// kill revokes one token.
func (g *Guard) kill(value string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t, err := g.authority.Parse(value); err == nil {
		g.authority.RevokeToken(value, t, "")
	}
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
	p.tellRequest(r, v.attempt, v.token, !own, v.rejected)
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
	for i := range tokens {
		t := &tokens[i]
		v.page.look(t, false)
		if t.State == live.StateOf(login.Revoked) {
			t.Cut = v.page.real(latest(a.Revoked(t.User), a.Revoked("")))
		}
	}
	for i := range users {
		users[i].Revoked = v.page.real(a.Revoked(users[i].ID))
	}
	view := v.page.view()
	view.Kind = "guard"
	view.Can = []string{"revoke", "undo", "revoke-all", "undo-all", "log-out", "generate", "refresh", "faults", "clock"}
	return view
}

func (v *guardSubject) Do(a live.Action) (value string, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.page.turn(a):
		return "", nil
	case a.Do == "log-out":
		for _, user := range a.Users {
			v.authority.EndLogins(user)
		}
		return "", nil
	case a.Do == "generate":
		return v.generate(a)
	}
	return "", errors.New("a Guard has no such switch")
}

// generate makes the token that a person has asked for. g.mu is held.
func (g *Guard) generate(a live.Action) (string, error) {
	switch a.Form {
	case "token":
		value, _ := g.authority.IssueFor(a.User, a.Validity.Duration(), false)
		return value, nil
	case "refresh":
		return g.authority.Begin(a.User, "", ""), nil
	}
	return "", errors.New("a Guard makes tokens and refresh tokens")
}
