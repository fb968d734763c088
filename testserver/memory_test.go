//go:build !race

// These tests send a lot and prove nothing about concurrency; the race detector would make minutes
// of them.

package testserver_test

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stayauth/stayauth/testserver"
)

// Of each kind of thing the newest 100,000 are kept.
func TestEntriesAreBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("megabytes, and little else")
	}
	srv := &testserver.Server{}
	alice := caller{rt: direct{srv}, token: srv.Issue("alice")}
	for i := range 1000 {
		var b strings.Builder
		for j := range 100 {
			fmt.Fprintf(&b, `,{"feed_group_id":"f","feed_id":"%06d"}`, i*100+j)
		}
		// Not by way of alice, who would read each answer.
		req := httptest.NewRequest("POST", "/api/v2/feeds/feeds/batch?api_key="+testserver.DefaultKey, strings.NewReader(`{"feeds":[`+b.String()[1:]+`]}`))
		req.Header.Set("stream-auth-type", "jwt")
		req.Header.Set("Authorization", alice.token)
		w := httptest.NewRecorder()
		if srv.ServeHTTP(w, req); w.Code != 201 {
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
	}
	wantStatus(t, alice.do("POST", "/api/v2/feeds/activities", `{"type":"post","feeds":["f:last"]}`), 201)
	for _, tt := range []struct {
		id  string
		new bool
	}{{"last", false}, {"000001", false}, {"000000", true}} { // making the forgotten one anew would push out the next
		a := alice.do("POST", "/api/v2/feeds/feed_groups/f/feeds/"+tt.id, `{"limit":1}`)
		if a.body["created"] != tt.new {
			t.Errorf("feed %s: created %v, want %v", tt.id, a.body["created"], tt.new)
		}
	}
}

// The oldest tokens are forgotten by the ledger, and are killed by Revoke all the same.
func TestForgottenTokens(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) { // where all of this happens within one second
		first := srv.Issue("alice")
		for range 100_000 {
			srv.Issue("alice")
		}
		l := srv.Ledger()
		if len(l.Tokens) != 100_000 || l.Forgotten != 1 || l.Issued != 100_001 {
			t.Errorf("%d tokens, %d forgotten, %d issued; want 100000, 1, 100001", len(l.Tokens), l.Forgotten, l.Issued)
		}
		if _, ok := l.Tokens[testserver.TokenID(first)]; ok {
			t.Error("the oldest token is not the one that was forgotten")
		}
		srv.Revoke("alice")
		if code := (caller{rt: direct{srv}, token: first}).ping(); code != 40 {
			t.Errorf("a forgotten token, revoked: code %d, want 40", code)
		}
	})
}

// Of activities no more than 64 MiB are kept, as counted by the bodies that brought them.
func TestBytesAreBounded(t *testing.T) {
	srv := &testserver.Server{}
	alice := caller{rt: direct{srv}, token: srv.Issue("alice")}
	for i := range 70 {
		body := fmt.Sprintf(`{"type":"post","feeds":["user:alice"],"id":"a%d"}`, i)
		wantStatus(t, alice.do("POST", "/api/v2/feeds/activities", body+strings.Repeat(" ", 1<<20-len(body))), 201)
	}
	for i, want := range map[int]int{0: 404, 5: 404, 6: 200, 69: 200} {
		wantStatus(t, alice.do("GET", fmt.Sprintf("/api/v2/feeds/activities/a%d", i), ""), want)
	}
}

// Of users no more than 64 MiB are kept, and what a socket says of its user counts as well.
func TestUsersAreBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("megabytes, and little else")
	}
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		server := caller{rt: direct{srv}, token: srv.ServerToken()}
		custom := `{"custom":{"x":"` + strings.Repeat("x", 1<<20-1000) + `"}}`
		for i := range 63 {
			wantStatus(t, server.do("POST", "/api/v2/users", fmt.Sprintf(`{"users":{"u%d":%s}}`, i, custom)), 201)
		}
		there := func(id string) bool {
			q := url.QueryEscape(`{"filter_conditions":{"id":"` + id + `"}}`)
			return len(ids(server.do("GET", "/api/v2/users?payload="+q, "").body["users"])) == 1
		}
		if !there("u0") {
			t.Error("63 MiB of users are too much")
		}
		for range 2 {
			_, hello := connect(t, srv, srv.Issue("alice"), custom) // the second replaces what the first has said
			wantEvent(t, hello, "connection.ok")
			if !there("u0") {
				t.Error("64 MiB of users are too much")
			}
		}
		_, hello := connect(t, srv, srv.Issue("bob"), custom)
		wantEvent(t, hello, "connection.ok")
		if there("u0") || !there("u1") || !there("bob") {
			t.Error("with 65 MiB of users not the oldest alone is forgotten")
		}
	})
}

// Of one request the ledger lists the tokens of its first hundred attempts, and counts them all.
func TestAttemptsAreBounded(t *testing.T) {
	srv := &testserver.Server{}
	alice := caller{rt: direct{srv}, id: "a"}
	for range 150 {
		alice.ping()
	}
	if r := srv.Ledger().Requests["a"]; r.Attempts != 150 || len(r.Tokens) != 100 || r.Rejected != 150 {
		t.Errorf("%d attempts, %d tokens, %d rejections; want 150, 100, 150", r.Attempts, len(r.Tokens), r.Rejected)
	}
}
