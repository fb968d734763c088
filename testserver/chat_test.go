package testserver_test

import (
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

// chatConnect opens a socket of the older protocol, and returns its first event.
func chatConnect(t *testing.T, srv *testserver.Server, token, details string) (*client, map[string]any) {
	t.Helper()
	c := dial(t, srv, "http://api.test/connect", url.Values{"authorization": {token}, "json": {`{"user_id":"alice","user_details":` + details + `}`}}.Encode()+"&")
	go c.listen()
	return c, c.event()
}

func TestChatSocket(t *testing.T) {
	srv := &testserver.Server{TTL: time.Second, PushExpiry: true}
	bubble(t, srv, func(t *testing.T) {
		value := srv.Issue("alice")
		c, hello := chatConnect(t, srv, value, `{"id":"alice","name":"Alice"}`)
		wantEvent(t, hello, "health.check")
		now := time.Now().UTC().Format(time.RFC3339Nano)
		a := answer{body: hello}
		if a.text("connection_id") == "" || a.text("created_at") != now || a.get("me", "name") != "Alice" || a.get("me", "created_at") != now {
			t.Errorf("hello %v, want a connection_id, alice and dates as strings", hello)
		}
		wantFields(t, hello["me"], fields.user)
		c.send(`[{"type":"health.check","client_id":"x"}]`)
		event := c.event()
		wantEvent(t, event, "health.check")
		if event["created_at"] != now || event["connection_id"] != hello["connection_id"] {
			t.Errorf("the answer to a sign of life is %v", event)
		}
		// The end of the token.
		event = c.event()
		if _, typed := event["type"]; typed || (answer{body: event["error"].(map[string]any)}).code() != 40 {
			t.Errorf("the end of the token is told with %v", event)
		}
		c.wantClose(1008)
		c, event = chatConnect(t, srv, value, `{}`)
		if code := (answer{body: event["error"].(map[string]any)}).code(); code != 40 {
			t.Errorf("a dead token is rejected with %v", event)
		}
		c.wantClose(1000)
		if l := srv.Ledger(); l.Tokens[testserver.TokenID(value)].Uses != 2 || l.Tokens[testserver.TokenID(value)].Rejections != 1 || l.Sockets != 1 {
			t.Errorf("the ledger has %+v; want 2 uses of the token, 1 rejection and 1 socket", l)
		}
	})
}

// The older paths do what the newer ones do, with dates as strings.
func TestChatPaths(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		server := caller{rt: srv, token: srv.ServerToken()}
		now := time.Now().UTC().Format(time.RFC3339Nano)
		at := func(user any) any {
			wantFields(t, user, fields.user)
			return user.(map[string]any)["created_at"]
		}
		a := server.do("POST", "/users", `{"users":{"alice":{"id":"alice"}}}`)
		wantStatus(t, a, 201)
		if got := at(a.get("users", "alice")); got != now {
			t.Errorf("POST /users: created_at %v, want %s", got, now)
		}
		a = server.do("GET", strings.TrimPrefix(allUsers, "/api/v2"), "")
		wantStatus(t, a, 200)
		if got := at(a.body["users"].([]any)[0]); got != now {
			t.Errorf("GET /users: created_at %v, want %s", got, now)
		}
		a = server.do("POST", "/guest", `{"user":{"id":"ann"}}`)
		wantStatus(t, a, 201)
		if got := at(a.get("user")); got != now || !strings.HasPrefix(a.get("user", "id").(string), "guest-") {
			t.Errorf("POST /guest: %v", a.body)
		}
		alice := caller{rt: srv, token: mint(map[string]any{"user_id": "alice"})}
		cutoff := strings.Trim(stamp(0), `"`)
		a = server.do("PATCH", "/users", `{"users":[{"id":"alice","set":{"revoke_tokens_issued_before":"`+cutoff+`"}}]}`)
		wantStatus(t, a, 200)
		if got := a.get("users", "alice", "revoke_tokens_issued_before"); got != cutoff {
			t.Errorf("PATCH /users: the cutoff is %v, want %s", got, cutoff)
		}
		wantCode(t, alice.do("GET", "/app", ""), 401, 40)
		wantStatus(t, server.do("PATCH", "/users", `{"users":[{"id":"alice","set":{"revoke_tokens_issued_before":null}}]}`), 200)
		wantStatus(t, alice.do("GET", "/app", ""), 200)

		wantCode(t, alice.do("PATCH", "/app", `{}`), 403, 17)
		wantStatus(t, server.do("PATCH", "/app", `{"revoke_tokens_issued_before":"`+cutoff+`"}`), 200)
		if got := server.do("GET", "/app", "").get("app", "revoke_tokens_issued_before"); got != cutoff {
			t.Errorf("GET /app: the cutoff is %v, want %s", got, cutoff)
		}
		wantCode(t, alice.do("GET", strings.TrimPrefix(allUsers, "/api/v2"), ""), 401, 40)
		wantStatus(t, server.do("PATCH", "/app", `{"revoke_tokens_issued_before":null}`), 200)
		// Without a cutoff the two kinds of answer differ in nothing.
		newer, older := server.do("GET", "/api/v2/app", ""), server.do("GET", "/app", "")
		if !reflect.DeepEqual(newer.body["app"], older.body["app"]) {
			t.Errorf("GET /app gives %v, and under /api/v2 %v", older.body, newer.body)
		}
		wantCode(t, alice.do("GET", "/connect", ""), 400, 4)
	})
}
