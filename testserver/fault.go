package testserver

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"time"
)

// A Fault is what goes wrong with one request: see [Server.Fault] and [Guard.Fault]. The zero Fault
// is none, and faults combine. Those that matter happen in the order of the fields.
//
// Every delay ends when the request's context does (the client has gone) and when the server is
// closed. The request is cut off then; if the delay was a Hold, with its effect in place.
type Fault struct {
	// Latency passes after the request has arrived as a whole and before it is judged.
	Latency time.Duration

	// Hang leaves the request without an answer and without an effect until the client gives up.
	Hang bool

	// Cut closes the connection without an answer, at one of two moments. On HTTP/2 it resets the
	// stream.
	Cut Cut

	// Answer, if not nil, answers in place of anything else, with what nothing here would say: a
	// firewall's page of HTML, an error with status 200, half a token. No token is judged, nothing
	// takes effect, and Status, Code, Location and RetryAfter have no meaning.
	Answer http.Handler

	// Status, if not 0, is answered in place of anything else: no token is judged and nothing takes
	// effect. The body is an API error with code Code, or by Status where that is 0 (401: 40, 403:
	// 17, 404: 16, 429: 9, other 4xx: 4, 5xx: -1); at POST /token and everywhere at a [Guard],
	// which has no codes, it is an OAuth error, and below 400 it is an empty answer. A 401 counts
	// as a rejection of the token that was sent, and a Guard's looks like any other, except at its
	// endpoints.
	Status int
	Code   int

	// Location goes into the answer: together with a Status of 3xx it redirects.
	Location string

	// RetryAfter goes into the answer, in seconds and rounded up, if it is positive.
	RetryAfter time.Duration

	// Dead makes the token that this request buys at a token endpoint or POST /api/v2/guest dead on
	// arrival: revoked already.
	Dead bool

	// Hold passes between the request's effect and its answer: a token that was minted arrives with
	// so much of its life gone.
	Hold time.Duration

	// HoldRejection passes between the rejection of the request's token and the 401 that says so,
	// on top of Hold: it makes a 401 late, and no other answer.
	HoldRejection time.Duration

	// Socket happens to the socket that this request opens at a Server. Up to there all of the
	// above is as with any request, the socket's first event in place of the answer: Status rejects
	// the handshake, CutAfter breaks the connection instead of connection.ok.
	Socket SocketFault
}

// A SocketFault is what goes wrong with a socket that has been opened: see [Fault]. The zero
// SocketFault is none. What can go wrong with all sockets at a moment of the test's choosing is
// [Server.CloseSockets].
type SocketFault struct {
	// After is how long after connection.ok it happens.
	After time.Duration

	// Close, if not 0, is the code with which the connection is closed (RFC 6455 section 7.4). 1006
	// breaks it without one, which is what that code says to a client. Stream's clients take 1000
	// for final and reconnect after any other.
	Close int

	// Silent keeps the connection open, and from then on the server sends nothing and answers
	// nothing, pings included. It has no meaning together with Close.
	Silent bool
}

// A Cut says when a connection is closed without an answer.
type Cut int

const (
	NoCut     Cut = iota
	CutBefore     // before the request has any effect, and before its token is judged
	CutAfter      // after its effect, in place of the answer
)

// arrive lets pass what a fault puts ahead of the judgement. It returns false if there is to be no
// answer. done is closed when the server is.
func (f Fault) arrive(ctx context.Context, done <-chan struct{}) bool {
	if !wait(ctx, done, f.Latency) {
		return false
	}
	if f.Hang {
		select { // until the client gives up
		case <-ctx.Done():
		case <-done:
		}
		return false
	}
	return f.Cut != CutBefore
}

// hold lets pass what a fault puts between a request's effect, or its rejection, and its answer. It
// returns false if there is to be no answer.
func (f Fault) hold(ctx context.Context, done <-chan struct{}, rejected bool) bool {
	d := f.Hold
	if rejected {
		d += f.HoldRejection
	}
	return wait(ctx, done, d) && f.Cut != CutAfter
}

// setHeader puts into an answer what the fault says.
func (f Fault) setHeader(h http.Header) {
	if f.Location != "" {
		h.Set("Location", f.Location)
	}
	if f.RetryAfter > 0 {
		h.Set("Retry-After", seconds(f.RetryAfter))
	}
}

// wait lets d pass. It returns early when ctx or done is done, and false then: the request is over.
func wait(ctx context.Context, done <-chan struct{}, d time.Duration) bool {
	if d <= 0 {
		select {
		case <-done:
			return false
		default:
			return ctx.Err() == nil
		}
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	case <-done:
		return false
	}
}

// seconds returns d in whole seconds, rounded up, as Retry-After wants it.
func seconds(d time.Duration) string { return strconv.FormatFloat(math.Ceil(d.Seconds()), 'f', 0, 64) }

// cut ends the request without an answer: net/http closes its connection, or resets its stream.
func cut() { panic(http.ErrAbortHandler) }
