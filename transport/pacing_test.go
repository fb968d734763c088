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

// Guarantee 7: the first four calls of the provider when every token is dead, to the millisecond, and what the caller gets.
func TestG07_DeadTokensArePaced(t *testing.T) {
	tests := []struct {
		name string
		mint func(n int) (provider.Token, error)
		sent int // requests that reach the API
	}{
		// Each new token is dead: sent, replayed three times, handed back.
		{"always another", func(n int) (provider.Token, error) {
			return provider.NewToken(fmt.Sprint("dead", n), time.Time{}), nil
		}, 4},
		// The refused token again: sent once and never after.
		{"always the same", func(int) (provider.Token, error) { return provider.NewToken("dead", time.Time{}), nil }, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stub{mint: tt.mint}
				tr := through(t, s)
				began := time.Now()
				status, err := get(tr, t.Context())
				if status != 401 || err != nil {
					t.Fatalf("status %d, error %v; want the last 401", status, err)
				}
				s.want(t, 4, tt.sent, tt.sent)
				for i, at := range []time.Duration{0, 0, 250 * time.Millisecond, 1250 * time.Millisecond} {
					if d := s.at[i].Sub(began); d != at {
						t.Errorf("call %d after %s, want %s", i+1, d, at)
					}
				}
				if st := tr.Stats(); st.Strikes != 4 {
					t.Errorf("%d strikes, want 4", st.Strikes)
				}
				// Nobody waits any more: requests go out once, until the next call is due.
				before := time.Now()
				if status, err := get(tr, t.Context()); status != 401 || err != nil || time.Now() != before {
					t.Errorf("in the pause: %d, %v after %s", status, err, time.Since(before))
				}
				s.want(t, 4, tt.sent+1, tt.sent+1)
			})
		})
	}
}

// Guarantee 7: one endpoint that always answers 401, hammered for a minute, costs 7 provider calls, and the requests to other
// endpoints nothing once it is known.
func TestG07_AnEndpointThatAlwaysAnswers401(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{serve: func(req *http.Request) *http.Response {
			if req.URL.Path == "/broken" {
				return refuse(req)
			}
			return nil
		}}
		tr := through(t, s)
		began := time.Now()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for time.Since(began) < time.Minute {
					req, _ := http.NewRequest("GET", "https://api.example.com/broken", nil)
					if status, err := send(tr, req); status != 401 || err != nil {
						t.Errorf("broken endpoint: %d, %v", status, err)
					}
					time.Sleep(10 * time.Millisecond)
				}
			})
		}
		var longest time.Duration
		wg.Go(func() {
			time.Sleep(2 * time.Second)
			for time.Since(began) < time.Minute {
				before := time.Now()
				mustGet(t, tr)
				longest = max(longest, time.Since(before))
				time.Sleep(10 * time.Millisecond)
			}
		})
		wg.Wait()
		if calls, _, _ := s.counts(); calls != 7 {
			t.Errorf("%d provider calls in a minute, want 7", calls)
		}
		if longest != 0 {
			t.Errorf("a good request waited %s", longest)
		}
	})
}

// Guarantee 7: a genuine revocation is cured at once, and so is the next, however soon; the strikes of an endpoint that
// always answers 401 don't change that.
func TestG07_RevocationsAreCuredAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		tr := through(t, s)
		began := time.Now()
		for range 10 {
			mustGet(t, tr)
			s.revoke()
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("10 revocations took %s", d)
		}
		s.want(t, 10, 19, 9)
	})
	synctest.Test(t, func(t *testing.T) {
		s := &stub{serve: func(req *http.Request) *http.Response {
			if req.URL.Path == "/broken" {
				return refuse(req)
			}
			return nil
		}}
		tr := through(t, s)
		for range 100 {
			req, _ := http.NewRequest("GET", "https://api.example.com/broken", nil)
			_, _ = send(tr, req)
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		mustGet(t, tr)
		s.revoke()
		time.Sleep(time.Minute)
		before := time.Now()
		mustGet(t, tr)
		if d := time.Since(before); d != 0 {
			t.Errorf("the cure took %s", d)
		}
	})
}

