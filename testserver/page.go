package testserver

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stayauth/stayauth/testserver/internal/live"
	"github.com/stayauth/stayauth/testserver/internal/login"
)

// A Page shows a [Server] or a [Guard] at work to a person with a browser: each user's tokens from
// issue to end, the requests that are served, rejected and replayed, the calls of the token
// endpoint, the ledger and the verdict of Check. It has switches to revoke tokens, to mint them and
// to make things go wrong. [Server.Page] and [Guard.Page] return it.
//
// It is an [http.Handler] that is served at an address of its own, so that nothing that the API
// serves is of the same origin:
//
//	srv := &testserver.Server{TTL: 10 * time.Second}
//	go http.ListenAndServe("127.0.0.1:8081", srv.Page())
//
// The page can mint tokens and revoke users. So it answers to this machine alone, and under the
// names of this machine, unless it has a Key. It accepts nothing from another website. It needs no
// other host, and shows no token except one that was asked for.
//
// It remembers the newest 4,096 events and the newest 64 users, with 24 tokens each. Of more than
// 50 requests a second of one user it keeps a sample, and says so.
type Page struct {
	// Key is a secret that a visitor has to know. Empty: the page answers to requests from this
	// machine alone. Set it before the page is served. The page reads it from the fragment of its
	// URL, which browsers don't send: http://host:port/#KEY.
	Key string

	once    sync.Once
	handler *live.Handler // written by once

	feed      *live.Feed
	subject   live.Subject
	authority *login.Authority            // of the test server
	mu        *sync.Mutex                 // the test server's own, which guards authority
	faults    atomic.Pointer[live.Faults] // nil: none; written with mu held
	revoke    func(token string)          // for TokenEndpoint
}

// pageOf returns the page in place, and makes it if there is none.
func pageOf(place *atomic.Pointer[Page], mu *sync.Mutex, a *login.Authority, subject func(*Page) live.Subject, revoke func(token string)) *Page {
	if p := place.Load(); p != nil {
		return p
	}
	mu.Lock()
	defer mu.Unlock()
	if p := place.Load(); p != nil { // by now
		return p
	}
	p := &Page{feed: live.NewFeed(), authority: a, mu: mu, revoke: revoke}
	p.subject = subject(p)
	a.Met = p.feed.Met
	place.Store(p)
	return p
}

// ServeHTTP serves the page. It implements [http.Handler].
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.once.Do(func() { p.handler = live.NewHandler(p.feed, p.subject, p.Key) })
	p.handler.ServeHTTP(w, r)
}

// Waiting tells the page that from now on the user's client holds its requests back until it has a
// token: what no server can see. In the hooks of a transport.Trace of this module it is
// RefreshStart, unless the token is only about to end, and Rejected, unless that comes late. While
// it waits, Waiting changes nothing.
//
// The page infers pauses from what the server sees. For a user whose client tells of itself it
// infers none.
func (p *Page) Waiting(userID string) { p.feed.PauseBegan(userID) }

// Resumed tells the page that the client's requests go on, that so many had waited, and why they
// have no token, if they have none.
func (p *Page) Resumed(userID string, waited int, err error) {
	words := ""
	if err != nil {
		words = err.Error()
	}
	p.feed.PauseEnded(userID, waited, words)
}

// HeldBack tells the page that the client has held one request back for so long, until now.
func (p *Page) HeldBack(userID string, d time.Duration) { p.feed.RequestWaited(userID, d) }

// fault adds to a fault what the page's switches say.
func (p *Page) fault(f Fault, tokenEndpoint bool) Fault {
	on := p.faults.Load()
	if on == nil {
		return f
	}
	status := 0
	if tokenEndpoint {
		f.Latency += on.TokenDelay.Duration()
		f.Dead = f.Dead || on.TokenDead
		if on.TokenFails {
			status = http.StatusServiceUnavailable
		}
	} else {
		f.Latency += on.APIDelay.Duration()
		if on.APIFails {
			status = http.StatusInternalServerError
		}
	}
	if f.Status == 0 {
		f.Status = status
	}
	return f
}

func (p *Page) settings() live.Faults {
	if f := p.faults.Load(); f != nil {
		return *f
	}
	return live.Faults{}
}

// turn turns a switch that both kinds of test server have, and returns false for any other. p.mu is
// held.
func (p *Page) turn(a live.Action) bool {
	switch a.Do {
	case "revoke":
		for _, user := range a.Users {
			p.authority.Revoke(user)
		}
	case "undo":
		for _, user := range a.Users {
			p.authority.Restore(user)
		}
	case "revoke-all":
		p.authority.RevokeAll()
	case "undo-all":
		p.authority.RestoreAll()
	case "clock":
		p.authority.Advance(a.Offset.Duration() - p.authority.Offset())
	case "fault":
		f := p.settings().With(a.Fault, a.Faults)
		p.faults.Store(&f)
	case "heal":
		p.faults.Store(nil)
	default:
		return false
	}
	return true
}

// tellRequest tells the page of a request to the API that has been answered or cut off. known is
// false where its token says nothing, or was not looked at.
func (p *Page) tellRequest(r live.Request, at login.Attempt, token login.Token, known, rejected bool) {
	r.User, r.Token = live.NobodyLane, at.TokenID
	if known && r.Token != "" {
		r.User = live.LaneOf(token)
	}
	r.Kind = kindOf(r.Status, rejected, at.Replay)
	p.feed.Request(r)
}

// kindOf says what a request was to its client.
func kindOf(status int, rejected, replay bool) live.Kind {
	switch {
	case rejected:
		return live.Rejected
	case status == 0 || status >= 400:
		return live.Failed
	case replay:
		return live.Replayed
	default:
		return live.Served
	}
}

// tokenID returns the id of the token of a grant, or "".
func tokenID(g login.Grant) string {
	if g.Token == "" {
		return ""
	}
	return TokenID(g.Token)
}

var _ http.Handler = (*Page)(nil)
