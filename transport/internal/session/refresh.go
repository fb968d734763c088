package session

import (
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/stayauth/stayauth/provider"
)

// A Phase is what the refresh is doing.
type Phase string

const (
	Idle    Phase = ""        // none is under way
	Pausing Phase = "pausing" // the next call of the provider is not due yet
	Calling Phase = "calling" // the provider is at work
)

// A refresh is one exchange of a token for the next. It belongs to none of the requests that wait
// for it.
type refresh struct {
	phase     Phase
	number    int64
	reason    Reason
	rejection *Rejection // the response that made it necessary, or nil
	began     Instant
	deadline  time.Duration // of the monotonic clock: Timeout from began, and later by the pauses after dead tokens
	wake      Instant       // when the phase ends, or is to be looked at
	attempts  int           // calls of the provider so far
	said      error         // the error of the last of them, if another is to follow
	pace      backoff.BackOff
	reentered bool // the provider has waited for itself

	call
}

// A call is one call of the provider. It may outlast the refresh that made it.
type call struct {
	out    bool // the provider has not returned
	left   bool // and a refresh has gone on without it
	hinted bool // it has said when the next is worthwhile
	called Instant
	old    provider.Token
}

// A Reason says why a refresh was begun.
type Reason string

const (
	ReasonInitial  Reason = "initial"
	ReasonEarly    Reason = "early"
	ReasonExpired  Reason = "expired"
	ReasonRejected Reason = "rejected"
	ReasonLate     Reason = "late"
)

// LongestRetry is the longest pause between the calls of one refresh: Pace ends with it.
const LongestRetry = 5 * time.Second

// slow is how long the provider may take before that is reported, and how often it is.
const slow = 5 * time.Second

// A Call is a call of the provider that is to be made. If an earlier one is still under way it is
// joined instead.
type Call struct {
	Old   provider.Token
	Why   *Rejection    // of Old; nil if it was not rejected
	Limit time.Duration // how long its context lasts
}

// An Answer is what the provider returned: a token that is fit to be sent, or an error that is safe
// to be looked at.
type Answer struct {
	Token      provider.Token
	Err        error
	Permanent  bool          // there will never be a token
	Final      bool          // asking again within this refresh can't help
	RetryAfter time.Duration // not to be asked again before this has passed; 0: nothing was said
}

// What Ready reports.
type (
	// Started: the provider is about to be asked.
	Started struct {
		Refresh int64 // its number
		Reason  Reason
	}
	// Retrying: the provider has failed, and is asked again.
	Retrying struct {
		Refresh int64
		Reason  Reason
		Attempt int
		Err     error
		RetryIn time.Duration
	}
	// Slow: the provider has been at work for a while.
	Slow struct {
		Reason Reason
		Ago    time.Duration // since it was called
	}
	// Refreshed: the refresh is over, or the provider has returned the rejected token again.
	Refreshed struct {
		Refresh   int64
		Reason    Reason
		Attempts  int
		Duration  time.Duration
		Unchanged bool // it returned the token that it was to replace
		Again     bool // and is asked again
		Message   string
		Expiry    time.Time
		Err       *Error // nil if there is a token
		Ended     bool   // the session is over
	}
	// Ended: the session is over.
	Ended struct{ Err *Error }
)

func (s *Session) report(e any) { s.ready.Reports = append(s.ready.Reports, e) }

// beginEarly begins a refresh while the token lives, or puts it off.
func (s *Session) beginEarly(now Instant) {
	if !now.Reached(s.notBefore) && !s.out {
		s.putOff(s.notBefore)
		return
	}
	s.askingEarly()
	s.begin(now, ReasonEarly, nil)
}

func (s *Session) begin(now Instant, reason Reason, why *Rejection) {
	s.refresh = refresh{number: s.number + 1, reason: reason, rejection: why, began: now, deadline: now.Run + s.Timeout, pace: s.Pace(), call: s.call}
	s.proceed(now)
}

// proceed calls the provider, or sits out the time in which it may not be called: a dead token's,
// or its own RetryAfter.
func (s *Session) proceed(now Instant) {
	dead := max(now.Until(s.due()), 0)
	busy := max(now.Until(s.notBefore), 0)
	switch {
	case s.out:
		s.ask(now) // it joins
	case dead > 0 && s.strikes > Patience:
		s.done(s.view, s.untilDue()) // too late to be waited for
	case busy == 0 && now.Run >= s.deadline:
		s.timeout(now)
	case now.Run+busy > s.deadline:
		s.fail(now, Answer{Err: s.busy})
	case dead > 0 || busy > 0:
		s.phase, s.wake = Pausing, now.Add(max(dead, busy))
		s.deadline += dead
	default:
		s.ask(now)
	}
}

