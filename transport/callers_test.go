package transport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// Guarantee 4: a caller that gives up leaves at once with the context's own error; the refresh goes
// on, with or without waiters.
func TestG04_ARefreshBelongsToNoRequest(t *testing.T) {
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
			mustGet(t, tr) // the token that no request waited for
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

// Guarantee 4: RefreshTimeout bounds a refresh as a whole, whatever its rounds and pauses. Only a
// dead token's pause comes on top.
func TestG04_RefreshTimeoutBoundsTheWhole(t *testing.T) {
	t.Run("the same dead token from a slow provider", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &stub{delay: 20 * time.Second, mint: func(int) (provider.Token, error) { return provider.NewToken("dead", time.Time{}), nil }}
			tr := through(t, s)
			tok, _ := tr.Token(t.Context())
			tr.Reject(tok)
			began := time.Now()
			_, err := tr.Token(t.Context())
			if _, ok := errors.AsType[*transport.RefreshError](err); !ok || time.Since(began) != 30250*time.Millisecond {
				t.Errorf("after %s: %v", time.Since(began), err)
			}
		})
	})
	t.Run("RetryAfter and then a slow provider", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &stub{life: time.Minute}
			s.mint = func(n int) (provider.Token, error) {
				if n == 2 { // early, at 45 s or a little later
					s.delay = time.Hour
					return provider.Token{}, provider.RetryAfter(errors.New("busy"), 35*time.Second)
				}
				return provider.Token{}, nil
			}
			tr := through(t, s)
			mustGet(t, tr)
			time.Sleep(50 * time.Second)
			mustGet(t, tr)
			synctest.Wait()
			time.Sleep(10 * time.Second)
			began := time.Now()
			if _, err := get(tr, t.Context()); err == nil || time.Since(began) != 30*time.Second {
				t.Errorf("after %s: %v", time.Since(began), err)
			}
		})
	})
}

// Guarantee 4: who gives up waiting is told that it waited for a token, since when, and what the
// provider last said; and it is still the caller's own deadline.
func TestG04_WhoGivesUpIsToldWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("backend is down")
		tr := &transport.Transport{Base: &stub{}, Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
			return provider.Token{}, down
		})}
		defer tr.Close()
		reason := errors.New("a reason")
		tests := []struct {
			name    string
			ctx     func() (context.Context, func())
			is      []error
			timeout bool
		}{
			{"deadline", func() (context.Context, func()) {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				return ctx, cancel
			}, []error{context.DeadlineExceeded}, true},
			{"cancelled", func() (context.Context, func()) {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(2*time.Second, func() { cancel(reason) })
				return ctx, func() { cancel(nil) }
			}, []error{context.Canceled, reason}, false},
		}
		for _, tt := range tests {
			for _, call := range []string{"RoundTrip", "Token"} {
				ctx, cancel := tt.ctx()
				began := time.Now()
				var err error
				if call == "Token" {
					_, err = tr.Token(ctx)
				} else {
					req, _ := http.NewRequestWithContext(ctx, "GET", "https://api.example.com", nil)
					_, err = (&http.Client{Transport: tr}).Do(req)
					if ue, ok := err.(*url.Error); !ok || ue.Timeout() != tt.timeout {
						t.Errorf("%s: %v, Timeout is not %t", tt.name, err, tt.timeout)
					}
				}
				cancel()
				for _, is := range tt.is {
					if !errors.Is(err, is) {
						t.Errorf("%s: %v is not %v", tt.name, err, is)
					}
				}
				for _, says := range []string{"waiting for a token after 2s", "since " + began.Format(time.TimeOnly), "last said: backend is down"} {
					if !strings.Contains(err.Error(), says) {
						t.Errorf("%s: %v does not say %q", tt.name, err, says)
					}
				}
				if errors.Is(err, down) || time.Since(began) != 2*time.Second {
					t.Errorf("%s: %v after %s", tt.name, err, time.Since(began))
				}
				time.Sleep(time.Minute)
			}
		}
	})
}

// Guarantee 4: a request's own Cancel channel, which net/http obeys still, ends its wait.
func TestG04_RequestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{delay: 10 * time.Second}
		tr := through(t, s)
		cancel := make(chan struct{})
		req, _ := http.NewRequest("GET", "https://api.example.com", nil)
		//lint:ignore SA1019 it is deprecated, and obeyed
		req.Cancel = cancel
		time.AfterFunc(time.Second, func() { close(cancel) })
		began := time.Now()
		if _, err := tr.RoundTrip(req); !errors.Is(err, context.Canceled) || time.Since(began) != time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if n := tr.Stats().Waiting; n != 0 {
			t.Errorf("%d wait", n)
		}
	})
}

// slowly is a body that takes a second to come.
type slowly struct{ io.Reader }

func (s slowly) Read(p []byte) (int, error) {
	time.Sleep(500 * time.Millisecond)
	return s.Reader.Read(p)
}

func (slowly) Close() error { return nil }

// Guarantee 4: a caller that gives up leaves at once, also while its rejected answer is read from a
// body that knows no context.
func TestG04_WhoGivesUpWhileTheAnswerIsRead(t *testing.T) {
	for _, how := range []func(*http.Response) bool{nil, transport.BodyCode("code", 40)} {
		synctest.Test(t, func(t *testing.T) {
			s := &stub{}
			tr := through(t, s)
			tr.IsRejected = how
			mustGet(t, tr)
			s.revoke()
			s.serve = func(req *http.Request) *http.Response {
				resp := reject(req)
				resp.Body = closedOnce(make(chan struct{})) // until it is closed
				return resp
			}
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			began := time.Now()
			req, _ := http.NewRequestWithContext(ctx, "GET", "https://api.example.com/", nil)
			resp, err := tr.RoundTrip(req)
			if how == nil && !errors.Is(err, context.DeadlineExceeded) || how != nil && err != nil || time.Since(began) != 100*time.Millisecond {
				t.Errorf("%v after %s", err, time.Since(began))
			}
			if resp != nil {
				resp.Body.Close()
			}
			synctest.Wait()
		})
	}
}
