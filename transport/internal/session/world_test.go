package session_test

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport/internal/journal"
	"github.com/stayauth/stayauth/transport/internal/session"
)

// A world is a Session with everything around it that it decides about: two clocks, a provider, those who wait. It is driven by
// steps, and after each it checks what must always hold. The checks are written from the laws, not from the code: the world keeps
// its own account of tokens, rejections, strikes and pauses.
type world struct {
	late bool

	s   *session.Session
	now session.Instant
	out *strings.Builder // what the steps came to, for people; nil: nobody reads it

	view     *session.View            // what requests go out under without asking
	views    map[string]*session.View // of each token that was ever shown
	wake     time.Duration
	current  string          // the token at hand
	stated   time.Time       // its end as it says
	login    string          // its refresh token
	dead     map[string]bool // tokens that were rejected while they were current
	arrived  session.Instant // when the current token came
	gone     bool            // the current token was rejected
	early    int             // early refreshes since it came
	tried    bool            // a refresh was tried since it came
	end      session.Instant // when it ends, if that is believed; else zero
	strikes  int             // by the law
	calling  bool            // the provider is at work
	replace  string          // the refresh token of the token that it is to replace
	replaced string          // and its value
	under    bool            // a refresh was under way after the last step
	joined   int             // how often a call was joined
	calls    int64           // of the provider
	told     int64           // refreshes whose outcome was reported
	waiting  int             // who wait
	since    session.Instant // since when the first of them does
	busy     session.Instant // RetryAfter: not before this
	pause    session.Instant // after failed refreshes: not before this
	failed   int             // failed refreshes in a row
	closed   bool            //
	over     error           // what everybody gets since the session has ended
	doomed   bool            // a permanent failure was told
	ended    int             // how often the end was told
	refresh  int64           // the number of the last refresh that was told
	worked   bool            // the last one that was told has brought a token
	log      log
}

const limit = 30 * time.Second

// epoch is when each world begins.
var epoch = session.Instant{Wall: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Run: time.Hour}

