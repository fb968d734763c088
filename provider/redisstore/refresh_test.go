//go:build unix

package redisstore_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/redisstore"
	"github.com/stayauth/stayauth/provider/shared"
)

// BenchmarkRefresh is what a refresh costs with the login in Redis beside one without, where the
// backend is as near as it can be: Redis and the backend are both on the loopback interface. It is
// the median ratio of interleaved rounds; floor-ratio is that of the call and two bare round trips
// to Redis, without which nothing can be claimed and saved.
func BenchmarkRefresh(b *testing.B) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "a token") }))
	defer backend.Close()
	alone := provider.Func(func(ctx context.Context) (string, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, backend.URL, nil)
		if err != nil {
			return "", err
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return "", err
		}
		defer answer.Body.Close()
		token, err := io.ReadAll(answer.Body)
		return string(token), err
	})
	client := startRedis(b).client()
	throughRedis := &shared.Login{Provider: alone, Store: &redisstore.Store{Client: client}, Key: "alice"}
	pinging := provider.Func(func(ctx context.Context) (string, error) {
		before := client.Ping(ctx).Err()
		token, err := alone(ctx)
		return token, errors.Join(before, err, client.Ping(ctx).Err())
	})
	const refreshes = 50 // in a round
	round := func(p provider.TokenProvider) time.Duration {
		var token provider.Token
		began := time.Now()
		for range refreshes {
			var err error
			if token, err = p.Token(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
		return time.Since(began)
	}
	var ratios, floors []float64
	var took time.Duration
	measure := func() {
		without := round(alone)
		with := round(throughRedis)
		floors = append(floors, float64(round(pinging))/float64(without))
		took += with
		ratios = append(ratios, float64(with)/float64(without))
	}
	for b.Loop() {
		measure()
	}
	for len(ratios) < 15 {
		measure()
	}
	slices.Sort(ratios)
	slices.Sort(floors)
	b.ReportMetric(floors[len(floors)/2], "floor-ratio")
	b.ReportMetric(float64(took.Nanoseconds())/float64(refreshes*len(ratios)), "ns/op")
	b.ReportMetric(ratios[len(ratios)/2], "time-ratio")
	b.Logf("a refresh through Redis: median %.1fx of one without, from %.1fx to %.1fx in %d interleaved rounds",
		ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1], len(ratios))
}
