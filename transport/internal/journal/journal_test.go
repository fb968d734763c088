package journal_test

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stayauth/stayauth/transport/internal/journal"
	"github.com/stayauth/stayauth/transport/internal/session"
)

var epoch = session.Instant{Wall: time.Date(2026, 1, 1, 3, 12, 0, 0, time.UTC), Run: time.Hour}

// A machine that slept, or whose clock was set, shows by its two clocks: they differ by more than a
// clock that is adjusted bit by bit ever does.
func TestClocksThatDiffer(t *testing.T) {
	tests := []struct {
		name      string
		wall, run time.Duration // what has passed since the last event
		want      string
	}{
		{"nothing", time.Hour, time.Hour, ""},
		{"a night's sleep", 8 * time.Hour, time.Second, journal.Slept + " [by 7h59m59s token valid]"},
		{"asleep at once", 10 * time.Second, 0, journal.Slept + " [by 10s token valid]"},
		{"a short sleep", 10*time.Second - 1, 0, ""},
		{"set back", -time.Hour, time.Second, journal.SetBack + " [by 1h0m1s token valid]"},
		{"set back a little", -9 * time.Second, 0, ""},
		{"a day of adjusting by 0.5 per mille", 24*time.Hour + 43*time.Second, 24 * time.Hour, ""},
		{"a day of adjusting the other way", 24*time.Hour - 43*time.Second, 24 * time.Hour, ""},
		{"asleep for two minutes of a day", 24*time.Hour + 2*time.Minute, 24 * time.Hour, journal.Slept + " [by 2m0s token valid]"},
	}
	for _, tt := range tests {
		var j journal.Journal
		j.Look(journal.Scene{Now: epoch, Standing: session.Valid})
		now := session.Instant{Wall: epoch.Wall.Add(tt.wall), Run: epoch.Run + tt.run}
		for range 2 { // it is told once
			j.Look(journal.Scene{Now: now, Standing: session.Valid})
		}
		got := ""
		for _, l := range j.Take() {
			got += fmt.Sprint(l.Message, " ", l.Args)
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// An outage counts each call of the provider once, whether another has followed it in the same
// refresh or not, and no request that failed before it.
func TestWhatAnOutageCosts(t *testing.T) {
	var j journal.Journal
	down := &session.Error{Err: errors.New("down")}
	s := journal.Scene{Now: epoch, Failed: 7}
	for range 2 {
		j.Report(s, session.Started{})
		for n := range 3 {
			s.Now = s.Now.Add(time.Second)
			j.Report(s, session.Retrying{Attempt: n + 1, Err: down.Err})
		}
		s.Now, s.Failed = s.Now.Add(time.Second), s.Failed+10
		j.Report(s, session.Refreshed{Attempts: 4, Err: down})
	}
	j.Take()
	j.Report(s, session.Started{})
	j.Report(s, session.Refreshed{Attempts: 1, Expiry: epoch.Wall})
	got := ""
	for _, l := range j.Take() {
		if l.Level > slog.LevelDebug {
			got += fmt.Sprint(l.Message, " ", l.Args)
		}
	}
	if want := journal.Works + fmt.Sprint(" ", []any{"lasted", "8s", "failed_attempts", 8, "failed_requests", int64(20), "waiting", 0, "expiry", epoch.Wall}); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// What goes on is told after 30 seconds, then after pauses that double, up to half an hour: 53
// times a day.
func TestHowOftenItIsTold(t *testing.T) {
	var j journal.Journal
	down := &session.Error{Err: fmt.Errorf("down")}
	var at []time.Duration
	for s := time.Duration(0); s < 24*time.Hour; s += time.Second {
		j.Report(journal.Scene{Now: epoch.Add(s)}, session.Refreshed{Attempts: 1, Err: down})
		for range j.Take() {
			at = append(at, s)
		}
	}
	const half = 30 * time.Minute
	want := []time.Duration{0, 30 * time.Second, 90 * time.Second, 210 * time.Second, 450 * time.Second, 930 * time.Second, 1890 * time.Second,
		1890*time.Second + half, 1890*time.Second + 2*half}
	if fmt.Sprint(at[:len(want)]) != fmt.Sprint(want) || len(at) != 53 {
		t.Errorf("%d lines, at %v", len(at), at)
	}
}
