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
	stuck = 3 * time.Second       // and one that takes so much longer than its context hangs
	tries = 15
)

// testContext checks that calls return when their contexts are done, while so many other clients
// write the same key.
//
// Time on a busy machine proves little: a call is taken for deaf only if most of its tries are late
// and most pauses of the same length, taken in turn with them, are not.
func testContext(t *testing.T, open func(t *testing.T) shared.Store, writers int) {
	s, busy := open(t), newKey()
	stop := write(t, open, busy, writers)
	defer stop()
	for _, op := range operations {
		key := func() string { return busy }
		if writers == 0 && op.name != "Load" {
			key = newKey // so that it writes, and is no conflict
		}
		usual := make([]time.Duration, tries)
		for i := range usual {
			took, returned := measure(t, s, op, key(), stuck)
			if !returned {
				t.Errorf("%s hangs: it did not return when its context was done, nor within %v after it", op.name, stuck)
				return
			}
			usual[i] = took
		}
		slices.Sort(usual)
		whole := usual[tries/2]
		if whole < slow {
			continue
		}
		late, lateAnyway := 0, 0
		for range tries {
			took, returned := measure(t, s, op, key(), whole/4)
			if !returned {
				t.Errorf("%s hangs: it did not return when its context was done, nor within %v after it", op.name, stuck)
				return
			}
			if took > whole*3/4 {
				late++
			}
			if pause(t, whole/4) > whole/2 {
				lateAnyway++
			}
		}
		if late > tries/2 && lateAnyway <= tries/4 {
			t.Errorf("%s takes %v, and in %d of %d tries it did so although its context was done after a quarter of that",
				op.name, whole, late, tries)
		}
	}
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

// write has so many clients write to the key until stop is called. They rest as long as they work,
// so that a store which takes no time does not take the processor from those who measure.
func write(t *testing.T, open func(t *testing.T) shared.Store, key string, writers int) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	for range writers {
		s := open(t)
		writing.Go(func() { // ends with ctx, unless an operation hangs
			for ctx.Err() == nil {
				began := time.Now()
				_, version, _ := s.Load(ctx, key)
				_, _ = s.CompareAndSwap(ctx, key, []byte("x"), version)
				pause(t, max(time.Since(began), time.Millisecond))
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
		case <-time.After(stuck): // the test has failed
		}
	}
}
