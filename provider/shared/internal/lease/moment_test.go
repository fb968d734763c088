package lease_test

import (
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider/shared/internal/lease"
)

// TestMoment: a suspended machine, and a clock that was set.
func TestMoment(t *testing.T) {
	now := time.Now()
	then := lease.At(now)
	for _, test := range []struct {
		name          string
		running, wall time.Duration // by which the clocks have moved
		want          time.Duration
	}{
		{"as usual", time.Second, time.Second, time.Second},
		{"the machine was suspended", time.Second, time.Hour, time.Hour},
		{"the clock was set back", time.Second, -time.Hour, time.Second},
	} {
		later := lease.Moment{Running: now.Add(test.running), Wall: now.Round(0).Add(test.wall)}
		if got := later.Since(then); got != test.want {
			t.Errorf("%s: %v; want %v", test.name, got, test.want)
		}
	}
	if wall := then.Wall; wall != wall.Round(0) || !wall.Equal(now) {
		t.Errorf("At: the wall clock says %v; want %v, without a monotonic reading", wall, now)
	}
}
