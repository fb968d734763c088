package transport_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// Guarantee 1, and the field's most frequent failure: one expiry, many refreshes.
func TestG01_OneRefreshForTenThousandRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{delay: time.Second, latency: time.Millisecond}
		tr := through(t, s)
		mustGet(t, tr)
		for round := 1; round <= 3; round++ {
			s.revoke()
			before, _, _ := s.counts()
			var wg sync.WaitGroup
			clients := []*http.Client{{Transport: tr}, {Transport: tr}, {Transport: tr}}
			for i := range 10_000 {
				wg.Go(func() {
					resp, err := clients[i%3].Get("https://api.example.com/")
					if err != nil || resp.StatusCode != 200 {
						t.Errorf("request %d: %v, %v", i, resp, err)
					}
				})
			}
			wg.Wait()
			if calls, _, _ := s.counts(); calls != before+1 {
				t.Fatalf("round %d: %d provider calls, want 1", round, calls-before)
			}
		}
		if st := tr.Stats(); st.Refreshed != 4 || st.Strikes != 0 || st.Waiting != 0 {
			t.Errorf("stats %+v", st)
		}
	})
}

// Guarantee 1 for expiries that the client's own clock sees: whoever comes in the meantime waits for the same refresh.
func TestG01_OneRefreshPerExpiryByTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{life: time.Minute, delay: time.Second}
		tr := through(t, s)
		for range 5 {
			var wg sync.WaitGroup
			for i := range 100 {
				wg.Go(func() {
					time.Sleep(time.Duration(i) * 10 * time.Millisecond)
					mustGet(t, tr)
				})
			}
			wg.Wait()
			time.Sleep(2 * time.Minute)
		}
		s.want(t, 5, 500, 0)
	})
}

// Guarantee 1 for failures: the waiters share a bad result too, and do not ask again one after another.
func TestG01_WaitersShareAPermanentFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("the account is gone")
		s := &stub{delay: time.Second, mint: func(int) (provider.Token, error) { return provider.Token{}, provider.Permanent(gone) }}
		tr := through(t, s)
		began := time.Now()
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				_, err := get(tr, t.Context())
				var re *transport.RefreshError
				if !errors.As(err, &re) || !re.Permanent || !errors.Is(err, gone) || time.Since(began) != time.Second {
					t.Errorf("after %s: %v", time.Since(began), err)
				}
			})
		}
		wg.Wait()
		s.want(t, 1, 0, 0)
	})
}

// Guarantee 1 and 6: a provider that fails in passing for ever costs one backoff sequence, and everybody is told the same
// thing at RefreshTimeout.
func TestG01_WaitersShareABackoffSequence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("backend is down")
		s := &stub{mint: func(int) (provider.Token, error) { return provider.Token{}, down }}
		tr := through(t, s)
		began := time.Now()
		var mu sync.Mutex
		told := map[error]int{}
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				_, err := get(tr, t.Context())
				if d := time.Since(began); d != 30*time.Second {
					t.Errorf("told after %s, want 30s", d)
				}
				mu.Lock()
				told[err]++
				mu.Unlock()
			})
		}
		wg.Wait()
		if len(told) != 1 {
			t.Fatalf("%d different errors, want 1", len(told))
		}
		calls, requests, _ := s.counts()
		for err := range told {
			re, ok := errors.AsType[*transport.RefreshError](err)
			if !ok || re.Permanent || re.Attempts != calls || !errors.Is(err, down) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v (attempts %d, calls %d)", err, re.Attempts, calls)
			}
		}
		// 200 ms, doubling to 5 s, each half as much more or less: 8 calls at the least, 20 at the most.
		if calls < 8 || calls > 20 || requests != 0 {
			t.Errorf("%d calls, %d requests", calls, requests)
		}
		for i := 1; i < len(s.at); i++ {
			if gap := s.at[i].Sub(s.at[i-1]); gap < 100*time.Millisecond || gap > 7500*time.Millisecond {
				t.Errorf("call %d came %s after the one before", i+1, gap)
			}
		}
	})
}

