package testserver_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/stayauth/stayauth/testserver"
)

// revokeUsers cuts users off through the API, as a backend does. cutoff is JSON.
func revokeUsers(srv *testserver.Server, cutoff string, ids ...string) answer {
	body := ""
	for _, id := range ids {
		body += fmt.Sprintf(`,{"id":%q,"set":{"revoke_tokens_issued_before":%s}}`, id, cutoff)
	}
	return caller{rt: srv, token: srv.ServerToken()}.do("PATCH", "/api/v2/users", `{"users":[`+body[1:]+`]}`)
}

func revokeApp(srv *testserver.Server, cutoff string) answer {
	return caller{rt: srv, token: srv.ServerToken()}.do("PATCH", "/api/v2/app", `{"revoke_tokens_issued_before":`+cutoff+`}`)
}

// stamp returns now plus d as a cutoff.
func stamp(d time.Duration) string {
	return `"` + time.Now().Add(d).UTC().Format(time.RFC3339Nano) + `"`
}

// Which tokens a cutoff kills, at both levels and in both precisions. The cutoff is at half past a
// second.
func TestCutoff(t *testing.T) {
	for _, level := range []string{"user", "app"} {
		for _, strict := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/strict=%v", level, strict), func(t *testing.T) {
				srv := &testserver.Server{StrictRevocation: strict}
				bubble(t, srv, func(t *testing.T) {
					srv.Issue("alice") // so that there is an alice
					srv.Issue("bob")
					revoke := func(cutoff string) answer {
						if level == "app" {
							return revokeApp(srv, cutoff)
						}
						return revokeUsers(srv, cutoff, "alice")
					}
					second := float64(in(0))
					tokens := []struct {
						name   string
						claims jwt.MapClaims
						dead   bool
					}{
						{"iat before", jwt.MapClaims{"user_id": "alice", "iat": second - 1}, true},
						{"iat in the same second", jwt.MapClaims{"user_id": "alice", "iat": second}, strict},
						{"iat a fraction before", jwt.MapClaims{"user_id": "alice", "iat": second + 0.25}, strict},
						{"iat exactly then", jwt.MapClaims{"user_id": "alice", "iat": second + 0.5}, false},
						{"no iat", jwt.MapClaims{"user_id": "alice"}, true},
						{"another user", jwt.MapClaims{"user_id": "bob", "iat": second - 1}, level == "app"},
						{"another user without iat", jwt.MapClaims{"user_id": "bob"}, level == "app"},
						{"server", jwt.MapClaims{"server": true, "iat": second - 1}, false},
						{"server without iat", jwt.MapClaims{}, false},
					}
					check := func(when string, anyDead bool) {
						t.Helper()
						for _, tok := range tokens {
							a := caller{rt: srv, token: mint(tok.claims)}.do("GET", "/api/v2/app", "")
							want := map[bool]int{true: 40}[tok.dead && anyDead]
							if a.code() != want {
								t.Errorf("%s, %s: code %d, want %d", when, tok.name, a.code(), want)
							}
							const revoked = `GetApp failed with error: "This token has been revoked, please generate a new token"`
							if want == 40 && a.text("message") != revoked {
								t.Errorf("%s, %s: message %s", when, tok.name, a.text("message"))
							}
						}
					}
					check("before", false)
					wantStatus(t, revoke(stamp(0)), 200)
					check("after", true)
					wantStatus(t, revoke("null"), 200)
					check("undone", false)

					// A cutoff ahead kills the tokens of the time until then, too.
					wantStatus(t, revoke(stamp(time.Hour)), 200)
					if code := (caller{rt: srv, token: srv.Issue("alice")}).ping(); code != 40 {
						t.Errorf("new token under a cutoff ahead: code %d, want 40", code)
					}
				})
			})
		}
	}
}

// Under strict precision every token minted in the second of the revocation is dead on arrival; the
// next second's lives.
func TestStrictSecond(t *testing.T) {
	srv := &testserver.Server{StrictRevocation: true}
	bubble(t, srv, func(t *testing.T) {
		srv.Issue("alice")
		revokeUsers(srv, stamp(0), "alice")
		time.Sleep(500*time.Millisecond - 1)
		if code := (caller{rt: srv, token: srv.Issue("alice")}).ping(); code != 40 {
			t.Errorf("1 ns before the next second: code %d, want 40", code)
		}
		time.Sleep(time.Nanosecond)
		if code := (caller{rt: srv, token: srv.Issue("alice")}).ping(); code != 0 {
			t.Errorf("in the next second: code %d", code)
		}
	})
}

func TestRevokeUsers(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		users := make(map[string]caller)
		for _, id := range []string{"alice", "bob", "carol"} {
			users[id] = caller{rt: srv, token: srv.Issue(id)}
		}
		codes := func() (got [3]int) {
			return [3]int{users["alice"].ping(), users["bob"].ping(), users["carol"].ping()}
		}
		time.Sleep(time.Second)

		a := revokeUsers(srv, stamp(0), "alice", "bob")
		wantStatus(t, a, 200)
		if got, want := codes(), [3]int{40, 40, 0}; got != want {
			t.Errorf("alice and bob revoked: codes %v, want %v", got, want)
		}
		if ns := a.get("users", "alice", "revoke_tokens_issued_before"); ns != float64(time.Now().UnixNano()) {
			t.Errorf("the answer says that alice's cutoff is %v, want %d", ns, time.Now().UnixNano())
		}
		if a.body["membership_deletion_task_id"] == nil {
			t.Errorf("the answer has no membership_deletion_task_id: %v", a.body)
		}

		server := caller{rt: srv, token: srv.ServerToken()}
		wantStatus(t, server.do("PATCH", "/api/v2/users",
			`{"users":[{"id":"alice","set":null,"unset":["revoke_tokens_issued_before"]},{"id":"bob","set":{"name":"Bob"},"unset":null}]}`), 200)
		if got, want := codes(), [3]int{0, 40, 0}; got != want {
			t.Errorf("alice undone by unset: codes %v, want %v", got, want)
		}

		wantCode(t, revokeUsers(srv, "null", "bob", "nobody"), 404, 16)
		if got, want := codes(), [3]int{0, 40, 0}; got != want {
			t.Errorf("a list with an unknown user changed something: codes %v, want %v", got, want)
		}
		wantCode(t, revokeUsers(srv, `"yesterday"`, "carol"), 400, 4)
		wantCode(t, server.do("PATCH", "/api/v2/users", `{"users":[]}`), 400, 4)

		wantStatus(t, revokeUsers(srv, "null", "bob"), 200)
		if got, want := codes(), [3]int{0, 0, 0}; got != want {
			t.Errorf("bob undone by null: codes %v, want %v", got, want)
		}
	})
}

