package storetest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest/internal/linear"
)

// testLinearizable lets goroutines load and swap at random, records what each saw and when,
// and asks a checker whether one register, used by one at a time, could have behaved like that.
//
// With cuts, contexts end in the middle of operations. What was cut off may have happened or not;
// nothing else may.
//
// With a store that takes no time one such history is over before much has met by chance: there are
// as many, under a key each, as there is time for.
func testLinearizable(t *testing.T, open func(t *testing.T) shared.Store, cuts bool) {
	const goroutines, enough = 6, 300 * time.Millisecond
	s, stores, seed := open(t), inPairs(t, open, goroutines), newSeed(t)
	began := time.Now()
	for n := uint64(0); n == 0 || time.Since(began) < enough && !t.Failed(); n++ {
		h := &history{start: time.Now(), records: map[uint64]string{0: ""}}
		if cuts {
			h.cut = 2*shortest(t, s) + time.Microsecond
		}
		h.make(t, open, stores, seed+n)
	}
}

// make has a goroutine use each of the stores, and checks what they and a last client saw.
func (h *history) make(t *testing.T, open func(t *testing.T) shared.Store, stores []shared.Store, seed uint64) {
	const steps = 25
	key := newKey()
	var wg sync.WaitGroup
	for id, s := range stores {
		wg.Go(func() { // ends after its steps
			dice := rand.New(rand.NewPCG(seed, uint64(id)))
			for step := range steps {
				h.step(t, s, dice, key, id, step)
			}
		})
	}
	wg.Wait()
	h.load(t, open(t), key, len(stores)) // what the cut-off writes have come to
	if t.Failed() {
		return
	}
	operations, err := h.operations()
	if err != nil {
		t.Fatal(err)
	}
	if err := linear.Check(operations); err != nil {
		t.Fatalf("no order of these operations is that of a compare-and-swap register: %v\n%s", err, h)
	}
}

// shortest returns how long a write takes at best.
func shortest(t *testing.T, s shared.Store) time.Duration {
	best := time.Hour
	for range 5 {
		began := time.Now()
		mustSwap(t, s, newKey(), "to see how long it takes", 0)
		best = min(best, time.Since(began))
	}
	return best
}

// newSeed returns a seed, which is printed if the test fails, or the one in the environment
// variable STORETEST_SEED.
func newSeed(t *testing.T) uint64 {
	seed := rand.Uint64()
	if s, err := strconv.ParseUint(os.Getenv("STORETEST_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("to do the same again: STORETEST_SEED=%d", seed)
		}
	})
	return seed
}

// A history is what the goroutines did.
type history struct {
	start time.Time
	cut   time.Duration // contexts end within it; 0: they don't

	mu      sync.Mutex        // guards the fields below; never held across a call
	events  []event           // each written by one goroutine when its operation has ended
	records map[uint64]string // what each version was seen with; "" is no record
}

type event struct {
	goroutine   int // 0 and 1 share a client, as 2 and 3 do
	load        bool
	over        uint64 // the version that a swap was to replace
	record      string // what a swap was to write, or a load returned
	outcome     outcome
	call, ended time.Duration
}

type outcome string

const (
	done     outcome = "done"
	conflict outcome = "conflict"
	unknown  outcome = "unknown"
)

// load loads, and returns the version.
func (h *history) load(t *testing.T, s shared.Store, key string, goroutine int) (version uint64) {
	h.observe(t, goroutine, func(e *event) uint64 {
		record, v, err := s.Load(t.Context(), key)
		e.load, e.record, e.outcome, version = true, string(record), done, v
		if err != nil {
			t.Errorf("Load: %v", err)
			e.outcome = unknown
		}
		return v
	})
	return version
}

// step is a load and then a swap over what it found, or over something older.
func (h *history) step(t *testing.T, s shared.Store, dice *rand.Rand, key string, goroutine, step int) {
	ctx, over := t.Context(), h.load(t, s, key, goroutine)
	if dice.IntN(4) == 0 {
		over = h.someVersion(dice)
	}
	h.observe(t, goroutine, func(e *event) uint64 {
		e.over, e.record = over, fmt.Sprintf("%d.%d", goroutine, step)
		if h.cut > 0 && dice.IntN(2) == 0 {
			cut, cancel := context.WithTimeout(ctx, time.Duration(dice.Int64N(int64(h.cut))))
			defer cancel()
			ctx = cut
		}
		version, err := s.CompareAndSwap(ctx, key, []byte(e.record), over)
		switch {
		case err == nil:
			e.outcome = done
			return version
		case isConflict(err):
			e.outcome = conflict
		default:
			if ctx.Err() == nil {
				t.Errorf("CompareAndSwap: %v", err)
			}
			e.outcome = unknown
		}
		return 0
	})
}

// observe runs an operation and notes it. The operation returns the version that its record has, or
// 0.
func (h *history) observe(t *testing.T, goroutine int, run func(*event) uint64) {
	e := event{goroutine: goroutine, call: time.Since(h.start)}
	version := run(&e)
	e.ended = time.Since(h.start)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
	if version != 0 {
		if was, ok := h.records[version]; ok && was != e.record {
			t.Errorf("version %d stands for two records, %q and %q: no version may be used twice", version, was, e.record)
		}
		h.records[version] = e.record
	}
}

func (h *history) someVersion(dice *rand.Rand) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	versions := slices.Sorted(maps.Keys(h.records))
	return versions[dice.IntN(len(versions))]
}

// operations translates the history for the checker. A version stands for its record, as each
// record is written only once.
//
// A write of unknown outcome counts as done, by the time at which its record was first loaded, if
// it ever was. If it was not it has changed nothing that anyone saw, and is left out: a write over
// it takes its version, which only a load can tell.
func (h *history) operations() ([]linear.Operation, error) {
	seen := make(map[string]time.Duration)
	for _, e := range h.events {
		if at, ok := seen[e.record]; e.load && (!ok || e.ended < at) {
			seen[e.record] = e.ended
		}
	}
	var operations []linear.Operation
	for _, e := range h.events {
		if e.outcome == unknown {
			at, ok := seen[e.record]
			if e.load || !ok {
				continue
			}
			e.outcome, e.ended = done, at // no one waited for it
		}
		over, ok := h.records[e.over]
		if !ok {
			return nil, fmt.Errorf("a load returned version %d, which no record has", e.over)
		}
		o := linear.Operation{Kind: linear.Write, Over: over, Record: e.record, Call: e.call, Ended: e.ended}
		switch {
		case e.load:
			o.Kind = linear.Load
		case e.outcome == conflict:
			o.Kind = linear.Conflict
		}
		operations = append(operations, o)
	}
	return operations, nil
}

// String lists the history in the order in which the operations ended.
func (h *history) String() string {
	var s string
	for _, e := range h.events {
		what := fmt.Sprintf("swap %q over version %d", e.record, e.over)
		if e.load {
			what = fmt.Sprintf("load %q", e.record)
		}
		s += fmt.Sprintf("%10v to %10v  client %d, goroutine %d  %s: %s\n",
			e.call.Round(time.Microsecond), e.ended.Round(time.Microsecond), e.goroutine/2, e.goroutine, what, e.outcome)
	}
	return s
}
