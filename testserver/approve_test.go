package testserver_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636, appendix B

// authorize goes to the authorization endpoint as a browser would, and returns where it is sent.
func authorize(t *testing.T, g *testserver.Guard, changes ...string) (status int, back *url.URL) {
	t.Helper()
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {"app"}, "redirect_uri": {"http://127.0.0.1:9/back?a=b"}, "state": {"x y"}, "scope": {"read"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for _, pair := range changes {
		name, value, _ := strings.Cut(pair, "=")
		q.Set(name, value)
	}
	r := visitor{rt: g}.do("GET", "/authorize?"+q.Encode(), "")
	if r.err != nil {
		t.Fatal(r.err)
	}
	back, err := url.Parse(r.header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	return r.status, back
}

func redeem(g *testserver.Guard, back *url.URL, changes ...string) answer {
	q := url.Values{
		"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "client_id": {"app"},
		"redirect_uri": {"http://127.0.0.1:9/back?a=b"}, "code_verifier": {verifier},
	}
	for _, pair := range changes {
		name, value, _ := strings.Cut(pair, "=")
		q.Set(name, value)
	}
	var values []string
	for name := range q {
		values = append(values, name+"="+q.Get(name))
	}
	return grantCall{g: g, values: values}.ask()
}

func TestAuthorizationCode(t *testing.T) {
	g := &testserver.Guard{ApproveAs: "alice", Clients: map[string]string{"app": "", "other": ""}}
	guarded(t, g, func(t *testing.T) {
		status302, back := authorize(t, g)
		if status302 != http.StatusFound || back.Host != "127.0.0.1:9" || back.Query().Get("a") != "b" || back.Query().Get("state") != "x y" {
			t.Errorf("status %d, sent to %s", status302, back)
		}
		for _, wrong := range []string{"code_verifier=", "code_verifier=x", "redirect_uri=http://127.0.0.1:9/", "client_id=other", "code=x"} {
			wantGrantError(t, redeem(g, back, wrong), 400, "invalid_grant")
		}
		a := redeem(g, back)
		wantStatus(t, a, 200)
		if a.text("scope") != "read" || status(g, a.text("access_token")) != 200 {
			t.Errorf("got %v", a.body)
		}
		next := grantCall{g: g, values: []string{"grant_type=refresh_token", "client_id=app", "refresh_token=" + a.text("refresh_token")}}.ask()
		wantStatus(t, next, 200)
		if next.text("scope") != "read" {
			t.Errorf("after a refresh the scope is %q", next.text("scope"))
		}
		// A code that comes again may be stolen: its login ends (RFC 6749 section 4.1.2).
		wantGrantError(t, redeem(g, back), 400, "invalid_grant")
		if code := status(g, next.text("access_token")); code != 401 {
			t.Errorf("a token of the login that ended: status %d", code)
		}
		_, back = authorize(t, g)
		time.Sleep(time.Minute)
		wantGrantError(t, redeem(g, back), 400, "invalid_grant")
	})
}

func TestAuthorizationErrors(t *testing.T) {
	g := &testserver.Guard{ApproveAs: "alice", Clients: map[string]string{"app": ""}}
	guarded(t, g, func(t *testing.T) {
		for change, want := range map[string]string{
			"response_type=token":         "unsupported_response_type",
			"code_challenge=":             "invalid_request",
			"code_challenge_method=plain": "invalid_request",
		} {
			code, back := authorize(t, g, change)
			if code != http.StatusFound || back.Query().Get("error") != want || back.Query().Get("code") != "" || back.Query().Get("state") != "x y" {
				t.Errorf("%s: status %d, sent to %s, want error %s", change, code, back, want)
			}
		}
		for _, change := range []string{"client_id=", "client_id=other", "redirect_uri=", "redirect_uri=/back", "redirect_uri=:"} {
			if code, back := authorize(t, g, change); code != 400 || back.String() != "" {
				t.Errorf("%s: status %d, sent to %q, want 400 and nowhere", change, code, back)
			}
		}
	})
}

// device logs a client in by device code.
func device(t *testing.T, g *testserver.Guard, client string) answer {
	t.Helper()
	a := grantCall{g: g, path: "/device_authorization", values: []string{"client_id=" + client, "scope=read"}}.ask()
	wantStatus(t, a, 200)
	time.Sleep(time.Second)
	b := pollDevice(g, a, client)
	wantStatus(t, b, 200)
	return b
}

func pollDevice(g *testserver.Guard, a answer, client string) answer {
	return grantCall{g: g, values: []string{
		"grant_type=urn:ietf:params:oauth:grant-type:device_code", "device_code=" + a.text("device_code"), "client_id=" + client,
	}}.ask()
}

func TestDeviceCode(t *testing.T) {
	g := &testserver.Guard{ApproveAs: "alice"}
	guarded(t, g, func(t *testing.T) {
		a := grantCall{g: g, path: "/device_authorization", values: []string{"client_id=app", "scope=read"}}.ask()
		wantStatus(t, a, 200)
		page := "http://api.test/device"
		if a.text("verification_uri") != page || a.text("verification_uri_complete") != page+"?user_code="+a.text("user_code") ||
			len(a.text("user_code")) != 9 || a.number("interval") != 1 || a.number("expires_in") != 600 {
			t.Errorf("got %v", a.body)
		}
		wantReply(t, visitor{rt: g}.do("GET", "/device", ""), 200)

		wantGrantError(t, pollDevice(g, a, "other"), 400, "invalid_grant")
		wantGrantError(t, pollDevice(g, a, "app"), 400, "authorization_pending")
		time.Sleep(time.Second - 1)
		wantGrantError(t, pollDevice(g, a, "app"), 400, "slow_down")
		time.Sleep(time.Second)
		b := pollDevice(g, a, "app")
		wantStatus(t, b, 200)
		if b.text("scope") != "read" || status(g, b.text("access_token")) != 200 || b.text("refresh_token") == "" {
			t.Errorf("got %v", b.body)
		}
		time.Sleep(time.Second)
		wantGrantError(t, pollDevice(g, a, "app"), 400, "invalid_grant")

		a = grantCall{g: g, path: "/device_authorization", values: []string{"client_id=app"}}.ask()
		time.Sleep(10 * time.Minute)
		wantGrantError(t, pollDevice(g, a, "app"), 400, "expired_token")
		wantGrantError(t, grantCall{g: g, path: "/device_authorization"}.ask(), 400, "invalid_request")

		// The two kinds of codes can't be taken for each other.
		_, back := authorize(t, g)
		a.body["device_code"] = back.Query().Get("code")
		wantGrantError(t, pollDevice(g, a, "app"), 400, "invalid_grant")
		a = grantCall{g: g, path: "/device_authorization", values: []string{"client_id=app"}}.ask()
		wantGrantError(t, redeem(g, back, "code="+a.text("device_code")), 400, "invalid_grant")
	})
}