// ask has the provider called, or the call joined that is under way.
func (s *Session) ask(now Instant) {
	if s.said == nil {
		s.report(Started{s.number, s.reason})
	}
	s.phase, s.wake = Calling, now.Add(slow)
	s.attempts++
	s.ready.Call = &Call{Limit: s.deadline - now.Run}
	if s.view != nil {
		s.ready.Call.Old = s.view.Token
		if !s.live {
			s.ready.Call.Why = s.why
		}
	}
	if !s.out {
		s.counts.Calls++
		s.call = call{out: true, called: now, old: s.ready.Call.Old}
	}
}

// Tick notes that time has passed. It is called at Ready's Wake; at any other time it does no harm.
func (s *Session) Tick(now Instant) {
	switch {
	case s.phase == Idle:
	case now.Run >= s.deadline:
		s.timeout(now)
	case !now.Reached(s.wake):
	case s.phase == Calling:
		s.report(Slow{s.reason, now.since(s.called)})
		s.wake = now.Add(slow)
	default:
		s.proceed(now)
	}
}

// timeout ends the refresh because its time is up. A call that is under way is left behind.
func (s *Session) timeout(now Instant) {
	e := &TimeoutError{After: s.Timeout, Last: s.said}
	if s.phase == Calling {
		s.left, e.Called = true, s.called.Wall
	}
	s.fail(now, Answer{Err: e})
}

// Answered notes what the provider's call has come to. An answer that comes after the refresh has
// gone on without it counts as well: the refresh token that it carries may be the only one.
func (s *Session) Answered(now Instant, a Answer) {
	awaited := s.phase == Calling
	if a.Err != nil && awaited && now.Run >= s.deadline {
		// What the provider says at the end of its time is mostly that its time has ended. Whether
		// that or the end itself is seen first is a matter of chance, and those who wait are told
		// the same.
		s.timeout(now)
	}
	s.out, s.left, s.hinted = false, false, a.RetryAfter > 0
	late := s.phase != Calling
	switch {
	case s.closed:
		return
	case s.overtaken(awaited, a):
		if !late {
			s.proceed(now)
		}
		return
	case late:
		s.refresh = refresh{number: s.number + 1, reason: ReasonLate, began: s.called, attempts: 1, call: s.call}
	}
	if a.RetryAfter > 0 {
		s.holdOff(now, now.Add(a.RetryAfter), a.Err)
	}
	switch {
	case a.Err == nil:
		s.take(now, a.Token)
	case late && !a.Permanent: // the refresh has failed already
	case a.Permanent, a.Final:
		s.fail(now, a)
	case s.reentered:
		s.fail(now, Answer{Err: ErrReentry})
	case s.valid(now), // one call is all: what is left of the token's life is the time to try again
		s.hopeless(now, a.RetryAfter):
		s.fail(now, a)
	default:
		s.retry(now, a)
	}
}

// overtaken reports whether a token that was handed over meanwhile has made a void: it belongs to
// another login, or nothing but that token depends on it, because no refresh token is in play. An
// answer that a refresh awaits is the refresh's, except one that would end the session.
func (s *Session) overtaken(awaited bool, a Answer) bool {
	switch {
	case s.view == nil || s.view.Token.Value() == s.old.Value():
		return false
	case s.view.Token.RefreshToken() != s.old.RefreshToken():
		return true
	}
	return s.old.RefreshToken() == "" && (!awaited || a.Permanent)
}

// hopeless reports whether the next call would be due only after the refresh's end, or after a time
// that is too long to be waited for.
func (s *Session) hopeless(now Instant, retryAfter time.Duration) bool {
	dead := now.Until(s.due())
	return dead > 0 && s.strikes > Patience || now.Run+max(dead, retryAfter) > s.deadline
}

// retry pauses before the next call, or for what is left of the refresh's time.
func (s *Session) retry(now Instant, a Answer) {
	wait := max(s.pace.NextBackOff(), a.RetryAfter, now.Until(s.due()))
	s.phase, s.said, s.wake = Pausing, a.Err, now.Add(wait)
	if now.Run+wait < s.deadline {
		s.report(Retrying{s.number, s.reason, s.attempts, a.Err, wait})
	}
}

