package testserver_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

// A grantCall is one question to an endpoint of OAuth 2.0.
type grantCall struct {
	g      *testserver.Guard
	path   string // "": /token
	basic  string // "id:secret", as it goes into the header; "": no header
	values []string
}

// ask sends a call with name=value pairs as its form.
func (c grantCall) ask() answer {
	form := url.Values{}
	for _, pair := range c.values {
		name, value, _ := strings.Cut(pair, "=")
		form.Add(name, value)
	}
	req, err := http.NewRequest("POST", "http://api.test"+or(c.path, "/token"), strings.NewReader(form.Encode()))
	if err != nil {
		return answer{err: err}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if id, secret, ok := strings.Cut(c.basic, ":"); ok {
		req.SetBasicAuth(id, secret)
	}
	return decoded(visitor{rt: c.g}.send(req))
}

func decoded(r reply) answer {
	a := answer{status: r.status, header: r.header, err: r.err}
	if r.body != "" {
		a.err = json.Unmarshal([]byte(r.body), &a.body)
	}
	return a
}

func refreshGrant(g *testserver.Guard, refreshToken string) answer {
	return grantCall{g: g, values: []string{"grant_type=refresh_token", "refresh_token=" + refreshToken}}.ask()
}

func wantGrantError(t *testing.T, a answer, status int, code string) {
	t.Helper()
	wantStatus(t, a, status)
	if a.text("error") != code || a.text("error_description") == "" {
		t.Errorf("error %q (%q), want %q and a sentence", a.text("error"), a.text("error_description"), code)
	}
}

func status(g *testserver.Guard, token string) int {
	return visitor{rt: g, token: token}.do("GET", "/", "").status
}

func TestRefreshGrant(t *testing.T) {
	for _, opaque := range []bool{false, true} {
		g := &testserver.Guard{TTL: 2 * time.Second, Opaque: opaque}
		guarded(t, g, func(t *testing.T) {
			a := refreshGrant(g, g.LogIn("alice"))
			wantStatus(t, a, 200)
			if a.text("token_type") != "Bearer" || a.number("expires_in") != 2 || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("got %v, Cache-Control %q", a.body, a.header.Get("Cache-Control"))
			}
			if _, ok := a.body["scope"]; ok {
				t.Errorf("scope %v, want none", a.body["scope"])
			}
			r := visitor{rt: g, token: a.text("access_token")}.do("GET", "/", "")
			wantReply(t, r, 200)
			if r.body != "alice\n" {
				t.Errorf("the token is of %q", r.body)
			}
			wantStatus(t, refreshGrant(g, a.text("refresh_token")), 200)
			if l := g.Ledger(); l.TokenCalls != 2 || l.Issued != 2 || l.Unnamed != 1 { // the requests of the endpoint need no id
				t.Errorf("%d token calls, %d issued, %d unnamed; want 2, 2, 1", l.TokenCalls, l.Issued, l.Unnamed)
			}
		})
	}
}

// A used refresh token that comes again ends the login, tokens included, and no other.
func TestGuardReuse(t *testing.T) {
	g := &testserver.Guard{}
	guarded(t, g, func(t *testing.T) {
		spent, other := g.LogIn("alice"), g.LogIn("alice")
		next := refreshGrant(g, spent)
		wantGrantError(t, refreshGrant(g, spent), 400, "invalid_grant")
		if code := status(g, next.text("access_token")); code != 401 {
			t.Errorf("a token of the login that ended: status %d", code)
		}
		wantGrantError(t, refreshGrant(g, next.text("refresh_token")), 400, "invalid_grant")
		wantStatus(t, refreshGrant(g, other), 200)
		if n := g.Ledger().Reused; n != 1 { // the newest one was never used
			t.Errorf("%d reused, want 1", n)
		}
	})
}