// Guarantee 2: the refused token is the witness. A 401 held back past one refresh, or two, costs none.
func TestG02_LateRejectionsCostNoRefresh(t *testing.T) {
	for _, refreshes := range []int{1, 2} {
		t.Run(fmt.Sprint(refreshes, " refreshes late"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stub{}
				tr := through(t, s)
				release := make(chan struct{})
				held := make(chan struct{}, 100)
				s.serve = func(req *http.Request) *http.Response {
					if req.URL.Path == "/held" && !s.accepts(req) {
						held <- struct{}{}
						<-release
						return refuse(req)
					}
					return nil
				}
				mustGet(t, tr) // t1
				s.revoke()
				var wg sync.WaitGroup
				for range 100 {
					wg.Go(func() {
						req, _ := http.NewRequest("GET", "https://api.example.com/held", nil)
						if status, err := send(tr, req); status != 200 || err != nil {
							t.Errorf("held request: %d, %v", status, err)
						}
					})
				}
				for range 100 {
					<-held
				}
				for range refreshes {
					s.revoke()
					mustGet(t, tr)
				}
				close(release)
				wg.Wait()
				if calls, _, _ := s.counts(); calls != 1+refreshes {
					t.Errorf("%d provider calls, want %d", calls, 1+refreshes)
				}
				if st := tr.Stats(); st.Strikes != 0 {
					t.Errorf("late rejections count as strikes: %+v", st)
				}
			})
		})
	}
}

// Guarantee 3: with steady traffic nobody meets an expiry, and nobody waits, however slow the provider is.
func TestG03_EarlyRefreshKeepsEverybodyGoing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{life: time.Minute, delay: 3 * time.Second}
		tr := through(t, s)
		mustGet(t, tr)
		end := time.Now().Add(time.Hour)
		for time.Now().Before(end) {
			began := time.Now()
			mustGet(t, tr)
			if d := time.Since(began); d != 0 {
				t.Fatalf("a request waited %s", d)
			}
			time.Sleep(100 * time.Millisecond)
		}
		calls, _, refused := s.counts()
		// A token of a minute is replaced between 45 and 48 s of its age, and the next lives from 3 s after that.
		if refused != 0 || calls < 70 || calls > 76 {
			t.Errorf("%d refused, %d calls in an hour", refused, calls)
		}
	})
}

// Guarantee 3: once a token is known to be dead nothing goes out to fail under it.
func TestG03_NothingGoesOutUnderADeadToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{life: time.Minute, delay: time.Second}
		tr := through(t, s)
		mustGet(t, tr)
		s.revoke()
		var wg sync.WaitGroup
		wg.Go(func() { mustGet(t, tr) }) // refused, begins the refresh
		synctest.Wait()
		for range 50 {
			wg.Go(func() { mustGet(t, tr) })
		}
		synctest.Wait()
		if st := tr.Stats(); st.Waiting != 51 {
			t.Errorf("%d wait, want 51", st.Waiting)
		}
		wg.Wait()
		s.want(t, 2, 1+1+51, 1)

		time.Sleep(2 * time.Minute) // expired, and the clock knows
		mustGet(t, tr)
		s.want(t, 3, 54, 1)
	})
}

