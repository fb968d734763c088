package testserver

import (
	"slices"
	"time"

	"github.com/stayauth/stayauth/testserver/internal/login"
)

// RequestID is the header in which a client names a request. A replay of a request carries the same
// id: that is how the ledger knows that it is one. A request without an id, or with one of more
// than 256 bytes, is not checked for doubles: see [Ledger.Unnamed].
const RequestID = "X-Client-Request-Id"

// A Ledger is a snapshot of what has reached a [Server] or a [Guard]: see [Server.Ledger]. It holds
// no token and no secret, so it can be printed. Its times are real (or virtual) ones, whatever the
// server's clock says.
type Ledger struct {
	// Arrived counts all requests, sockets among them. Rejected counts those whose token was
	// rejected, and Effects the changes that took hold: something was made, changed or deleted.
	// Opening a socket is none.
	Arrived, Rejected, Effects int

	// TokenCalls counts the calls of the token endpoint, POST /token, failed ones included. Issued
	// counts the users' tokens that the server minted, in whatever way.
	TokenCalls, Issued int

	// Reused counts how often a refresh token came that had been used before, answers of a grace
	// period apart: what a client must never do, because it looks like theft.
	Reused int

	// Unnamed counts the requests that had no usable id (see [RequestID]), POST /token apart: those
	// that [Server.Check] can't compare with anything. A test that relies on Check wants it to be
	// 0.
	Unnamed int

	// Sockets counts the sockets that were opened (their token was accepted), OpenSockets those
	// that are open now.
	Sockets, OpenSockets int

	// Requests are the requests that had an id, by id (see [RequestID]).
	Requests map[string]Request

	// Tokens are the tokens that the server issued or that were sent to it, by [TokenID].
	Tokens map[string]Token

	// Forgotten counts the requests and tokens that are missing above because the ledger was full.
	// The counts are complete all the same, but [Server.Check] can't compare a request with
	// attempts that were forgotten.
	Forgotten int
}

// A Request is one request and its replays: whatever arrived under one id.
type Request struct {
	Attempts int      // how often it arrived
	Rejected int      // how many of the attempts were told that their token is rejected
	Effects  int      // how often it changed something
	Tokens   []string // the [TokenID] that each attempt carried, "" for none; of the first 100
}

// A Token is what the ledger knows about one token.
type Token struct {
	User          string    // whose it is; empty for a server token, and for one that can't be read
	Issued        time.Time // zero if the server did not mint it
	FirstUsed     time.Time // when the first request with it arrived; zero: never
	FirstRejected time.Time // zero: never
	Rejection     string    // why, at first
	Uses          int       // how many requests arrived with it
	Rejections    int       // how many of them were rejected for it
}

// Ledger returns what has arrived so far.
func (s *Server) Ledger() Ledger {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	return snapshot(&s.authority.Ledger, len(s.sockets))
}

func snapshot(l *login.Ledger, openSockets int) Ledger {
	out := Ledger{
		Arrived: l.Arrived, Rejected: l.Rejected, Effects: l.Effects, TokenCalls: l.TokenCalls, Issued: l.Issued, Reused: l.Reused,
		Unnamed: l.Unnamed, Sockets: l.Sockets, OpenSockets: openSockets,
		Requests:  make(map[string]Request, l.Requests.Len()),
		Tokens:    make(map[string]Token, l.Tokens.Len()),
		Forgotten: l.Requests.Lost() + l.Tokens.Lost(),
	}
	for id, r := range l.Requests.All() {
		out.Requests[id] = Request{r.Attempts, r.Rejections, r.Effects, slices.Clone(r.Tokens)}
	}
	for id, t := range l.Tokens.All() {
		out.Tokens[id] = Token{t.User, t.Issued, t.FirstUsed, t.FirstRejected, t.Rejection, t.Uses, t.Rejections}
	}
	return out
}

// Check returns nil if nothing has happened so far that never must, or else an error that names it:
//
//   - a request took effect twice: more than one change under one [RequestID];
//   - a request was replayed with the very token with which it had been rejected;
//   - a request was replayed with the token of another user;
//   - a token, session secret, refresh token or client secret reached a server that is marked
//     [Server.Foreign].
//
// The first three go by the [RequestID]: requests that have none are not checked for them, and a
// client that never sends one passes whatever it does. [Ledger.Unnamed] counts them.
//
// Call Check at the end of a test. The error joins one error for each violation, in the order in
// which they happened.
func (s *Server) Check() error {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.authority.Ledger.Check()
}
