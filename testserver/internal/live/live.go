// Package live is the page that shows a test server at work: what it remembers of the last minute,
// the handler that sends it to a browser, and the switches. It knows neither kind of test server:
// see [Subject].
package live

import (
	"time"

	"github.com/stayauth/stayauth/testserver/internal/login"
)

// A Subject is the test server that the page is about. Its methods take the server's own lock, and
// are called with none held.
type Subject interface {
	// Look says how the server stands at this moment. It fills in the state of each token and what
	// is revoked of each user.
	Look(tokens []Token, users []User) View

	// Do turns a switch. The error is for the person who has turned it. Only "generate" returns a
	// value, the token that was asked for.
	Do(Action) (value string, err error)

	// Done is closed when the server is.
	Done() <-chan struct{}
}

// Milliseconds is a time or a duration as the page gets it: in milliseconds, times since 1970.
type Milliseconds float64

// TimeOf makes a time; the zero time is 0.
func TimeOf(t time.Time) Milliseconds {
	if t.IsZero() {
		return 0
	}
	return Milliseconds(t.UnixMicro()) / 1000
}

// LengthOf makes a duration.
func LengthOf(d time.Duration) Milliseconds { return Milliseconds(d.Microseconds()) / 1000 }

// A View is how the server stands.
type View struct {
	Kind     string   `json:"kind"` // "server" or "guard"
	Can      []string `json:"can"`  // the switches that there are, by the name of their action
	Settings Settings `json:"settings"`
	Check    []string `json:"check"` // the violations; empty: there are none
	Ledger   []Count  `json:"ledger"`
	Sockets  []Socket `json:"sockets"`
	Logins   []Login  `json:"logins"`
}

// Settings are the switches as they stand.
type Settings struct {
	AuthChecks bool         `json:"authChecks"` // false: they are disabled
	Revoked    Milliseconds `json:"revoked"`    // when the whole app was revoked; 0: it is not
	Offset     Milliseconds `json:"offset"`     // of the server's clock
	Faults     Faults       `json:"faults"`
}

// A Count is one number of the ledger, with the words for it.
type Count struct {
	Name  string `json:"name"`
	Value int    `json:"value"`
	Hint  string `json:"hint"`
	Bad   bool   `json:"bad,omitempty"` // it ought to be 0
}

// A Socket is one that is open.
type Socket struct {
	ID    string       `json:"id"`
	User  string       `json:"user"`
	Token string       `json:"token"` // its id
	Since Milliseconds `json:"since"`
	Feeds int          `json:"feeds"` // that it watches
}

// A Login is one at the token endpoint.
type Login struct {
	ID        string       `json:"id"`
	User      string       `json:"user"`
	Client    string       `json:"client"`
	Scope     string       `json:"scope"`
	Refreshes int          `json:"refreshes"`
	Rotated   Milliseconds `json:"rotated"`
	State     string       `json:"state"`
}

// LoginOf says of a login what the page shows.
func LoginOf(l login.Login) Login {
	state := "open"
	switch {
	case l.Used:
		state = "ended: a refresh token was used twice"
	case l.Ended:
		state = "ended"
	}
	return Login{l.ID, l.User, clip(l.Client, ""), clip(l.Scope, ""), l.Refreshes, TimeOf(l.Rotated), state}
}

// A Token is one that the page shows. It is known by its id: the token itself is not here.
type Token struct {
	ID     string       `json:"id"`
	User   string       `json:"user"`
	Issued Milliseconds `json:"issued"` // or when it came first, if it was minted elsewhere
	Ends   Milliseconds `json:"ends"`   // by its exp, in real time; 0: never
	Used   Milliseconds `json:"used"`   // last; 0: never
	Uses   int          `json:"uses"`
	State  string       `json:"state"` // valid, expired, revoked, not valid yet, wrong signature
	Cut    Milliseconds `json:"cut"`   // when its life has ended, by whatever; 0: it has not
	Mine   bool         `json:"mine"`  // minted by this server

	Claims login.Token        `json:"-"`
	Record *login.TokenRecord `json:"-"`
}

// StateOf names a judgement.
func StateOf(r login.Reason) string {
	switch r {
	case login.Good:
		return "valid"
	case login.BadSignature:
		return "wrong signature"
	case login.Expired:
		return "expired"
	case login.Revoked:
		return "revoked"
	default:
		return "not valid yet"
	}
}

// A User is one lane of the page.
type User struct {
	ID       string       `json:"id"`   // or NobodyLane, or ServerLane
	Told     bool         `json:"told"` // its client tells of itself
	Paused   Milliseconds `json:"paused"`
	Calling  Milliseconds `json:"calling"`
	Revoked  Milliseconds `json:"revoked"`
	Served   uint64       `json:"served"`
	Rejected uint64       `json:"rejected"`
	Replayed uint64       `json:"replayed"`
	Failed   uint64       `json:"failed"`
	Seen     Milliseconds `json:"seen"` // when something of it happened last
}
