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

// Guarantee 9: RefreshTimeout, with provider.HTTP, a single-use refresh token and a backend that
// hangs. The provider's own word on it is permanent, since the refresh token may be spent. All that
// waited are told the same, none is told that a deadline of theirs has passed, and who comes later
// gets the provider's word.
func TestG09_ABackendThatHangs(t *testing.T) {
	for range 200 { // whether the provider's return or the time limit is seen first is a matter of chance
		synctest.Test(t, func(t *testing.T) {
			hangs := roundTripper(func(req *http.Request) (*http.Response, error) {
				_, _ = io.Copy(io.Discard, req.Body)
				<-req.Context().Done()
				return nil, req.Context().Err()
			})
			tr := &transport.Transport{Base: &stub{}, Provider: provider.HTTP{URL: "https://app.example.com/token", UserID: "alice",
				Client: &http.Client{Transport: hangs}}}
			defer tr.Close()
			if err := tr.SetToken(provider.NewToken("t1", time.Now().Add(time.Minute)).WithRefreshToken("single-use")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Minute)
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					_, err := get(tr, t.Context())
					re, ok := errors.AsType[*transport.RefreshError](err)
					if !ok || re.Permanent || !strings.Contains(err.Error(), "within 30s") || errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("who waited: %v", err)
					}
				})
			}
			wg.Wait()
			synctest.Wait()
			_, err := get(tr, t.Context())
			re, ok := errors.AsType[*transport.RefreshError](err)
			if !ok || !re.Permanent || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "refresh token") {
				t.Errorf("who came later: %v", err)
			}
		})
	}
}

// Guarantee 9: a call that hangs, and belongs to a login that was replaced since, is joined by the
// next refresh and no answer to it: the refresh makes a call of its own when it returns, and that
// one is made.
func TestG09_AHungCallOfAnotherLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		var calls atomic.Int32
		tr := &transport.Transport{Base: s, Provider: tokenFunc(func(_ context.Context, old provider.Token) (provider.Token, error) {
			if calls.Add(1) == 1 {
				time.Sleep(45 * time.Second)
			}
			return s.issue("next-of-" + old.Value()).WithRefreshToken("next-of-" + old.RefreshToken()), nil
		})}
		defer tr.Close()
		if err := tr.SetToken(s.issue("alice-1").WithRefreshToken("a")); err != nil {
			t.Fatal(err)
		}
		s.revoke()
		if _, err := get(tr, t.Context()); err == nil {
			t.Fatal("no error from a provider that hangs")
		}
		if err := tr.SetToken(s.issue("alice-2").WithRefreshToken("b")); err != nil {
			t.Fatal(err)
		}
		s.revoke()
		began := time.Now()
		mustGet(t, tr)
		tok, err := tr.Token(t.Context())
		if tok.Value() != "next-of-alice-2" || tok.RefreshToken() != "next-of-b" || err != nil || calls.Load() != 2 || time.Since(began) != 15*time.Second {
			t.Errorf("%q with %q, %v, %d calls, after %s", tok.Value(), tok.RefreshToken(), err, calls.Load(), time.Since(began))
		}
	})
}

// Guarantee 9: while the provider does not return it is not called again: not early, while the
// token lives, and not past the third strike.
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

// Guarantee 9: a provider that gives up when its context does is told apart from a caller whose own
// deadline has passed.
func TestG09_OurTimeLimitIsNotTheCallersDeadline(t *testing.T) {
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

// Guarantee 9: a provider that hangs is left behind, called no second time, and its late answer is
// kept.
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

// Guarantee 9: a provider that takes 45 s, and one request a second for ten minutes. The first
// refresh fails at its time limit, with the 31 requests that wait for it by then. The next joins
// the call, and the 14 that come until it returns are served: failing them at once, because the
// provider is at work, would make it 45 or 46.
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
