package transport_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
	"github.com/stayauth/stayauth/transport/internal/rounds"
)

const waiters = 100_000

// A crowd is what waiting costs: heap and stacks for one waiter, and the time to wake them all.
type crowd struct {
	heap, stack float64
	wake        time.Duration
}

// gather starts waiters goroutines in wait, and lets them go by release once all of them wait.
func gather(wait func(), waiting func() bool, release func()) crowd {
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var wg sync.WaitGroup
	for range waiters {
		wg.Add(1)
		go func() {
			wait()
			wg.Done()
		}()
	}
	for !waiting() {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(20 * time.Millisecond) // from being counted to being parked
	runtime.GC()
	runtime.ReadMemStats(&during)
	began := time.Now()
	release()
	wg.Wait()
	return crowd{
		heap:  (float64(during.HeapAlloc) - float64(before.HeapAlloc)) / waiters,
		stack: (float64(during.StackInuse) - float64(before.StackInuse)) / waiters,
		wake:  time.Since(began),
	}
}

// BenchmarkWaiters is 100,000 requests that wait for one refresh, beside as many goroutines on a
// bare channel.
func BenchmarkWaiters(b *testing.B) {
	bare := func() crowd {
		c := make(chan struct{})
		return gather(func() { <-c }, func() bool { return runtime.NumGoroutine() > waiters }, func() { close(c) })
	}
	ours := func() crowd {
		c := make(chan struct{})
		tr := &transport.Transport{Base: echo, Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
			<-c
			return provider.NewToken("token", time.Time{}), nil
		})}
		defer tr.Close()
		req := echoed().WithContext(b.Context())
		tr.Base = roundTripper(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
		})
		return gather(func() {
			if _, err := tr.RoundTrip(req); err != nil {
				b.Error(err)
			}
		}, func() bool { return tr.Stats().Waiting == waiters }, func() { close(c) })
	}
	var wake rounds.Ratios
	var heap, stack, bareStack []float64
	bare() // goroutines are reused: both find them there
	measure := func() {
		x, y := bare(), ours()
		wake = append(wake, float64(y.wake)/float64(x.wake))
		heap = append(heap, y.heap-x.heap)
		stack, bareStack = append(stack, y.stack), append(bareStack, x.stack)
	}
	for b.Loop() {
		measure()
	}
	for len(wake) < 15 {
		measure()
	}
	for _, s := range [][]float64{heap, stack, bareStack} {
		slices.Sort(s)
	}
	b.Logf("heap for one waiter beyond a goroutine on a bare channel: median %.0f B, from %.0f to %.0f; stack %.0f B, on the channel %.0f B",
		heap[len(heap)/2], heap[0], heap[len(heap)-1], stack[len(stack)/2], bareStack[len(bareStack)/2])
	b.ReportMetric(heap[len(heap)/2], "heap-B/waiter")
	wake.Report(b, "wake")
}

// inFlight is how many requests are under way when their token is rejected.
const inFlight = 10_000

// A rejecting base answers a request under a good token with 200. The first inFlight others it
// holds until all of them are there, and rejects them with a page.
type rejecting struct {
	good string
	page int
	held sync.WaitGroup
}

func (r *rejecting) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Header.Get("Authorization") == r.good {
		return &http.Response{StatusCode: 200, Body: http.NoBody, Request: req}, nil
	}
	r.held.Done()
	r.held.Wait()
	resp := reject(req)
	resp.Header.Set("Content-Type", "text/html")
	resp.Body, resp.ContentLength = io.NopCloser(&zeros{r.page}), int64(r.page)
	return resp, nil
}

