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

// Guarantee 20: Close frees the waiters, fails what comes later, and lets a request that has its
// token finish.
func TestG20_Close(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{delay: time.Second, latency: 500 * time.Millisecond}
		tr := &transport.Transport{Provider: s, Base: s}
		tok, err := tr.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() { // sent under a good token: finishes
			if status, err := get(tr, t.Context()); status != 200 || err != nil {
				t.Errorf("in flight: %d, %v", status, err)
			}
		})
		synctest.Wait()
		tr.Reject(tok)
		for range 100 {
			wg.Go(func() {
				began := time.Now()
				if _, err := get(tr, t.Context()); err != transport.ErrClosed || time.Since(began) != 250*time.Millisecond {
					t.Errorf("waiter: %v after %s", err, time.Since(began))
				}
			})
		}
		time.Sleep(250 * time.Millisecond)
		began := time.Now()
		if err := tr.Close(); err != nil || time.Since(began) != 750*time.Millisecond {
			t.Errorf("Close: %v after %s, want it to wait for the provider", err, time.Since(began))
		}
		wg.Wait()
		if err := tr.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		if _, err := get(tr, t.Context()); err != transport.ErrClosed {
			t.Errorf("after Close: %v", err)
		}
		if _, err := tr.Token(t.Context()); err != transport.ErrClosed {
			t.Errorf("Token after Close: %v", err)
		}
		tr.Reject(tok)
	})
	synctest.Test(t, func(t *testing.T) { // a 401 that comes after Close comes back as it is
		s := &stub{latency: time.Second}
		tr := &transport.Transport{Provider: s, Base: s}
		if _, err := tr.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.revoke()
		var wg sync.WaitGroup
		wg.Go(func() {
			req, _ := http.NewRequest("POST", "https://api.example.com/", io.MultiReader(strings.NewReader("x")))
			resp, err := tr.RoundTrip(req)
			if err != nil || resp.StatusCode != 401 {
				t.Errorf("%v, %v", resp, err)
				return
			}
			if b, err := io.ReadAll(resp.Body); string(b) != "the token has expired" || err != nil {
				t.Errorf("body %q, %v", b, err)
			}
		})
		synctest.Wait()
		tr.Close()
		wg.Wait()
		s.want(t, 1, 1, 1)
	})
	synctest.Test(t, func(t *testing.T) { // a provider that never returns holds Close up for RefreshTimeout
		release := make(chan struct{})
		tr := &transport.Transport{Base: &stub{}, RefreshTimeout: 5 * time.Second,
			Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) { <-release; return provider.Token{}, nil })}
		go func() { _, _ = get(tr, t.Context()) }()
		synctest.Wait()
		began := time.Now()
		if err := tr.Close(); err == nil || time.Since(began) != 5*time.Second {
			t.Errorf("Close: %v after %s", err, time.Since(began))
		}
		close(release)
	})
}

// Guarantee 20: a Transport that has logged out sends nothing more, neither under the token that it
// had nor under one that comes late.
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

// Guarantee 20: a request that has had its answer when Close comes gets it as it was, and none is
// replayed afterwards.
func TestG20_CloseAtEachStepOfAReplay(t *testing.T) {
	t.Run("while the 401 is read", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			tr := &transport.Transport{Provider: &stub{}, Base: roundTripper(func(r *http.Request) (*http.Response, error) {
				resp := reject(r)
				resp.Body = slowly{resp.Body}
				return resp, nil
			})}
			_, _ = tr.Token(t.Context())
			go func() { time.Sleep(250 * time.Millisecond); tr.Close() }()
			if status, err := get(tr, t.Context()); status != 401 || err != nil {
				t.Errorf("%d, %v", status, err)
			}
		})
	})
	t.Run("while the body is waited for", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			sent := 0
			tr := &transport.Transport{Provider: &stub{}, Base: roundTripper(func(r *http.Request) (*http.Response, error) {
				sent++
				go func() { time.Sleep(500 * time.Millisecond); r.Body.Close() }()
				return reject(r), nil
			})}
			_, _ = tr.Token(t.Context())
			go func() { time.Sleep(250 * time.Millisecond); tr.Close() }()
			req, _ := http.NewRequest("POST", "https://api.example.com", io.MultiReader(strings.NewReader("x")))
			if status, err := send(tr, req); status != 401 || err != nil || sent != 1 {
				t.Errorf("%d, %v, sent %d times", status, err, sent)
			}
		})
	})
	t.Run("in a hook", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			sent := 0
			tr := &transport.Transport{Provider: &stub{}, Base: roundTripper(func(r *http.Request) (*http.Response, error) {
				sent++
				return reject(r), nil
			})}
			tr.Trace = &transport.Trace{Replayed: func(transport.Replayed) { tr.Close() }}
			req, _ := http.NewRequest("POST", "https://api.example.com", strings.NewReader("x"))
			if status, err := send(tr, req); status != 401 || err != nil || sent != 1 {
				t.Errorf("%d, %v, sent %d times", status, err, sent)
			}
		})
	})
}

