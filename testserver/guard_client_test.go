package testserver_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
	"github.com/stayauth/stayauth/transport"
)

// Five minutes of a client whose tokens live a minute, four requests at a time: each of them takes
// effect once, no refresh token is used twice, and no caller sees a rejection, whatever kind of
// server it is.
func TestGuardAndClient(t *testing.T) {
	backend := func(g *testserver.Guard) provider.TokenProvider {
		return provider.HTTP{URL: "https://app.test/token", UserID: "alice", Session: provider.NewSecret("sesame"), Client: &http.Client{Transport: g}}
	}
	oauth2 := func(g *testserver.Guard) provider.TokenProvider {
		return provider.OAuth2{
			TokenURL: "https://auth.test/token", ClientID: "foo&bar", ClientSecret: provider.NewSecret("s%cr+t &:é"),
			RefreshToken: provider.NewSecret(g.LogIn("alice")), Client: &http.Client{Transport: g},
		}
	}
	credentials := func(g *testserver.Guard) provider.TokenProvider {
		return provider.OAuth2{
			TokenURL: "https://auth.test/token", ClientID: "foo&bar", ClientSecret: provider.NewSecret("s%cr+t &:é"), SecretInBody: true,
			Grant: "client_credentials", Client: &http.Client{Transport: g},
		}
	}
	clients := map[string]string{"foo&bar": "s%cr+t &:é"}
	function := func(g *testserver.Guard) provider.TokenProvider {
		return provider.Func(func(context.Context) (string, error) { return g.Issue("alice"), nil })
	}
	for _, tt := range []struct {
		name     string
		g        *testserver.Guard
		provider func(*testserver.Guard) provider.TokenProvider
		rejected bool // some requests are, because their token is ended under them
	}{
		{"a function", &testserver.Guard{}, function, false},
		{"a function, random tokens", &testserver.Guard{Opaque: true}, function, true}, // no expiry is known
		{"a backend", &testserver.Guard{}, backend, false},
		{"a backend, random tokens", &testserver.Guard{Opaque: true}, backend, false},
		{"a backend with one refresh token", &testserver.Guard{Rotation: testserver.Reusable}, backend, false},
		{"a backend where rotating revokes", &testserver.Guard{RotationRevokes: true, Fault: slowly}, backend, true},
		{"OAuth 2.0", &testserver.Guard{Clients: clients}, oauth2, false},
		{"OAuth 2.0, random tokens", &testserver.Guard{Clients: clients, Opaque: true}, oauth2, false},
		{"OAuth 2.0 with a grace period", &testserver.Guard{Rotation: testserver.SingleUseWithGrace}, oauth2, false},
		{"OAuth 2.0 where rotating revokes", &testserver.Guard{RotationRevokes: true, Fault: slowly}, oauth2, true},
		{"OAuth 2.0, the client's own", &testserver.Guard{Clients: clients, Opaque: true}, credentials, false},
		{"a clock that is behind", &testserver.Guard{ClockOffset: -10 * time.Minute}, backend, true}, // tokens look expired,
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.g.TTL = time.Minute
			guarded(t, tt.g, func(t *testing.T) {
				tr := &transport.Transport{Provider: tt.provider(tt.g), Base: tt.g}
				defer tr.Close()
				client := &http.Client{Transport: tr}
				var wg sync.WaitGroup
				for i := range 4 {
					wg.Go(func() {
						for n := range 300 {
							req, _ := http.NewRequest("POST", "https://api.test/", strings.NewReader("x"))
							req.Header.Set(testserver.RequestID, fmt.Sprintf("%d-%d", i, n))
							resp, err := client.Do(req)
							if err != nil {
								t.Errorf("request %d-%d: %v", i, n, err)
								return
							}
							resp.Body.Close()
							if resp.StatusCode != 200 {
								t.Errorf("request %d-%d: status %d", i, n, resp.StatusCode)
							}
							time.Sleep(time.Second)
						}
					})
				}
				wg.Wait()
				l := tt.g.Ledger()
				// A token lives 60 s and a bit, and is replaced at its end, or when a fifth to a
				// quarter of its life is left.
				if l.Effects != 1200 || l.Issued < 5 || l.Issued > 8 || l.Reused != 0 {
					t.Errorf("%d effects, %d tokens, %d reused; want 1200, 5 to 8, 0", l.Effects, l.Issued, l.Reused)
				}
				if (l.Rejected > 0) != tt.rejected {
					t.Errorf("%d requests were rejected", l.Rejected)
				}
				if err := tt.g.Check(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// slowly takes a while over every request, so that some are on the way while a token is replaced.
func slowly(*http.Request) testserver.Fault { return testserver.Fault{Latency: 20 * time.Millisecond} }

// When the answer to a refresh is lost, the spent refresh token is not sent again: the login is
// over, and the caller is told so. The server never takes the client for a thief.
func TestGuardAndLostAnswer(t *testing.T) {
	calls := 0
	g := &testserver.Guard{TTL: time.Minute, Fault: func(r *http.Request) testserver.Fault {
		if r.URL.Path == "/token" {
			if calls++; calls == 2 {
				return testserver.Fault{Cut: testserver.CutAfter}
			}
		}
		return testserver.Fault{}
	}}
	guarded(t, g, func(t *testing.T) {
		tr := &transport.Transport{Base: g, Provider: provider.OAuth2{
			TokenURL: "https://auth.test/token", ClientID: "tool", RefreshToken: provider.NewSecret(g.LogIn("alice")), Client: &http.Client{Transport: g},
		}}
		defer tr.Close()
		client := &http.Client{Transport: tr}
		for n := range 3 {
			resp, err := client.Get("https://api.test/")
			if n == 0 {
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				g.AdvanceClock(time.Hour)
				continue
			}
			if failed, ok := errors.AsType[*transport.RefreshError](err); !ok || !failed.Permanent {
				t.Errorf("request %d: %v; want a permanent RefreshError", n, err)
			}
		}
		if l := g.Ledger(); l.TokenCalls != 2 || l.Reused != 0 || l.Issued != 2 {
			t.Errorf("%d token calls, %d reused, %d issued; want 2, 0, 2", l.TokenCalls, l.Reused, l.Issued)
		}
	})
}
