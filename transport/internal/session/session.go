// Package session decides what a client that stays logged in does next.
//
// A [Session] is a state machine. Its methods are the events: each gets the time and what has
// happened, changes the Session, and leaves in [Session.Ready] what is to be done about it. A
// Session has no clock, no lock and no goroutine, and calls no one else's code, so that every
// decision can be tested by saying what happened when. Its owner calls one method at a time and
// then does what Ready says.
//
// Time is an [Instant]: what the wall clock and the monotonic clock show. Each pause and each
// token's life is over as soon as either says so, and only the time limit of a refresh is measured
// by the monotonic clock alone.
//
// # What a request gets
//
// It depends on how the token stands and on what the refresh is doing. A request "needs" a token if
// it may not go out under the one that is there.
//
//	token                    no refresh under way        a refresh under way
//	none                     need: begin, wait (1)       need: wait
//	valid                    go                          go (2)
//	ending                   go, begin (2)               go (2)
//	expired                  need: begin, wait (1)       need: wait
//	rejected                 need: begin, wait (1)       need: wait
//	rejected too often
//	  first sending          go, begin when due (2)      go (2)
//	  ... and expired too    go; need when due           need: wait
//	  rejected itself        stop; need when due         need: wait
//	  Token                  fail; need when due         need: wait
//	ended                    fail                        -
//	closed                   fail; rejected itself: stop
//
//	go: send under the token at hand     stop: the answer that it has is its answer
//	(1) fail, with the last refresh's error, in the pause after a refresh that failed
//	(2) but wait, if its body can be sent only once and a refresh is under way
//	The provider's own request fails instead of waiting for itself.
//
// # What a refresh does
//
//	phase      begin              answer: token        answer: error          time is up
//	idle       pausing, calling   take it, if late     (it came too late)     -
//	pausing    -                  -                    -                      calling; idle at the deadline
//	calling    -                  idle; pausing (3)    idle; pausing (4)      idle, and the call is left behind
//
//	(3) if it is the rejected one again
//	(4) if it is temporary, a token is needed, and there is time for another call
//
// A refresh that begins while a call is left behind joins it: its phase is calling at once. Close
// ends every refresh, a token that was handed over ends it with that token.
package session

import (
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/stayauth/stayauth/provider"
)

// A Session is one login: its token, and the refresh that gets the next.
type Session struct {
	// Timeout bounds a refresh. The pauses after dead tokens come on top.
	Timeout time.Duration
	// Jitter returns something between 0 and its argument.
	Jitter func(time.Duration) time.Duration
	// Pace returns the pauses between the calls of one refresh.
	Pace func() backoff.BackOff

	life            // the token
	strikes  int    // rejections since a replay was last accepted, or a token stood for long enough
	doom     *Error // why there will be no other token: the session ends with the one that it has
	ended    bool   // it has, and that was reported
	closed   bool
	refresh         // what is under way
	failure  *Error // why the last refresh failed; nil once one succeeds
	failures int    // in a row
	pausedTo Instant

	notBefore Instant // the provider said RetryAfter: it is not called sooner
	busy      error   // and this is what it said

	ready  Ready
	counts Counts
}

// Ready is what is to be done after an event, in the order of its fields.
type Ready struct {
	View    *View         // what requests may go out under without asking; nil: they have to ask
	Reports []any         // what to tell: Started, Retrying, Slow, Refreshed, Ended
	Done    *Done         // the refresh is over: wake all who wait
	Call    *Call         // call the provider, or join the call that is under way, and tell Answered
	Wake    time.Duration // call Tick when the monotonic clock shows this; 0: no need to
}

// Done is what those get who waited. With both, View is for requests, and Err for those who need a
// valid token.
type Done struct {
	View *View
	Err  error
}

// Ready returns what is to be done, and forgets it.
func (s *Session) Ready() Ready {
	r := s.ready
	s.ready = Ready{}
	if s.live && !s.closed && !s.ended {
		r.View = s.view
	}
	if s.phase != Idle {
		r.Wake = min(s.wake.Run, s.deadline)
	}
	return r
}

// A Standing is how the token stands.
type Standing string

const (
	None             Standing = "none"
	Valid            Standing = "valid"
	Ending           Standing = "ending" // valid, and an early refresh is due
	Expired          Standing = "expired"
	Rejected         Standing = "rejected"
	RejectedTooOften Standing = "rejected too often"
	Over             Standing = "ended"
	Closed           Standing = "closed"
)