func TestGuardGrace(t *testing.T) {
	for name, tt := range map[string]struct {
		grace time.Duration
		after time.Duration // when the used one comes again
		ok    bool
	}{
		"until the successor is used": {0, 24 * time.Hour, true},
		"within":                      {time.Minute, time.Minute - 1, true},
		"too late":                    {time.Minute, time.Minute, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := &testserver.Guard{Rotation: testserver.SingleUseWithGrace, Grace: tt.grace, TTL: 48 * time.Hour}
			guarded(t, g, func(t *testing.T) {
				first := g.LogIn("alice")
				second := refreshGrant(g, first)
				time.Sleep(tt.after)
				again := refreshGrant(g, first)
				if !tt.ok {
					wantGrantError(t, again, 400, "invalid_grant")
					return
				}
				wantStatus(t, again, 200)
				if again.text("access_token") != second.text("access_token") || again.text("refresh_token") != second.text("refresh_token") {
					t.Error("asked again, the answer is another one")
				}
				if n := g.Ledger().Reused; n != 0 {
					t.Errorf("%d reused, want 0: it was within the grace", n)
				}
				wantStatus(t, refreshGrant(g, second.text("refresh_token")), 200)
				wantGrantError(t, refreshGrant(g, first), 400, "invalid_grant")
				if n := g.Ledger().Reused; n != 1 {
					t.Errorf("%d reused, want 1", n)
				}
			})
		})
	}
}

func TestGuardReusable(t *testing.T) {
	g := &testserver.Guard{Rotation: testserver.Reusable}
	guarded(t, g, func(t *testing.T) {
		secret := g.LogIn("alice")
		first := refreshGrant(g, secret)
		second := refreshGrant(g, secret)
		for _, a := range []answer{first, second} {
			wantStatus(t, a, 200)
			if a.text("refresh_token") != "" || status(g, a.text("access_token")) != 200 {
				t.Errorf("got %v", a.body)
			}
		}
	})
}

// RotationRevokes leaves each login one good token, the newest, whether the refresh token changes
// or not.
func TestRotationRevokes(t *testing.T) {
	for _, tt := range []struct {
		g   *testserver.Guard
		old int // the status that the old token gets
	}{
		{&testserver.Guard{}, 200},
		{&testserver.Guard{RotationRevokes: true}, 401},
		{&testserver.Guard{RotationRevokes: true, Rotation: testserver.Reusable, Opaque: true}, 401},
	} {
		guarded(t, tt.g, func(t *testing.T) {
			login := tt.g.LogIn("alice")
			first := refreshGrant(tt.g, login)
			other := refreshGrant(tt.g, tt.g.LogIn("alice"))
			next := refreshGrant(tt.g, or(first.text("refresh_token"), login))
			for token, want := range map[string]int{
				first.text("access_token"): tt.old, next.text("access_token"): 200, other.text("access_token"): 200,
			} {
				if code := status(tt.g, token); code != want {
					t.Errorf("status %d, want %d", code, want)
				}
			}
		})
	}
}

func TestLogOut(t *testing.T) {
	g := &testserver.Guard{}
	guarded(t, g, func(t *testing.T) {
		a, bob, free := refreshGrant(g, g.LogIn("alice")), refreshGrant(g, g.LogIn("bob")), g.Issue("alice")
		g.LogOut("alice")
		wantGrantError(t, refreshGrant(g, a.text("refresh_token")), 400, "invalid_grant")
		for token, want := range map[string]int{a.text("access_token"): 401, bob.text("access_token"): 200, free: 200} {
			if code := status(g, token); code != want {
				t.Errorf("status %d, want %d", code, want)
			}
		}
		wantStatus(t, refreshGrant(g, g.LogIn("alice")), 200)
		g.Revoke("bob")
		if code := status(g, bob.text("access_token")); code != 401 {
			t.Errorf("bob's revoked token: status %d", code)
		}
		wantStatus(t, refreshGrant(g, bob.text("refresh_token")), 200)
	})
}

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
		{"nobody", &testserver.Guard{Clients: clients}, "", nil, 401, "invalid_client"},
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