func TestRevokeApp(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		server := caller{rt: srv, token: srv.ServerToken()}
		read := func() any { return server.do("GET", "/api/v2/app", "").get("app", "revoke_tokens_issued_before") }
		if read() != nil {
			t.Errorf("a new app has the cutoff %v", read())
		}
		wantStatus(t, revokeApp(srv, `"2000-01-01T00:00:00.25Z"`), 200)
		if read() != 946684800250000000.0 {
			t.Errorf("the cutoff reads back as %v, want 946684800250000000", read())
		}
		wantStatus(t, server.do("PATCH", "/api/v2/app", `{"image_moderation_enabled":true}`), 200)
		if read() == nil {
			t.Error("an update of something else undid the revocation")
		}
		for _, cutoff := range []string{`"2000-01-01"`, `"2000-01-01 00:00:00Z"`, `"2000-01-01T00:00:00,5Z"`,
			`"2000-01-01T0:00:00Z"`, `"2000-01-01T00:00:00"`, `""`, `1`, `{}`, `true`} {
			wantCode(t, revokeApp(srv, cutoff), 400, 4)
		}
		for _, cutoff := range []string{`"2000-01-01T00:00:00Z"`, `"2000-01-01T02:00:00.123456789+02:00"`, `null`} {
			wantStatus(t, revokeApp(srv, cutoff), 200)
		}
		if read() != nil {
			t.Errorf("after the undo the app has the cutoff %v", read())
		}
	})
}

// Revoke kills what there is and nothing that comes later, however close.
func TestRevoke(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		second := in(0)
		seen := mint(jwt.MapClaims{"user_id": "alice", "iat": second})
		seenNoIAT := mint(jwt.MapClaims{"user_id": "alice"})
		ahead := mint(jwt.MapClaims{"user_id": "alice", "iat": second, "note": "unseen"})
		tokens := []struct {
			name, value string
			want        int
		}{
			{"issued and used", srv.Issue("alice"), 40},
			{"issued, unused", srv.Issue("alice"), 40},
			{"minted elsewhere, used", seen, 40},
			{"minted elsewhere without iat, used", seenNoIAT, 40},
			{"minted elsewhere in an earlier second, unused", mint(jwt.MapClaims{"user_id": "alice", "iat": second - 1}), 40},
			{"minted elsewhere in this second, unused", ahead, 0},
			{"minted elsewhere without iat, unused", mint(jwt.MapClaims{"user_id": "alice", "note": "unseen"}), 0},
			{"another user's", srv.Issue("bob"), 0},
			{"a server's", srv.ServerToken(), 0},
		}
		for _, i := range []int{0, 2, 3} {
			if code := (caller{rt: srv, token: tokens[i].value}).ping(); code != 0 {
				t.Errorf("%s: code %d before the revocation", tokens[i].name, code)
			}
		}
		srv.Revoke("alice")
		for _, tok := range tokens {
			if code := (caller{rt: srv, token: tok.value}).ping(); code != tok.want {
				t.Errorf("%s: code %d, want %d", tok.name, code, tok.want)
			}
		}
		next := caller{rt: srv, token: srv.Issue("alice")}
		if code := next.ping(); code != 0 {
			t.Errorf("issued right afterwards: code %d", code)
		}
		// Neither time nor an undo of the other kind of revocation brings the dead back.
		time.Sleep(time.Minute)
		revokeUsers(srv, "null", "alice")
		if code := (caller{rt: srv, token: seen}).ping(); code != 40 {
			t.Errorf("a minute later: code %d, want 40", code)
		}
		if code := (caller{rt: srv, token: ahead}).ping(); code != 0 {
			t.Errorf("the token that lived: code %d a minute later", code)
		}
		srv.Revoke("alice")
		if code := next.ping(); code != 40 {
			t.Errorf("second revocation: code %d, want 40", code)
		}
	})
}

// A request that is under way when the token is revoked has not had its effect yet, and gets none.
func TestRevokeUnderWay(t *testing.T) {
	srv := &testserver.Server{Fault: delay(time.Second)}
	bubble(t, srv, func(t *testing.T) {
		// Not minted here, so the server must remember it from its arrival.
		alice := caller{rt: srv, token: mint(jwt.MapClaims{"user_id": "alice", "iat": in(0)})}
		got := make(chan answer)
		go func() { got <- alice.post("too late") }()
		time.Sleep(500 * time.Millisecond)
		srv.Revoke("alice")
		wantCode(t, <-got, 401, 40)
		if n := srv.Ledger().Effects; n != 0 {
			t.Errorf("%d effects, want 0", n)
		}
	})
}
