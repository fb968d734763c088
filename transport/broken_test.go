package transport_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// An evilError is an error whose methods panic as they are told to.
type evilError struct{ err, unwrap, is, as bool }

func (e *evilError) Error() string {
	if e.err {
		panic("Error")
	}
	return "evil"
}

func (e *evilError) Unwrap() error {
	if e.unwrap {
		panic("Unwrap")
	}
	return nil
}

func (e *evilError) Is(error) bool {
	if e.is {
		panic("Is")
	}
	return false
}

func (e *evilError) As(any) bool {
	if e.as {
		panic("As")
	}
	return false
}

// Guarantee 9: an error that is a typed nil, or that panics when it is looked at, is a clear error for all who wait, and the
// process goes on.
func TestG09_ErrorsThatAreNone(t *testing.T) {
	var nilURL *url.Error
	var nilEvil *evilError
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"a typed nil", nilURL, "*url.Error that is a nil pointer"},
		{"a typed nil of the caller's own", nilEvil, "*transport_test.evilError that is a nil pointer"},
		{"Error panics", &evilError{err: true}, "panics when it is looked at"},
		{"Unwrap panics", &evilError{unwrap: true}, "panics when it is looked at"},
		{"Is panics", &evilError{is: true}, "panics when it is looked at"},
		{"As panics", &evilError{as: true}, "panics when it is looked at"},
		{"a wrapped one", fmt.Errorf("backend: %w", &evilError{as: true}), "panics when it is looked at"},
		{"a joined one", errors.Join(errors.New("a"), &evilError{is: true}), "panics when it is looked at"},
	}
	for _, tt := range tests {
		for _, joined := range []bool{false, true} { // the call outlasts its refresh
			t.Run(fmt.Sprintf("%s, joined %t", tt.name, joined), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var calls atomic.Int32
					tr := &transport.Transport{Base: &stub{}, Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
						calls.Add(1)
						if time.Sleep(time.Second); joined {
							time.Sleep(34 * time.Second)
						}
						return provider.NewToken("token", time.Time{}), tt.err
					})}
					defer tr.Close()
					if joined {
						_, _ = get(tr, t.Context())
						time.Sleep(100 * time.Millisecond)
					}
					var wg sync.WaitGroup
					for range 10 {
						wg.Go(func() {
							_, err := get(tr, t.Context())
							re, ok := errors.AsType[*transport.RefreshError](err)
							if !ok || re.Permanent || !strings.Contains(err.Error(), tt.want) || errors.Is(err, io.EOF) {
								t.Errorf("error %v", err)
							}
						})
					}
					wg.Wait()
					if calls.Load() != 1 {
						t.Errorf("%d calls, want 1", calls.Load())
					}
				})
			})
		}
	}
}

// Guarantee 9: RefreshTimeout, with provider.HTTP, a single-use refresh token and a backend that hangs. The provider's own word on it
// is permanent, since the refresh token may be spent. Who waited is always told the same, nobody is told that a deadline of
// theirs has passed, and who comes later gets the provider's word.
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

// Guarantee 9: the error of a provider's own time limit is no deadline of the caller's either, and matches all else that it did.
func TestG09_AProvidersOwnTimeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("a cause")
		tr := &transport.Transport{Base: &stub{}, Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
			return provider.Token{}, provider.Permanent(&url.Error{Op: "Post", URL: "https://app.example.com", Err: errors.Join(context.DeadlineExceeded, context.Canceled, cause)})
		})}
		defer tr.Close()
		_, err := get(tr, t.Context())
		ue, ok := errors.AsType[*url.Error](err)
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || !errors.Is(err, cause) || !ok || ue.Op != "Post" || !provider.IsPermanent(err) {
			t.Errorf("error %v", err)
		}
	})
}

// Guarantee 6: what asking again can't cure is told at once, and is no end of the session.
func TestG06_NoRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		s := &stub{}
		tr := through(t, s)
		tr.Provider = tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
			if calls++; calls == 1 {
				return provider.Token{}, fmt.Errorf("reading the login: %w", provider.NoRetry(errors.New("the folder has mode 0755")))
			}
			return s.issue("t"), nil
		})
		began := time.Now()
		_, err := get(tr, t.Context())
		re, ok := errors.AsType[*transport.RefreshError](err)
		if !ok || re.Permanent || calls != 1 || time.Since(began) != 0 || !strings.Contains(err.Error(), "0755") {
			t.Errorf("%v after %s and %d calls", err, time.Since(began), calls)
		}
		time.Sleep(100 * time.Millisecond)
		mustGet(t, tr)
	})
}