// Guarantee 7: under a strict revocation a token minted in the same second is dead on arrival, for up to a second.
func TestG07_ASecondOfDeadTokensIsSurvived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var until time.Time
		s := &stub{}
		s.mint = func(n int) (provider.Token, error) {
			if time.Now().Before(until) {
				return provider.NewToken(fmt.Sprint("dead", n), time.Time{}), nil
			}
			return provider.Token{}, nil
		}
		tr := through(t, s)
		mustGet(t, tr)
		s.revoke()
		until = time.Now().Add(999 * time.Millisecond)
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() { mustGet(t, tr) })
		}
		wg.Wait()
		if calls, _, _ := s.counts(); calls != 4 {
			t.Errorf("%d calls, want the first, and at 0, 0.25 and 1.25 s", calls)
		}
		if st := tr.Stats(); st.Strikes != 0 {
			t.Errorf("%d strikes after an accepted replay", st.Strikes)
		}
	})
}

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

// Guarantee 7: a request is replayed three times at most, even if each of its refusals comes late and others' replays are
// accepted in between.
func TestG07_ThreeReplaysAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		s := &stub{}
		tr := through(t, s)
		s.serve = func(req *http.Request) *http.Response {
			if req.URL.Path != "/broken" {
				return nil
			}
			sent++
			s.revoke()
			mustGet(t, tr)
			return refuse(req)
		}
		req, _ := http.NewRequest("GET", "https://api.example.com/broken", nil)
		if status, err := send(tr, req); status != 401 || err != nil || sent != 4 {
			t.Errorf("%d, %v, sent %d times", status, err, sent)
		}
	})
}

// Guarantee 8: an end that is 100 ms away, where nobody says how long the token was to live, is not believed.
func TestG08_AGuessedLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		s.mint = func(n int) (provider.Token, error) {
			return provider.NewToken(s.issue(fmt.Sprint("t", n)).Value(), time.Now().Add(100*time.Millisecond)), nil
		}
		tr := through(t, s)
		for range 1000 {
			mustGet(t, tr)
			time.Sleep(time.Second)
		}
		s.want(t, 1, 1000, 0)
	})
}

// Guarantee 8: clocks that are wrong and lives of every length. Whatever the client believes, a request is served, and each
// token costs at most one refresh that was not needed or one 401.
func TestG08_ClocksAndLives(t *testing.T) {
	lives := []time.Duration{40 * time.Millisecond, time.Second, 10 * time.Second, time.Hour, 24 * time.Hour, 100 * 365 * 24 * time.Hour}
	skews := []time.Duration{-time.Hour, -time.Hour + 100*time.Millisecond, -30 * time.Minute, -time.Second, 0, time.Second, 30 * time.Minute, time.Hour - 100*time.Millisecond, time.Hour}
	for _, life := range lives {
		for _, skew := range skews {
			for _, lifetimeKnown := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/%s/%t", life, skew, lifetimeKnown), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { clockTest(t, life, skew, lifetimeKnown) })
				})
			}
		}
	}
}

// clockTest uses tokens that live for life at an API whose clock is skew ahead of this machine's.
func clockTest(t *testing.T, life, skew time.Duration, lifetimeKnown bool) {
	s := &stub{life: life}
	s.mint = func(n int) (provider.Token, error) {
		value := fmt.Sprint("t", n)
		tok := s.issue(value)
		if lifetimeKnown {
			now := time.Now().Add(skew)
			jwt := jwtOf(n, now, now.Add(life))
			s.issue(jwt)
			return provider.ParseJWT(jwt)
		}
		return provider.NewToken(value, tok.Expiry().Add(skew)), nil
	}
	tr := through(t, s)
	began := time.Now()
	step := min(max(life/7, 10*time.Millisecond), 24*time.Hour)
	for range 1000 {
		mustGet(t, tr)
		time.Sleep(step)
	}
	calls, _, refused := s.counts()
	// With a tenth of a token's life left it is believed to end by the clock, and replaced after half of that: 20 calls in a
	// life at the very most, and none of them more than once for a token.
	most := 20*int(time.Since(began)/life) + 2
	if calls > most || refused > calls {
		t.Errorf("%d calls and %d refused in %s, want at most %d calls", calls, refused, time.Since(began), most)
	}
	if lifetimeKnown && skew >= 0 && life >= 10*time.Second && refused > 0 {
		t.Errorf("%d refused, though the tokens say how long they live: a clock that is behind makes no life longer", refused)
	}
}

