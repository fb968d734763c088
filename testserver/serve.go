package testserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/stayauth/stayauth/testserver/internal/login"
)

// maxBody is how much of a request's body the server reads, uploads apart; the comment of Server
// names it.
const maxBody = 1 << 20

// An object is JSON that the server answers with.
type object map[string]any

// A route is one operation of the API.
type route struct {
	op     string // its name in error messages, such as AddActivity
	access access // who may call it

	// do makes the answer. s.mu is held from the judgement of the token until the answer is
	// encoded, so nothing can come between a token's judgement and the effect of its request, and
	// answers may refer to the server's state.
	do func(*call) (object, *failure)
}

// A call is one request on its way through the server.
type call struct {
	r       *http.Request
	route   route
	fault   Fault
	start   time.Time // by the real clock
	body    []byte
	bodyErr *failure // the body is too large

	// Written by recordArrival:
	attempt   login.Attempt // its place in the ledger
	token     login.Token   // what its token says
	malformed *failure      // why its token says nothing

	// Written by authenticate, for operations that need a token:
	user   string // the user whose token this is; empty for the other two
	server bool   // a server token

	quota quota // what is left of the rate limit; written by limit

	// For the page, if there is one:
	status    int    // that was answered; 0: none so far
	rejection bool   // the answer said that the token is rejected
	asker     string // who asks for a token, as far as that can be told before the answer
	issued    login.Grant
	why       string // it got no token
	told      bool   // the page knows of it
}

// ServeHTTP answers one request. It implements [http.Handler].
//
// It panics with [http.ErrAbortHandler] to cut a connection, as net/http provides for.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.init()
	s.mux.ServeHTTP(w, r)
}

// serve takes a request through its faults, its judgement and its effect to its answer.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, rt route) {
	c := &call{r: r, route: rt, start: time.Now()}
	if p := s.page.Load(); p != nil {
		defer p.tellCall(c) // also if it is cut off
	}
	s.arrive(c)
	s.finish(w, c)
}

// arrive takes a request through whatever happens before it is judged. It cuts the request off if
// that is its fault.
func (s *Server) arrive(c *call) {
	if s.Fault != nil {
		c.fault = s.Fault(c.r)
	}
	page := s.page.Load()
	if page != nil {
		c.fault = page.fault(c.fault, c.route.access == tokenEndpoint)
	}
	s.recordArrival(c)
	// The body comes before any delay: net/http notices that a client has gone only once the body
	// was read.
	if !c.readBody() {
		cut()
	}
	s.recordBody(c)
	if page != nil && c.route.access == tokenEndpoint {
		c.asker = page.asked(c.r, c.body)
	}
	if !c.fault.arrive(c.r.Context(), s.done) {
		cut()
	}
}

// finish judges the request, lets it take effect and answers it.
func (s *Server) finish(w http.ResponseWriter, c *call) {
	if c.fault.Answer != nil {
		if !s.hold(c, false) {
			cut()
		}
		c.r.Body = io.NopCloser(bytes.NewReader(c.body))
		c.status = http.StatusOK // or whatever Answer says
		c.fault.Answer.ServeHTTP(w, c.r)
		return
	}
	status, body, rejection := s.decide(c)
	if !s.hold(c, rejection) {
		cut()
	}
	s.recordAnswer(c, rejection)
	c.status, c.rejection = status, rejection
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store") // answers hold tokens (RFC 6749 section 5.1)
	c.quota.setHeader(h)
	c.fault.setHeader(h)
	w.WriteHeader(status)
	_, _ = w.Write(body) // an error means that the client has gone
}

// hold lets pass what a fault puts between a request's effect and its answer. It returns false if
// there is to be no answer.
func (s *Server) hold(c *call, rejection bool) bool {
	return c.fault.hold(c.r.Context(), s.done, rejection)
}

// readBody reads the request's body. It returns false if the client left in the middle of it.
func (c *call) readBody() bool {
	limit := c.bodyLimit()
	body, err := io.ReadAll(io.LimitReader(c.r.Body, limit+1))
	if int64(len(body)) > limit {
		c.bodyErr = &failure{status: 413, code: codeInput, inner: fmt.Sprintf("the request body is larger than %d bytes", limit)}
		_, err := io.Copy(io.Discard, c.r.Body) // or the client might see a broken connection instead of the answer
		return err == nil
	}
	c.body = body
	return err == nil
}

// decide judges the request, lets it take effect and encodes its answer, all at one moment.
func (s *Server) decide(c *call) (status int, body []byte, rejection bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		cut()
	}
	f := c.fault.failure()
	var ans object
	if f == nil {
		f = s.authenticate(c)
	}
	if f == nil {
		f = s.limit(c)
	}
	if f == nil {
		f = c.bodyErr
	}
	if f == nil {
		ans, f = c.route.do(c)
	}
	duration := c.duration()
	oauth := c.route.access == tokenEndpoint
	switch {
	case f == nil:
		status = c.successStatus()
		if !oauth {
			ans["duration"] = duration
		}
	case f.status < 400: // a redirect
		status, ans = f.status, object{"duration": duration}
	case oauth:
		status, ans = f.status, f.oauthBody()
	default:
		status, ans, rejection = f.status, f.body(c.route.op, duration), f.rejected
	}
	if rejection {
		s.recordRejection(c, f)
	}
	return status, encode(ans), rejection
}

// duration returns how long the call has taken, as answers say it.
func (c *call) duration() string {
	return fmt.Sprintf("%.2fms", float64(time.Since(c.start))/float64(time.Millisecond))
}

// encode returns the JSON of an answer or an event.
func encode(o object) []byte {
	b, err := json.Marshal(o)
	if err != nil {
		panic(err) // no answer holds anything that JSON can't
	}
	return b
}

// successStatus returns 201 for POST and PUT and 200 for the rest, as the API does; POST /token is
// not part of it.
func (c *call) successStatus() int {
	if c.route.access != tokenEndpoint && (c.r.Method == "POST" || c.r.Method == "PUT") {
		return http.StatusCreated
	}
	return http.StatusOK
}

// decode reads the request's body into v.
func (c *call) decode(v any) *failure { return decode(c.body, v) }

// decode reads a body into v. No body, and null, leave v alone: some SDKs send null where nothing
// is meant.
func decode(body []byte, v any) *failure {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	err := json.Unmarshal(body, v)
	if err == nil {
		return nil
	}
	// The decoder's own message may quote a value, and a value may be a secret.
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return badInput("the request body's field %q has the wrong type", e.Field)
	}
	return badInput("the request body is not valid JSON")
}
