package shared_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"
)

// disturb makes trouble, a piece after the other, until it is over.
func (w *world) disturb(rng *rand.Rand) {
	upTo := func(d time.Duration) time.Duration { return time.Duration(1 + rng.Int64N(int64(d))) }
	var kinds []func()
	if w.plan.outages {
		kinds = append(kinds, func() { w.outage(rng.IntN(3), upTo(4*modelLease)) })
	}
	if w.plan.cuts {
		kinds = append(kinds, func() { w.cut(rng.IntN(1<<20), upTo(2*modelLease)) })
	}
	if w.plan.forgets {
		kinds = append(kinds, func() { w.forget(rng.IntN(5)) })
	}
	for w.sleep(upTo(time.Minute)) {
		kinds[rng.IntN(len(kinds))]()
	}
}

// sleep returns false if it is over.
func (w *world) sleep(d time.Duration) bool {
	select {
	case <-w.over:
		return false
	case <-time.After(d):
		return true
	}
}

// outage keeps the store from everyone for a while: it is down, it takes no writes, or it hangs.
func (w *world) outage(kind int, d time.Duration) {
	what := []string{"is down", "takes no writes", "hangs"}[kind]
	w.mu.Lock()
	w.tell("the store %s for %v", what, d)
	w.outages += d
	w.down = func(op string) error {
		switch {
		case kind == 2:
			return errHang
		case kind == 1 && op == "load":
			return nil
		}
		return errors.New("model: the store " + what)
	}
	w.mu.Unlock()
	w.sleep(d)
	w.mu.Lock()
	w.down = nil
	w.mu.Unlock()
}

// cut keeps the store from one process for a while.
func (w *world) cut(which int, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.all[which%len(w.all)]
	w.tell("%s is cut off for %v", p.name, d)
	w.outages += d
	begin := time.Now()
	if n := len(p.cuts); n > 0 && begin.Before(p.cuts[n-1].end) {
		begin = p.cuts[n-1].end // one after the other
	}
	p.cuts = append(p.cuts, span{begin, begin.Add(d)})
}

// forget has the store lose its last writes, or all.
func (w *world) forget(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	keep := max(len(w.writes)-n, 0)
	if n == 0 {
		keep = 0
	}
	f := forgetting{lost: w.writes[keep:], seen: make(map[*process]uint64)}
	w.writes = w.writes[:keep:keep]
	f.restored = w.newest().version
	w.change()
	for _, p := range w.all {
		f.seen[p] = p.seen
	}
	w.forgets = append(w.forgets, f)
	w.outages += slices.Max(w.plan.leases)
	w.tell("the store forgets %d writes, and is at version %d", len(f.lost), f.restored)
}
