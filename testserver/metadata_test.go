package testserver_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stayauth/stayauth/testserver"
)

// A client that knows the issuer alone finds the endpoints (RFC 8414).
func TestGuardDescribesItself(t *testing.T) {
	for prefix, path := range map[string]string{"": "/.well-known/oauth-authorization-server", "/oauth": "/.well-known/oauth-authorization-server/oauth"} {
		guard := &testserver.Guard{ApproveAs: "alice", Prefix: prefix}
		defer guard.Close()
		srv := httptest.NewServer(guard)
		defer srv.Close()
		resp, err := http.Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var got map[string]any
		if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
			t.Fatal(err)
		}
		issuer := srv.URL + prefix
		for name, want := range map[string]string{
			"issuer": issuer, "token_endpoint": issuer + "/token", "revocation_endpoint": issuer + "/revoke",
			"authorization_endpoint": issuer + "/authorize", "device_authorization_endpoint": issuer + "/device_authorization",
		} {
			if got[name] != want {
				t.Errorf("with the prefix %q, %s is %v, want %s", prefix, name, got[name], want)
			}
		}
	}
	alone := &testserver.Guard{}
	defer alone.Close()
	srv := httptest.NewServer(alone)
	defer srv.Close()
	resp, err := http.Get(srv.URL + "/.well-known/oauth-authorization-server")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without ApproveAs the path is Next's, and needs a token: status %d", resp.StatusCode)
	}
}
