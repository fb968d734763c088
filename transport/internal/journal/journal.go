// Package journal decides which lines a Transport writes into its log, so that an operator who
// reads them in the morning knows what happened at night, and is not flooded meanwhile.
//
// A [Journal] is told of each event under the Transport's lock, together with the [Scene]: how
// things stand at that moment. What is worth a line is taken out by [Journal.Take]. As a
// session.Session it has no clock, no lock and no goroutine.
//
// What lasts is told three ways: that it begins, at growing intervals that it goes on (after 30
// seconds, then twice as long each time, up to half an hour), and that it is over, with how long it
// lasted and what it cost. A day of it is some fifty lines.
package journal

import (
	"log/slog"
	"time"

	"github.com/stayauth/stayauth/transport/internal/session"
)

// The messages. They never change with what happened, so they can be searched for and counted.
const (
	Asked    = "the token provider is asked"
	Received = "token received"
	Replaced = "token replaced"

	SameAgain = "the token provider returned the same token again"
	DeadAgain = "the token provider returned the rejected token again"

	Wait      = "requests wait for the token provider"
	StillWait = "requests still wait for the token provider"
	Waited    = "requests have waited for a token"

	Fails       = "the token provider fails"
	StillFails  = "the token provider still fails"
	Works       = "the token provider works again"
	ClosedAmid  = "closed while the token provider fails"
	LastOne     = "no other token will come: the session ends with this one"
	Ended       = "the session has ended"
	StillEnded  = "requests still fail: the session has ended"
	HandedOver  = "a token was handed over: requests go on"
	Rejected    = "the API rejected the token"
	Storm       = "new tokens are rejected too: requests go out under the last one"
	StillStorm  = "new tokens are still rejected"
	StormIsOver = "new tokens are no longer rejected"

	Slept   = "this machine slept, or its clock was set forward"
	SetBack = "the clock of this machine was set back"
)

// A Line is one line of the log.
type Line struct {
	Level   slog.Level
	Message string
	Args    []any // keys and values. Durations are strings, so that each handler shows their unit
}

// A Scene is how things stand when something happens. The counts never go down.
type Scene struct {
	Now      session.Instant
	Standing session.Standing // of the token
	Strikes  int
	Waiting  int           // requests that wait for a token
	First    string        // the request that has waited longest; "": none has
	Waited   time.Duration // for how long it has
	Failed   int64         // requests that got no token
	Rejected int64         // responses that rejected a token
}

// A Journal keeps in mind what is going on, as far as it was told.
type Journal struct {
	lines []Line

	seen    session.Instant // the last event
	refresh int64           // the number of the refresh that asked last
	asked   session.Instant // when it began to, if it is under way; else zero
	failed  int64           // Scene.Failed then

	stall   trouble // requests wait for a provider that does not return
	outage  trouble // the provider fails
	storm   trouble // new tokens are rejected
	over    trouble // the session has ended
	doomed  bool    // no other token will come
	strikes int     // the most of the storm

	rejected session.Instant // the last rejection

	attempts int             // that failed in the outage
	counted  int             // of these, in the refresh under way
	last     error           // what the provider said
	lastAt   session.Instant // when
	next     session.Instant // when it is called again, or may be
}

// Take returns the lines that are to be written, and forgets them.
func (j *Journal) Take() []Line {
	lines := j.lines
	j.lines = nil
	return lines
}

func (j *Journal) add(level slog.Level, message string, args ...any) {
	j.lines = append(j.lines, Line{level, message, args})
}

// Look is told of every event before anything else.
func (j *Journal) Look(s Scene) {
	j.lookAtClock(s)
	switch {
	case j.storm.on && s.Strikes <= session.Patience:
		j.storm.on = false
		j.add(slog.LevelInfo, StormIsOver, append([]any{"lasted", j.storm.lasted(s.Now), "strikes", j.strikes,
			"rejected_requests", s.Rejected - j.storm.rejected}, idle("last_rejection_ago", s.Now, j.rejected)...)...)
	case !j.storm.on && s.Strikes > session.Patience:
		j.beginStorm(s)
	}
	if j.storm.on {
		j.strikes = s.Strikes
	}
}