// Guarantee 4: whoever gives up leaves at once with the context's own error; the refresh goes on, with or without waiters.
func TestG04_ARefreshBelongsToNobody(t *testing.T) {
	type key struct{}
	t.Run("the first caller leaves", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var seen context.Context
			s := &stub{}
			tr := through(t, s)
			tr.Provider = tokenFunc(func(ctx context.Context, _ provider.Token) (provider.Token, error) {
				seen = ctx
				time.Sleep(10 * time.Second)
				return s.issue("t1"), ctx.Err()
			})
			var wg sync.WaitGroup
			first, cancel := context.WithCancelCause(context.WithValue(t.Context(), key{}, "the caller's own"))
			began := time.Now()
			wg.Go(func() {
				_, err := get(tr, first)
				if !errors.Is(err, context.Canceled) || !contains(err.Error(), "waiting for a token after 1s") || time.Since(began) != time.Second {
					t.Errorf("the first: %v after %s", err, time.Since(began))
				}
			})
			synctest.Wait()
			wg.Go(func() { mustGet(t, tr) })
			time.Sleep(time.Second)
			cancel(errors.New("a reason of the caller's"))
			wg.Wait()
			if seen.Value(key{}) != nil {
				t.Error("the provider sees a value of a caller's context")
			}
			if d, ok := seen.Deadline(); !ok || !d.Equal(began.Add(30*time.Second)) {
				t.Errorf("the provider's deadline is %v, want RefreshTimeout", d)
			}
		})
	})
	t.Run("all leave", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &stub{delay: 10 * time.Second}
			tr := through(t, s)
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					c := &http.Client{Transport: tr}
					req, _ := http.NewRequestWithContext(ctx, "GET", "https://api.example.com/", nil)
					_, err := c.Do(req)
					var timeout interface{ Timeout() bool }
					if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
						t.Errorf("error %v", err)
					}
				})
			}
			wg.Wait()
			if st := tr.Stats(); st.Waiting != 0 {
				t.Errorf("%d still wait", st.Waiting)
			}
			time.Sleep(20 * time.Second)
			s.want(t, 1, 0, 0)
			mustGet(t, tr) // the token that nobody waited for
			s.want(t, 1, 1, 0)
		})
	})
	t.Run("between refresh and replay", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &stub{}
			tr := through(t, s)
			ctx, cancel := context.WithCancel(t.Context())
			tr.Trace = &transport.Trace{Replayed: func(transport.Replayed) { cancel() }}
			mustGet(t, tr)
			s.revoke()
			s.latency = time.Second
			if _, err := get(tr, ctx); err != context.Canceled {
				t.Errorf("error %v", err)
			}
			s.latency = 0
			mustGet(t, tr) // the rotated token was kept
			if calls, _, _ := s.counts(); calls != 2 {
				t.Errorf("%d calls, want 2", calls)
			}
		})
	})
}

// Guarantee 5: an early refresh that brings nothing harms nobody.
func TestG05_AFailedEarlyRefreshChangesNothing(t *testing.T) {
	down := errors.New("down")
	tests := []struct {
		name  string
		err   error
		same  bool // brings the token already held
		calls int  // in the life of the first token
		ends  bool // the session, with the token
		total int  // provider calls at the end
	}{
		{name: "temporary", err: down, calls: 6, total: 7}, // a sixth early call would be due in the last 5 s
		{name: "permanent", err: provider.Permanent(down), calls: 2, ends: true, total: 2},
		{name: "the same token", same: true, calls: 6, total: 7},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stub{life: time.Hour}
				var first provider.Token
				s.mint = func(n int) (provider.Token, error) {
					switch {
					case n == 1:
						first = s.issue("t1")
						return first, nil
					case time.Until(first.Expiry()) <= 0:
						return provider.Token{}, nil // mint
					case tt.same:
						return first, nil
					}
					return provider.Token{}, tt.err
				}
				tr := through(t, s)
				var ended []*transport.RefreshError
				tr.Trace = &transport.Trace{SessionEnded: func(e *transport.RefreshError) { ended = append(ended, e) }}
				began := time.Now()
				for time.Since(began) < time.Hour {
					mustGet(t, tr)
					time.Sleep(10 * time.Second)
				}
				calls, _, refused := s.counts()
				if calls != tt.calls || refused != 0 {
					t.Fatalf("%d calls and %d refused in the token's life, want %d and none", calls, refused, tt.calls)
				}
				// The first is due in the last fifth, with up to a quarter of jitter; the second half-way from there.
				if d := s.at[1].Sub(began); d < 45*time.Minute || d > 48*time.Minute+10*time.Second {
					t.Errorf("first early refresh after %s", d)
				}
				if len(s.at) > 2 {
					half := s.at[1].Add(began.Add(time.Hour).Sub(s.at[1]) / 2)
					if d := s.at[2].Sub(half); d < 0 || d > 10*time.Second {
						t.Errorf("second early refresh %s after half of the life that was left", d)
					}
				}
				status, err := get(tr, t.Context())
				_, err2 := get(tr, t.Context())
				synctest.Wait() // for the events
				if tt.ends {
					re, ok := errors.AsType[*transport.RefreshError](err)
					if !ok || !re.Permanent || err2 != err || len(ended) != 1 || ended[0] != re {
						t.Errorf("at the end: %v, then %v; %d events", err, err2, len(ended))
					}
				} else if status != 200 || err != nil || err2 != nil || ended != nil {
					t.Errorf("at the end: %d, %v, %v", status, err, err2)
				}
				if calls, _, _ := s.counts(); calls != tt.total {
					t.Errorf("%d calls in total, want %d", calls, tt.total)
				}
			})
		})
	}
}

