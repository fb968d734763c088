package testserver_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

// What the page costs a request: the ratio of the time with it to the time without it. Both servers
// are asked by turns, and the ratio is that of the medians, so that it does not matter what else
// this machine does.
func BenchmarkPage(b *testing.B) {
	bare, shown := &testserver.Server{}, &testserver.Server{}
	shown.Page()
	ask := func(srv *testserver.Server, token string) time.Duration {
		r := httptest.NewRequest("GET", "/api/v2/app?api_key="+testserver.DefaultKey, http.NoBody)
		r.Header.Set("Authorization", token)
		r.Header.Set("Stream-Auth-Type", "jwt")
		w := httptest.NewRecorder()
		began := time.Now()
		srv.ServeHTTP(w, r)
		took := time.Since(began)
		if w.Code != 200 {
			b.Fatalf("status %d", w.Code)
		}
		return took
	}
	with, without := shown.Issue("alice"), bare.Issue("alice")
	var slow, fast []time.Duration
	for b.Loop() {
		slow = append(slow, ask(shown, with))
		fast = append(fast, ask(bare, without))
	}
	slices.Sort(slow)
	slices.Sort(fast)
	x, y := slow[len(slow)/2], fast[len(fast)/2]
	b.ReportMetric(float64(x)/float64(y), "ratio")
	b.ReportMetric(float64(x-y), "ns-more/request")
}
