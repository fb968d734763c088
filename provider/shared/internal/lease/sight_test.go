package lease_test

import (
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider/shared/internal/lease"
)

// A claim that is lost is waited for as long as its lease says, also where what came back is an
// older claim with a shorter one, or a place that another process keeps for less.
func TestLostClaimsLeaseIsKept(t *testing.T) {
	claim := func(holder string, length time.Duration) lease.Record {
		return lease.Record{Login: "l", Generation: 1}.Claimed(holder, length, false)
	}
	start := time.Unix(0, 0)
	var s lease.Sight
	lost := func(after time.Duration, want bool) {
		t.Helper()
		if got := s.Lost(start.Add(after), 5*time.Second); got != want {
			t.Errorf("after %v: Lost = %t, want %t", after, got, want)
		}
	}
	s.Look(claim("other/1", 45*time.Second), 7, "me", start)
	lost(0, false)
	s.Look(claim(lease.Lost, 5*time.Second), 3, "me", start)
	lost(44*time.Second, true)
	s.Look(claim(lease.Lost, 5*time.Second), 8, "me", start.Add(time.Second))
	lost(44*time.Second, true)
	lost(45*time.Second, false)
	s.Look(claim(lease.Lost, 45*time.Second), 9, "me", start.Add(2*time.Second)) // which is long enough
	lost(3*time.Second, false)
	s.Look(claim("other/2", 5*time.Second), 10, "me", start.Add(3*time.Second))
	s.Look(lease.Record{Login: "l", Generation: 1}, 2, "me", start.Add(4*time.Second))
	lost(8*time.Second, true)
	lost(9*time.Second, false) // the lease of the newest claim counts
}
