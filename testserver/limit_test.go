package testserver_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

func TestRateLimit(t *testing.T) {
	srv := &testserver.Server{RateLimit: 2, ClockOffset: 10 * time.Second}
	bubble(t, srv, func(t *testing.T) { // at 10.5 s past the minute by the server's clock
		alice := caller{rt: srv, token: srv.Issue("alice")}
		get := func(c caller, status, remaining int, retry string) {
			t.Helper()
			a := c.do("GET", "/api/v2/app", "")
			wantCode(t, a, status, map[int]int{429: 9}[status])
			reset := time.Now().Add(10 * time.Second).Truncate(time.Minute).Add(time.Minute)
			for name, want := range map[string]string{
				"X-Ratelimit-Limit": "2", "X-Ratelimit-Remaining": fmt.Sprint(remaining), "X-Ratelimit-Reset": fmt.Sprint(reset.Unix()), "Retry-After": retry,
			} {
				if got := a.header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		}
		get(alice, 200, 1, "")
		get(alice, 200, 0, "")
		get(alice, 429, 0, "50")
		get(alice, 429, 0, "50")
		// Others, and other operations, have limits of their own.
		get(caller{rt: srv, token: srv.Issue("server")}, 200, 1, "")
		get(caller{rt: srv, token: srv.ServerToken()}, 200, 1, "")
		get(caller{rt: srv, auth: "anonymous"}, 200, 1, "")
		wantStatus(t, alice.post("hello"), 201)
		wantStatus(t, alice.post("hello"), 201)
		wantCode(t, alice.post("hello"), 429, 9)
		if n := srv.Ledger().Effects; n != 2 {
			t.Errorf("%d effects, want 2: what is over the limit has none", n)
		}
		// A new minute, to the nanosecond.
		time.Sleep(49*time.Second + 500*time.Millisecond - 1)
		get(alice, 429, 0, "1")
		time.Sleep(time.Nanosecond)
		get(alice, 200, 1, "")

		// A rejected token is rejected, and counts for nothing.
		srv.Revoke("alice")
		for range 3 {
			wantCode(t, alice.do("GET", "/api/v2/app", ""), 401, 40)
		}
		get(caller{rt: srv, token: srv.Issue("alice")}, 200, 0, "")
		for range 3 {
			wantStatus(t, login(srv, "alice"), 200)
		}
	})
	srv = &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		if h := (caller{rt: srv, token: srv.Issue("alice")}).do("GET", "/api/v2/app", "").header; h.Get("X-Ratelimit-Limit") != "" {
			t.Errorf("without a limit the headers are %v", h)
		}
	})
}
