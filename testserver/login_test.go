package testserver_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

func login(srv *testserver.Server, user string) answer {
	return caller{rt: srv, auth: "-"}.do("POST", "/token", fmt.Sprintf(`{"user_id":%q,"session":"sesame"}`, user))
}

func refresh(srv *testserver.Server, secret string) answer {
	return caller{rt: srv, auth: "-"}.do("POST", "/token", fmt.Sprintf(`{"user_id":"alice","refresh_token":%q}`, secret))
}

func TestTokenEndpoint(t *testing.T) {
	srv := &testserver.Server{TTL: 2 * time.Second, Session: "sesame"}
	bubble(t, srv, func(t *testing.T) {
		a := login(srv, "alice")
		wantStatus(t, a, 200)
		if n := a.number("expires_in"); n != 2 { // 2.5 s, rounded down
			t.Errorf("expires_in %v, want 2", a.body["expires_in"])
		}
		if cc := a.header.Get("Cache-Control"); cc != "no-store" {
			t.Errorf("Cache-Control %q, want no-store", cc)
		}
		post := caller{rt: srv, token: a.text("token")}.post("hello")
		if id := post.get("activity", "user", "id"); id != "alice" {
			t.Errorf("the token is %v's, want alice's", id)
		}
		secret := a.text("refresh_token")
		for _, tt := range []struct {
			name, body string
			status     int
			err        string
		}{
			{"no session", `{"user_id":"alice"}`, 401, "invalid_grant"},
			{"wrong session", `{"user_id":"alice","session":"other"}`, 401, "invalid_grant"},
			{"wrong session with a refresh token", `{"session":"other","refresh_token":"` + secret + `"}`, 401, "invalid_grant"},
			{"another user's refresh token", `{"user_id":"bob","refresh_token":"` + secret + `"}`, 401, "invalid_grant"},
			{"forged refresh token", `{"refresh_token":"1.0.00000000000000000000000000000000"}`, 401, "invalid_grant"},
			{"unknown refresh token", `{"refresh_token":"x"}`, 401, "invalid_grant"},
			{"no user", `{"session":"sesame"}`, 400, "invalid_request"},
			{"user a number", `{"user_id":7,"session":"sesame"}`, 400, "invalid_request"},
			{"no JSON", `user_id=alice`, 400, "invalid_request"},
			{"no body", ``, 401, "invalid_grant"},
			{"refresh token alone", `{"refresh_token":"` + secret + `"}`, 200, ""},
		} {
			got := caller{rt: srv, auth: "-"}.do("POST", "/token", tt.body)
			if got.status != tt.status || got.text("error") != tt.err {
				t.Errorf("%s: status %d, error %q; want %d, %q", tt.name, got.status, got.text("error"), tt.status, tt.err)
			}
		}
		if l := srv.Ledger(); l.TokenCalls != 12 || l.Issued != 2 {
			t.Errorf("%d token calls, %d tokens issued; want 12, 2", l.TokenCalls, l.Issued)
		}
	})
}

// Without a Session anyone may log in, and a token without an end has no expires_in.
func TestTokenEndpointZero(t *testing.T) {
	srv := &testserver.Server{TTL: -1}
	bubble(t, srv, func(t *testing.T) {
		a := caller{rt: srv, auth: "-"}.do("POST", "/token", `{"user_id":"alice"}`)
		wantStatus(t, a, 200)
		if _, ok := a.body["expires_in"]; ok {
			t.Errorf("expires_in %v, want none", a.body["expires_in"])
		}
		if _, ok := a.body["duration"]; ok {
			t.Errorf("POST /token answers with a duration, which belongs to the API: %v", a.body)
		}
	})
}

func TestSingleUse(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		first := login(srv, "alice")
		other := login(srv, "alice")
		second := refresh(srv, first.text("refresh_token"))
		third := refresh(srv, second.text("refresh_token"))
		wantStatus(t, third, 200)
		if third.text("refresh_token") == second.text("refresh_token") || third.text("token") == second.text("token") {
			t.Error("a refresh changed nothing")
		}
		// A used one comes again: the whole login is over, the newest refresh token included.
		wantStatus(t, refresh(srv, second.text("refresh_token")), 401)
		wantStatus(t, refresh(srv, third.text("refresh_token")), 401)
		// Tokens live on, and so does another login of the same user.
		if code := (caller{rt: srv, token: third.text("token")}).ping(); code != 0 {
			t.Errorf("the login's token: code %d", code)
		}
		wantStatus(t, refresh(srv, other.text("refresh_token")), 200)
	})
}

func TestSingleUseWithGrace(t *testing.T) {
	srv := &testserver.Server{Rotation: testserver.SingleUseWithGrace, TTL: 10 * time.Second}
	bubble(t, srv, func(t *testing.T) {
		first := login(srv, "alice").text("refresh_token")
		second := refresh(srv, first)
		time.Sleep(3 * time.Second)
		again := refresh(srv, first)
		wantStatus(t, again, 200)
		for _, name := range []string{"token", "refresh_token"} {
			if again.text(name) != second.text(name) {
				t.Errorf("asked again, the %s is another one", name)
			}
		}
		if n := again.number("expires_in"); n != 7 {
			t.Errorf("expires_in %v, want the 7 s that are left", n)
		}
		third := refresh(srv, second.text("refresh_token"))
		wantStatus(t, third, 200)
		if n := srv.Ledger().Issued; n != 3 {
			t.Errorf("%d tokens issued, want 3", n)
		}
		// The successor was used, so the first one's grace is over.
		wantStatus(t, refresh(srv, first), 401)
		wantStatus(t, refresh(srv, third.text("refresh_token")), 401)
	})
}

func TestReusable(t *testing.T) {
	srv := &testserver.Server{Rotation: testserver.Reusable}
	bubble(t, srv, func(t *testing.T) {
		secret := login(srv, "alice").text("refresh_token")
		seen := make(map[string]bool)
		for range 3 {
			a := refresh(srv, secret)
			wantStatus(t, a, 200)
			if _, ok := a.body["refresh_token"]; ok {
				t.Error("the answer names a refresh token")
			}
			seen[a.text("token")] = true
		}
		if len(seen) != 3 {
			t.Errorf("%d different tokens, want 3", len(seen))
		}
	})
}

// Revoking the tokens doesn't end the login: that is what a client refreshes for.
func TestLoginSurvivesRevoke(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		a := login(srv, "alice")
		srv.Revoke("alice")
		if code := (caller{rt: srv, token: a.text("token")}).ping(); code != 40 {
			t.Errorf("the revoked token: code %d, want 40", code)
		}
		next := refresh(srv, a.text("refresh_token"))
		wantStatus(t, next, 200)
		if code := (caller{rt: srv, token: next.text("token")}).ping(); code != 0 {
			t.Errorf("the new token: code %d", code)
		}
	})
}
