package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// The tests here are of guards that could once be deleted without any other test going red.

// Guarantee 11: a read that is under way when the request is rejected may bring more than is kept. It is kept all the same:
// otherwise the replay would go out with what is left, which may be nothing, and be accepted.
func TestG11_AReadUnderWayBringsMoreThanIsKept(t *testing.T) {
	for _, closes := range []bool{true, false} { // Base closes the body before the read returns, or after
		t.Run(fmt.Sprint("closed first: ", closes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stub{}
				body := strings.Repeat("0123456789", 10)
				pr, pw := io.Pipe()
				var got string
				tries := 0
				tr := &transport.Transport{Provider: s, KeepBody: 10, Base: roundTripper(func(req *http.Request) (*http.Response, error) {
					if tries++; tries == 1 {
						go func() {
							_, _ = req.Body.Read(make([]byte, len(body)))
							if !closes {
								req.Body.Close()
							}
						}()
						synctest.Wait() // it is stuck
						if closes {
							req.Body.Close()
						}
						return refuse(req), nil
					}
					all, err := io.ReadAll(req.Body)
					got = string(all)
					return respond(req, 200, ""), errors.Join(err, req.Body.Close())
				})}
				defer tr.Close()
				go func() {
					time.Sleep(500 * time.Millisecond)
					_, _ = pw.Write([]byte(body))
					pw.Close()
				}()
				req, _ := http.NewRequest("POST", "https://api.example.com", pr)
				if status, err := send(tr, req); status != 200 || err != nil || got != body {
					t.Errorf("%d, %v, %d bytes arrived, want %d", status, err, len(got), len(body))
				}
			})
		})
	}
}

// Guarantee 20: a Transport that has logged out sends nothing more, neither under the token that it had nor under one that
// comes late.
func TestG20_NothingIsSentAfterClose(t *testing.T) {
	t.Run("under the token that was live", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			for _, life := range []time.Duration{0, time.Hour} {
				s := &stub{life: life}
				tr := &transport.Transport{Provider: s, Base: s}
				mustGet(t, tr)
				if err := tr.Close(); err != nil {
					t.Fatal(err)
				}
				for range 10 {
					if _, err := get(tr, t.Context()); !errors.Is(err, transport.ErrClosed) {
						t.Errorf("a request: %v", err)
					}
					if _, err := tr.Token(t.Context()); !errors.Is(err, transport.ErrClosed) {
						t.Errorf("Token: %v", err)
					}
					time.Sleep(time.Minute)
				}
				s.want(t, 1, 1, 0)
			}
		})
	})
	t.Run("under a token that comes late", func(t *testing.T) {
		for i := range 4 {
			early := i%2 == 0   // the call was made while a token lived; else for the first one
			leftBehind := i > 1 // by its refresh, before Close; else Close ends the refresh
			synctest.Test(t, func(t *testing.T) {
				s := &stub{life: time.Minute}
				var calls atomic.Int32
				tr := &transport.Transport{Base: s, Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
					if n := calls.Add(1); n == 2 || !early {
						time.Sleep(time.Hour)
						return provider.NewToken("late", time.Time{}), nil
					}
					return s.issue(fmt.Sprint("t", calls.Load())).WithRefreshToken("r"), nil
				})}
				sent := 0
				if early {
					mustGet(t, tr)
					time.Sleep(50 * time.Second)
					mustGet(t, tr)
					sent = 2
				} else {
					go func() { _, _ = get(tr, t.Context()) }()
				}
				synctest.Wait()
				if leftBehind {
					time.Sleep(31 * time.Second)
				}
				if err := tr.Close(); err == nil && early {
					t.Error("Close did not say that the provider is still at work")
				}
				time.Sleep(2 * time.Hour)
				if _, err := get(tr, t.Context()); !errors.Is(err, transport.ErrClosed) {
					t.Errorf("after the late token: %v", err)
				}
				if _, n, _ := s.counts(); n != sent {
					t.Errorf("%d requests, want %d", n, sent)
				}
			})
		}
	})
}

// Guarantee 9: while the provider does not return it is not called again: not early, while the token lives, and not past the
// third strike.
func TestG09_NoSecondCallWhileOneHangs(t *testing.T) {
	t.Run("early", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &stub{life: time.Hour}
			var calls atomic.Int32
			tr := &transport.Transport{Base: s, Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
				if calls.Add(1) == 2 {
					time.Sleep(2 * time.Hour)
				}
				return s.issue(fmt.Sprint("t", calls.Load())), nil
			})}
			defer tr.Close()
			for range 59 {
				mustGet(t, tr)
				time.Sleep(time.Minute)
			}
			if calls.Load() != 2 {
				t.Errorf("%d calls, want 2", calls.Load())
			}
			time.Sleep(2 * time.Hour)
		})
	})
	t.Run("past the third strike", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &stub{}
			var calls, busy, most atomic.Int32
			tr := &transport.Transport{Base: s, Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
				most.Store(max(most.Load(), busy.Add(1)))
				defer busy.Add(-1)
				if calls.Add(1) == 5 {
					time.Sleep(10 * time.Minute)
				}
				return provider.NewToken(fmt.Sprint("dead", calls.Load()), time.Time{}), nil
			})}
			defer tr.Close()
			began := time.Now()
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					for time.Since(began) < 9*time.Minute {
						_, _ = get(tr, t.Context())
						time.Sleep(time.Second)
					}
				})
			}
			wg.Wait()
			if calls.Load() != 5 || most.Load() != 1 {
				t.Errorf("%d calls, %d at once; want 5, one at a time", calls.Load(), most.Load())
			}
			time.Sleep(10 * time.Minute)
		})
	})
}

// Guarantee 7 and 6: past the third strike, with a provider that is down, the pauses after failed refreshes hold, however soon
// each refresh fails.
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
