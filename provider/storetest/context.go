package storetest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider/shared"
)

// testCancelled checks that a call with a context that is done does nothing but say so.
func testCancelled(t *testing.T, s shared.Store) {
	key := newKey()
	version := mustSwap(t, s, key, "kept", 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Load(ctx, key); err == nil {
		t.Error("Load with a cancelled context returned no error")
	}
	if _, err := s.CompareAndSwap(ctx, key, []byte("x"), version); err == nil {
		t.Error("CompareAndSwap with a cancelled context returned no error")
	} else if isConflict(err) {
		t.Errorf("CompareAndSwap with a cancelled context and the right version: %v; it is no conflict", err)
	}
	wantLoad(t, s, key, "kept", version)
}

const (
	slow  = 10 * time.Millisecond // an operation that takes less returns too soon to be told from one that obeys its context
	stuck = 10 * time.Second      // and one that takes so much longer than its context hangs
)

// testContext checks that calls return when their contexts are done, while so many other clients
// write the same key.
func testContext(t *testing.T, open func(t *testing.T) shared.Store, writers int) {
	s, busy := open(t), newKey()
	stop := write(t, open, busy, writers)
	defer stop()
	for _, op := range operations {
		key := func() string { return busy }
		if writers == 0 && op.name != "Load" {
			key = newKey // so that it writes, and is no conflict
		}
		if !testDeaf(t, s, op, key) {
			t.Errorf("%s hangs: it did not return when its context was done, nor within %v after it", op.name, stuck)
			return
		}
	}
}

// testDeaf checks one operation. It returns false as soon as that hangs.
//
// Time on a busy machine proves little. So the tries are taken in turn with those of an operation
// that is known to obey, and a call is taken for deaf only if it is late far more often than that.
// Where both are late nothing was learned, and it is tried again, for some time.
func testDeaf(t *testing.T, s shared.Store, op operation, key func() string) (returns bool) {
	const samples, tries = 15, 31
	usual := make([]time.Duration, samples)
	for i := range usual {
		took, returned := measure(t, s, op, key(), time.Second)
		if !returned {
			return false
		}
		usual[i] = took
	}
	slices.Sort(usual)
	whole := usual[samples/4] // most calls take longer
	if whole < slow {
		return true
	}
	obedient := operation{run: func(ctx context.Context, _ shared.Store, _ string) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(whole):
			return nil
		}
	}}
	for began := time.Now(); time.Since(began) < 15*time.Second; {
		late, lateAnyway := 0, 0
		for range tries {
			took, returned := measure(t, s, op, key(), whole/4)
			if !returned {
				return false
			}
			if took > whole*3/4 {
				late++
			}
			if took, _ := measure(t, s, obedient, "", whole/4); took > whole*3/4 {
				lateAnyway++
			}
		}
		switch {
		case late <= tries/2:
			return true
		case late-lateAnyway > tries*6/10:
			t.Errorf("%s takes %v, and in %d of %d tries it did so although its context was done after a quarter of that",
				op.name, whole, late, tries)
			return true
		}
	}
	return true
}

// measure runs op with a context that ends after limit, and returns how long it took. It does not
// wait for more than stuck beyond that.
func measure(t *testing.T, s shared.Store, op operation, key string, limit time.Duration) (took time.Duration, returned bool) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	done := make(chan time.Duration, 1)
	began := time.Now()
	go func() { // ends with the operation, which may hang: the test fails then
		_ = op.run(ctx, s, key)
		done <- time.Since(began)
	}()
	timer := time.NewTimer(limit + stuck)
	defer timer.Stop()
	select {
	case took = <-done:
		return took, true
	case <-timer.C:
		return 0, false
	}
}

// pause waits for the end of a context, and returns how long that took.
func pause(t *testing.T, limit time.Duration) time.Duration {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	began := time.Now()
	<-ctx.Done()
	return time.Since(began)
}

// write has so many clients write to the key until stop is called. They rest in between, so that
// with a store which takes no time they do not take the processor from those who measure.
func write(t *testing.T, open func(t *testing.T) shared.Store, key string, writers int) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	for range writers {
		s := open(t)
		writing.Go(func() { // ends with ctx, unless an operation hangs
			for ctx.Err() == nil {
				_, version, _ := s.Load(ctx, key)
				_, _ = s.CompareAndSwap(ctx, key, []byte("x"), version)
				pause(t, time.Millisecond)
			}
		})
	}
	ended := make(chan struct{})
	go func() { // ends when the clients have
		writing.Wait()
		close(ended)
	}()
	return func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(time.Second): // the test has failed, or will
		}
	}
}