// Standing returns how the token stands.
func (s *Session) Standing(now Instant) Standing {
	switch {
	case s.closed:
		return Closed
	case s.ended || s.doom != nil && !s.valid(now): // whatever the clock shows afterwards
		return Over
	case s.view == nil:
		return None
	case !s.live && s.strikes > Patience:
		return RejectedTooOften
	case !s.live:
		return Rejected
	case s.expired(now):
		return Expired
	case s.ending(now):
		return Ending
	}
	return Valid
}

// A Need is what somebody wants of a token. The zero Need is that of a request that has not been
// sent yet.
type Need struct {
	Sent  *View      // the request was sent under this and rejected
	Why   *Rejection // by this answer
	Once  bool       // its body can be sent only once: a token that is about to end won't do if there is a better
	Valid bool       // it is not a request: only a token that is not known to be rejected will do
	Own   bool       // the provider itself wants it, from the call that is under way
}

// A Rejection is what is kept of the response that made a refresh necessary.
type Rejection struct {
	Status     int
	Message    string
	Challenges []provider.Challenge
}

// A Verdict says what somebody who wants a token does: go out under View, wait, or fail. With both
// View and Wait, they would rather wait. For a request that was rejected, the View that it was sent
// under means that its answer stands.
type Verdict struct {
	View *View
	Wait bool
	Err  error
}

// Want decides for somebody who wants a token.
func (s *Session) Want(now Instant, n Need) Verdict {
	s.Tick(now)
	switch s.Standing(now) {
	case Closed:
		if n.Sent != nil {
			return Verdict{View: n.Sent}
		}
		return Verdict{Err: ErrClosed}
	case Over:
		s.end()
		return Verdict{Err: s.doom}
	case Ending:
		if s.phase == Idle {
			s.beginEarly(now)
		}
		return s.under(n)
	case Valid:
		return s.under(n)
	case RejectedTooOften:
		return s.wantDespite(now, n)
	}
	return s.need(now, n)
}

// under lets n go out under the token at hand.
func (s *Session) under(n Need) Verdict {
	return Verdict{View: s.view, Wait: n.Once && !n.Own && s.phase != Idle}
}

// wantDespite decides while tokens are rejected one after another. Some endpoint rejects every
// token, and why should this one? So a request that was not rejected itself goes out under the last
// token, and only the others wait, when the next call is due.
func (s *Session) wantDespite(now Instant, n Need) Verdict {
	due := now.Reached(s.due())
	switch {
	case n.Sent == nil && !n.Valid && !s.expired(now):
		if due && s.phase == Idle && !s.paused(now) {
			s.begin(now, ReasonRejected, s.why)
		}
		return s.under(n)
	case due || s.phase != Idle:
		return s.need(now, n)
	case n.Sent != nil:
		return Verdict{View: n.Sent}
	case n.Valid:
		return Verdict{Err: s.untilDue()}
	}
	return Verdict{View: s.view}
}

// need decides for who may not go out under the token at hand.
func (s *Session) need(now Instant, n Need) Verdict {
	switch {
	case n.Own:
		s.reentered = true
		return Verdict{Err: ErrOwnClient}
	case s.phase != Idle:
		return Verdict{Wait: true}
	case s.paused(now):
		return Verdict{Err: s.failure}
	case s.view == nil:
		s.begin(now, ReasonInitial, nil)
	case s.live:
		s.begin(now, ReasonExpired, n.Why)
	case n.Why != nil:
		s.begin(now, ReasonRejected, n.Why)
	default:
		// The first that comes begins the refresh, and that need not be the request that was
		// rejected.
		s.begin(now, ReasonRejected, s.why)
	}
	return Verdict{Wait: true}
}

// paused reports whether those who need a token get the last refresh's error.
func (s *Session) paused(now Instant) bool { return s.failure != nil && !now.Reached(s.pausedTo) }

// Patience is the number of strikes through which requests wait for the next token.
const Patience = 3

// pauses is how long after a rejected token's arrival the provider may be asked again, by the
// number of strikes.
var pauses = [...]time.Duration{0, 0, 250 * time.Millisecond, time.Second, 4 * time.Second, 16 * time.Second, 30 * time.Second}