// Guarantee 8: a token that already looks expired is used until it is rejected.
func TestG08_ExpiredOnArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		s.mint = func(n int) (provider.Token, error) {
			tok := s.issue(fmt.Sprint("t", n))
			return provider.NewToken(tok.Value(), time.Now().Add(-time.Hour)), nil
		}
		tr := through(t, s)
		for range 1000 {
			mustGet(t, tr)
			time.Sleep(time.Second)
		}
		s.want(t, 1, 1000, 0)
		s.revoke()
		mustGet(t, tr)
		s.want(t, 2, 1002, 1)
	})
}

// Guarantee 8: a machine that sleeps through a token's end wakes up knowing it.
func TestG08_WallClockExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{life: time.Hour}
		tr := through(t, s)
		mustGet(t, tr)
		time.Sleep(9 * time.Hour)
		mustGet(t, tr)
		s.want(t, 2, 2, 0)
	})
}

// Guarantee 9: every way in which a provider can break its contract is a clear error for all, at once, and not asked for
// again within the refresh.
func TestG09_ProvidersThatMisbehave(t *testing.T) {
	tests := []struct {
		name  string
		token tokenFunc
		want  string
	}{
		{"panics", func(context.Context, provider.Token) (provider.Token, error) { panic("oh no") }, "panicked: oh no"},
		{"panics with nil", func(context.Context, provider.Token) (provider.Token, error) { panic(nil) }, "panicked"},
		{"ends its goroutine", func(context.Context, provider.Token) (provider.Token, error) { goexit(); return provider.Token{}, nil }, "runtime.Goexit"},
		{"returns nothing", func(context.Context, provider.Token) (provider.Token, error) { return provider.Token{}, nil }, "neither a token nor an error"},
		{"returns a line break", returning("secret\r\nX-Evil: 1"), "byte 6"},
		{"returns a NUL", returning("secret\x00"), "byte 6"},
		{"returns UTF-8", returning("sécret"), "byte 1"},
		{"returns a trailing space", returning("secret "), "space"},
		{"returns 70 KiB", returning(string(make([]byte, 70<<10))), "bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls atomic.Int32
				tr := &transport.Transport{Base: &stub{}, Provider: tokenFunc(func(ctx context.Context, old provider.Token) (provider.Token, error) {
					calls.Add(1)
					time.Sleep(time.Second)
					return tt.token(ctx, old)
				})}
				defer tr.Close()
				began := time.Now()
				var wg sync.WaitGroup
				for range 100 {
					wg.Go(func() {
						_, err := get(tr, t.Context())
						re, ok := errors.AsType[*transport.RefreshError](err)
						if !ok || re.Permanent || time.Since(began) != time.Second || !contains(err.Error(), tt.want) || contains(err.Error(), "secret") {
							t.Errorf("after %s: %v", time.Since(began), err)
						}
					})
				}
				wg.Wait()
				if calls.Load() != 1 {
					t.Errorf("%d calls, want 1", calls.Load())
				}
				time.Sleep(100 * time.Millisecond)
				if _, err := get(tr, t.Context()); err == nil || calls.Load() != 2 {
					t.Errorf("the next request starts afresh: %v, %d calls", err, calls.Load())
				}
			})
		})
	}
}

// Guarantee 9: a provider that gives up when its context does is told apart from a caller whose own deadline has passed.
func TestG09_OurTimeLimitIsNobodysDeadline(t *testing.T) {
	for i := range 200 { // whether the provider's return or the time limit is seen first is a matter of chance
		before := []error{nil, errors.New("connection refused")}[i%2]
		synctest.Test(t, func(t *testing.T) {
			calls := 0
			tr := &transport.Transport{Base: &stub{}, Provider: tokenFunc(func(ctx context.Context, _ provider.Token) (provider.Token, error) {
				if calls++; before != nil && calls == 1 {
					return provider.Token{}, before
				}
				<-ctx.Done()
				return provider.Token{}, fmt.Errorf("asking the backend: %w", ctx.Err())
			})}
			defer tr.Close()
			_, err := get(tr, t.Context())
			re, ok := errors.AsType[*transport.RefreshError](err)
			if !ok || re.Permanent || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || !contains(err.Error(), "within 30s") {
				t.Errorf("error %v", err)
			}
			if before != nil && !errors.Is(err, before) {
				t.Errorf("%v has lost what the provider said", err)
			}
		})
	}
}

