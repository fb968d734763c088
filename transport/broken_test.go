package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// Guarantee 9: an error that is a typed nil, or that panics when it is looked at, is a clear error
// for all who wait, and the process goes on.
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

// Guarantee 9: the error of a provider's own time limit is no deadline of the caller's either, and
// matches all else that it did.
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

// Guarantee 9: a token that is more than a token is told so, once, without a request and without
// the token.
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

// Guarantee 9: every way in which a provider can break its contract is a clear error for all, at
// once, and not asked for again within the refresh.
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

// Guarantee 9: a provider that sends a request through its own client would wait for itself. It is
// told so, and no request waits.
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

// Guarantee 9: only the provider's call under way is told that it waits for itself. Work that an
// earlier one has left behind waits like everybody, and spoils nothing.
func TestG09_AnEarlierCallsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		var saved context.Context
		n := 0
		tr := &transport.Transport{Base: s, Provider: tokenFunc(func(ctx context.Context, _ provider.Token) (provider.Token, error) {
			switch n++; n {
			case 1:
				saved = context.WithoutCancel(ctx)
			case 2:
				time.Sleep(time.Second)
				return provider.Token{}, errors.New("blip")
			}
			return s.issue(fmt.Sprint("t", n)), nil
		})}
		defer tr.Close()
		mustGet(t, tr)
		tok, _ := tr.Token(t.Context())
		s.revoke()
		tr.Reject(tok)
		var wg sync.WaitGroup
		wg.Go(func() {
			time.Sleep(500 * time.Millisecond)
			if _, err := get(tr, saved); err != nil {
				t.Errorf("in the background: %v", err)
			}
		})
		wg.Go(func() {
			if _, err := tr.Token(t.Context()); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
	})
}
