package session_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/stayauth/stayauth/transport/internal/journal"
	"github.com/stayauth/stayauth/transport/internal/session"
)

// A world is a Session with everything around it that it decides about: two clocks, a provider,
// those who wait. It is driven by steps, and after each it checks what must always hold. The checks
// are written from the laws, not from the code: the world keeps its own account of tokens,
// rejections, strikes and pauses.
type world struct {
	late bool

	s   *session.Session
	now session.Instant
	out *strings.Builder // what the steps came to, for people; nil: it is not read

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
	hinted   bool            // the last answer had one
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
			// Nothing is shorter for a hint that came when the refresh's time was up.
			next, short := e.Err.NextTry, w.now.Add(min(pause, 5*time.Second))
			switch busy := next.Equal(w.busy.Wall); {
			case next.Equal(w.pause.Wall), busy && next.After(w.pause.Wall):
			case w.hinted && (busy || next.Equal(short.Wall)):
				w.pause = short
			default:
				w.broken(6, "the next try is told to be at %s, and not at %s", next, w.pause.Wall)
			}
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
	w.hinted = false
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
	case w.under: // it is a retry; the wall clock may have been set since the refresh began
	case !w.valid() && !w.pause.IsZero() && !w.now.Reached(w.pause):
		w.broken(6, "the provider is called %s before the pause after %d failed refreshes has passed", w.now.Until(w.pause), w.failed)
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