// Grants that the guard doesn't know are the test's own.
func TestGrantOfTheTest(t *testing.T) {
	const exchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	g := &testserver.Guard{Clients: map[string]string{"web": "sesame"}, Grant: func(form url.Values) string {
		if form.Get("grant_type") != exchange {
			return ""
		}
		return form.Get("subject_token")
	}}
	guarded(t, g, func(t *testing.T) {
		ask := func(values ...string) answer { return grantCall{g: g, basic: "web:sesame", values: values}.ask() }
		a := ask("grant_type="+exchange, "subject_token=carol", "scope=read")
		wantStatus(t, a, 200)
		if r := (visitor{rt: g, token: a.text("access_token")}).do("GET", "/", ""); r.body != "carol\n" || a.text("scope") != "read" {
			t.Errorf("the token is of %q, its scope %q", r.body, a.text("scope"))
		}
		wantGrantError(t, ask("grant_type=password"), 400, "invalid_grant")
		wantGrantError(t, ask("grant_type="+exchange), 400, "invalid_grant")
		wantGrantError(t, grantCall{g: g, values: []string{"grant_type=" + exchange, "subject_token=carol"}}.ask(), 401, "invalid_client")
	})
}

// What makes no sense is told so, in the form of RFC 6749 section 5.2.
func TestTokenEndpointErrors(t *testing.T) {
	g := &testserver.Guard{}
	guarded(t, g, func(t *testing.T) {
		for _, tt := range []struct {
			name   string
			values []string
			code   string
		}{
			{"no grant type", []string{"refresh_token=x"}, "invalid_request"},
			{"unknown grant type", []string{"grant_type=password"}, "unsupported_grant_type"},
			{"no refresh token", []string{"grant_type=refresh_token"}, "invalid_request"},
			{"unknown refresh token", []string{"grant_type=refresh_token", "refresh_token=x"}, "invalid_grant"},
			{"forged refresh token", []string{"grant_type=refresh_token", "refresh_token=1.0.00000000000000000000000000000000"}, "invalid_grant"},
			{"twice", []string{"grant_type=client_credentials", "client_id=a", "scope=a", "scope=b"}, "invalid_request"},
			{"unknown code", []string{"grant_type=authorization_code", "code=x"}, "invalid_grant"},
			{"unknown device code", []string{"grant_type=urn:ietf:params:oauth:grant-type:device_code", "device_code=x"}, "invalid_grant"},
		} {
			a := grantCall{g: g, values: tt.values}.ask()
			if a.status != 400 || a.text("error") != tt.code || a.text("error_description") == "" {
				t.Errorf("%s: status %d, %v; want 400, %s", tt.name, a.status, a.body, tt.code)
			}
		}
		wantGrantError(t, decoded(visitor{rt: g}.do("GET", "/token", "")), 405, "invalid_request")
		wantGrantError(t, decoded(visitor{rt: g}.do("POST", "/token", "grant_type=refresh_token")), 400, "invalid_request") // no Content-Type
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

// The endpoint of a backend of one's own, at the same path.
func TestGuardBackend(t *testing.T) {
	g := &testserver.Guard{Session: "sesame", TTL: 2 * time.Second}
	guarded(t, g, func(t *testing.T) {
		post := func(body string) answer {
			req, _ := http.NewRequest("POST", "http://api.test/token", strings.NewReader(body))
			req.Header.Set("Content-Type", "application/json; charset=utf-8")
			return decoded(visitor{rt: g}.send(req))
		}
		a := post(`{"user_id":"alice","session":"sesame"}`)
		wantStatus(t, a, 200)
		if a.number("expires_in") != 2 || status(g, a.text("token")) != 200 {
			t.Errorf("got %v", a.body)
		}
		b := post(`{"refresh_token":"` + a.text("refresh_token") + `"}`)
		wantStatus(t, b, 200)
		wantGrantError(t, post(`{"user_id":"alice","session":"other"}`), 401, "invalid_grant")
		wantGrantError(t, post(`{"refresh_token":"`+a.text("refresh_token")+`"}`), 401, "invalid_grant")
		wantGrantError(t, post(`{"refresh_token":"`+b.text("refresh_token")+`"}`), 401, "invalid_grant")
		wantGrantError(t, post(`{`), 400, "invalid_request")
	})
}

// Prefix moves the endpoints, and their old paths are Next's.
func TestGuardPrefix(t *testing.T) {
	g := &testserver.Guard{Prefix: "/oauth"}
	guarded(t, g, func(t *testing.T) {
		c := grantCall{g: g, values: []string{"grant_type=refresh_token", "refresh_token=" + g.LogIn("alice")}}
		req := visitor{rt: g}.do("POST", "/token", "")
		wantReply(t, req, 401)
		c.path = "/oauth/token"
		wantStatus(t, c.ask(), 200)
		wantReply(t, visitor{rt: g}.do("GET", "/authorize", ""), 401) // without ApproveAs there is no such endpoint
	})
}

// TokenAnswer speaks the dialects of the field.
func TestTokenAnswer(t *testing.T) {
	g := &testserver.Guard{TTL: time.Minute, TokenAnswer: func(answer map[string]any) {
		answer["expires_in"] = "60"
		answer["instance_url"] = "https://eu7.example.com"
		delete(answer, "token_type")
	}}
	guarded(t, g, func(t *testing.T) {
		a := refreshGrant(g, g.LogIn("alice"))
		wantStatus(t, a, 200)
		if a.text("expires_in") != "60" || a.text("instance_url") == "" || a.text("token_type") != "" || a.text("refresh_token") == "" {
			t.Errorf("got %v", a.body)
		}
	})
}

// Faults of the endpoints: a lost answer has spent the refresh token, a dead token is dead on
// arrival.
func TestGuardTokenFaults(t *testing.T) {
	var fault testserver.Fault // of POST /token; written only between requests
	g := &testserver.Guard{Fault: func(r *http.Request) testserver.Fault {
		if r.URL.Path == "/token" {
			return fault
		}
		return testserver.Fault{}
	}}
	guarded(t, g, func(t *testing.T) {
		fault = testserver.Fault{Dead: true}
		a := refreshGrant(g, g.LogIn("alice"))
		wantStatus(t, a, 200)
		if code := status(g, a.text("access_token")); code != 401 {
			t.Errorf("dead on arrival: status %d", code)
		}
		for _, tt := range []struct {
			status int
			code   string
		}{{400, "invalid_grant"}, {401, "invalid_client"}, {403, "unauthorized_client"}, {404, "invalid_request"}, {429, "temporarily_unavailable"}, {503, "temporarily_unavailable"}, {500, "server_error"}} {
			fault = testserver.Fault{Status: tt.status, RetryAfter: time.Second}
			b := refreshGrant(g, a.text("refresh_token"))
			wantGrantError(t, b, tt.status, tt.code)
			if b.header.Get("Retry-After") != "1" {
				t.Errorf("Retry-After %q, want 1", b.header.Get("Retry-After"))
			}
		}
		fault = testserver.Fault{Hold: 3 * time.Second}
		start := time.Now()
		a = refreshGrant(g, a.text("refresh_token"))
		wantStatus(t, a, 200)
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("took %v, want 3s", took)
		}
		fault = testserver.Fault{Cut: testserver.CutBefore}
		if b := refreshGrant(g, a.text("refresh_token")); b.err == nil {
			t.Errorf("status %d, want no answer", b.status)
		}
		fault = testserver.Fault{Cut: testserver.CutAfter}
		if b := refreshGrant(g, a.text("refresh_token")); b.err == nil {
			t.Errorf("status %d, want no answer", b.status)
		}
		fault = testserver.Fault{}
		wantGrantError(t, refreshGrant(g, a.text("refresh_token")), 400, "invalid_grant")
		if l := g.Ledger(); l.Reused != 1 || l.Effects != 0 {
			t.Errorf("%d reused, %d effects; want 1, 0", l.Reused, l.Effects)
		}
	})
}
