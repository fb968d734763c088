// Package bench measures package transport beside golang.org/x/oauth2 on the same work. It is a
// module of its own, so that users of the transport do not get x/oauth2 with it.
package bench

import (
	"context"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
	"github.com/stayauth/stayauth/transport/internal/rounds"
)

// base answers with the response that the request brings along. It is a package-level interface
// variable, or the compiler would see through it.
var base http.RoundTripper = stub{}

type stub struct{}

func (stub) RoundTrip(req *http.Request) (*http.Response, error) {
	return req.Context().Value(key{}).(*http.Response), nil
}

type key struct{}

func request() *http.Request {
	resp := &http.Response{StatusCode: 200, Body: http.NoBody}
	req, _ := http.NewRequestWithContext(context.WithValue(context.Background(), key{}, resp), "GET", "https://api.example.com/v1/things", nil)
	req.Header.Set("Accept", "application/json")
	return req
}

type fixed struct{ expiry time.Time }

func (f fixed) Token(context.Context, provider.Token) (provider.Token, error) {
	return provider.NewToken(strings.Repeat("x", 200), f.expiry), nil
}

func pair(b *testing.B) (theirs, ours http.RoundTripper) {
	end := time.Now().Add(time.Hour)
	theirs = &oauth2.Transport{Base: base,
		Source: oauth2.ReuseTokenSource(nil, oauth2.StaticTokenSource(&oauth2.Token{AccessToken: strings.Repeat("x", 200), Expiry: end}))}
	tr := &transport.Transport{Base: base, Provider: fixed{end}}
	b.Cleanup(func() { tr.Close() })
	return theirs, tr
}

// BenchmarkLiveToken is a request under a live token.
func BenchmarkLiveToken(b *testing.B) {
	theirs, ours := pair(b)
	req := request()
	trip := func(rt http.RoundTripper) func() {
		return func() {
			if resp, err := rt.RoundTrip(req); err != nil || resp == nil {
				b.Error(resp, err)
			}
		}
	}
	b.Logf("allocations: %v, x/oauth2 %v", testing.AllocsPerRun(1000, trip(ours)), testing.AllocsPerRun(1000, trip(theirs)))
	times := func(f func()) func(int) {
		return func(n int) {
			for range n {
				f()
			}
		}
	}
	rounds.Compare(b, 15, times(trip(theirs)), times(trip(ours)))
}

// BenchmarkLiveTokenParallel is the same on all processors at once.
func BenchmarkLiveTokenParallel(b *testing.B) {
	theirs, ours := pair(b)
	all := func(rt http.RoundTripper) func(int) {
		return func(n int) {
			var wg sync.WaitGroup
			for range runtime.GOMAXPROCS(0) {
				wg.Go(func() {
					req := request()
					for range n {
						_, _ = rt.RoundTrip(req)
					}
				})
			}
			wg.Wait()
		}
	}
	rounds.Compare(b, 15, all(theirs), all(ours))
}
