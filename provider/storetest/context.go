package storetest

import (
	"context"
	"math"
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
// Time on a busy machine proves little, and an error nothing: one that is deaf may ask its context
// in the end. But a busy machine makes calls longer, never shorter. So an operation that returns
// early now and then obeys. One that does not is deaf, or it was kept from running: it is taken for
// deaf if most calls were late, in two rounds in a row. Where neither is seen nothing was learned,
// and it is tried again, for some time. What is early is measured before and after: where the machine
// was busier before, a call of the usual length looks so.
func testDeaf(t *testing.T, s shared.Store, op operation, key func() string) (returns bool) {
	const tries, enough = 31, 15 * time.Second
	whole, suspected, began := time.Duration(math.MaxInt64), false, time.Now()
	for round := 0; round < 2 || time.Since(began) < enough; round++ {
		usually, returned := usual(t, s, op, key)
		whole = min(whole, usually) // what took longer in another round was kept from running
		if !returned || whole < slow {
			return returned
		}
		late := 0
		var returns []time.Duration // of those calls that did before they were late, and not before their contexts were done
		early := func() bool {
			returns = slices.DeleteFunc(returns, func(took time.Duration) bool { return took >= whole*3/4 })
			return len(returns) > tries/5
		}
		for range tries {
			a := attempt(t, s, op, key(), whole)
			switch {
			case a.hangs:
				return false
			case a.late:
				late++
			case a.took > whole/8:
				returns = append(returns, a.took)
			}
			if !early() {
				continue
			}
			usually, returned = usual(t, s, op, key) // the machine may have been busier before
			if whole = min(whole, usually); !returned || whole < slow || early() {
				return returned
			}
		}
		deaf := late > tries/2
		if deaf && suspected {
			t.Errorf("%s takes %v, and in %d of %d tries it went on for a quarter of that after its context was done",
				op.name, whole, late, tries)
			return true
		}
		suspected = deaf
	}
	return true
}

// usual returns how long op takes where its context leaves it the time: most calls take longer.
func usual(t *testing.T, s shared.Store, op operation, key func() string) (whole time.Duration, returned bool) {
	const samples = 15
	calls := make([]time.Duration, samples)
	for i := range calls {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		took, returned := await(start(ctx, s, op, key()), time.Second+stuck)
		if !returned {
			return 0, false
		}
		calls[i] = took
	}
	slices.Sort(calls)
	return calls[samples/4], true
}

// An attempted call had a context that ended after a quarter of the time that such calls take.
type attempted struct {
	took  time.Duration
	late  bool // it went on for another quarter
	hangs bool // it never returned
}

// attempt makes such a call. It is woken by the context, as the operation is, and twice more before
// it calls that late: where no processor is to be had, both have to wait for one.
func attempt(t *testing.T, s shared.Store, op operation, key string, whole time.Duration) attempted {
	ctx, cancel := context.WithTimeout(t.Context(), whole/4)
	defer cancel()
	ended := start(ctx, s, op, key)
	<-ctx.Done()
	for range 2 {
		if took, returned := await(ended, whole/8); returned {
			return attempted{took: took}
		}
	}
	took, returned := await(ended, stuck)
	return attempted{took: took, late: true, hangs: !returned}
}

// start runs op, and returns where it says how long it took.
func start(ctx context.Context, s shared.Store, op operation, key string) (ended <-chan time.Duration) {
	result := make(chan time.Duration, 1)
	began := time.Now()
	go func() { // ends with the operation, which may hang: the test fails then
		_ = op.run(ctx, s, key)
		result <- time.Since(began)
	}()
	return result
}

// await waits for the end of an operation, but not for longer than limit.
func await(ended <-chan time.Duration, limit time.Duration) (took time.Duration, returned bool) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case took = <-ended:
		return took, true
	case <-timer.C:
	}
	select {
	case took = <-ended: // at the same time
		return took, true
	default:
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

// write has so many clients write to the key until stop is called. They rest after a write that
// took no time, so that they do not take the processor from those who measure; and only then: what
// queues behind them is to meet as many each time.
func write(t *testing.T, open func(t *testing.T) shared.Store, key string, writers int) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	for range writers {
		s := open(t)
		writing.Go(func() { // ends with ctx, unless an operation hangs
			for ctx.Err() == nil {
				_, version, _ := s.Load(ctx, key)
				began := time.Now()
				_, _ = s.CompareAndSwap(ctx, key, []byte("x"), version)
				if time.Since(began) < time.Millisecond {
					pause(t, time.Millisecond)
				}
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
