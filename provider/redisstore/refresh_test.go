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
// the median ratio of interleaved rounds, time-ratio, beside those of two floors. floor-ratio is
// the call and two bare round trips to Redis, without which nothing can be claimed and saved.
// leaving-ratio is the same with each round trip in a goroutine of its own, without which no caller
// can leave before the client does: the client obeys a deadline at best, and not the end of a
// context.
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
	ping := func(ctx context.Context) error {
		done := make(chan error, 1)
		go func() { done <- client.Ping(ctx).Err() }()
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	leaving := provider.Func(func(ctx context.Context) (string, error) {
		before := ping(ctx)
		token, err := alone(ctx)
		return token, errors.Join(before, err, ping(ctx))
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
	var ratios, floors, leavings []float64
	var took time.Duration
	measure := func() {
		without := round(alone)
		with := round(throughRedis)
		floors = append(floors, float64(round(pinging))/float64(without))
		leavings = append(leavings, float64(round(leaving))/float64(without))
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
	slices.Sort(leavings)
	b.ReportMetric(floors[len(floors)/2], "floor-ratio")
	b.ReportMetric(leavings[len(leavings)/2], "leaving-ratio")
	b.ReportMetric(float64(took.Nanoseconds())/float64(refreshes*len(ratios)), "ns/op")
	b.ReportMetric(ratios[len(ratios)/2], "time-ratio")
	b.Logf("a refresh through Redis: median %.1fx of one without, from %.1fx to %.1fx in %d interleaved rounds; "+
		"two bare round trips: %.1fx; two that a caller can leave: %.1fx",
		ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1], len(ratios), floors[len(floors)/2], leavings[len(leavings)/2])
}
