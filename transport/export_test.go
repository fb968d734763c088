package transport

import "time"

// Suspend is a machine that sleeps for d, or, with a negative d, whose clock is set back: nothing
// else can set a bubble's two clocks apart. Call it while nothing is under way.
func Suspend(t *Transport, d time.Duration) {
	if d > 0 {
		time.Sleep(d)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.began = t.began.Add(d)
}