func newWorld() *world {
	return &world{now: epoch, views: map[string]*session.View{}, dead: map[string]bool{}, s: &session.Session{
		Timeout: limit,
		Jitter:  func(d time.Duration) time.Duration { return d / 2 },
		Pace: func() backoff.BackOff {
			return backoff.NewExponentialBackOff(backoff.WithInitialInterval(200*time.Millisecond), backoff.WithMultiplier(2),
				backoff.WithRandomizationFactor(0), backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
		},
	}}
}

// A broken is a law that does not hold.
type broken struct{ law, how string }

func (w *world) broken(law int, format string, args ...any) {
	panic(broken{fmt.Sprint("law ", law), fmt.Sprintf(format, args...)})
}

func (w *world) say(format string, args ...any) {
	if w.out != nil {
		fmt.Fprintf(w.out, "  "+format+"\n", args...)
	}
}

// do takes a step and reports the law that it breaks, if any.
func (w *world) do(s step) (b *broken) {
	defer func() {
		if v := recover(); v != nil {
			law, ok := v.(broken)
			if !ok {
				panic(v)
			}
			b = &law
		}
	}()
	switch s.verb {
	case "request", "upload", "token", "own", "again":
		w.want(s)
	case "reject":
		w.reject(s.token)
	case "accept":
		w.accept(s.token)
	case "answer", "fail":
		w.answer(s)
	case "give":
		w.give(s)
	case "close":
		w.closed = true
		w.s.Close()
		w.tell((*journal.Journal).Closed)
		w.act()
	case "pass":
		w.pass(s.d)
	case "late":
		w.now = w.now.Add(s.d)
		w.late = true
	case "suspend":
		w.now.Wall = w.now.Wall.Add(s.d)
	case "clock":
		w.now.Wall = w.now.Wall.Add(s.d)
	}
	return nil
}

// pass lets both clocks go on, with a Tick whenever one is asked for.
func (w *world) pass(d time.Duration) {
	target := w.now.Run + d
	w.late = false
	for w.wake != 0 && w.wake <= target {
		step := max(w.wake-w.now.Run, 0)
		w.now = w.now.Add(step)
		before := w.wake
		w.s.Tick(w.now)
		w.act()
		if w.wake == before {
			w.broken(4, "a tick at its time changes nothing: it would be asked for again at once, for ever")
		}
	}
	w.now = w.now.Add(target - w.now.Run)
}

// valid reports whether by the world's own account the token at hand is good for a request.
func (w *world) valid() bool {
	return w.current != "" && !w.gone && !w.closed && w.ended == 0 && (w.end.IsZero() || !w.now.Reached(w.end))
}

func (w *world) want(s step) {
	n := session.Need{Once: s.verb == "upload", Valid: s.verb == "token", Own: s.verb == "own"}
	if s.verb == "own" && !w.calling {
		w.say("the provider is not at work")
		return
	}
	if s.verb == "again" {
		if w.views[s.token] == nil {
			w.say("%s was never sent", s.token)
			return
		}
		n.Sent, n.Why = w.views[s.token], &session.Rejection{Status: 401, Message: "rejected " + s.token}
	}
	valid, waiting := w.valid(), w.waiting
	v := w.s.Want(w.now, n)
	w.say("%s", verdict(n, v))
	switch {
	case v.View == nil && !v.Wait && v.Err == nil:
		w.broken(3, "a verdict that says nothing")
	case w.closed && n.Sent != nil && v.View != n.Sent, w.closed && n.Sent == nil && v.Err != session.ErrClosed:
		w.broken(22, "after Close: %+v", v)
	case w.closed:
	case w.over != nil && v.Err != w.over:
		w.broken(6, "the session has ended with %v, and now it is %v", w.over, v.Err)
	case valid && (v.Err != nil || v.Wait && !n.Once || v.View == nil || v.View.Token.Value() != w.current):
		w.broken(3, "the token is valid, and the verdict is %+v", v)
	case n.Own && v.Wait:
		w.broken(9, "the provider waits for itself")
	case v.View != nil && v.View != n.Sent && w.gone && v.View.Token.Value() == w.current && (w.strikes <= session.Patience || n.Valid || n.Sent != nil):
		w.broken(7, "a rejected token is handed out after %d strikes, to %+v", w.strikes, n)
	case w.gone && w.strikes > session.Patience && w.over == nil && !w.doomed && !n.Once && !n.Valid && n.Sent == nil && !n.Own &&
		(w.end.IsZero() || !w.now.Reached(w.end)) && (v.View == nil || v.Wait):
		w.broken(7, "after %d strikes a request gets %+v", w.strikes, v)
	case v.View != nil && v.View != n.Sent && v.View.Token.Value() != w.current:
		w.broken(2, "%s is handed out, and %s is current", v.View.Token.Value(), w.current)
	}
	if e, ok := v.Err.(*session.Error); ok && e.Permanent {
		if !w.doomed {
			w.broken(6, "an end without a permanent failure")
		}
		w.over = v.Err
	}
	if e, ok := v.Err.(*session.Error); ok && !e.Permanent && w.now.Wall.After(e.NextTry) {
		w.broken(6, "the next try was %s ago", w.now.Wall.Sub(e.NextTry))
	}
	if v.Wait {
		if waiting == 0 || w.waiting == 0 {
			w.since = w.now
		}
		w.waiting++
	}
	w.act()
	if v.Err != nil {
		w.tell((*journal.Journal).Failing)
	}
	if left := w.now.Until(w.end); valid && !n.Own && !w.end.IsZero() && !w.tried && left <= min(w.arrived.Until(w.end)/5, time.Hour) &&
		w.s.Status().Refreshing.IsZero() && (w.busy.IsZero() || w.now.Reached(w.busy)) && !w.doomed {
		w.broken(3, "the token ends in %s, and no refresh is under way", left)
	}
}

func (w *world) reject(token string) {
	if w.views[token] == nil {
		w.say("%s was never sent", token)
		return
	}
	k := w.s.Reject(w.now, w.views[token].Token, &session.Rejection{Status: 401, Message: "rejected " + token})
	w.tell(func(j *journal.Journal, s journal.Scene) { j.Rejection(s, k, journal.Request{}) })
	switch {
	case w.closed:
	case token != w.current:
		if k.Counted {
			w.broken(2, "the late rejection of %s counts, and %s is current", token, w.current)
		}
	case !w.gone && w.ended == 0 && !k.Counted:
		w.broken(7, "the rejection of the current token does not count")
	}
	if k.Counted {
		if w.gone {
			w.broken(7, "a second rejection of one token counts")
		}
		stood := -w.now.Until(w.arrived)
		if stood >= max(4*time.Second, pauseAfter(w.strikes+1)) {
			w.strikes = 0
		}
		w.strikes++
		w.gone, w.dead[token] = true, true
		w.say("strike %d, the provider may be asked in %s", k.Strikes, k.Pause)
	} else {
		w.say("it is late, or known")
	}
	w.act()
}

// pauseAfter is law 7's table.
func pauseAfter(strikes int) time.Duration {
	return []time.Duration{0, 0, 250 * time.Millisecond, time.Second, 4 * time.Second, 16 * time.Second, 30 * time.Second}[min(strikes, 6)]
}

func (w *world) accept(token string) {
	if w.views[token] == nil {
		w.say("%s was never sent", token)
		return
	}
	n := w.s.Accept(w.views[token])
	if token == w.current && !w.gone {
		w.strikes = 0
	}
	w.say("%d strikes end", n)
	w.act()
}

// tokenOf makes the token of a step.
func (w *world) tokenOf(s step) provider.Token {
	value := s.token
	if value == "same" {
		value = w.current
	}
	if value == "" {
		value = "first"
	}
	var end time.Time
	if s.d != 0 {
		end = w.now.Wall.Add(s.d)
	}
	return provider.NewToken(value, end).WithLifetime(s.whole).WithRefreshToken(s.login)
}

// arrive notes that tok is the token at hand.
func (w *world) arrive(tok provider.Token) {
	same := tok.Value() == w.current
	if same && w.gone {
		w.strikes++ // the rejected token brought again is a strike
	} else {
		w.gone = false
	}
	if !same {
		w.tried = false
		w.early, w.over, w.doomed, w.ended = 0, nil, false, 0
	}
	w.current, w.login, w.stated = tok.Value(), tok.RefreshToken(), tok.Expiry()
	w.pause, w.failed = session.Instant{}, 0
}

// prolonged reports whether tok, which is the token at hand, lives longer than was known.
func (w *world) prolonged(tok provider.Token) bool {
	if tok.Expiry().IsZero() != w.stated.IsZero() {
		return true
	}
	return !w.end.IsZero() && tok.Expiry().Sub(w.stated) > max(time.Second, w.now.Until(w.end)/2)
}

func (w *world) answer(s step) {
	if !w.calling {
		w.say("the provider is not at work")
		return
	}
	var a session.Answer
	switch {
	case s.verb == "answer":
		a.Token = w.tokenOf(s)
	case s.how == "for good":
		a.Err, a.Permanent = errors.New("gone"), true
	case s.how == "broken":
		a.Err, a.Final = errors.New("it panicked"), true
	case s.how == "retry-after":
		a.Err, a.RetryAfter = errors.New("busy"), s.d
	default:
		a.Err = errors.New("a blip")
	}
	// Another token was handed over since, of another login, or one on which alone it depends.
	foreign := w.current != "" && w.current != w.replaced && (w.login != w.replace || w.replace == "" && (!w.under || a.Permanent))
	w.calling = false
	before, live := w.current, w.valid()
	if !w.closed && !foreign {
		switch {
		case a.Err == nil:
			stood := -w.now.Until(w.arrived) >= max(4*time.Second, pauseAfter(w.strikes+1))
			if before != "" && !w.gone && a.Token.Value() != before && (w.early > 0 || stood) {
				w.strikes = 0
			}
			if !live || a.Token.Value() != before || w.prolonged(a.Token) {
				w.arrived = w.now
			}
			w.arrive(a.Token)
		case a.RetryAfter > 0:
			w.busy = w.now.Add(a.RetryAfter)
		case a.Permanent:
			w.doomed = true
		}
	}
	w.s.Answered(w.now, a)
	if a.Err == nil && !w.closed && !foreign && !w.gone {
		if v := w.s.Ready0(); v == nil || v.Token.Value() != a.Token.Value() {
			w.broken(9, "the token %s has come, and is lost", a.Token.Value())
		}
	}
	w.act()
}

func (w *world) give(s step) {
	tok := w.tokenOf(s)
	want := !w.closed && !(w.gone && tok.Value() == w.current)
	if got := w.s.Give(w.now, tok); got != want {
		w.broken(22, "Give %s: %t, want %t", tok.Value(), got, want)
	}
	if !want {
		w.say("not taken")
		return
	}
	if tok.RefreshToken() == "" {
		tok = tok.WithRefreshToken(w.login)
	}
	w.tried = false
	w.early, w.over, w.doomed, w.ended = 0, nil, false, 0
	w.arrive(tok)
	w.arrived = w.now
	w.tell((*journal.Journal).Given)
	w.act()
}

// act does what the Session says, and checks that it may say so.
func (w *world) act() {
	status := w.s.Status()
	r := w.s.Ready()
	w.view, w.wake = r.View, r.Wake
	if v := r.View; v != nil {
		w.views[v.Token.Value()] = v
		switch {
		case w.closed:
			w.broken(22, "requests go out after Close")
		case w.gone:
			w.broken(7, "requests go out without asking under %s, which was rejected", v.Token.Value())
		case v.Token.Value() != w.current:
			w.broken(2, "requests go out under %s, and %s is current", v.Token.Value(), w.current)
		}
	}
	w.end = w.s.End()
	w.tell((*journal.Journal).Look)
	for _, e := range r.Reports {
		w.reported(e)
	}
	if d := r.Done; d != nil {
		switch {
		case d.View == nil && d.Err == nil:
			w.broken(3, "those who waited get nothing")
		case w.waiting > 0 && d.View != nil && w.gone && (d.Err == nil || w.strikes <= session.Patience):
			w.broken(7, "those who waited get a rejected token after %d strikes", w.strikes)
		}
		if w.waiting > 0 {
			w.say("%d go on: %s", w.waiting, outcome(d))
		}
		w.waiting = 0
	}
	if r.Call != nil {
		w.called(r.Call)
	}
	if w.waiting > 0 {
		switch waited := w.now.Run - w.since.Run; {
		case w.late:
		case w.wake == 0:
			w.broken(4, "%d wait for nothing", w.waiting)
		case w.wake-w.now.Run > limit+pauseAfter(6):
			w.broken(4, "%d wait for %s", w.waiting, w.wake-w.now.Run)
		case waited > limit+2*pauseAfter(6):
			w.broken(4, "somebody has waited for %s", waited)
		}
	}
	check := func(err error) {
		if e, ok := err.(*session.Error); ok && e.Err == nil {
			w.broken(9, "an error that says nothing")
		}
	}
	if r.Done != nil {
		check(r.Done.Err)
	}
	w.under = !status.Refreshing.IsZero()
	if status.Strikes != w.strikes && !w.closed {
		w.broken(7, "%d strikes are counted, and there were %d", status.Strikes, w.strikes)
	}
	if n := status.Refreshed + status.Unchanged + status.Failed + status.FailedPermanently; n != w.told || status.Calls != w.calls {
		w.broken(1, "%d outcomes of refreshes are counted and %d told, %d calls and there were %d", n, w.told, status.Calls, w.calls)
	}
	w.read(w.s.Status())
}

func (w *world) reported(e any) {
	w.say("%s", told(e))
	w.tell(func(j *journal.Journal, s journal.Scene) { j.Report(s, e) })
	switch e := e.(type) {
	case session.Started:
		w.number(e.Refresh)
		w.tried = true
		if e.Reason == session.ReasonEarly {
			w.early++
		}
	case session.Ended:
		w.ended++
	case session.Retrying:
		w.number(e.Refresh)
		w.worked = false
	case session.Refreshed:
		w.number(e.Refresh)
		w.worked = e.Err == nil
		w.told++
		w.tried = w.tried || e.Err != nil
		if e.Ended {
			w.ended++
		}
		if e.Err != nil && !e.Err.Permanent && !e.Err.NextTry.IsZero() {
			w.failed++
			pause := 30 * time.Second
			if w.failed <= 9 {
				pause = min(pause, 100*time.Millisecond<<(w.failed-1))
			}
			w.pause = w.now.Add(pause)
		}
	}
	if w.ended > 1 {
		w.broken(6, "the end was told %d times", w.ended)
	}
}

// number checks the number of a refresh: it never goes down.
func (w *world) number(n int64) {
	if n < w.refresh || n > w.s.Number() {
		w.broken(1, "refresh %d after %d", n, w.refresh)
	}
	w.refresh = n
}

// called notes an order to call the provider.
func (w *world) called(c *session.Call) {
	if w.calling {
		w.joined++
		w.say("the call that is under way is joined")
		return
	}
	w.calls++
	w.calling, w.replace, w.replaced = true, c.Old.RefreshToken(), c.Old.Value()
	w.say("the provider is called to replace %q, for at most %s", c.Old.Value(), c.Limit)
	switch {
	case w.closed:
		w.broken(22, "a call after Close")
	case c.Old.Value() != w.current:
		w.broken(2, "%q is to be replaced, and %q is current", c.Old.Value(), w.current)
	case w.gone && !w.now.Reached(w.arrived.Add(pauseAfter(w.strikes))):
		w.broken(7, "after strike %d the provider is called %s too soon", w.strikes, w.now.Until(w.arrived.Add(pauseAfter(w.strikes))))
	case !w.busy.IsZero() && !w.now.Reached(w.busy):
		w.broken(6, "the provider is called %s before its RetryAfter has passed", w.now.Until(w.busy))
	case !w.valid() && !w.pause.IsZero() && !w.now.Reached(w.pause):
		w.broken(6, "the provider is called %s before the pause after %d failed refreshes has passed", w.now.Until(w.pause), w.failed)
	case w.under: // it is a retry; the wall clock may have been set since the refresh began
	case w.valid() && w.end.IsZero():
		w.broken(3, "a call while the token is valid and its end is not known")
	case w.valid() && w.now.Until(w.end) > w.arrived.Until(w.end)/2:
		w.broken(3, "a call %s before the token's end", w.now.Until(w.end))
	case w.early > 6:
		w.broken(5, "the %dth early refresh of one token", w.early)
	case c.Limit <= 0 || c.Limit > limit+pauseAfter(6):
		w.broken(4, "a call for %s", c.Limit)
	}
}

func verdict(n session.Need, v session.Verdict) string {
	switch {
	case v.View != nil && v.View == n.Sent:
		return "its answer stands"
	case v.View != nil && v.Wait:
		return "it would rather wait than go under " + v.View.Token.Value()
	case v.View != nil:
		return "goes under " + v.View.Token.Value()
	case v.Wait:
		return "waits"
	}
	return "fails: " + failure(v.Err)
}

func failure(err error) string {
	e, ok := err.(*session.Error)
	switch {
	case !ok:
		return err.Error()
	case e.Permanent:
		return e.Error() + ", for good"
	case !e.NextTry.IsZero():
		return fmt.Sprintf("%s; next try at %s", e.Error(), e.NextTry.Format("15:04:05.999"))
	}
	return e.Error()
}

func outcome(d *session.Done) string {
	switch {
	case d.View != nil && d.Err != nil:
		return "under " + d.View.Token.Value() + ", or, if that won't do: " + failure(d.Err)
	case d.View != nil:
		return "under " + d.View.Token.Value()
	}
	return failure(d.Err)
}

func told(e any) string {
	switch e := e.(type) {
	case session.Started:
		return fmt.Sprintf("told: a refresh begins (%s)", e.Reason)
	case session.Retrying:
		return fmt.Sprintf("told: attempt %d failed, the next comes in %s", e.Attempt, e.RetryIn)
	case session.Slow:
		return fmt.Sprintf("told: the provider was called %s ago", e.Ago)
	case session.Ended:
		return "told: the session has ended"
	case session.Refreshed:
		switch {
		case e.Err != nil && e.Ended:
			return "told: the refresh failed, and the session has ended"
		case e.Err != nil && e.Err.Permanent:
			return "told: the refresh failed for good, the session ends with its token"
		case e.Err != nil:
			return fmt.Sprintf("told: the refresh failed after %s: %s", e.Duration, failure(e.Err))
		case e.Again:
			return "told: the provider has brought the rejected token again, and is asked again"
		case e.Unchanged:
			return "told: the token is the same"
		case e.Expiry.IsZero():
			return fmt.Sprintf("told: a new token (%s) after %s, its end is not known", e.Reason, e.Duration)
		}
		return fmt.Sprintf("told: a new token (%s) after %s, it ends at %s", e.Reason, e.Duration, e.Expiry.Format("15:04:05.999"))
	}
	return fmt.Sprintf("told: %+v", e)
}