func pauseAfter(strikes int) time.Duration { return pauses[min(strikes, len(pauses)-1)] }

// due returns when the provider may be asked to replace the rejected token.
func (s *Session) due() Instant {
	if s.view == nil || s.live {
		return Instant{}
	}
	return s.arrived.Add(pauseAfter(s.strikes))
}

// A Strike is what a rejection came to.
type Strike struct {
	Late    bool          // the token had been replaced already
	Counted bool          // it was the first rejection of the current token
	Strikes int           // in a row, with this one
	Pause   time.Duration // how long until the provider may be asked
	Closed  bool          // there will be no other token
}

// Reject notes that the API rejected tok, and why. The rejected token itself is the witness of what
// has to be replaced.
func (s *Session) Reject(now Instant, tok provider.Token, why *Rejection) Strike {
	switch {
	case s.closed:
		return Strike{Closed: true}
	case s.ended || s.view == nil:
		return Strike{}
	case s.view.Token.Value() != tok.Value():
		return Strike{Late: true, Strikes: s.strikes}
	case !s.live:
		return Strike{Strikes: s.strikes}
	}
	if s.stood(now) {
		s.strikes = 0
	}
	s.strikes++
	s.reject(why)
	return Strike{Counted: true, Strikes: s.strikes, Pause: max(now.Until(s.due()), 0)}
}

// stood reports whether the token has gone unrejected for so long that it is no suspect, and
// neither are those before it: longer than the pause that another strike would bring. An endpoint
// that always rejects, and takes a second for it, lets every token stand for that second, hence the
// least.
func (s *Session) stood(now Instant) bool {
	return now.since(s.arrived) >= max(pauseAfter(s.strikes+1), pauseAfter(Patience+1))
}

// Accept notes that a replay under v was accepted, which clears its token of all suspicion, and
// returns how many strikes that has ended. A first sending proves nothing: an endpoint that always
// rejects would be absolved by every other one, and cost a refresh for each of its requests.
func (s *Session) Accept(v *View) (strikes int) {
	if s.live && s.view.Token.Value() == v.Token.Value() {
		strikes, s.strikes = s.strikes, 0
	}
	return strikes
}

// Give hands over a token that came by another way. It ends the refresh that is under way, and a
// session that had ended goes on. A token without a refresh token leaves the one at hand in force.
// Give reports whether the token was taken: it is not after Close, nor if it is the one that was
// rejected.
func (s *Session) Give(now Instant, tok provider.Token) bool {
	if s.closed || s.view != nil && !s.live && s.view.Token.Value() == tok.Value() {
		return false
	}
	if s.view != nil && tok.RefreshToken() == "" {
		tok = tok.WithRefreshToken(s.view.Token.RefreshToken())
	}
	s.doom, s.ended = nil, false
	s.failures, s.failure = 0, nil
	s.receive(now, tok, 0, s.Jitter)
	if s.phase != Idle {
		s.left = s.out
		s.done(s.view, nil)
	}
	return true
}

// Close ends the session on this side.
func (s *Session) Close() {
	s.closed = true
	if s.phase != Idle {
		s.done(nil, ErrClosed)
	}
}

// end reports the end of the session, once.
func (s *Session) end() {
	if !s.ended {
		s.ended = true
		s.report(Ended{s.doom})
	}
}

// Counts are for statistics.
type Counts struct {
	Refreshed, Unchanged, Failed, FailedPermanently int64 // refreshes, by what they came to
	Calls                                           int64 // of the provider
}

// A Status is for statistics. Its times are zero where there is nothing to tell.
type Status struct {
	Counts
	Strikes    int
	Expiry     time.Time // of the token at hand
	Refreshing Instant   // when the refresh under way began
	Hung       Instant   // when a call was made that a refresh has left behind
}

// Status returns how the session stands.
func (s *Session) Status() Status {
	t := Status{Counts: s.counts, Strikes: s.strikes}
	if s.phase != Idle {
		t.Refreshing = s.began
	}
	if s.out && s.left {
		t.Hung = s.called
	}
	if s.live && !s.closed && !s.ended {
		t.Expiry = s.expiry.Wall
	}
	return t
}

// Number returns the number of the refresh under way, or of the last one. The first has 1.
func (s *Session) Number() int64 { return s.number }

// Said returns what the provider last said in the refresh under way, or nil.
func (s *Session) Said() error { return s.said }