// Guarantee 5: a live token that is revoked while a failed refresh is remembered is refreshed all the same, or ends the
// session if the failure was for good.
func TestG05_RevokedAfterAPermanentEarlyFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{life: time.Hour}
		s.mint = func(n int) (provider.Token, error) {
			if n > 1 {
				return provider.Token{}, provider.Permanent(errors.New("gone"))
			}
			return provider.Token{}, nil
		}
		tr := through(t, s)
		mustGet(t, tr)
		time.Sleep(50 * time.Minute)
		mustGet(t, tr)
		synctest.Wait()
		s.revoke()
		if _, err := get(tr, t.Context()); err == nil {
			t.Error("the session goes on without a token")
		}
		if calls, _, _ := s.counts(); calls != 2 {
			t.Errorf("%d calls, want 2: a permanent failure is not asked about again", calls)
		}
	})
}

// Guarantee 6: a blip is retried and nobody notices.
func TestG06_TemporaryFailuresAreRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{mint: func(n int) (provider.Token, error) {
			if n < 4 {
				return provider.Token{}, errors.New("blip")
			}
			return provider.Token{}, nil
		}}
		tr := through(t, s)
		mustGet(t, tr)
		s.want(t, 4, 1, 0)
	})
}

// Guarantee 6: RetryAfter is obeyed; where it is longer than the refresh may take, everybody is told at once, and the
// provider is left in peace until then.
func TestG06_RetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait := 7 * time.Second
		s := &stub{}
		s.mint = func(n int) (provider.Token, error) {
			if n < 3 {
				return provider.Token{}, provider.RetryAfter(errors.New("busy"), wait)
			}
			return provider.Token{}, nil
		}
		tr := through(t, s)
		began := time.Now()
		mustGet(t, tr)
		if d := time.Since(began); d != 14*time.Second {
			t.Errorf("served after %s, want 14s", d)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		s.mint = func(n int) (provider.Token, error) {
			if n == 1 {
				return provider.Token{}, provider.RetryAfter(errors.New("busy"), 2*time.Minute)
			}
			return provider.Token{}, nil
		}
		tr := through(t, s)
		began := time.Now()
		_, err := get(tr, t.Context())
		if _, ok := errors.AsType[*transport.RefreshError](err); !ok || time.Since(began) != 0 {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		time.Sleep(2*time.Minute - 1)
		if _, err2 := get(tr, t.Context()); err2 != err {
			t.Errorf("before RetryAfter: %v", err2)
		}
		s.want(t, 1, 0, 0)
		time.Sleep(time.Nanosecond)
		mustGet(t, tr)
		s.want(t, 2, 1, 0)
	})
}

