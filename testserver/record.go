package testserver

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

const (
	maxRequestID  = 256 // bytes
	maxAttempts   = 100 // of one request whose tokens are listed
	maxViolations = 100 // that are spelled out
)

// A ledger is what the server writes down for [Ledger] and Check. The server's lock guards it.
type ledger struct {
	arrived, refused, effects, tokenCalls, issued, unnamed, sockets int

	requests       memory[*requestRecord]
	tokens         memory[*tokenRecord]
	violations     []error // the first ones
	moreViolations int     // how many came after them
}

// A requestRecord is what is known of one request id.
type requestRecord struct {
	attempts, refusals, effects int

	tokens  []string // each attempt's token, by id
	refused []string // the tokens with which this request was refused
	user    *string  // whose token came first, "" a server's; nil: none came so far
}

// A tokenRecord is what is known of one token.
type tokenRecord struct {
	user   string
	serial uint64 // orders the tokens by when they were minted here or first seen
	dead   bool   // on arrival, by [Fault.Dead]

	issued, firstUsed, firstRefused time.Time
	refusal                         string
	uses, refusals                  int
}

// An attempt is the place in the ledger of one arrival of a request. The records stay good when the ledger forgets them.
type attempt struct {
	request   *requestRecord // nil: the request has no id
	requestID string
	token     *tokenRecord // nil: it carries no token
	tokenID   string
}

func (l *ledger) violation(format string, args ...any) {
	if len(l.violations) == maxViolations {
		l.moreViolations++
		return
	}
	l.violations = append(l.violations, fmt.Errorf("testserver: "+format, args...))
}

// recordArrival writes down that the request has come, and with which token. A socket's token comes later, in its first frame.
func (s *Server) recordArrival(c *call) {
	s.mu.Lock()
	s.ledger.arrived++
	if c.route.access == tokenEndpoint {
		s.ledger.tokenCalls++
	}
	s.mu.Unlock()
	switch {
	case c.route.access == firstFrame:
	case c.route.access == tokenEndpoint && !s.Foreign:
		s.recordToken(c, "") // whatever it sends, it is no token of the API
	default:
		s.recordToken(c, sentToken(c.r))
	}
}

// recordToken writes down which token the request carries, and compares it with those that came under the same id.
func (s *Server) recordToken(c *call, value string) {
	c.token, c.malformed = s.parse(value)
	id := c.r.Header.Get(RequestID)

	s.mu.Lock()
	defer s.mu.Unlock()
	l := &s.ledger
	a := &c.attempt
	if value != "" {
		a.tokenID = TokenID(value)
		a.token = s.meet(a.tokenID, c.token)
		a.token.uses++
		if s.Foreign {
			l.violation("token %s reached a foreign server, with %s %s", a.tokenID, c.r.Method, c.r.URL.Path)
		}
	}
	if id == "" || len(id) > maxRequestID {
		if c.route.access != tokenEndpoint {
			l.unnamed++
		}
		return
	}
	r, ok := l.requests.get(id)
	if !ok {
		r = &requestRecord{}
	}
	a.request, a.requestID = r, id
	r.attempts++
	if len(r.tokens) < maxAttempts {
		r.tokens = append(r.tokens, a.tokenID)
	}
	l.requests.put(id, r, len(id)+64*len(r.tokens)) // a token's id twice: as sent and as refused
	if a.token == nil {
		return
	}
	if slices.Contains(r.refused, a.tokenID) {
		l.violation("request %q was replayed with token %s, with which it had been refused", id, a.tokenID)
	}
	if c.malformed != nil {
		return
	}
	switch {
	case r.user == nil:
		user := c.token.user // a copy: a pointer into c would keep all of it, body included
		r.user = &user
	case *r.user != c.token.user:
		l.violation("request %q of %s was replayed with a token of %s", id, whose(*r.user), whose(c.token.user))
	}
}

func whose(user string) string {
	if user == "" {
		return "a server"
	}
	return fmt.Sprintf("user %q", user)
}

// meet returns the record of a token that has just arrived, and makes one for a token that is new. s.mu is held.
func (s *Server) meet(id string, t token) *tokenRecord {
	rec, ok := s.ledger.tokens.get(id)
	if !ok {
		s.serial++
		rec = &tokenRecord{user: t.user, serial: s.serial}
		s.ledger.tokens.put(id, rec, 0)
	}
	if rec.firstUsed.IsZero() {
		rec.firstUsed = time.Now()
	}
	return rec
}

// recordBody looks for secrets in a body that has reached a foreign server.
func (s *Server) recordBody(c *call) {
	if !s.Foreign {
		return
	}
	var body struct {
		Session any `json:"session"`
		Refresh any `json:"refresh_token"`
	}
	_ = json.Unmarshal(c.body, &body) // anything else holds none
	s.mu.Lock()
	defer s.mu.Unlock()
	if body.Session != nil && body.Session != "" {
		s.ledger.violation("a session secret reached a foreign server, with %s %s", c.r.Method, c.r.URL.Path)
	}
	if body.Refresh != nil && body.Refresh != "" {
		s.ledger.violation("a refresh token reached a foreign server, with %s %s", c.r.Method, c.r.URL.Path)
	}
}

// recordRefusal writes down that the request's token was judged and refused. s.mu is held.
func (s *Server) recordRefusal(c *call, f *failure) {
	s.ledger.refused++
	t := c.attempt.token
	if t == nil {
		return
	}
	t.refusals++
	if t.firstRefused.IsZero() {
		t.firstRefused, t.refusal = time.Now(), f.inner
	}
}

// recordEffect writes down that the request has changed something. s.mu is held.
func (s *Server) recordEffect(c *call) {
	s.ledger.effects++
	r := c.attempt.request
	if r == nil {
		return
	}
	r.effects++
	if r.effects > 1 {
		s.ledger.violation("request %q (%s) took effect %d times", c.attempt.requestID, c.route.op, r.effects)
	}
}

// recordAnswer writes down that the client is about to be told: only then must it not come back with the same token.
func (s *Server) recordAnswer(c *call, refusal bool) {
	a := c.attempt
	if a.request == nil || !refusal {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a.request.refusals++
	if a.token != nil && len(a.request.refused) < maxAttempts && !slices.Contains(a.request.refused, a.tokenID) {
		a.request.refused = append(a.request.refused, a.tokenID)
	}
}
