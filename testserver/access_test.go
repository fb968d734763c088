package testserver_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

// Anonymous callers may read and nothing else; user tokens don't open what is for servers.
func TestAccess(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		anonymous := caller{rt: srv, auth: "anonymous"}
		alice := caller{rt: srv, token: srv.Issue("alice")}
		server := caller{rt: srv, token: srv.ServerToken()}
		wantStatus(t, alice.post("hello"), 201)

		const activity = `{"type":"post","feeds":["user:alice"],"user_id":"alice"}`
		const revoke = `{"users":[{"id":"alice","set":{"revoke_tokens_issued_before":null}}]}`
		for _, tt := range []struct {
			method, path, body        string
			anonymous, alice, server_ int
		}{
			{"GET", "/api/v2/app", "", 200, 200, 200},
			{"PATCH", "/api/v2/app", "{}", 403, 403, 200},
			{"GET", allUsers, "", 200, 200, 200},
			{"PATCH", "/api/v2/users", revoke, 403, 403, 200},
			{"PATCH", "/api/v2/users", `{"users":[{"id":"alice","unset":["revoke_tokens_issued_before"]}]}`, 403, 403, 200},
			{"PATCH", "/api/v2/users", `{"users":[{"id":"alice","set":{"name":"Alice"}}]}`, 403, 200, 200},
			{"PATCH", "/api/v2/users", `{"users":[{"id":"alice","set":{"role":"admin"}}]}`, 403, 403, 200},
			{"POST", "/api/v2/users", `{"users":{"alice":{"id":"alice"}}}`, 403, 201, 201},
			{"POST", "/api/v2/users", `{"users":{"bob":{"id":"bob"}}}`, 403, 403, 201},
			{"POST", "/api/v2/feeds/activities", activity, 403, 201, 201},
			{"POST", "/api/v2/feeds/activities", `{"type":"post","feeds":["user:bob"],"user_id":"bob"}`, 403, 403, 201},
			{"POST", "/api/v2/feeds/activities/query", "{}", 201, 201, 201},
			{"POST", "/api/v2/feeds/feed_groups/user/feeds/alice", `{"user_id":"alice"}`, 201, 201, 201},
			{"POST", "/api/v2/feeds/feed_groups/user/feeds/none", `{}`, 404, 201, 201},
			{"GET", "/api/v2/nothing", "", 404, 404, 404},
			{"DELETE", "/api/v2/app", "null", 404, 404, 404},
		} {
			for _, by := range []struct {
				caller caller
				name   string
				want   int
			}{{anonymous, "anonymous", tt.anonymous}, {alice, "alice", tt.alice}, {server, "server", tt.server_}} {
				a := by.caller.do(tt.method, tt.path, tt.body)
				if a.status != by.want {
					t.Errorf("%s %s %s by %s: status %d, want %d (%v)", tt.method, tt.path, tt.body, by.name, a.status, by.want, a.text("message"))
				}
				if want := map[int]int{403: 17, 404: 16}[by.want]; a.code() != want {
					t.Errorf("%s %s by %s: code %d, want %d", tt.method, tt.path, by.name, a.code(), want)
				}
			}
		}
	})
}

func TestGuest(t *testing.T) {
	srv := &testserver.Server{TTL: time.Second}
	bubble(t, srv, func(t *testing.T) {
		nobody := caller{rt: srv, auth: "-"}
		a := nobody.do("POST", "/api/v2/guest", `{"user":{"id":"ann","name":"Ann","role":"admin"}}`)
		wantStatus(t, a, 201)
		id, _ := a.get("user", "id").(string)
		if !strings.HasPrefix(id, "guest-") || !strings.HasSuffix(id, "-ann") || len(id) != len("guest-")+36+len("-ann") {
			t.Errorf("guest's id %q, want guest-<uuid>-ann", id)
		}
		if role := a.get("user", "role"); role != "guest" {
			t.Errorf("role %v, want guest", role)
		}
		guest := caller{rt: srv, token: a.text("access_token")}
		if got := guest.post("hi").get("activity", "user", "id"); got != id {
			t.Errorf("the guest acts as %v, want %s", got, id)
		}
		time.Sleep(2 * time.Second)
		if code := guest.ping(); code != 40 {
			t.Errorf("an old guest token: code %d, want 40", code)
		}
		again := nobody.do("POST", "/api/v2/guest", `{"user":{"id":"`+id+`"}}`)
		wantStatus(t, again, 201)
		if got := again.get("user", "id"); got != id {
			t.Errorf("asking again gives %v, want the same guest %s", got, id)
		}
		wantCode(t, nobody.do("POST", "/api/v2/guest", `{}`), 400, 4)
		wantCode(t, caller{rt: srv, key: "other"}.do("POST", "/api/v2/guest", `{"user":{"id":"ann"}}`), 401, 2)
	})
}