// BenchmarkErrorPages is the heap that 10,000 requests keep which were rejected with a page of 64
// KiB each and wait for a refresh, beyond as many that wait on a bare channel with the same request
// in hand.
func BenchmarkErrorPages(b *testing.B) {
	var kept []float64
	measure := func() {
		release := make(chan struct{})
		crowd := func(trip func(*http.Request), waiting func() bool) float64 {
			before := heap()
			var wg sync.WaitGroup
			for range inFlight {
				wg.Go(func() {
					req, _ := http.NewRequest("GET", "https://api.example.com/", nil)
					trip(req)
				})
			}
			for !waiting() {
				time.Sleep(time.Millisecond)
			}
			time.Sleep(20 * time.Millisecond) // from being counted to being parked
			during := heap()
			close(release)
			wg.Wait()
			return float64(during-before) / inFlight
		}
		var parked atomic.Int32
		bare := crowd(func(req *http.Request) {
			parked.Add(1)
			<-release
			runtime.KeepAlive(req)
		}, func() bool { return parked.Load() == inFlight })

		release = make(chan struct{})
		base := &rejecting{good: "Bearer t2", page: 64 << 10}
		base.held.Add(inFlight)
		calls := 0
		tr := &transport.Transport{Base: base, RefreshTimeout: time.Hour, Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
			if calls++; calls > 1 {
				<-release
			}
			return provider.NewToken(fmt.Sprint("t", calls), time.Time{}), nil
		})}
		defer tr.Close()
		if _, err := tr.Token(b.Context()); err != nil {
			b.Fatal(err)
		}
		ours := crowd(func(req *http.Request) {
			if status, err := send(tr, req); status != 200 || err != nil {
				b.Error(status, err)
			}
		}, func() bool { return tr.Stats().Waiting == inFlight })
		kept = append(kept, ours-bare)
	}
	for b.Loop() {
		measure()
	}
	for len(kept) < 5 {
		measure()
	}
	slices.Sort(kept)
	b.Logf("heap for one rejected request that waits, beyond one on a bare channel: median %.0f B, from %.0f to %.0f; its page has 65536 B",
		kept[len(kept)/2], kept[0], kept[len(kept)-1])
	b.ReportMetric(kept[len(kept)/2], "heap-B/waiter")
}

// BenchmarkRefreshOfMany is 10,000 requests from their common rejection to the last reply, beside
// the same by hand: each waits on one channel for the one call of the provider, and is sent again.
func BenchmarkRefreshOfMany(b *testing.B) {
	run := func(trip func(base *rejecting, req *http.Request)) time.Duration {
		base := &rejecting{good: "Bearer t2", page: 100}
		base.held.Add(inFlight + 1)
		var wg sync.WaitGroup
		for range inFlight {
			wg.Go(func() {
				req, _ := http.NewRequest("GET", "https://api.example.com/", nil)
				trip(base, req)
			})
		}
		for runtime.NumGoroutine() < inFlight {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(20 * time.Millisecond)
		began := time.Now()
		base.held.Done()
		wg.Wait()
		return time.Since(began)
	}
	byHand := func() time.Duration {
		var once sync.Once
		done := make(chan struct{})
		return run(func(base *rejecting, req *http.Request) {
			resp, _ := floorTrip(base, req)
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			once.Do(func() { go close(done) })
			<-done
			out := req.Clone(req.Context())
			out.Header.Set("Authorization", "Bearer t2")
			if resp, err := base.RoundTrip(out); err != nil || resp.StatusCode != 200 {
				b.Error(resp, err)
			}
		})
	}
	ours := func() time.Duration {
		calls := 0
		tr := &transport.Transport{Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
			calls++
			return provider.NewToken(fmt.Sprint("t", calls), time.Time{}), nil
		})}
		defer tr.Close()
		if _, err := tr.Token(b.Context()); err != nil {
			b.Fatal(err)
		}
		var set sync.Once
		return run(func(base *rejecting, req *http.Request) {
			set.Do(func() { tr.Base = base })
			if resp, err := tr.RoundTrip(req); err != nil || resp.StatusCode != 200 {
				b.Error(resp, err)
			}
		})
	}
	var ratio rounds.Ratios
	var took []float64
	measure := func() {
		x, y := byHand(), ours()
		ratio, took = append(ratio, float64(y)/float64(x)), append(took, y.Seconds()*1000)
	}
	for b.Loop() {
		measure()
	}
	for len(ratio) < 15 {
		measure()
	}
	slices.Sort(took)
	b.Logf("from the rejection to the last of %d replies: median %.0f ms", inFlight, took[len(took)/2])
	ratio.Report(b, "refresh")
}
