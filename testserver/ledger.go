package testserver

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// RequestID is the header in which a client names a request. A replay of a request carries the same id: that is how the
// ledger knows that it is one. A request without an id, or with one of more than 256 bytes, is not checked for doubles.
const RequestID = "X-Client-Request-Id"

// A Ledger is a snapshot of what has reached a [Server]: see [Server.Ledger]. It holds no token and no secret, so it can be
// printed. Its times are real (or virtual) ones, whatever the server's clock says.
type Ledger struct {
	// Arrived counts all requests, Refused those whose token was refused with a 401, and Effects the changes that took hold:
	// an activity or a feed or a guest was made, a user or the app was changed.
	Arrived, Refused, Effects int

	// TokenCalls counts the calls of POST /token, failed ones included. Issued counts the users' tokens that the server minted,
	// in whatever way.
	TokenCalls, Issued int

	// Requests are the requests that had an id, by id (see [RequestID]).
	Requests map[string]Request

	// Tokens are the tokens that the server issued or that were sent to it, by [TokenID].
	Tokens map[string]Token

	// Forgotten counts the requests and tokens that are missing above because the ledger was full. The counts are complete
	// all the same, but [Server.Check] can't compare a request with attempts that were forgotten.
	Forgotten int
}

// A Request is one request and its replays: whatever arrived under one id.
type Request struct {
	Attempts int      // how often it arrived
	Refused  int      // how many of the attempts were answered that their token is refused
	Effects  int      // how often it changed something
	Tokens   []string // the [TokenID] that each attempt carried, "" for none; of the first 100
}

// A Token is what the ledger knows about one token.
type Token struct {
	User         string    // whose it is; empty for a server token, and for one that can't be read
	Issued       time.Time // zero if the server did not mint it
	FirstUsed    time.Time // when the first request with it arrived; zero: never
	FirstRefused time.Time // zero: never
	Refusal      string    // why, at first
	Uses         int       // how many requests arrived with it
	Refusals     int       // how many of them were refused for it
}

// Ledger returns what has arrived so far.
func (s *Server) Ledger() Ledger {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &s.ledger
	out := Ledger{
		Arrived: l.arrived, Refused: l.refused, Effects: l.effects, TokenCalls: l.tokenCalls, Issued: l.issued,
		Requests:  make(map[string]Request, l.requests.len()),
		Tokens:    make(map[string]Token, l.tokens.len()),
		Forgotten: l.requests.lost + l.tokens.lost,
	}
	for id, r := range l.requests.all() {
		out.Requests[id] = Request{r.attempts, r.refusals, r.effects, slices.Clone(r.tokens)}
	}
	for id, t := range l.tokens.all() {
		out.Tokens[id] = Token{t.user, t.issued, t.firstUsed, t.firstRefused, t.refusal, t.uses, t.refusals}
	}
	return out
}

// Check returns nil if nothing has happened so far that never must, or else an error that names it:
//
//   - a request took effect twice: more than one change under one [RequestID];
//   - a request was replayed with the very token that it had been refused with;
//   - a request was replayed with the token of another user;
//   - a token, session secret or refresh token reached a server that is marked [Server.Foreign].
//
// Call it at the end of a test. The error joins one error for each violation, in the order in which they happened.
func (s *Server) Check() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	errs := slices.Clone(s.ledger.violations)
	if n := s.ledger.moreViolations; n > 0 {
		errs = append(errs, fmt.Errorf("testserver: and %d more", n))
	}
	return errors.Join(errs...)
}
