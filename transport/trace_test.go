package transport_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

type callerKey struct{}

// Stats and Trace tell of each request that gets no token, however it came to that, and Trace has
// its context. The refresh has none of the requests' values.
func TestTraceTellsOfEachRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		down := provider.NoRetry(errors.New("down"))
		var asked atomic.Int32
		tr := &transport.Transport{MaxWaiting: 100, Base: s, Provider: tokenFunc(func(ctx context.Context, _ provider.Token) (provider.Token, error) {
			if v := ctx.Value(callerKey{}); v != nil {
				t.Errorf("the refresh has a caller's value, %v", v)
			}
			asked.Add(1)
			time.Sleep(time.Second)
			return provider.Token{}, down
		})}
		defer tr.Close()
		var mu sync.Mutex
		failed := map[any]error{}
		waitedFor := map[int64]int{}
		var refreshes []int64
		tr.Trace = &transport.Trace{
			Waited: func(e transport.Waited) {
				mu.Lock()
				defer mu.Unlock()
				failed[e.Context.Value(callerKey{})] = e.Err
				waitedFor[e.Refresh]++
			},
			RefreshDone: func(e transport.RefreshDone) {
				mu.Lock()
				defer mu.Unlock()
				refreshes = append(refreshes, e.Refresh)
			},
		}
		var wg sync.WaitGroup
		errs := make([]error, 300)
		send := func(i int, ctx context.Context) {
			_, errs[i] = get(tr, context.WithValue(ctx, callerKey{}, i))
		}
		impatient, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		for i := range 30 { // these give up
			wg.Go(func() { send(i, impatient) })
		}
		synctest.Wait()
		for i := range 70 { // these wait
			wg.Go(func() { send(30+i, t.Context()) })
		}
		synctest.Wait()
		for i := range 50 { // these find the queue full
			send(100+i, t.Context())
		}
		wg.Wait()
		for i := range 150 { // these fail at once, in the pause of 100 ms
			send(150+i, t.Context())
		}
		st := tr.Stats()
		if st.GaveUp != 30 || st.NoToken != 220 || st.QueueFull != 50 || st.Waited != 100 || st.LongestWait != time.Second || st.WaitTime != 85*time.Second {
			t.Errorf("stats %+v", st)
		}
		synctest.Wait()
		if len(failed) != 300 || asked.Load() != 1 || !slices.Equal(refreshes, []int64{1}) {
			t.Errorf("%d requests told, %d calls, refreshes %v", len(failed), asked.Load(), refreshes)
		}
		if want := map[int64]int{1: 100, 0: 200}; fmt.Sprint(waitedFor) != fmt.Sprint(want) {
			t.Errorf("by the refresh that they waited for: %v, want %v", waitedFor, want)
		}
		for i, err := range errs {
			if err == nil || failed[i] != err {
				t.Errorf("request %d: told %v, error %v", i, failed[i], err)
			}
		}
	})
}

// Rejected and Replayed have the request's context, too, and the refreshes are numbered.
func TestTraceLinksRequestsToRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{delay: time.Second}
		tr := through(t, s)
		var told []string
		var mu sync.Mutex
		tell := func(format string, args ...any) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, fmt.Sprintf(format, args...))
		}
		tr.Trace = &transport.Trace{
			RefreshStart: func(e transport.RefreshStart) { tell("refresh %d", e.Refresh) },
			RefreshDone:  func(e transport.RefreshDone) { tell("refresh %d is done", e.Refresh) },
			Rejected:     func(e transport.Rejected) { tell("%v is rejected", e.Context.Value(callerKey{})) },
			Replayed:     func(e transport.Replayed) { tell("%v is replayed", e.Context.Value(callerKey{})) },
		}
		for _, name := range []string{"a", "b"} {
			if status, err := get(tr, context.WithValue(t.Context(), callerKey{}, name)); status != 200 || err != nil {
				t.Fatal(status, err)
			}
			synctest.Wait()
			s.revoke()
		}
		if want := []string{"refresh 1", "refresh 1 is done", "b is rejected", "refresh 2", "refresh 2 is done", "b is replayed"}; !sameInOrder(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
		tok, _ := tr.Token(t.Context())
		tr.Reject(tok)
		if last := told[len(told)-1]; last != "<nil> is rejected" { // Reject has no context
			t.Error(last)
		}
	})
}

// sameInOrder reports whether got and want are the same, but for the end of a refresh and the
// replay that comes of it, which are told by two goroutines.
func sameInOrder(got, want []string) bool {
	return slices.Equal(got[:min(4, len(got))], want[:4]) && slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want)))
}
