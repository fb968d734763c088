package journal

import (
	"log/slog"
	"time"

	"github.com/stayauth/stayauth/transport/internal/session"
)

// noticed is how long requests have to wait before that is worth a line.
const noticed = time.Second

// Report is told of what a session.Session reports.
func (j *Journal) Report(s Scene, event any) {
	switch e := event.(type) {
	case session.Started:
		j.asked, j.failed, j.counted = s.Now, s.Failed, 0
		if e.Refresh != j.refresh { // the one before may have ended without news
			j.refresh, j.stall.on = e.Refresh, false
		}
		j.add(slog.LevelDebug, Asked, "reason", string(e.Reason))
	case session.Slow:
		j.slow(s, e)
	case session.Retrying:
		j.attempts++
		j.counted++
		j.fails(s, e.Err, e.RetryIn, "reason", string(e.Reason))
	case session.Refreshed:
		if e.Err != nil {
			j.refreshFailed(s, e)
		} else {
			j.tokenCame(s, e)
		}
		if !e.Again {
			j.asked, j.stall.on = session.Instant{}, false
		}
	case session.Ended:
		j.end(s, e.Err)
	}
}

// slow tells that requests wait for a provider that is still at work.
func (j *Journal) slow(s Scene, e session.Slow) {
	failed := s.Failed - j.failed
	if s.Waiting == 0 && failed == 0 {
		return
	}
	args := append([]any{"reason", string(e.Reason), "called_ago", show(e.Ago)}, s.waiting()...)
	if failed > 0 {
		args = append(args, "failed_requests", failed)
	}
	switch {
	case j.outage.on:
		j.goesOn(s)
	case !j.stall.on:
		j.stall.begin(s, j.asked)
		j.add(slog.LevelWarn, Wait, args...)
	case j.stall.due(s.Now):
		j.add(slog.LevelWarn, StillWait, args...)
	}
}

// waiting are the attributes of who waits.
func (s Scene) waiting() []any {
	args := []any{"waiting", s.Waiting}
	if s.First != "" {
		args = append(args, "request", s.First)
	}
	if s.Waited > 0 {
		args = append(args, "waited", show(s.Waited))
	}
	return args
}

// fails tells that the provider has failed with err, which may pass, and is called again after
// pause, if that is known.
func (j *Journal) fails(s Scene, err error, pause time.Duration, args ...any) {
	j.last, j.lastAt, j.next = err, s.Now, s.Now.Add(pause)
	if j.outage.on {
		j.goesOn(s)
		return
	}
	since, failed := j.asked, j.failed
	if since.IsZero() {
		since, failed = s.Now, s.Failed
	}
	j.outage.begin(s, since)
	j.outage.failed = failed
	args = append(args, "err", err)
	if pause > 0 {
		args = append(args, "next_call_in", show(pause))
	}
	j.add(slog.LevelWarn, Fails, append(args, s.waiting()...)...)
}

// goesOn tells once in a while that the provider still fails.
func (j *Journal) goesOn(s Scene) {
	if j.outage.due(s.Now) {
		args := append([]any{"for"}, j.cost(s)...)
		args = append(args, "waiting", s.Waiting, "err", j.last)
		if pause := s.Now.Until(j.next); pause > 0 {
			args = append(args, "next_call_in", show(pause))
		}
		j.add(slog.LevelWarn, StillFails, args...)
	}
}

// cost returns how long the outage has lasted, and the attributes of what it has cost.
func (j *Journal) cost(s Scene) []any {
	return []any{j.outage.lasted(s.Now), "failed_attempts", j.attempts, "failed_requests", s.Failed - j.outage.failed}
}

// outageOver ends the outage, and returns its attributes if there was one.
func (j *Journal) outageOver(s Scene) (args []any) {
	if j.outage.on {
		args = append(append([]any{"lasted"}, j.cost(s)...), idle("last_failure_ago", s.Now, j.lastAt)...)
	}
	j.outage.on, j.attempts, j.counted, j.last = false, 0, 0, nil
	return args
}