// Guarantee 6: after a failed refresh requests fail at once, for a pause that doubles from 100 ms to 30 s.
func TestG06_FailuresArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		up := false
		s.mint = func(n int) (provider.Token, error) {
			if up {
				return provider.Token{}, nil
			}
			return provider.Token{}, provider.RetryAfter(errors.New("down"), 0)
		}
		tr := through(t, s)
		tr.RefreshTimeout = 50 * time.Millisecond // one call for each refresh
		pause := 100 * time.Millisecond
		for range 12 {
			before, _, _ := s.counts()
			_, err := get(tr, t.Context())
			if calls, _, _ := s.counts(); calls != before+1 {
				t.Fatalf("%d calls in one refresh", calls-before)
			}
			ended := time.Now()
			time.Sleep(pause - 1)
			if _, err2 := get(tr, t.Context()); err2 != err || err == nil || !time.Now().Equal(ended.Add(pause-1)) {
				t.Fatalf("within the pause of %s: %v after %v", pause, err2, err)
			}
			time.Sleep(time.Nanosecond)
			pause = min(2*pause, 30*time.Second)
		}
		up = true
		mustGet(t, tr)
		s.revoke()
		up = false
		_, _ = get(tr, t.Context())
		time.Sleep(100 * time.Millisecond)
		up = true
		mustGet(t, tr) // the pauses start afresh after a success
	})
}

// Guarantee 6: the table of what a provider can say, and what it does to the session.
func TestG06_OutcomesOfTheProvider(t *testing.T) {
	boom := errors.New("boom")
	tests := []struct {
		name          string
		err           error
		permanent     bool
		second        int // provider calls after another request, a minute later
		sessionEnds   int // events
		failed, final int64
	}{
		{name: "temporary", err: boom, second: 2, failed: 1},
		{name: "permanent", err: provider.Permanent(boom), permanent: true, second: 1, sessionEnds: 1, final: 1},
		{name: "permanent, wrapped", err: fmt.Errorf("outer: %w", provider.Permanent(boom)), permanent: true, second: 1, sessionEnds: 1, final: 1},
	}
	for _, tt := range tests {
		for _, after401 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, after a 401: %t", tt.name, after401), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					fail := !after401
					s := &stub{}
					s.mint = func(int) (provider.Token, error) {
						if fail {
							fail = false
							return provider.Token{}, tt.err
						}
						return provider.Token{}, nil
					}
					tr := through(t, s)
					ended := 0
					tr.Trace = &transport.Trace{SessionEnded: func(*transport.RefreshError) { ended++ }}
					tr.RefreshTimeout = time.Millisecond // no retry
					base := 0
					if after401 {
						mustGet(t, tr)
						s.revoke()
						fail, base = true, 1
					}
					_, err := get(tr, t.Context())
					re, ok := errors.AsType[*transport.RefreshError](err)
					if !ok || re.Permanent != tt.permanent || !errors.Is(err, boom) {
						t.Fatalf("error %#v", err)
					}
					if after401 && (re.StatusCode != 401 || re.Message != "the token has expired") {
						t.Errorf("the refused answer is told as %d %q", re.StatusCode, re.Message)
					}
					time.Sleep(time.Minute)
					_, err2 := get(tr, t.Context())
					if tt.permanent && err2 != err || !tt.permanent && err2 != nil {
						t.Errorf("the next request: %v", err2)
					}
					synctest.Wait() // for the events
					if calls, _, _ := s.counts(); calls != base+tt.second || ended != tt.sessionEnds {
						t.Errorf("%d calls, %d events; want %d, %d", calls-base, ended, tt.second, tt.sessionEnds)
					}
					if st := tr.Stats(); st.Failed != tt.failed || st.FailedPermanently != tt.final {
						t.Errorf("stats %+v", st)
					}
				})
			})
		}
	}
}
