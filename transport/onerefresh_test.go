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

// Guarantee 1 for expiries that the client's own clock sees: each request that comes in the
// meantime waits for the same refresh.
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

// Guarantee 1 for failures: the waiters share a bad result too, and do not ask again one after
// another.
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

// Guarantee 1 and 6: a provider that fails in passing for ever costs one backoff sequence, and
// everybody is told the same thing at RefreshTimeout.
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
		// 200 ms, doubling to 5 s, each half as much more or less: 8 calls at the least, 20 at the
		// most.
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

// Guarantee 2: the rejected token is the witness. A 401 held back past one refresh, or two, costs
// none.
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
						return reject(req)
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

// Guarantee 3: with steady traffic no request meets an expiry, and none waits, however slow the
// provider is.
func TestG03_EarlyRefreshKeepsRequestsGoing(t *testing.T) {
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
		calls, _, rejected := s.counts()
		// A token of a minute is replaced between 45 and 48 s of its age, and the next lives from 3
		// s after that.
		if rejected != 0 || calls < 70 || calls > 76 {
			t.Errorf("%d rejected, %d calls in an hour", rejected, calls)
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
		wg.Go(func() { mustGet(t, tr) }) // rejected, begins the refresh
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

// Guarantee 3: a provider that takes long is asked so much sooner.
func TestG03_ASlowProviderIsAskedSooner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{life: time.Minute, delay: 16 * time.Second}
		tr := through(t, s)
		mustGet(t, tr)
		for began := time.Now(); time.Since(began) < time.Hour; time.Sleep(time.Second) {
			before := time.Now()
			mustGet(t, tr)
			if d := time.Since(before); d > 0 {
				t.Fatalf("a request waited %s", d)
			}
		}
	})
}
