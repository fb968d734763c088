package transport_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// Guarantee 7: strikes end for logins that never replay, because they use Token and Reject alone. The hundredth revocation costs
// what the first does.
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

// Guarantee 7: tokens that live for ten seconds, and say nothing of it, through Token and Reject. No call fails or waits.
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

// Guarantee 7: an endpoint that always rejects and takes its time for it does not shed its strikes by that.
func TestG07_ASlowEndpointThatAlwaysRejects(t *testing.T) {
	for _, latency := range []time.Duration{10 * time.Millisecond, 300 * time.Millisecond, 2 * time.Second, 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := &stub{latency: latency, serve: refuse}
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

// Guarantee 7: Token never returns a token that is known to be rejected. Against an API that rejects everything for a minute, a
// client that dials as fast as it can makes a few dials, and is told when to try again.
func TestG07_TokenIsNeverRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		tr := through(t, s)
		known := map[string]bool{}
		dials := 0
		for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(5 * time.Millisecond) {
			tok, err := tr.Token(t.Context())
			if err != nil {
				re, ok := errors.AsType[*transport.RefreshError](err)
				if !ok || re.Permanent || !re.NextTry.After(time.Now()) || !strings.Contains(err.Error(), re.NextTry.Format(time.RFC3339)) {
					t.Fatalf("error %v", err)
				}
				continue
			}
			if known[tok.Value()] {
				t.Fatalf("%s was handed out after it had been rejected", tok.Value())
			}
			dials++
			known[tok.Value()] = true
			tr.Reject(tok)
		}
		if dials < 5 || dials > 24 {
			t.Errorf("%d dials", dials)
		}
		if calls, _, _ := s.counts(); calls != dials {
			t.Errorf("%d provider calls for %d dials", calls, dials)
		}
	})
}

// Guarantee 7: a strike that falls into the pauses of a refresh counts: the fourth, with a provider that fails, puts the next call
// off until four seconds after the dead token came.
func TestG07_AStrikeInARefreshsPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		down := false
		s.mint = func(n int) (provider.Token, error) {
			if down {
				return provider.Token{}, errors.New("down")
			}
			return provider.NewToken(fmt.Sprint("t", n), time.Now().Add(1500*time.Millisecond)), nil
		}
		tr := through(t, s)
		var tok provider.Token
		for range 4 { // three strikes, and a fourth token
			tr.Reject(tok)
			var err error
			if tok, err = tr.Token(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		arrived, calls := time.Now(), len(s.at)
		down = true
		time.Sleep(1600 * time.Millisecond) // it has expired
		go func() {
			got, err := tr.Token(t.Context())
			re, ok := errors.AsType[*transport.RefreshError](err)
			if !ok || re.NextTry.Sub(arrived) != 4*time.Second {
				t.Errorf("who waited for a valid token got %q, %v", got.Value(), err)
			}
		}()
		time.Sleep(200 * time.Millisecond)
		tr.Reject(tok) // a dial that was slow to fail
		time.Sleep(10 * time.Second)
		synctest.Wait()
		for _, at := range s.at[calls:] {
			if d := at.Sub(arrived); d > 1900*time.Millisecond && d < 4*time.Second {
				t.Errorf("the provider was called %s after the dead token came, want 4 s", d)
			}
		}
		if tr.Stats().Strikes != 4 {
			t.Errorf("%d strikes", tr.Stats().Strikes)
		}
	})
}

// Guarantee 7: where the API gives no sign that the token is to blame, a request is sent twice at most: a wrong password is not
// tried until the account is locked.
func TestG07_AWrongPasswordIsSentTwice(t *testing.T) {
	bare := func(req *http.Request) *http.Response { return respond(req, 401, "wrong password") }
	own := func(resp *http.Response) bool { return resp.StatusCode == 401 }
	code := func(req *http.Request) *http.Response { return respond(req, 401, `{"code":40}`) }
	tests := []struct {
		name       string
		isRejected func(*http.Response) bool
		answer     func(*http.Request) *http.Response
		sent       int
	}{
		{"Any401", transport.Any401, bare, 2},
		{"a function that looks at the status", own, bare, 2},
		{"Any401, and the answer has a challenge", transport.Any401, refuse, 4},
		{"BodyCode", transport.BodyCode("code", 40), code, 4},
		{"Bearer", nil, refuse, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var sent atomic.Int32
				s := &stub{serve: func(req *http.Request) *http.Response {
					if req.URL.Path != "/login" {
						return nil
					}
					sent.Add(1)
					return tt.answer(req)
				}}
				tr := through(t, s)
				tr.IsRejected = tt.isRejected
				mustGet(t, tr)
				req, _ := http.NewRequest("POST", "https://api.example.com/login", strings.NewReader("secret"))
				if status, err := send(tr, req); status != 401 || err != nil || int(sent.Load()) != tt.sent {
					t.Errorf("%d, %v, sent %d times, want %d", status, err, sent.Load(), tt.sent)
				}
			})
		})
	}
}

// Guarantee 9: a provider that takes 45 s, and one request a second for ten minutes. The first refresh fails at its time limit,
// with the 31 requests that wait for it by then. The next joins the call, and the 14 that come until it returns are served:
// failing them at once, because the provider is at work, would make it 45 or 46.
func TestG09_ASlowCallIsJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{life: 24 * time.Hour}
		var calls atomic.Int32
		tr := &transport.Transport{Base: s, Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
			calls.Add(1)
			time.Sleep(45 * time.Second)
			return s.issue("t1"), nil
		})}
		defer tr.Close()
		var failed, waited atomic.Int32
		began := time.Now()
		for range 600 {
			go func() {
				if _, err := get(tr, t.Context()); err != nil {
					failed.Add(1)
				} else if time.Since(began) == 45*time.Second {
					waited.Add(1)
				}
			}()
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if calls.Load() != 1 || failed.Load() != 31 || waited.Load() < 14 {
			t.Errorf("%d calls, %d failed, %d were served when the call returned", calls.Load(), failed.Load(), waited.Load())
		}
		t.Logf("%d failed joined, %d would have failed at once", failed.Load(), failed.Load()+waited.Load())
	})
}

// What an operator sees of waiting: how many requests have waited, how long, and how many failed for want of a token, each of them in
// Stats and in Trace, with the request's own context.
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

// Guarantee 7: a first sending proves nothing, also one whose answer a classifier has looked at and let pass.
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
