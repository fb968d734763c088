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