// take makes tok, which has just arrived, the token.
func (s *Session) take(now Instant, tok provider.Token) {
	s.failures, s.failure = 0, nil
	e := Refreshed{Unchanged: s.view != nil && s.view.Token.Value() == tok.Value()}
	switch {
	case e.Unchanged && !s.live:
		// The rejected token, once more. It is not sent, except by the rule for tokens that are
		// rejected too often.
		why := s.why
		s.receive(now, tok, 0, s.Jitter)
		s.reject(why)
		s.strikes++
		e.Again = s.strikes <= Patience && s.phase == Calling
	case e.Unchanged && s.valid(now) && !s.prolongedBy(now, tok):
		s.askAgain(now, tok, Instant{}) // its refresh token may be new
	default:
		if s.live && !e.Unchanged && (s.asked > 0 || s.stood(now)) { // the old one stood until its early refresh, or long enough
			s.strikes = 0
		}
		e.Unchanged = false
		s.receive(now, tok, now.since(s.called), s.Jitter)
	}
	if e.Unchanged {
		s.counts.Unchanged++
	} else {
		s.counts.Refreshed++
	}
	s.tell(now, e)
	if e.Again {
		s.said, s.pace = nil, s.Pace()
		s.proceed(now)
		return
	}
	var err error
	if !s.live {
		err = s.untilDue()
	}
	s.done(s.view, err)
}

// fail ends the refresh without a token.
func (s *Session) fail(now Instant, a Answer) {
	e := &Error{Permanent: a.Permanent, Attempts: s.attempts, Err: a.Err}
	if s.rejection != nil {
		e.StatusCode, e.Message = s.rejection.Status, s.rejection.Message
	}
	valid := s.valid(now) // as good as before, whatever the refresh came to
	switch {
	case a.Permanent:
		s.counts.FailedPermanently++
		s.doom, s.ended = e, !valid
		s.askNoMore()
	case valid:
		s.counts.Failed++
		s.askAgain(now, s.view.Token, s.notBefore)
	default:
		s.counts.Failed++
		s.failures++
		s.failure = e
		s.pausedTo = now.later(now.Add(failurePause(s.failures, s.hinted)), s.notBefore)
		e.NextTry = s.pausedTo.Wall
	}
	s.tell(now, Refreshed{Err: e, Ended: s.ended})
	if valid {
		s.done(s.view, nil)
	} else {
		s.done(nil, e)
	}
}

// done ends the refresh. Those who waited go out under v, or fail with err. If one event ends two,
// because an answer comes just when the time is up, they have waited for the first.
func (s *Session) done(v *View, err error) {
	s.phase, s.said, s.reentered = Idle, nil, false
	if s.ready.Done == nil {
		s.ready.Done = &Done{v, err}
	}
}

// tell reports e, with what is known of the refresh.
func (s *Session) tell(now Instant, e Refreshed) {
	e.Refresh, e.Reason, e.Attempts, e.Duration = s.number, s.reason, s.attempts, now.since(s.began)
	if s.rejection != nil {
		e.Message = s.rejection.Message
	}
	if s.valid(now) {
		e.Expiry = s.expiry.Wall
	}
	s.report(e)
}

// holdOff notes a RetryAfter, and sees to it that the pause after a failure is no shorter.
func (s *Session) holdOff(now, until Instant, err error) {
	s.notBefore, s.busy = until, err
	if s.failure != nil && now.later(s.pausedTo, s.notBefore) != s.pausedTo {
		e := *s.failure // others have the old one
		s.pausedTo, e.NextTry = s.notBefore, s.notBefore.Wall
		s.failure = &e
	}
}

// untilDue is what those get who need a valid token, while tokens are rejected one after another.
func (s *Session) untilDue() *Error {
	due := s.due().Wall
	e := &Error{Err: &RejectedError{s.strikes, due}, NextTry: due}
	if s.why != nil {
		e.StatusCode, e.Message = s.why.Status, s.why.Message
	}
	return e
}

// failurePause is how long requests fail at once after the nth refresh in a row that brought
// nothing. If the provider has said when it is worth asking again, that counts and not a guess, but
// however little it says, a long outage is not met with more calls than within a refresh.
func failurePause(n int, hinted bool) time.Duration {
	first, longest := 100*time.Millisecond, 30*time.Second
	if hinted {
		longest = LongestRetry
	}
	if n > 9 { // 100 ms << 9 is past the longest
		return longest
	}
	return min(first<<(n-1), longest)
}