func (j *Journal) refreshFailed(s Scene, e session.Refreshed) {
	j.attempts += max(e.Attempts-j.counted, 0)
	j.counted = 0
	args := []any{"reason", string(e.Reason)}
	if !e.Expiry.IsZero() { // the token is valid
		args = append(args, "expiry", e.Expiry)
	}
	switch {
	case e.Ended:
		j.end(s, e.Err)
	case e.Err.Permanent:
		j.doomed = true
		args = append(args, "err", e.Err.Err)
		j.add(slog.LevelError, LastOne, append(args, j.outageOver(s)...)...)
	default:
		var pause time.Duration
		if !e.Err.NextTry.IsZero() {
			pause = e.Err.NextTry.Sub(s.Now.Wall)
		}
		j.fails(s, e.Err.Err, pause, args...)
	}
}

// tokenCame tells of a token that the provider has returned.
func (j *Journal) tokenCame(s Scene, e session.Refreshed) {
	args := []any{"reason", string(e.Reason), "took", show(e.Duration)}
	args = append(args, s.waiting()...)
	if failed := s.Failed - j.failed; failed > 0 && !j.asked.IsZero() {
		args = append(args, "failed_requests", failed)
	}
	if e.Message != "" {
		args = append(args, "message", e.Message)
	}
	if !e.Expiry.IsZero() {
		args = append(args, "expiry", e.Expiry)
	}
	dead := e.Again || e.Unchanged && (s.Standing == session.Rejected || s.Standing == session.RejectedTooOften)
	slow := j.stall.on || e.Duration >= noticed && (s.Waiting > 0 || s.Failed > j.failed && !j.asked.IsZero())
	cost := j.outageOver(s)
	if cost != nil {
		cost = append(cost, s.waiting()...)
		if !e.Expiry.IsZero() {
			cost = append(cost, "expiry", e.Expiry)
		}
		j.add(slog.LevelInfo, Works, cost...)
	}
	switch {
	case dead && j.storm.on:
		j.add(slog.LevelDebug, DeadAgain, args...)
	case dead:
		j.add(slog.LevelWarn, DeadAgain, args...)
	case cost != nil: // said
	case e.Unchanged: // as sources do that cache; nothing is lost while the token is valid
		j.add(slog.LevelDebug, SameAgain, args...)
	case j.storm.on:
		j.add(slog.LevelDebug, Replaced, args...)
	case e.Reason == session.ReasonRejected || e.Reason == session.ReasonLate:
		j.add(slog.LevelInfo, Replaced, args...)
	case slow:
		j.add(slog.LevelInfo, Waited, args...)
	case e.Reason == session.ReasonInitial:
		j.add(slog.LevelDebug, Received, args...)
	default:
		j.add(slog.LevelDebug, Replaced, args...)
	}
}

// end tells that the session is over.
func (j *Journal) end(s Scene, err *session.Error) {
	args := []any{"err", err.Err, "attempts", err.Attempts}
	if err.StatusCode != 0 {
		args = append(args, "status", err.StatusCode)
	}
	if err.Message != "" {
		args = append(args, "message", err.Message)
	}
	args = append(args, s.waiting()...)
	args = append(args, j.outageOver(s)...)
	j.over.begin(s, s.Now)
	j.add(slog.LevelError, Ended, args...)
}

// Failing is told of each request that fails at once, because there is no token and none is to come
// now.
func (j *Journal) Failing(s Scene) {
	switch {
	case j.over.on:
		if j.over.due(s.Now) {
			j.add(slog.LevelWarn, StillEnded, "for", j.over.lasted(s.Now), "failed_requests", s.Failed-j.over.failed)
		}
	case j.outage.on:
		j.goesOn(s)
	}
}

// Given is told of a token that was handed over.
func (j *Journal) Given(s Scene) {
	args := j.outageOver(s)
	switch {
	case j.over.on:
		args = []any{"lasted", j.over.lasted(s.Now), "failed_requests", s.Failed - j.over.failed}
	case args == nil && !j.doomed && !j.stall.on:
		return
	}
	j.over.on, j.doomed, j.stall.on = false, false, false
	j.asked = session.Instant{}
	j.add(slog.LevelInfo, HandedOver, append(args, "waiting", s.Waiting)...)
}

// Closed is told of Close.
func (j *Journal) Closed(s Scene) {
	if args := j.outageOver(s); args != nil {
		j.add(slog.LevelInfo, ClosedAmid, append(args, "waiting", s.Waiting)...)
	}
	j.over.on, j.stall.on = false, false
}
