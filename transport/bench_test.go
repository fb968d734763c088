package transport_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
	"github.com/stayauth/stayauth/transport/internal/rounds"
)

// sharedHeader is what floorTrip puts into each request: one value for all of them.
var sharedHeader = []string{"Bearer token"}

// floorTrip is the least that a RoundTripper which adds a header has to do, since it must not
// modify its request: a shallow copy and a header map.
func floorTrip(base http.RoundTripper, req *http.Request) (*http.Response, error) {
	out := new(http.Request)
	*out = *req
	out.Header = make(http.Header, len(req.Header)+1)
	for k, v := range req.Header {
		out.Header[k] = v
	}
	out.Header["Authorization"] = sharedHeader
	return base.RoundTrip(out)
}

func logIn(b *testing.B, base http.RoundTripper, p provider.TokenProvider) *transport.Transport {
	b.Helper()
	tr := &transport.Transport{Provider: p, Base: base}
	if _, err := tr.Token(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { tr.Close() })
	return tr
}

func endsIn(d time.Duration) tokenFunc {
	return func(context.Context, provider.Token) (provider.Token, error) {
		return provider.NewToken("token", time.Now().Add(d)), nil
	}
}

// BenchmarkLiveToken is a request under a live token beside the floor, both over a base that does
// nothing.
func BenchmarkLiveToken(b *testing.B) {
	req, _ := http.NewRequest("GET", "https://api.example.com/v1/things", nil)
	req.Header.Set("Accept", "application/json")
	tr := logIn(b, base, endsIn(time.Hour))
	ours := func() { _, _ = tr.RoundTrip(req) }
	floor := func() { _, _ = floorTrip(base, req) }
	b.Logf("allocations: %v, the floor %v", testing.AllocsPerRun(1000, ours), testing.AllocsPerRun(1000, floor))
	rounds.Compare(b, 15, times(floor), times(ours))
}

// BenchmarkLiveTokenParallel is BenchmarkLiveToken on all processors at once.
func BenchmarkLiveTokenParallel(b *testing.B) {
	tr := logIn(b, echo, endsIn(time.Hour))
	all := func(trip func(*http.Request)) func(int) {
		return func(n int) {
			var wg sync.WaitGroup
			for range runtime.GOMAXPROCS(0) {
				wg.Go(func() {
					req := echoed()
					for range n {
						trip(req)
					}
				})
			}
			wg.Wait()
		}
	}
	rounds.Compare(b, 15, all(func(r *http.Request) { _, _ = floorTrip(echo, r) }), all(func(r *http.Request) { _, _ = tr.RoundTrip(r) }))
}

func times(f func()) func(int) {
	return func(n int) {
		for range n {
			f()
		}
	}
}

// BenchmarkAcrossExpiries is the 99th percentile of requests to a server on this machine while
// tokens of 200 ms end under them, beside that under a token which never ends.
func BenchmarkAcrossExpiries(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "ok") }))
	defer srv.Close()
	base := srv.Client().Transport
	n := 0
	short := logIn(b, base, tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
		n++
		time.Sleep(2 * time.Millisecond) // a backend in the same data centre
		now := time.Now()
		return provider.ParseJWT(jwtOf(n, now, now.Add(200*time.Millisecond)))
	}))
	endless := logIn(b, base, endsIn(0))
	var r rounds.Ratios
	measure := func() { r = append(r, float64(p99(b, short, srv.URL))/float64(p99(b, endless, srv.URL))) }
	for b.Loop() {
		measure()
	}
	for len(r) < 9 {
		measure()
	}
	st := short.Stats()
	b.Logf("%d tokens replaced, %d requests rejected", st.Refreshed-1, st.Rejected)
	r.Report(b, "p99")
}

func p99(b *testing.B, tr http.RoundTripper, url string) time.Duration {
	var mu sync.Mutex
	var all []time.Duration
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			var mine []time.Duration
			for began := time.Now(); time.Since(began) < time.Second; {
				req, _ := http.NewRequestWithContext(b.Context(), "GET", url, strings.NewReader(""))
				sent := time.Now()
				if status, err := send(tr, req); status != 200 || err != nil {
					b.Error(fmt.Sprint(status, err))
				}
				mine = append(mine, time.Since(sent))
			}
			mu.Lock()
			all = append(all, mine...)
			mu.Unlock()
		})
	}
	wg.Wait()
	slices.Sort(all)
	return all[len(all)*99/100]
}
