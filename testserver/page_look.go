package testserver

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/stayauth/stayauth/testserver/internal/live"
	"github.com/stayauth/stayauth/testserver/internal/login"
)

// What the page shows of each, at most.
const (
	shownSockets    = 50
	shownLogins     = 50
	shownViolations = 20
)

// view is how any test server stands. p.mu is held.
func (p *Page) view() live.View {
	a := p.authority
	return live.View{
		Settings: live.Settings{AuthChecks: true, Offset: live.LengthOf(a.Offset()), Faults: p.settings(), Revoked: p.real(a.Revoked(""))},
		Check:    violations(&a.Ledger), Ledger: counts(&a.Ledger), Sockets: []live.Socket{}, Logins: logins(a),
	}
}

// look fills in how a token stands. p.mu is held.
func (p *Page) look(t *live.Token, anySignature bool) {
	t.State = live.StateOf(p.authority.Judge(t.Claims, t.Record, anySignature))
	t.Ends = p.real(t.Claims.Expires)
}

// real turns a time of the test server's clock into a real one; the zero time is 0. p.mu is held.
func (p *Page) real(t time.Time) live.Milliseconds {
	if t.IsZero() {
		return 0
	}
	return live.TimeOf(t.Add(-p.authority.Offset()))
}

// latest returns the last of the times.
func latest(times ...time.Time) time.Time { return slices.MaxFunc(times, time.Time.Compare) }

// violations are the lines of Check. The authority's lock is held.
func violations(l *login.Ledger) []string {
	err := l.Check()
	if err == nil {
		return []string{}
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) > shownViolations {
		lines = append(lines[:shownViolations], "and more")
	}
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "testserver: ")
	}
	return lines
}

// counts are the ledger's numbers with words for them. The authority's lock is held.
func counts(l *login.Ledger) []live.Count {
	return []live.Count{
		{Name: "Requests arrived", Value: l.Arrived, Hint: "all of them, calls of the token endpoint too"},
		{Name: "Rejected", Value: l.Rejected, Hint: "requests whose token was not valid"},
		{Name: "Effects", Value: l.Effects, Hint: "requests that changed something"},
		{Name: "Token calls", Value: l.TokenCalls, Hint: "calls of the token endpoint"},
		{Name: "Tokens issued", Value: l.Issued, Hint: "by this server"},
		{Name: "Refresh tokens reused", Value: l.Reused, Hint: "a used refresh token came again, as if it were stolen", Bad: l.Reused > 0},
		{Name: "Without a request id", Value: l.Unnamed, Hint: "requests that Check can't compare with anything"},
	}
}

// logins are the newest ones. The authority's lock is held.
func logins(a *login.Authority) []live.Login {
	list := []live.Login{}
	for _, l := range a.Logins(shownLogins) {
		list = append(list, live.LoginOf(l))
	}
	return list
}

// newestSockets returns those that were opened last, the newest first.
func newestSockets(list []live.Socket) []live.Socket {
	slices.SortFunc(list, func(a, b live.Socket) int {
		return cmp.Or(cmp.Compare(b.Since, a.Since), strings.Compare(a.ID, b.ID))
	})
	return list[:min(len(list), shownSockets)]
}
