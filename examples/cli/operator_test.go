package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
)

// TestOperator revokes a user's tokens and everybody's, takes it back, and switches the checks.
func TestOperator(t *testing.T) {
	srv := &testserver.Server{Session: session}
	d := newDesk(t, srv)
	d.login()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(testserver.DefaultSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	asOperator := func(line ...string) string {
		t.Helper()
		return d.ok(append([]string{line[0], "-secret-file", file}, line[1:]...)...) // the rest is as in the last login
	}
	developer := feeds.Client{Key: testserver.DefaultKey, BaseURL: d.url}
	letsIn := func(p provider.TokenProvider) bool {
		s, err := developer.ConnectUser(t.Context(), feeds.User{ID: "bob"}, p)
		if err != nil {
			return false
		}
		_ = s.Close()
		return true
	}
	// Of 2023: a token of this second may outlive a revocation of this second.
	claims := jwt.MapClaims{"user_id": "bob", "iat": 1_700_000_000}
	old, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(testserver.DefaultSecret))
	if err != nil {
		t.Fatal(err)
	}
	bobs := provider.Static(old)

	for _, user := range []string{"bob", "carol"} { // whom the API has to know
		s, err := developer.ConnectUser(t.Context(), feeds.User{ID: user}, provider.Signer{Secret: provider.NewSecret(testserver.DefaultSecret)}.For(user))
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Close()
	}

	for _, step := range []struct {
		line, prints string
		lets         bool // bob's old token in
	}{
		{"revoke -user bob", "Revoked: the tokens of bob.\n", false},
		{"revoke -user bob -undo", "No longer revoked: the tokens of bob.\n", true},
		{"revoke -user carol -user bob", "Revoked: the tokens of carol, bob.\n", false},
		{"revoke -user carol -user bob -undo", "No longer revoked: the tokens of carol, bob.\n", true},
		{"revoke -app", "Revoked: the tokens of all users.\n", false},
		{"revoke -app -undo", "No longer revoked: the tokens of all users.\n", true},
	} {
		if got := asOperator(strings.Fields(step.line)...); got != step.prints {
			t.Errorf("%s: it prints %q, want %q", step.line, got, step.prints)
		}
		if letsIn(bobs) != step.lets {
			t.Errorf("%s: want bob's old token in: %v", step.line, step.lets)
		}
	}
	anyone := provider.Static(provider.DevToken("bob"))
	for _, to := range []string{"off", "on"} {
		if got := asOperator("auth-checks", to); got != "The app's authentication checks are "+to+".\n" {
			t.Errorf("auth-checks %s: it prints %q", to, got)
		}
		if letsIn(anyone) != (to == "off") {
			t.Errorf("auth-checks %s: want a developer token in: %v", to, to == "off")
		}
	}
	if got := d.ok("auth-checks", "-json", "-secret-file", file, "on"); got != `{"disable_auth_checks":false}`+"\n" {
		t.Errorf("auth-checks -json prints %q", got)
	}
	if got := d.ok("revoke", "-json", "-secret-file", file, "-user", "bob", "-undo"); got != `{"users":["bob"],"revoked_before":null}`+"\n" {
		t.Errorf("revoke -json prints %q", got)
	}
	d.ok("post", "The login goes on.")
}
