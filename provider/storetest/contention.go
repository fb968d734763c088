package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider/shared"
)

// inPairs returns a client for each of so many goroutines. Two have the same one: clients must
// exclude one another, and each also those who share it.
func inPairs(t *testing.T, open func(t *testing.T) shared.Store, goroutines int) []shared.Store {
	var stores []shared.Store
	for len(stores) < goroutines {
		s := open(t)
		stores = append(stores, s, s)
	}
	return stores
}

// testOneWinner writes over the same version many times at once: exactly one may succeed.
func testOneWinner(t *testing.T, open func(t *testing.T) shared.Store) {
	const writers, rounds = 8, 10
	stores := inPairs(t, open, writers)
	key, version := newKey(), uint64(0)
	for round := range rounds {
		type result struct {
			version uint64
			err     error
			record  string
		}
		results := make(chan result)
		for i, s := range stores {
			go func() { // ends when its result is received, below
				record := fmt.Sprintf("round %d writer %d", round, i)
				v, err := s.CompareAndSwap(t.Context(), key, []byte(record), version)
				results <- result{v, err, record}
			}()
		}
		var winners []result
		for range stores {
			switch r := <-results; {
			case r.err == nil:
				winners = append(winners, r)
			case !isConflict(r.err):
				t.Errorf("CompareAndSwap under contention: %v", r.err)
			}
		}
		if len(winners) != 1 {
			t.Fatalf("%d of %d concurrent writes over one version succeeded; want exactly 1", len(winners), writers)
		}
		version = winners[0].version
		wantLoad(t, stores[0], key, winners[0].record, version)
	}
}

// testContention lets goroutines replace one another's records as fast as they can, for a while.
// However fast that is: no version is replaced twice or given out twice, and none goes back or is
// loaded with another's record.
//
// What goes wrong in a few instructions is met by chance, and on a busy machine only while the
// processor is ours: so a store that takes no time has to make many steps, however long that takes.
func testContention(t *testing.T, open func(t *testing.T) shared.Store) {
	const goroutines, few, many, enough = 4, 25, 30_000, 300 * time.Millisecond
	least := few // steps of each
	if fast(t, open(t)) {
		least = many
	}
	key := newKey()
	r := &race{written: make(map[uint64]string), replaced: make(map[uint64]bool), loaded: make(map[uint64]string)}
	began := time.Now()
	var wg sync.WaitGroup
	for id, s := range inPairs(t, open, goroutines) {
		wg.Go(func() { // ends after its steps, or at the first failure
			var newest uint64
			for i := 0; i < least || time.Since(began) < enough; i++ {
				if newest = r.step(t, s, key, fmt.Sprintf("record %d of goroutine %d", i, id), newest); t.Failed() {
					return
				}
			}
		})
	}
	wg.Wait()
	for version, record := range r.loaded {
		if r.written[version] != record {
			t.Fatalf("version %d was loaded with %q, and had been written with %q: the two belong together", version, record, r.written[version])
		}
	}
}

// fast reports whether the store takes no time worth speaking of.
func fast(t *testing.T, s shared.Store) bool {
	for range 50 {
		key, began := newKey(), time.Now()
		_, swapErr := s.CompareAndSwap(t.Context(), key, []byte("x"), 0)
		_, _, loadErr := s.Load(t.Context(), key)
		if swapErr == nil && loadErr == nil && time.Since(began) < 20*time.Microsecond {
			return true
		}
	}
	return false
}

// A race is what the goroutines of testContention have seen.
type race struct {
	mu       sync.Mutex        // guards the fields below; never held across a call
	written  map[uint64]string // by version
	replaced map[uint64]bool
	loaded   map[uint64]string
}

// step is a load and a write over what it found. It returns the newest version that the goroutine
// knows of.
func (r *race) step(t *testing.T, s shared.Store, key, record string, newest uint64) uint64 {
	found, over, err := s.Load(t.Context(), key)
	if err != nil {
		t.Errorf("Load under contention: %v", err)
		return newest
	}
	if over < newest {
		t.Errorf("Load returned version %d after version %d had been seen in the same goroutine", over, newest)
	}
	if !r.note(r.loaded, over, string(found)) {
		t.Errorf("version %d was loaded with two records", over)
	}
	next, err := s.CompareAndSwap(t.Context(), key, []byte(record), over)
	switch {
	case isConflict(err):
		return over
	case err != nil:
		t.Errorf("CompareAndSwap under contention: %v", err)
		return over
	case next <= over:
		t.Errorf("a write over version %d got version %d: versions grow", over, next)
	}
	r.mu.Lock()
	twice := r.replaced[over]
	r.replaced[over] = true
	r.mu.Unlock()
	if twice {
		t.Errorf("two writes over version %d succeeded", over)
	}
	if !r.note(r.written, next, record) {
		t.Errorf("version %d was given to two writes", next)
	}
	return next
}

// note puts a record into m, and returns false if another has its place.
func (r *race) note(m map[uint64]string, version uint64, record string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	was, ok := m[version]
	m[version] = record
	return !ok || was == record
}
