package testserver_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stayauth/stayauth/testserver"
)

// Who the client is, in all the ways in which it may say so.
func TestClientAuthentication(t *testing.T) {
	const odd, oddSecret = "foo&bar", "s%cr+t &:é" // RFC 6749 section 2.3.1 has both form-encoded before they go into the header
	clients := map[string]string{"web": "sesame", odd: oddSecret, "app": ""}
	encoded := url.QueryEscape(odd) + ":" + url.QueryEscape(oddSecret)
	for _, tt := range []struct {
		name   string
		g      *testserver.Guard
		basic  string
		values []string
		status int
		code   string
	}{
		{"basic", &testserver.Guard{Clients: clients}, "web:sesame", nil, 200, ""},
		{"basic, form-encoded", &testserver.Guard{Clients: clients}, encoded, nil, 200, ""},
		{"basic, not form-encoded", &testserver.Guard{Clients: clients}, odd + ":" + oddSecret, nil, 401, "invalid_client"},
		{"basic and the same client_id", &testserver.Guard{Clients: clients}, "web:sesame", []string{"client_id=web"}, 200, ""},
		{"basic and another client_id", &testserver.Guard{Clients: clients}, "web:sesame", []string{"client_id=app"}, 400, "invalid_request"},
		{"both ways", &testserver.Guard{Clients: clients}, "web:sesame", []string{"client_id=web", "client_secret=sesame"}, 400, "invalid_request"},
		{"body", &testserver.Guard{Clients: clients}, "", []string{"client_id=web", "client_secret=sesame"}, 200, ""},
		{"body, odd", &testserver.Guard{Clients: clients}, "", []string{"client_id=" + odd, "client_secret=" + oddSecret}, 200, ""},
		{"wrong secret", &testserver.Guard{Clients: clients}, "", []string{"client_id=web", "client_secret=x"}, 401, "invalid_client"},
		{"no secret", &testserver.Guard{Clients: clients}, "", []string{"client_id=web"}, 401, "invalid_client"},
		{"unknown", &testserver.Guard{Clients: clients}, "x:", nil, 401, "invalid_client"},
		{"no client", &testserver.Guard{Clients: clients}, "", nil, 401, "invalid_client"},
		{"public", &testserver.Guard{Clients: clients}, "", []string{"client_id=app"}, 200, ""},
		{"public with a secret", &testserver.Guard{Clients: clients}, "", []string{"client_id=app", "client_secret=x"}, 401, "invalid_client"},
		{"any client", &testserver.Guard{}, "who:ever", nil, 200, ""},
		{"no client", &testserver.Guard{}, "", nil, 200, ""},
		{"basic wanted", &testserver.Guard{Clients: clients, ClientAuth: "client_secret_basic"}, "web:sesame", nil, 200, ""},
		{"basic wanted, body sent", &testserver.Guard{Clients: clients, ClientAuth: "client_secret_basic"}, "", []string{"client_id=web", "client_secret=sesame"}, 401, "invalid_client"},
		{"basic wanted, public", &testserver.Guard{Clients: clients, ClientAuth: "client_secret_basic"}, "", []string{"client_id=app"}, 200, ""},
		{"body wanted", &testserver.Guard{Clients: clients, ClientAuth: "client_secret_post"}, "", []string{"client_id=web", "client_secret=sesame"}, 200, ""},
		{"body wanted, basic sent", &testserver.Guard{Clients: clients, ClientAuth: "client_secret_post"}, "web:sesame", nil, 401, "invalid_client"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			guarded(t, tt.g, func(t *testing.T) {
				values := append([]string{"grant_type=refresh_token", "refresh_token=" + tt.g.LogIn("alice")}, tt.values...)
				a := grantCall{g: tt.g, basic: tt.basic, values: values}.ask()
				if tt.status == 200 {
					wantStatus(t, a, 200)
					return
				}
				wantGrantError(t, a, tt.status, tt.code)
				challenged := a.header.Get("WWW-Authenticate") == `Basic realm="testserver"`
				if want := tt.status == 401 && tt.basic != ""; challenged != want {
					t.Errorf("a challenge: %v, want %v", challenged, want)
				}
				if strings.Contains(a.text("error_description"), "sesame") {
					t.Error("the answer holds a secret")
				}
			})
		})
	}
}