// Guarantee 9: a token that is more than a token is told so, once, without a request and without the token.
func TestG09_ATokenWithItsScheme(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, value := range []string{"Bearer secret", "bearer secret", "DPoP secret", "two words"} {
			s := &stub{}
			calls := 0
			tr := &transport.Transport{Base: s, Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
				calls++
				return provider.NewToken(value, time.Time{}), nil
			})}
			_, err := get(tr, t.Context())
			if err == nil || !strings.Contains(err.Error(), `without the scheme`) || strings.Contains(err.Error(), "secret") || calls != 1 {
				t.Errorf("%v after %d calls", err, calls)
			}
			s.want(t, 0, 0, 0)
			tr.Close()

			// With an Authorize of its own a program may send what it likes.
			own := &transport.Transport{Base: s, Provider: returning(value), Authorize: func(r *http.Request, tok provider.Token) { r.Header.Set("X-Token", tok.Value()) }}
			if status, err := get(own, t.Context()); status != 401 || err != nil {
				t.Errorf("%d, %v", status, err)
			}
			own.Close()
		}
	})
}

// Guarantee 4: who gives up waiting is told that it waited for a token, since when, and what the provider last said; and it is still
// the caller's own deadline.
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

// SetToken: a token that came by another way is what requests go on with, those that wait included, without a call of the provider
// and without a strike.
func TestSetToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{delay: 10 * time.Second}
		tr := through(t, s)
		var wg sync.WaitGroup
		began := time.Now()
		wg.Go(func() {
			if mustGet(t, tr); time.Since(began) != time.Second {
				t.Errorf("a request waited %s", time.Since(began))
			}
		})
		time.Sleep(time.Second)
		if err := tr.SetToken(s.issue("handed-over").WithRefreshToken("r")); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		tok, err := tr.Token(t.Context())
		if tok.Value() != "handed-over" || err != nil || tr.Stats().Strikes != 0 {
			t.Errorf("%q, %v, %d strikes", tok.Value(), err, tr.Stats().Strikes)
		}
		if err := tr.SetToken(s.issue("second-one")); err != nil {
			t.Fatal(err)
		}
		if tok, _ := tr.Token(t.Context()); tok.Value() != "second-one" || tok.RefreshToken() != "r" {
			t.Errorf("%q, and the refresh token is %q", tok.Value(), tok.RefreshToken())
		}
		tr.Reject(s.issue("second-one"))
		for _, bad := range []provider.Token{{}, provider.NewToken("a\nb", time.Time{}), provider.NewToken("Bearer x", time.Time{}), s.issue("second-one")} {
			if err := tr.SetToken(bad); err == nil || strings.Contains(err.Error(), "second-one") {
				t.Errorf("%v", err)
			}
		}
		tr.Close()
		if err := tr.SetToken(s.issue("after-close")); err != transport.ErrClosed {
			t.Errorf("after Close: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) { // a session that had ended goes on
		s := &stub{mint: func(int) (provider.Token, error) { return provider.Token{}, provider.Permanent(errors.New("gone")) }}
		tr := through(t, s)
		if _, err := get(tr, t.Context()); err == nil {
			t.Fatal("no error")
		}
		if err := tr.SetToken(s.issue("from-a-browser")); err != nil {
			t.Fatal(err)
		}
		mustGet(t, tr)
	})
}

// What has no reason, or no moment, prints all the same; and what is told of a moment is the wall clock's.
func TestRefreshErrorPrints(t *testing.T) {
	if s := (&transport.RefreshError{}).Error(); !strings.Contains(s, "no token") {
		t.Error(s)
	}
	synctest.Test(t, func(t *testing.T) {
		s := &stub{mint: func(int) (provider.Token, error) { return provider.Token{}, nil }}
		tr := &transport.Transport{Base: s, Provider: returning("")}
		defer tr.Close()
		_, err := get(tr, t.Context())
		re, _ := errors.AsType[*transport.RefreshError](err)
		if re == nil || re.NextTry.IsZero() || re.NextTry != re.NextTry.Round(0) {
			t.Errorf("%v", err)
		}
	})
}