// Guarantee 9: a provider that hangs is left behind, called no second time, and its late answer is kept.
func TestG09_AProviderThatHangs(t *testing.T) {
	for _, late := range []struct {
		name string
		err  error
	}{{"then answers", nil}, {"then fails", errors.New("too late")}, {"then fails for good", provider.Permanent(errors.New("gone"))}} {
		t.Run(late.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stub{}
				var calls atomic.Int32
				tr := &transport.Transport{Base: s, Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
					if calls.Add(1) > 1 {
						return s.issue("t2"), nil
					}
					time.Sleep(5 * time.Minute) // whatever the context says
					return s.issue("t1"), late.err
				})}
				defer tr.Close()
				began := time.Now()
				var wg sync.WaitGroup
				for range 100 {
					wg.Go(func() {
						_, err := get(tr, t.Context())
						if _, ok := errors.AsType[*transport.RefreshError](err); !ok || time.Since(began) != 30*time.Second ||
							errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || !contains(err.Error(), "30s") {
							t.Errorf("after %s: %v", time.Since(began), err)
						}
					})
				}
				wg.Wait()
				time.Sleep(time.Minute)
				_, err := get(tr, t.Context()) // joins the call
				if err == nil || !contains(err.Error(), began.Format(time.RFC3339)) || time.Since(began) != 2*time.Minute {
					t.Errorf("while it hangs: %v after %s", err, time.Since(began))
				}
				if st := tr.Stats(); !st.Hung.Equal(began) || calls.Load() != 1 {
					t.Errorf("%d calls, stats %+v", calls.Load(), st)
				}
				time.Sleep(5 * time.Minute)
				_, err = get(tr, t.Context())
				switch {
				case late.err == nil && (err != nil || calls.Load() != 1):
					t.Errorf("the late token: %v, %d calls", err, calls.Load())
				case provider.IsPermanent(late.err) && (!errors.Is(err, late.err) || calls.Load() != 1):
					t.Errorf("the late end: %v, %d calls", err, calls.Load())
				case late.err != nil && !provider.IsPermanent(late.err) && (err != nil || calls.Load() != 2):
					t.Errorf("after the late failure: %v, %d calls", err, calls.Load())
				}
			})
		})
	}
}

// Guarantee 9: a provider that sends a request through its own client would wait for itself. It is told so, and nobody waits.
func TestG09_AProviderThatUsesItsOwnClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		var tr *transport.Transport
		var own error
		tr = &transport.Transport{Base: s, Provider: tokenFunc(func(ctx context.Context, _ provider.Token) (provider.Token, error) {
			_, own = get(tr, ctx)
			return provider.Token{}, own
		})}
		defer tr.Close()
		began := time.Now()
		_, err := get(tr, t.Context())
		if err == nil || own == nil || !contains(own.Error(), "its own Transport") || !contains(err.Error(), "its own Transport") || time.Since(began) != 0 {
			t.Errorf("after %s: the provider got %v, the request %v", time.Since(began), own, err)
		}

		// With WithoutToken, or as long as the token lives, it may.
		tr2 := &transport.Transport{Base: s}
		tr2.Provider = tokenFunc(func(ctx context.Context, old provider.Token) (provider.Token, error) {
			if status, err := get(tr2, transport.WithoutToken(ctx)); status != 401 || err != nil {
				t.Errorf("without a token: %d, %v", status, err)
			}
			if !old.IsZero() {
				if status, err := get(tr2, ctx); status != 200 || err != nil {
					t.Errorf("under the live token: %d, %v", status, err)
				}
			}
			tok := s.issue("n" + old.Value())
			return provider.NewToken(tok.Value(), time.Now().Add(time.Minute)), nil
		})
		defer tr2.Close()
		mustGet(t, tr2)
		time.Sleep(50 * time.Second)
		mustGet(t, tr2)
		synctest.Wait()
	})
	synctest.Test(t, func(t *testing.T) { // one that drops the context meets the time limit
		s := &stub{}
		var tr *transport.Transport
		tr = &transport.Transport{Base: s, Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
			_, err := get(tr, context.Background())
			return provider.Token{}, err
		})}
		defer tr.Close()
		began := time.Now()
		if _, err := get(tr, t.Context()); err == nil || time.Since(began) != 30*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}