func TestClientCredentials(t *testing.T) {
	g := &testserver.Guard{Clients: map[string]string{"bot": "sesame", "app": ""}}
	guarded(t, g, func(t *testing.T) {
		a := grantCall{g: g, basic: "bot:sesame", values: []string{"grant_type=client_credentials", "scope=read write"}}.ask()
		wantStatus(t, a, 200)
		if a.text("refresh_token") != "" || a.text("scope") != "read write" {
			t.Errorf("got %v", a.body)
		}
		if r := (visitor{rt: g, token: a.text("access_token")}).do("GET", "/", ""); r.body != "bot\n" {
			t.Errorf("the token is of %q", r.body)
		}
		g.Revoke("bot")
		if code := status(g, a.text("access_token")); code != 401 {
			t.Errorf("the revoked token: status %d", code)
		}
		wantGrantError(t, grantCall{g: g, values: []string{"grant_type=client_credentials", "client_id=app"}}.ask(), 401, "invalid_client")
	})
	g = &testserver.Guard{}
	guarded(t, g, func(t *testing.T) {
		wantStatus(t, grantCall{g: g, basic: "any:one", values: []string{"grant_type=client_credentials"}}.ask(), 200)
		wantGrantError(t, grantCall{g: g, values: []string{"grant_type=client_credentials"}}.ask(), 401, "invalid_client")
	})
}

// A refresh token is its client's alone.
func TestRefreshTokenOfAnotherClient(t *testing.T) {
	g := &testserver.Guard{ApproveAs: "alice"}
	guarded(t, g, func(t *testing.T) {
		login := device(t, g, "one")
		for _, client := range []string{"client_id=two", "state=none"} {
			wantGrantError(t, grantCall{g: g, values: []string{"grant_type=refresh_token", "refresh_token=" + login.text("refresh_token"), client}}.ask(), 400, "invalid_grant")
			for _, name := range []string{"refresh_token", "access_token"} {
				wantGrantError(t, grantCall{g: g, path: "/revoke", values: []string{"token=" + login.text(name), client}}.ask(), 400, "invalid_grant")
			}
		}
		if code := status(g, login.text("access_token")); code != 200 {
			t.Errorf("the login's token: status %d", code)
		}
		wantStatus(t, grantCall{g: g, values: []string{"grant_type=refresh_token", "refresh_token=" + login.text("refresh_token"), "client_id=one"}}.ask(), 200)
	})
}

func TestRevocationEndpoint(t *testing.T) {
	for _, opaque := range []bool{false, true} {
		g := &testserver.Guard{Opaque: opaque, Clients: map[string]string{"web": "sesame"}}
		guarded(t, g, func(t *testing.T) {
			revoke := func(token string) answer {
				return grantCall{g: g, path: "/revoke", basic: "web:sesame", values: []string{"token=" + token, "token_type_hint=whatever"}}.ask()
			}
			renew := func(secret string) answer {
				return grantCall{g: g, basic: "web:sesame", values: []string{"grant_type=refresh_token", "refresh_token=" + secret}}.ask()
			}
			a := renew(g.LogIn("alice"))
			wantStatus(t, revoke(a.text("access_token")), 200)
			if code := status(g, a.text("access_token")); code != 401 {
				t.Errorf("the revoked token: status %d", code)
			}
			a = renew(a.text("refresh_token"))
			wantStatus(t, a, 200)
			wantStatus(t, revoke(a.text("refresh_token")), 200)
			wantGrantError(t, renew(a.text("refresh_token")), 400, "invalid_grant")
			if code := status(g, a.text("access_token")); code != 401 {
				t.Errorf("a token of the login that was ended: status %d", code)
			}
			wantStatus(t, revoke("nothing known"), 200) // RFC 7009 section 2.2
			wantGrantError(t, revoke(""), 400, "invalid_request")
			wantGrantError(t, grantCall{g: g, path: "/revoke", values: []string{"token=x"}}.ask(), 401, "invalid_client")
			if n := g.Ledger().TokenCalls; n != 3 {
				t.Errorf("%d token calls, want 3: a revocation is none", n)
			}
			if !opaque { // of a backend's own minting, and never used so far
				elsewhere := mint(map[string]any{"sub": "alice"})
				revoke(elsewhere)
				if code := status(g, elsewhere); code != 401 {
					t.Errorf("a revoked token that was minted elsewhere: status %d", code)
				}
			}
		})
	}
}
