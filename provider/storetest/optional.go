package storetest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider/shared"
)

// testWatcher checks that a watcher learns of writes by others, of those too that came before it
// began, and leaves with its context.
func testWatcher(t *testing.T, w shared.Watcher, a, b shared.Store) {
	watch := func(ctx context.Context, key string, version uint64, what string) error {
		t.Helper()
		ended := make(chan error, 1)
		go func() { ended <- w.Watch(ctx, key, version) }() // ends with the call, or hangs: the test fails then
		select {
		case err := <-ended:
			return err
		case <-time.After(stuck):
			t.Fatalf("Watch %s did not return within %v", what, stuck)
			return nil
		}
	}
	key := newKey()
	version := mustSwap(t, a, key, "one", 0)
	if err := watch(t.Context(), key, 0, "of a record that was not there and is"); err != nil {
		t.Fatalf("Watch of a record that was not there and is: %v", err)
	}
	newer := mustSwap(t, b, key, "two", version)
	if err := watch(t.Context(), key, version, "of a version that has passed"); err != nil {
		t.Fatalf("Watch of a version that has passed: %v", err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for ctx.Err() == nil { // it may return early
		_ = watch(ctx, key, newer, "whose context is done")
	}
	if err := watch(ctx, key, newer, "whose context is done"); err == nil {
		t.Error("Watch returned nil for a version that is the newest, with a context that is done")
	}

	for _, version := range []uint64{newer, 0} {
		if version == 0 {
			key = newKey()
		}
		ctx, cancel := context.WithTimeout(t.Context(), stuck)
		defer cancel()
		written := make(chan struct{})
		go func() { // ends with the write
			defer close(written)
			pause(t, 30*time.Millisecond)
			mustSwapLater(t, b, key, version)
		}()
		for found := version; found == version; {
			if err := watch(ctx, key, version, "while another client wrote"); err != nil {
				t.Fatalf("Watch, while another client wrote: %v", err)
			}
			var err error
			if _, found, err = a.Load(t.Context(), key); err != nil {
				t.Fatalf("Load after Watch: %v", err)
			}
		}
		<-written
	}
}

// mustSwapLater is mustSwap for another goroutine than the test's.
func mustSwapLater(t *testing.T, s shared.Store, key string, version uint64) {
	if _, err := s.CompareAndSwap(t.Context(), key, []byte("later"), version); err != nil {
		t.Errorf("CompareAndSwap: %v", err)
	}
}

// testAger checks that no record is older than its writer knows.
func testAger(t *testing.T, a, b shared.Ager, s shared.Store) {
	key, version := newKey(), uint64(0)
	for range 3 {
		before := time.Now()
		last := version
		version = mustSwap(t, s, key, "new", version)
		for _, ager := range []shared.Ager{a, b} {
			for range 3 {
				age, err := ager.Age(t.Context(), key, version)
				if most := time.Since(before); err != nil || age < 0 || age > most {
					t.Fatalf("Age of a record that was written at most %v ago = %v, %v; want rather too little than too much", most, age, err)
				}
				pause(t, 10*time.Millisecond)
			}
			for _, other := range []uint64{last, version + 1} {
				if age, err := ager.Age(t.Context(), key, other); age != 0 || err != nil {
					t.Fatalf("Age of version %d, while the record is at %d = %v, %v; want 0", other, version, age, err)
				}
			}
		}
	}
	if age, err := a.Age(t.Context(), newKey(), 7); age != 0 || err != nil {
		t.Fatalf("Age where there is no record = %v, %v; want 0", age, err)
	}
}

// testLocker checks that a lock has one holder, and is in no one's way but those who want it.
func testLocker(t *testing.T, a, b shared.Locker, s shared.Store) {
	key := newKey()
	mustLock := func(l shared.Locker, key string) (unlock func()) {
		t.Helper()
		unlock, ok, err := l.TryLock(t.Context(), key)
		if !ok || err != nil {
			t.Fatalf("TryLock of a key that no one has locked = %v, %v; want true", ok, err)
		}
		return unlock
	}
	unlock := mustLock(a, key)
	for _, l := range []shared.Locker{a, b} {
		began := time.Now()
		if _, ok, err := l.TryLock(t.Context(), key); ok || err != nil || time.Since(began) > stuck {
			t.Fatalf("TryLock of a key that is locked = %v, %v, after %v; want false at once", ok, err, time.Since(began))
		}
	}
	mustLock(b, newKey())()

	ctx, cancel := context.WithTimeout(t.Context(), stuck)
	defer cancel()
	if _, err := s.CompareAndSwap(ctx, key, []byte("x"), 0); err != nil {
		t.Fatalf("CompareAndSwap under a key that another client has locked: %v; the lock has nothing to do with it", err)
	}
	unlock()
	again := mustLock(b, key)
	unlock() // twice: it is no longer its own
	if _, ok, err := a.TryLock(t.Context(), key); ok || err != nil {
		t.Fatalf("TryLock after the first holder had unlocked twice = %v, %v; want false: the second one has it", ok, err)
	}
	again()

	var inside, most, turns atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		l := a
		if i%2 == 1 {
			l = b
		}
		wg.Go(func() { // ends after its tries
			for range 50 {
				unlock, ok, err := l.TryLock(t.Context(), key)
				if err != nil {
					t.Errorf("TryLock under contention: %v", err)
				}
				if !ok {
					pause(t, time.Millisecond)
					continue
				}
				if n := inside.Add(1); n > most.Load() {
					most.Store(n)
				}
				turns.Add(1)
				pause(t, 100*time.Microsecond)
				inside.Add(-1)
				unlock()
			}
		})
	}
	wg.Wait()
	if most.Load() > 1 {
		t.Errorf("%d clients had the lock at a time", most.Load())
	}
	if turns.Load() == 0 {
		t.Error("no one got the lock")
	}
	mustLock(a, key)() // it is free again
}
