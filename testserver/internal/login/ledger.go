package login

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stayauth/stayauth/testserver/internal/memory"
)

const (
	maxRequestID  = 256 // bytes
	maxAttempts   = 100 // of one request whose tokens are listed
	maxViolations = 100 // that are spelled out
)

// A Ledger is what a server writes down of what has reached it. testserver's type of that name
// documents the counts.
type Ledger struct {
	Arrived, Rejected, Effects, TokenCalls, Issued, Reused, Unnamed, Sockets int

	Requests memory.Map[*RequestRecord] // by request id
	Tokens   memory.Map[*TokenRecord]   // by [ID]

	violations     []error // the first ones
	moreViolations int     // how many came after them
}

// A RequestRecord is what is known of one request id.
type RequestRecord struct {
	Attempts, Rejections, Effects int

	Tokens []string // each attempt's token, by id; of the first 100

	rejected []string // the tokens with which this request was rejected
	user     *string  // whose token came first, "" a server's; nil: none came so far
}

// A TokenRecord is what is known of one token.
type TokenRecord struct {
	User string

	Issued, FirstUsed, FirstRejected time.Time
	Rejection                        string
	Uses, Rejections                 int

	serial uint64  // orders the tokens by when they were minted here or first seen
	dead   bool    // revoked by itself, or on arrival
	family *family // the login that it came with; nil: none
	says   *Token  // what an opaque token stands for
}

// An Attempt is the place in the ledger of one arrival of a request. The records stay good when the
// ledger forgets them.
type Attempt struct {
	Token   *TokenRecord // nil: it carries no token
	TokenID string       // empty: it carries no token
	Replay  bool         // its request id has come before

	request *RequestRecord // nil: the request has no id
	id      string
}

// Violation writes down what must never happen.
func (l *Ledger) Violation(format string, args ...any) {
	if len(l.violations) == maxViolations {
		l.moreViolations++
		return
	}
	l.violations = append(l.violations, fmt.Errorf("testserver: "+format, args...))
}

// Check joins the violations, in the order in which they happened.
func (l *Ledger) Check() error {
	errs := slices.Clone(l.violations)
	if l.moreViolations > 0 {
		errs = append(errs, fmt.Errorf("testserver: and %d more", l.moreViolations))
	}
	return errors.Join(errs...)
}

// An Arrival is a request that has come.
type Arrival struct {
	RequestID string // as the client sent it; an overlong one counts as none
	Value     string // the token that it carries; empty: none
	Token     Token  // what that says
	Malformed bool   // it says nothing
	Endpoint  bool   // the request is for a token endpoint, where no id is expected
}

// Arrive writes down which token a request carries, and compares it with those that came under the
// same id.
func (a *Authority) Arrive(in Arrival) Attempt {
	l := &a.Ledger
	var at Attempt
	if in.Value != "" {
		at.TokenID = ID(in.Value)
		at.Token = a.meet(at.TokenID, in.Token)
		at.Token.Uses++
	}
	if in.RequestID == "" || len(in.RequestID) > maxRequestID {
		if !in.Endpoint {
			l.Unnamed++
		}
		return at
	}
	r, ok := l.Requests.Get(in.RequestID)
	if !ok {
		r = &RequestRecord{}
	}
	at.request, at.id = r, in.RequestID
	r.Attempts++
	at.Replay = r.Attempts > 1
	if len(r.Tokens) < maxAttempts {
		r.Tokens = append(r.Tokens, at.TokenID)
	}
	l.Requests.Put(at.id, r, len(at.id)+64*len(r.Tokens)) // a token's id twice: as sent and as rejected
	if at.Token == nil {
		return at
	}
	if slices.Contains(r.rejected, at.TokenID) {
		l.Violation("request %q was replayed with token %s, with which it had been rejected", at.id, at.TokenID)
	}
	if in.Malformed {
		return at
	}
	switch {
	case r.user == nil:
		user := in.Token.User // a copy: a pointer into in would keep all of it, the token included
		r.user = &user
	case *r.user != in.Token.User:
		l.Violation("request %q of %s was replayed with a token of %s", at.id, whose(*r.user), whose(in.Token.User))
	}
	return at
}

func whose(user string) string {
	if user == "" {
		return "a server"
	}
	return fmt.Sprintf("user %q", user)
}

// meet returns the record of a token that has just arrived, and makes one for a token that is new.
func (a *Authority) meet(id string, t Token) *TokenRecord {
	rec, ok := a.Ledger.Tokens.Get(id)
	if !ok {
		a.serial++
		rec = &TokenRecord{User: t.User, serial: a.serial}
		a.Ledger.Tokens.Put(id, rec, 0)
		if a.Met != nil {
			a.Met(id, t, rec)
		}
	}
	if rec.FirstUsed.IsZero() {
		rec.FirstUsed = time.Now()
	}
	return rec
}

// Reject writes down that the attempt's token was judged and rejected.
func (l *Ledger) Reject(at Attempt, why string) {
	l.Rejected++
	t := at.Token
	if t == nil {
		return
	}
	t.Rejections++
	if t.FirstRejected.IsZero() {
		t.FirstRejected, t.Rejection = time.Now(), why
	}
}

// Effect writes down that the attempt has changed something, by the operation op.
func (l *Ledger) Effect(at Attempt, op string) {
	l.Effects++
	r := at.request
	if r == nil {
		return
	}
	r.Effects++
	if r.Effects > 1 {
		l.Violation("request %q (%s) took effect %d times", at.id, op, r.Effects)
	}
}

// AnswerRejection writes down that the client is about to be told: only then must it not come back
// with the same token.
func (l *Ledger) AnswerRejection(at Attempt) {
	if at.request == nil {
		return
	}
	at.request.Rejections++
	if at.Token != nil && len(at.request.rejected) < maxAttempts && !slices.Contains(at.request.rejected, at.TokenID) {
		at.request.rejected = append(at.request.rejected, at.TokenID)
	}
}
