package transport_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// Guarantee 20: logging out or switching users while a refresh runs. At every point at which a
// request can be held, for every outcome, no request of one session ever carries the token of
// another.
func TestG20_SwitchingUsers(t *testing.T) {
	for _, outcome := range []error{nil, errors.New("down"), provider.Permanent(errors.New("gone"))} {
		for at := range 30 {
			t.Run(fmt.Sprintf("%v at %d", outcome, at), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var mu sync.Mutex
					seen := map[string]int{}
					api := roundTripper(func(req *http.Request) (*http.Response, error) {
						user, auth := req.Header.Get("X-User"), req.Header.Get("Authorization")
						mu.Lock()
						if !strings.HasPrefix(auth, "Bearer "+user) {
							t.Errorf("a request of %s carries %q", user, auth)
						}
						seen[user]++
						mu.Unlock()
						time.Sleep(50 * time.Millisecond)
						if auth == "Bearer alice1" {
							return reject(req), nil
						}
						return respond(req, 200, ""), nil
					})
					session := func(user string) *transport.Transport {
						n := 0
						return &transport.Transport{Base: api, Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
							if n++; n > 1 {
								time.Sleep(100 * time.Millisecond)
								if outcome != nil {
									return provider.Token{}, outcome
								}
							}
							return provider.NewToken(fmt.Sprint(user, n), time.Time{}), nil
						})}
					}
					post := func(tr *transport.Transport, user string) {
						req, _ := http.NewRequest("POST", "https://api.example.com/", strings.NewReader("as "+user))
						req.Header.Set("X-User", user)
						_, _ = send(tr, req)
					}
					alice, bob := session("alice"), session("bob")
					var wg sync.WaitGroup
					for range 5 {
						wg.Go(func() { post(alice, "alice") })
					}
					time.Sleep(time.Duration(at) * 10 * time.Millisecond)
					wg.Go(func() { alice.Close() })
					for range 5 {
						wg.Go(func() { post(bob, "bob") })
					}
					wg.Wait()
					post(alice, "alice")
					bob.Close()
					time.Sleep(time.Hour)
					if seen["bob"] != 5 {
						t.Errorf("bob's requests: %d", seen["bob"])
					}
				})
			})
		}
	}
}

// SetToken: a token that came by another way is what requests go on with, those that wait included,
// without a call of the provider and without a strike.
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

// SetToken: where no refresh token is in play, what a call brings that began before it is dropped,
// be it a token or the end.
func TestSetTokenOvertakesACall(t *testing.T) {
	for name, answer := range map[string]error{"a token": nil, "the end": provider.Permanent(errors.New("gone"))} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stub{}
				var calls int
				tr := &transport.Transport{Base: s, Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
					if calls++; calls == 1 {
						time.Sleep(10 * time.Second)
						return s.issue("old"), answer
					}
					return s.issue("next"), nil
				})}
				defer tr.Close()
				go func() { _, _ = tr.Token(t.Context()) }()
				time.Sleep(time.Second)
				if err := tr.SetToken(s.issue("handed-over")); err != nil {
					t.Fatal(err)
				}
				if st := tr.Stats(); st.Hung.IsZero() || !st.Refreshing.IsZero() {
					t.Errorf("while the call is left behind: %+v", st)
				}
				time.Sleep(time.Minute)
				if tok, err := tr.Token(t.Context()); tok.Value() != "handed-over" || err != nil {
					t.Errorf("%q, %v", tok.Value(), err)
				}
				s.revoke()
				mustGet(t, tr)
				if calls != 2 {
					t.Errorf("%d calls", calls)
				}
			})
		})
	}
}
