package transport_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// Guarantee 7: neither a first sending nor a 5xx clears a token of suspicion.
func TestG07_WhatEndsStrikes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status := 0
		s := &stub{}
		s.serve = func(req *http.Request) *http.Response {
			if status != 0 && s.accepts(req) {
				return respond(req, status, "")
			}
			return nil
		}
		tr := through(t, s)
		mustGet(t, tr)
		for i, step := range []struct{ status, strikes int }{{503, 1}, {500, 2}, {404, 0}, {403, 0}, {302, 0}} {
			s.revoke()
			status = step.status
			got, err := get(tr, t.Context())
			if got != step.status || err != nil {
				t.Fatalf("step %d: %d, %v", i, got, err)
			}
			status = 0
			mustGet(t, tr) // a first sending, accepted
			if st := tr.Stats(); st.Strikes != step.strikes {
				t.Errorf("after a replay answered %d: %d strikes, want %d", step.status, st.Strikes, step.strikes)
			}
			time.Sleep(time.Second)
		}
	})
}

// Guarantee 7: strikes end for logins that never replay, because they use Token and Reject alone.
// The hundredth revocation costs what the first does.
func TestG07_StrikesEndWithoutReplays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{life: time.Minute, delay: 100 * time.Millisecond}
		tr := through(t, s)
		tok, err := tr.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for n := range 100 {
			for began := time.Now(); time.Since(began) < 110*time.Second; time.Sleep(time.Second) { // healthy use
				if tok, err = tr.Token(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			s.revoke()
			began := time.Now()
			for ; !s.good[tok.Value()].After(time.Now()); time.Sleep(10 * time.Millisecond) { // a dial, which is rejected
				tr.Reject(tok)
				if tok, err = tr.Token(t.Context()); err != nil {
					t.Fatalf("revocation %d: %v", n+1, err)
				}
			}
			if d := time.Since(began); d > 110*time.Millisecond {
				t.Fatalf("revocation %d: an outage of %s", n+1, d)
			}
		}
	})
}

// Guarantee 7: tokens that live for ten seconds, and say nothing of it, through Token and Reject.
// No call fails or waits.
func TestG07_OpaqueTokensOfTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ends := map[string]time.Time{}
		n := 0
		tr := &transport.Transport{Base: &stub{}, Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
			n++
			value := fmt.Sprint("t", n)
			ends[value] = time.Now().Add(10 * time.Second)
			return provider.NewToken(value, time.Time{}), nil
		})}
		defer tr.Close()
		for range 600 {
			began := time.Now()
			tok, err := tr.Token(t.Context())
			if err == nil && !time.Now().Before(ends[tok.Value()]) { // a gRPC call, which is rejected and made once more
				tr.Reject(tok)
				tok, err = tr.Token(t.Context())
			}
			if err != nil || !time.Now().Before(ends[tok.Value()]) || time.Since(began) != 0 {
				t.Fatalf("a call failed after %s: %v", time.Since(began), err)
			}
			time.Sleep(time.Second)
		}
		if n != 60 {
			t.Errorf("%d provider calls for 60 tokens", n)
		}
	})
}

// Guarantee 7: an endpoint that always rejects and takes its time for it does not shed its strikes
// by that.
func TestG07_ASlowEndpointThatAlwaysRejects(t *testing.T) {
	for _, latency := range []time.Duration{10 * time.Millisecond, 300 * time.Millisecond, 2 * time.Second, 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := &stub{latency: latency, serve: reject}
			tr := through(t, s)
			for began := time.Now(); time.Since(began) < 10*time.Minute; {
				_, _ = get(tr, t.Context())
				time.Sleep(10 * time.Millisecond)
			}
			if calls, _, _ := s.counts(); calls > 10*13 {
				t.Errorf("latency %s: %d provider calls in 10 minutes", latency, calls)
			}
		})
	}
}

// Guarantee 7: a first sending proves nothing, also one whose answer a classifier has looked at and
// let pass.
func TestG07_AFirstSendingClearsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		down := false
		s.serve = func(req *http.Request) *http.Response {
			switch {
			case !s.accepts(req):
				return respond(req, 401, `{"code":40}`)
			case down:
				return respond(req, 503, "")
			}
			return respond(req, 401, `{"code":41}`)
		}
		tr := through(t, s)
		tr.IsRejected = transport.BodyCode("code", 40)
		_, _ = get(tr, t.Context())
		s.revoke()
		down = true
		_, _ = get(tr, t.Context()) // a strike, and a replay that proves nothing either
		down = false
		if status, err := get(tr, t.Context()); status != 401 || err != nil || tr.Stats().Strikes != 1 {
			t.Errorf("%d, %v, %d strikes, want 1", status, err, tr.Stats().Strikes)
		}
	})
}

// What an operator sees of waiting: how many requests have waited, how long, and how many failed
// for want of a token, each of them in Stats and in Trace, with the request's own context.
func TestWhoWaitsIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		var told, mine atomic.Int32
		s := &stub{delay: 2 * time.Second}
		tr := through(t, s)
		tr.Trace = &transport.Trace{Waited: func(e transport.Waited) {
			told.Add(1)
			if e.Context.Value(key{}) != nil {
				mine.Add(1)
			}
		}}
		ctx := context.WithValue(t.Context(), key{}, true)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if status, err := get(tr, ctx); status != 200 || err != nil {
					t.Error(status, err)
				}
			})
		}
		wg.Wait()
		s.mint = func(int) (provider.Token, error) { return provider.Token{}, provider.NoRetry(errors.New("down")) }
		s.revoke()
		for range 300 {
			if _, err := get(tr, ctx); err == nil {
				t.Error("no error")
			}
		}
		gone, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		time.Sleep(time.Minute)
		_, _ = get(tr, gone) // it has given up before it began
		st := tr.Stats()
		if st.Waited != 11 || st.WaitTime != 22*time.Second || st.LongestWait != 2*time.Second || st.NoToken != 300 {
			t.Errorf("%d waited, %s in all, %s at most, %d without a token", st.Waited, st.WaitTime, st.LongestWait, st.NoToken)
		}
		if told.Load() != 310 || mine.Load() != 310 {
			t.Errorf("%d were told, %d with their context", told.Load(), mine.Load())
		}
	})
}