// Guarantee 15: what an API repeats of a token, whole or cut short, is in no error and no log line.
func TestG15_PartsOfTheToken(t *testing.T) {
	const token = "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoiYWxpY2UifQ.c2lnbmF0dXJl"
	for _, message := range []string{
		"invalid token " + token, "invalid token " + token[:20] + "...", "token ending in " + token[len(token)-8:],
		token[10:30] + " and " + token[30:] + " are bad", "the token " + strings.ToUpper("is bad"),
	} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			tr := &transport.Transport{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
				Base: roundTripper(func(req *http.Request) (*http.Response, error) {
					resp := respond(req, 401, fmt.Sprintf(`{"message":%q}`, message))
					resp.Header.Set("WWW-Authenticate", `Bearer error="invalid_token"`)
					return resp, nil
				})}
			n := 0
			tr.Provider = tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
				if n++; n > 1 {
					return provider.Token{}, provider.Permanent(errors.New("gone"))
				}
				return provider.NewToken(token, time.Time{}), nil
			})
			defer tr.Close()
			_, err := get(tr, t.Context())
			synctest.Wait()
			for i := range len(token) - 8 {
				if part := token[i : i+8]; strings.Contains(err.Error(), part) || strings.Contains(log.String(), part) {
					t.Fatalf("%q is in %v or in\n%s", part, err, log.String())
				}
			}
			if !strings.Contains(err.Error(), "bad") && !strings.Contains(err.Error(), "token") {
				t.Errorf("nothing is left of the message: %v", err)
			}
		})
	}
}

// Guarantee 9: a call that hangs, and belongs to a login that was replaced since, is joined by the next refresh and no answer to it:
// the refresh makes a call of its own when it returns, and that one is made.
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

// The provider hears what the API said when it rejected the old token, and only then.
func TestTheProviderHearsWhatTheAPISaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{life: time.Minute}
		var heard []string
		tr := &transport.Transport{Base: roundTripper(func(req *http.Request) (*http.Response, error) {
			resp, err := s.RoundTrip(req)
			if resp.StatusCode == 401 {
				resp.Header.Set("WWW-Authenticate", `Bearer error="invalid_token", claims="eyJ9", scope="read"`)
			}
			return resp, err
		}), Provider: tokenFunc(func(ctx context.Context, old provider.Token) (provider.Token, error) {
			said, ok := provider.RejectionFrom(ctx)
			heard = append(heard, fmt.Sprint(ok, said.StatusCode, said.Param("Bearer", "claims"), said.Param("bearer", "scope")))
			return s.issue("t" + old.Value()), nil
		})}
		defer tr.Close()
		mustGet(t, tr)
		s.revoke()
		mustGet(t, tr)
		time.Sleep(2 * time.Minute)
		mustGet(t, tr)
		if got := fmt.Sprint(heard); got != "[false 0 true 401eyJ9read false 0]" {
			t.Error(got)
		}
	})
}

// Guarantee 6: a RetryAfter that was said while the token lived holds after its rejection, too. It is longer than a refresh lasts, so
// who needs a token is told at once.
func TestG06_ARetryAfterFromBeforeTheRejection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := errors.New("busy")
		s := &stub{life: time.Hour}
		s.mint = func(n int) (provider.Token, error) {
			if n == 2 {
				return provider.Token{}, provider.RetryAfter(busy, 10*time.Minute)
			}
			return provider.Token{}, nil
		}
		tr := through(t, s)
		mustGet(t, tr)
		time.Sleep(50 * time.Minute)
		mustGet(t, tr)
		synctest.Wait()
		s.revoke()
		said := time.Now()
		time.Sleep(time.Second)
		began := time.Now()
		_, err := get(tr, t.Context())
		re, ok := errors.AsType[*transport.RefreshError](err)
		if !ok || !errors.Is(err, busy) || time.Since(began) != 0 || re.NextTry.Sub(said) != 10*time.Minute {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}
