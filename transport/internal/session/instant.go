package session

import "time"

// An Instant is a moment as both clocks of a machine show it.
//
// Neither is enough. The wall clock jumps when somebody sets it, and a pause that is measured by it
// may then last for an hour. The monotonic clock stands still while the machine is suspended, and
// tokens don't.
type Instant struct {
	Wall time.Time     // without a monotonic reading
	Run  time.Duration // monotonic, from some moment of the process
}

// IsZero reports whether t is no moment at all.
func (t Instant) IsZero() bool { return t.Wall.IsZero() }

// Add returns the moment that both clocks show after d.
func (t Instant) Add(d time.Duration) Instant { return Instant{t.Wall.Add(d), t.Run + d} }

// Until returns how long it is from t to u: the least that either clock says. A pause is over, and
// a token has ended, as soon as one of them says so: the worst that this costs is a call of the
// token provider that was not needed.
func (t Instant) Until(u Instant) time.Duration { return min(u.Wall.Sub(t.Wall), u.Run-t.Run) }

// Reached reports whether u has come by t.
func (t Instant) Reached(u Instant) bool { return t.Until(u) <= 0 }

// since returns how long ago u was: the most that either clock says.
func (t Instant) since(u Instant) time.Duration { return -t.Until(u) }

// later returns the one of a and b that is further from t, by what Until says; the zero Instant is
// no moment at all. Which comes first may differ between the clocks.
func (t Instant) later(a, b Instant) Instant {
	if a.IsZero() || !b.IsZero() && t.Until(b) > t.Until(a) {
		return b
	}
	return a
}
