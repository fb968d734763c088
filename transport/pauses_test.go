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

// Guarantee 7: the pauses hold for a refresh that was begun early, before the token was rejected.
func TestG07_PausesInAnEarlyRefresh(t *testing.T) {
	for _, started := range []bool{true, false} {
		t.Run(fmt.Sprint("provider called: ", started), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stub{life: 10 * time.Second}
				s.mint = func(n int) (provider.Token, error) {
					if n > 7 {
						return provider.Token{}, errors.New("down")
					}
					return provider.Token{}, nil
				}
				tr := through(t, s)
				var tok provider.Token
				for range 7 {
					tr.Reject(tok)
					time.Sleep(30 * time.Second)
					var err error
					if tok, err = tr.Token(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				arrived := time.Now()
				time.Sleep(9 * time.Second)
				s.delay = time.Second
				mustGet(t, tr) // begins the early refresh
				if started {
					synctest.Wait()
				}
				tr.Reject(tok)
				began := time.Now()
				if status, err := get(tr, t.Context()); status != 200 || err != nil || time.Since(began) != 0 {
					t.Errorf("%d, %v after %s; want the request to go out under the last token", status, err, time.Since(began))
				}
				time.Sleep(20 * time.Second)
				synctest.Wait()
				early := 0
				for _, at := range s.at[7:] {
					if at.Before(arrived.Add(30 * time.Second)) {
						early++
					}
				}
				if early > 1 {
					t.Errorf("%d calls in the pause after 7 strikes", early)
				}
			})
		})
	}
}

// Guarantee 7 and 6: past the third strike, with a provider that is down, the pauses after failed
// refreshes hold, however soon each refresh fails.
func TestG07_APauseAfterFailuresPastTheThirdStrike(t *testing.T) {
	tests := []struct {
		name string
		err  error // nil: it returns nothing, which is not tried again within a refresh
		most int   // calls in a minute
	}{
		{"down", errors.New("down"), 30}, // about 9 in the 30 s of each refresh
		{"broken", nil, 10},              // after 100 ms, 200 ms, 400 ms and so on
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls atomic.Int32
				s := &stub{}
				tr := &transport.Transport{Base: s, Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
					if n := calls.Add(1); n <= 4 {
						return provider.NewToken(fmt.Sprint("dead", n), time.Time{}), nil
					}
					return provider.Token{}, tt.err
				})}
				defer tr.Close()
				_, _ = get(tr, t.Context()) // four strikes
				time.Sleep(4 * time.Second)
				began := time.Now()
				var wg sync.WaitGroup
				for range 10 {
					wg.Go(func() {
						for time.Since(began) < time.Minute {
							_, _ = get(tr, t.Context())
							time.Sleep(10 * time.Millisecond)
						}
					})
				}
				wg.Wait()
				if n := int(calls.Load()) - 4; n < 3 || n > tt.most {
					t.Errorf("%d calls in a minute, want %d at most", n, tt.most)
				}
			})
		})
	}
}

// Guarantee 7: a strike that falls into the pauses of a refresh counts: the fourth, with a provider
// that fails, puts the next call off until four seconds after the dead token came.
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

// Guarantee 7: past the third strike no request waits for a call that is not due, though an early
// refresh has just failed.
func TestG07_NoRequestWaitsForWhatIsNotDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{life: 10 * time.Second, serve: func(r *http.Request) *http.Response {
			if r.URL.Path == "/broken" {
				return reject(r)
			}
			return nil
		}}
		s.mint = func(n int) (provider.Token, error) {
			if n == 8 {
				return provider.Token{}, errors.New("blip")
			}
			return provider.Token{}, nil
		}
		tr := through(t, s)
		var tok provider.Token
		for range 7 {
			tr.Reject(tok)
			time.Sleep(30 * time.Second)
			tok, _ = tr.Token(t.Context())
		}
		time.Sleep(9 * time.Second)
		s.delay = 500 * time.Millisecond
		mustGet(t, tr) // begins the early refresh
		synctest.Wait()
		tr.Reject(tok)
		time.Sleep(600 * time.Millisecond) // it has failed
		began := time.Now()
		req, _ := http.NewRequest("GET", "https://api.example.com/broken", nil)
		if _, _ = send(tr, req); time.Since(began) != 0 {
			t.Errorf("a rejected request waited %s", time.Since(began))
		}
	})
}

// Guarantee 7: an endpoint that always answers 401 costs the others nothing, also while the
// provider is slow or down.
func TestG07_OthersGoOnWhateverTheProviderDoes(t *testing.T) {
	for _, down := range []bool{false, true} {
		t.Run(fmt.Sprint("down ", down), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				s := &stub{delay: 2 * time.Second, serve: func(req *http.Request) *http.Response {
					if req.URL.Path == "/broken" {
						return reject(req)
					}
					return nil
				}}
				s.mint = func(int) (provider.Token, error) {
					if down && time.Since(began) > 2*time.Minute {
						return provider.Token{}, errors.New("down")
					}
					return provider.Token{}, nil
				}
				tr := through(t, s)
				var wg sync.WaitGroup
				wg.Go(func() {
					for time.Since(began) < 5*time.Minute {
						req, _ := http.NewRequest("GET", "https://api.example.com/broken", nil)
						_, _ = send(tr, req)
						time.Sleep(10 * time.Millisecond)
					}
				})
				wg.Go(func() {
					time.Sleep(time.Minute)
					for time.Since(began) < 5*time.Minute {
						before := time.Now()
						if status, err := get(tr, t.Context()); status != 200 || err != nil || time.Since(before) != 0 {
							t.Errorf("a good request: %d, %v after %s", status, err, time.Since(before))
							return
						}
						time.Sleep(10 * time.Millisecond)
					}
				})
				wg.Wait()
			})
		})
	}
}
