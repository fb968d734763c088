package lease

import "time"

// A Moment is a time by both clocks of a machine. The one that runs steadily stands still while the
// machine is suspended, and the wall clock may be set. To other machines the time passes all the
// same.
type Moment struct {
	Running time.Time // with a monotonic reading
	Wall    time.Time // without one
}

// At returns the moment of t, which comes from [time.Now].
func At(t time.Time) Moment { return Moment{t, t.Round(0)} }

// Since returns the time that has passed since an earlier moment, by the clock that counts more.
func (m Moment) Since(earlier Moment) time.Duration {
	return max(m.Running.Sub(earlier.Running), m.Wall.Sub(earlier.Wall))
}