func (j *Journal) beginStorm(s Scene, args ...any) {
	j.storm.begin(s, s.Now)
	j.add(slog.LevelWarn, Storm, append([]any{"strikes", s.Strikes}, args...)...)
}

// lookAtClock compares the two clocks. The monotonic one stands still while a machine sleeps, and
// when somebody sets the other. Which of these it was can't be seen.
func (j *Journal) lookAtClock(s Scene) {
	last := j.seen
	j.seen = s.Now
	if last.IsZero() {
		return
	}
	ran := s.Now.Run - last.Run
	by := s.Now.Wall.Sub(last.Wall) - ran
	switch least := minJump + ran/1000; { // a clock that is adjusted bit by bit runs up to 0.5 per mille fast or slow
	case by >= least:
		j.add(slog.LevelInfo, Slept, "by", show(by), "token", string(s.Standing))
	case by <= -least:
		j.add(slog.LevelInfo, SetBack, "by", show(-by), "token", string(s.Standing))
	}
}

// minJump is the least by which the two clocks differ when one was set.
const minJump = 10 * time.Second

// A Request is a request whose answer rejected the token.
type Request struct {
	Name    string // "" if the rejection came in another way, see transport.Transport.Reject
	Status  int
	Message string // what the API said
}

// Rejection is told of each rejection, and what the session has made of it.
func (j *Journal) Rejection(s Scene, k session.Strike, r Request) {
	var args []any
	if r.Name != "" {
		args = []any{"request", r.Name, "status", r.Status}
	}
	if r.Message != "" {
		args = append(args, "message", r.Message)
	}
	if k.Pause > 0 {
		args = append(args, "next_call_in", show(k.Pause))
	}
	if k.Counted && s.Strikes > session.Patience && !j.storm.on {
		j.lookAtClock(s)
		j.beginStorm(s, args...)
	}
	j.Look(s)
	j.rejected = s.Now
	switch {
	case j.storm.on && j.storm.due(s.Now):
		j.add(slog.LevelWarn, StillStorm, append([]any{"for", j.storm.lasted(s.Now), "strikes", s.Strikes,
			"rejected_requests", s.Rejected - j.storm.rejected}, args...)...)
	case !j.storm.on && k.Counted:
		j.add(slog.LevelInfo, Rejected, append([]any{"strikes", s.Strikes}, args...)...)
	}
}

// idle is an attribute for the time since what lasted was last seen, if that is long ago: because
// nothing was asked for meanwhile.
func idle(key string, now, last session.Instant) []any {
	if ago := -now.Until(last); ago > 2*time.Minute {
		return []any{key, show(ago)}
	}
	return nil
}

// show is d with its unit, for people.
func show(d time.Duration) string { return d.Round(time.Millisecond).String() }

// A trouble is something that lasts.
type trouble struct {
	on               bool
	since            session.Instant
	failed, rejected int64 // the Scene's counts at its beginning

	next  session.Instant // when it may be told again
	pause time.Duration   // from the last time until then
}

// What goes on is told after a first pause, and then after pauses that double, up to the longest.
const (
	FirstPause   = 30 * time.Second
	LongestPause = 30 * time.Minute
)

// begin notes that it began at since, and is told now.
func (t *trouble) begin(s Scene, since session.Instant) {
	*t = trouble{on: true, since: since, failed: s.Failed, rejected: s.Rejected, next: s.Now.Add(FirstPause), pause: FirstPause}
}

// due reports whether it is to be told again.
func (t *trouble) due(now session.Instant) bool {
	if !now.Reached(t.next) {
		return false
	}
	t.pause = min(2*t.pause, LongestPause)
	t.next = now.Add(t.pause)
	return true
}

// lasted returns for how long it has, by the clock that says more: one of them stands still while a
// machine sleeps.
func (t *trouble) lasted(now session.Instant) string { return show(-now.Until(t.since)) }
