package testserver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/stayauth/stayauth/testserver/internal/login"
)

// A visit is one request on its way through a Guard.
type visit struct {
	r       *http.Request
	fault   Fault
	attempt login.Attempt // its place in the ledger
	token   login.Token   // what its token says
	reason  Reason        // why it has none, or one that says nothing; "" otherwise

	// For the page, if there is one:
	start     time.Time
	tokenCall bool   // it is for the token endpoint
	status    int    // that was answered; 0: none so far
	rejected  bool   // for its token
	asker     string // who asks for a token, as far as that can be told before the answer
	issued    login.Grant
	about     string // a request to an endpoint: what it asked for, and what was wrong with it
}

// An endpoint is one of the guard's own.
type endpoint func(w http.ResponseWriter, v *visit)

func (g *Guard) routes() map[string]endpoint {
	routes := map[string]endpoint{g.Prefix + tokenPath: g.serveToken, g.Prefix + "/revoke": g.serveRevoke}
	if g.ApproveAs != "" {
		routes[g.Prefix+"/authorize"] = g.serveAuthorize
		routes[g.Prefix+"/device_authorization"] = g.serveDevice
		routes[g.Prefix+devicePath] = g.serveDevicePage
		routes[metadataPath+g.Prefix] = g.serveMetadata
	}
	return routes
}

const (
	tokenPath  = "/token"
	devicePath = "/device"
)

// ServeHTTP answers one request. It implements [http.Handler].
//
// It panics with [http.ErrAbortHandler] to cut a connection, as net/http provides for.
func (g *Guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.init()
	v := &visit{r: r, start: time.Now(), tokenCall: g.isTokenCall(r)}
	if g.Fault != nil {
		v.fault = g.Fault(r)
	}
	serve, own := g.endpoints[r.URL.Path]
	page := g.page.Load()
	if page != nil {
		v.fault = page.fault(v.fault, v.tokenCall)
		defer page.tellVisit(v, own) // also if it is cut off
	}
	g.record(v, own)
	if page != nil && v.tokenCall {
		v.asker = page.asked(r, peek(r))
	}
	if v.fault.Latency > 0 || v.fault.Hang {
		readAhead(r) // net/http notices that a client has gone only once the body was read
	}
	if !v.fault.arrive(r.Context(), g.done) {
		cut()
	}
	switch {
	case v.fault.Answer != nil:
		g.release(v, false)
		v.status = http.StatusOK // or whatever Answer says
		v.fault.Answer.ServeHTTP(w, r)
	case v.fault.Status == http.StatusUnauthorized && !own:
		g.reject(w, v, Revoked)
	case v.fault.Status != 0:
		g.release(v, false)
		v.status = v.fault.Status
		v.fault.setHeader(w.Header())
		writeFault(w, v.fault.Status)
	case own:
		a := &answer{ResponseWriter: w, guard: g, visit: v}
		serve(a, v)
		a.end()
	default:
		g.admit(w, v)
	}
}

// record writes down that a request has come, and with which token.
func (g *Guard) record(v *visit, own bool) {
	in := login.Arrival{RequestID: v.r.Header.Get(RequestID), Endpoint: own}
	if !own {
		in.Value = g.sent(v.r)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.authority.Ledger.Arrived++
	if v.tokenCall {
		g.authority.Ledger.TokenCalls++
	}
	if in.Value == "" {
		v.reason = NoToken
	} else {
		var err error
		if v.token, err = g.authority.Parse(in.Value); err != nil {
			v.reason = Malformed
		}
		in.Token, in.Malformed = v.token, !v.token.Signed // of what others have signed nothing is believed
	}
	v.attempt = g.authority.Arrive(in)
}

func (g *Guard) isTokenCall(r *http.Request) bool { return r.URL.Path == g.Prefix+tokenPath }

// sent returns the token that a request carries, or "".
func (g *Guard) sent(r *http.Request) string {
	if g.Token != nil {
		return g.Token(r)
	}
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimLeft(value, " ")
}

// admit judges a request that is for Next, and serves it or rejects it.
func (g *Guard) admit(w http.ResponseWriter, v *visit) {
	if g.Public != nil && g.Public(v.r) {
		v.token = login.Token{} // it was not judged
	} else if reason := g.judge(v); reason != "" {
		g.reject(w, v, reason)
		return
	}
	a := &answer{ResponseWriter: w, guard: g, visit: v, counts: !isSafe(v.r.Method)}
	r := v.r.WithContext(context.WithValue(v.r.Context(), userKey{}, v.token.User))
	if g.Next == nil {
		_, _ = fmt.Fprintln(a, v.token.User) // an error means that the client has gone
	} else {
		g.Next.ServeHTTP(a, r)
	}
	a.end()
}

// judge returns why a request's token is not good, or "".
func (g *Guard) judge(v *visit) Reason {
	if v.reason != "" {
		return v.reason
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return reasonOf(g.authority.Judge(v.token, v.attempt.Token, false))
}

// reject answers a request whose token is not good.
func (g *Guard) reject(w http.ResponseWriter, v *visit, reason Reason) {
	if !readAhead(v.r) {
		// Some clients miss an answer that comes while they send, so a short body is read first. A
		// longer one, or one that may never end, is answered at once: by itself net/http would
		// first read 256 KiB of it, unless the connection ends anyway.
		w.Header().Set("Connection", "close")
	}
	g.mu.Lock()
	g.authority.Ledger.Reject(v.attempt, string(reason))
	g.mu.Unlock()
	g.release(v, true)
	g.mu.Lock()
	g.authority.Ledger.AnswerRejection(v.attempt)
	g.mu.Unlock()
	v.rejected, v.status = true, http.StatusUnauthorized // or whatever Reject answers
	v.fault.setHeader(w.Header())
	if g.Reject != nil {
		g.Reject(w, v.r, reason)
	} else {
		reject(w, v.r, reason)
	}
}

// release lets pass what a fault puts ahead of an answer, and cuts the request off if there is to
// be none.
func (g *Guard) release(v *visit, rejected bool) {
	if !v.fault.hold(v.r.Context(), g.done, rejected) {
		cut()
	}
}

// readAhead reads a body that is known to be short, and puts what it has read in its place. It
// returns false for any other.
func readAhead(r *http.Request) bool {
	switch {
	case r.ContentLength == 0:
		return true
	case r.ContentLength < 0 || r.ContentLength > maxBody:
		return false
	}
	data, err := io.ReadAll(r.Body)
	if err != nil {
		cut() // the client left in the middle of it
	}
	r.Body = io.NopCloser(bytes.NewReader(data))
	return true
}

// isSafe reports whether a method promises to change nothing (RFC 9110 section 9.2.1).
func isSafe(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "TRACE":
		return true
	}
	return false
}

type userKey struct{}

// UserOf returns whose token a request carried: for [Guard.Next]. It is empty for a request that
// has not come through a Guard.
func UserOf(r *http.Request) string {
	user, _ := r.Context().Value(userKey{}).(string)
	return user
}