// Guarantee 20: Close does not wait for a provider that could lose nothing, and ends its context.
func TestG20_CloseWaitsForWhatCouldBeLost(t *testing.T) {
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	backend := roundTripper(func(req *http.Request) (*http.Response, error) { return nil, hang(req.Context()) })
	endpoint := provider.HTTP{URL: "https://app.example.com/token", UserID: "alice", Client: &http.Client{Transport: backend}}
	tests := []struct {
		name  string
		p     provider.TokenProvider
		first provider.Token
		waits time.Duration
	}{
		{"Func", provider.Func(func(ctx context.Context) (string, error) { return "", hang(ctx) }), provider.Token{}, 0},
		{"HTTP with a session", endpoint, provider.NewToken("t", time.Time{}), 0},
		{"HTTP with a refresh token", &endpoint, provider.NewToken("t", time.Time{}).WithRefreshToken("r"), 30 * time.Second},
		{"a provider of the caller's own", tokenFunc(func(ctx context.Context, _ provider.Token) (provider.Token, error) {
			return provider.Token{}, hang(ctx)
		}), provider.Token{}, 30 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := &transport.Transport{Base: &stub{}, Provider: tt.p}
				if !tt.first.IsZero() {
					if err := tr.SetToken(tt.first); err != nil {
						t.Fatal(err)
					}
					tr.Reject(tt.first)
				}
				go func() { _, _ = tr.Token(t.Context()) }()
				synctest.Wait()
				began := time.Now()
				if _ = tr.Close(); time.Since(began) != tt.waits {
					t.Errorf("Close took %s, want %s", time.Since(began), tt.waits)
				}
			})
		})
	}
}

// A busy provider goes on after it has returned a token.
type busy struct {
	*stub
	left  time.Duration
	waits int
}

func (b *busy) Wait(ctx context.Context) error {
	b.waits++
	select {
	case <-time.After(b.left):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close waits for a provider that has something left to do, within the time that it has.
func TestG20_CloseWaitsForWhatIsLeft(t *testing.T) {
	for _, tt := range []struct {
		left, refresh, want time.Duration
		err                 error
	}{
		{left: 5 * time.Second, want: 5 * time.Second},
		{left: 5 * time.Second, refresh: 10 * time.Second, want: 15 * time.Second}, // one is under way
		{left: time.Hour, want: 30 * time.Second, err: context.DeadlineExceeded},
		{left: time.Hour, refresh: 10 * time.Second, want: 30 * time.Second, err: context.DeadlineExceeded},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &stub{delay: tt.refresh}
			b := &busy{stub: s, left: tt.left}
			tr := &transport.Transport{Provider: b, Base: s}
			if tt.refresh > 0 {
				go func() { _, _ = tr.Token(t.Context()) }()
				synctest.Wait()
			}
			began := time.Now()
			if err := tr.Close(); !errors.Is(err, tt.err) || time.Since(began) != tt.want || b.waits != 1 {
				t.Errorf("%+v: Close: %v after %v, and Wait was called %d times", tt, err, time.Since(began), b.waits)
			}
		})
	}
}
