package testserver_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/stayauth/stayauth/testserver"
)

// A client is the other end of a socket.
type client struct {
	t  *testing.T
	ws *websocket.Conn

	frames chan []byte // what has come; closed when the connection has ended
	err    error       // why it has; written before frames is closed
}

// listen reads what comes, as every client does all the time. It ends with the connection.
func (c *client) listen() {
	defer close(c.frames)
	for {
		var frame []byte
		if _, frame, c.err = c.ws.Read(context.Background()); c.err != nil {
			return
		}
		c.frames <- frame
	}
}

// dial opens a socket without logging in. query, if there is one, comes ahead of what every socket
// needs, and ends in "&".
func dial(t *testing.T, rt http.RoundTripper, base, query string) *client {
	t.Helper()
	ws, _, err := websocket.Dial(t.Context(), base+"?"+query+"api_key="+testserver.DefaultKey+"&stream-auth-type=jwt",
		&websocket.DialOptions{HTTPClient: &http.Client{Transport: rt}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.CloseNow() })
	ws.SetReadLimit(2 << 20) // what the server sends of a user may be as large as what it was sent
	return &client{t: t, ws: ws, frames: make(chan []byte, 10_000)}
}

const socketURL = "http://api.test/api/v2/connect"

// connect opens a socket and sends the greeting. It returns the first event as well.
func connect(t *testing.T, srv *testserver.Server, token, details string) (*client, map[string]any) {
	t.Helper()
	c := dial(t, srv, socketURL, "")
	go c.listen()
	c.send(`{"token":"` + token + `","user_details":` + details + `,"products":["feeds"]}`)
	return c, c.event()
}

// deaf opens a socket whose client reads the first event and no more, until it listens.
func deaf(t *testing.T, srv *testserver.Server, token string) (c *client, hello map[string]any) {
	t.Helper()
	c = dial(t, srv, socketURL, "")
	c.send(`{"token":"` + token + `"}`)
	_, frame, err := c.ws.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(frame, &hello); err != nil {
		t.Fatal(err)
	}
	return c, hello
}

func (c *client) send(frame string) {
	c.t.Helper()
	if err := c.ws.Write(c.t.Context(), websocket.MessageText, []byte(frame)); err != nil {
		c.t.Fatal(err)
	}
}

// event returns the next event. That it comes at all is up to the bubble, which would be
// deadlocked.
func (c *client) event() map[string]any {
	c.t.Helper()
	frame, ok := <-c.frames
	if !ok {
		c.t.Fatal(c.err)
	}
	var event map[string]any
	if err := json.Unmarshal(frame, &event); err != nil {
		c.t.Fatal(err)
	}
	if err := publishedEvent(event, frame); err != nil {
		c.t.Error(err)
	}
	return event
}

// wantClose waits for the end of the connection, which must be the next thing and have the code.
// 1006: it was broken, without a closing handshake.
func (c *client) wantClose(code websocket.StatusCode) {
	c.t.Helper()
	if frame, ok := <-c.frames; ok {
		c.t.Errorf("got the event %s, want the connection closed with %d", frame, code)
		return
	}
	got := websocket.CloseStatus(c.err)
	if got == -1 {
		got = websocket.StatusAbnormalClosure
	}
	if got != code {
		c.t.Errorf("the connection was closed with %d (%v), want %d", got, c.err, code)
	}
}

func wantEvent(t *testing.T, event map[string]any, kind string) {
	t.Helper()
	if event["type"] != kind {
		t.Fatalf("got the event %v, want a %s", event, kind)
	}
}

func TestSocket(t *testing.T) {
	srv := &testserver.Server{ClockOffset: time.Hour}
	bubble(t, srv, func(t *testing.T) {
		value := srv.Issue("alice")
		c, hello := connect(t, srv, value, `{"id":"alice","name":"Alice","image":"a.png","custom":{"n":1}}`)
		wantEvent(t, hello, "connection.ok")
		if hello["connection_id"] == "" || hello["created_at"] != float64(time.Now().Add(time.Hour).UnixNano()) {
			t.Errorf("hello %v, want a connection_id and the server's time", hello)
		}
		wantFields(t, hello["me"], fields.user)
		wantFields(t, hello["me"], strings.Fields(`channel_mutes devices mutes invisible total_unread_count unread_channels unread_count unread_threads`))
		me := caller{rt: srv, token: value}.do("GET", allUsers, "").body["users"].([]any)[0].(map[string]any)
		if me["id"] != "alice" || me["name"] != "Alice" || me["image"] != "a.png" || !reflect.DeepEqual(me["custom"], map[string]any{"n": 1.0}) {
			t.Errorf("user_details made the user %v", me)
		}
		// All three signs of life are answered.
		for _, frame := range []string{`[{"type":"health.check","client_id":"alice-1"}]`, `{"type":"health.check"}`, "ping", " [{\"type\":\"health.check\"}]"} {
			if frame != "ping" {
				c.send(frame)
			} else if err := c.ws.Ping(t.Context()); err != nil {
				t.Errorf("no pong: %v", err)
			}
			event := c.event()
			wantEvent(t, event, "health.check")
			if event["connection_id"] != hello["connection_id"] || event["custom"] == nil || event["created_at"] == nil {
				t.Errorf("%s is answered with %v", frame, event)
			}
		}
		// What is no sign of life is ignored.
		for _, frame := range []string{`[]`, `{}`, `[1]`, `x`, `"health.check"`, `{"type":"other"}`} {
			c.send(frame)
		}
		c.send(`{"type":"health.check"}`)
		wantEvent(t, c.event(), "health.check")

		l := srv.Ledger()
		if l.Sockets != 1 || l.OpenSockets != 1 || l.Tokens[testserver.TokenID(value)].Uses != 2 || l.Effects != 0 {
			t.Errorf("the ledger has %+v; want 1 socket, open, 2 uses of the token and no effect", l)
		}
		if err := c.ws.Close(websocket.StatusNormalClosure, ""); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if l := srv.Ledger(); l.Sockets != 1 || l.OpenSockets != 0 {
			t.Errorf("%d sockets, %d open; want 1, 0", l.Sockets, l.OpenSockets)
		}
	})
}

// A greeting without details leaves what is known of the user.
func TestSocketKeepsUser(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		connect(t, srv, srv.Issue("alice"), `{"id":"alice","name":"Alice","custom":{"n":1}}`)
		for _, details := range []string{`{"id":"alice"}`, `{}`, `null`} {
			_, hello := connect(t, srv, srv.Issue("alice"), details)
			me := hello["me"].(map[string]any)
			if me["name"] != "Alice" || !reflect.DeepEqual(me["custom"], map[string]any{"n": 1.0}) {
				t.Errorf("with the details %s the user is %v", details, me)
			}
		}
	})
}

func TestSocketRejections(t *testing.T) {
	for _, tt := range []struct {
		name, query, details string
		token                func(*testserver.Server) string
		status, code         int
		rejected             int
	}{
		{name: "expired", token: func(srv *testserver.Server) string {
			value := srv.Issue("alice")
			time.Sleep(2 * time.Second)
			return value
		}, status: 401, code: 40, rejected: 1},
		{name: "revoked", token: func(srv *testserver.Server) string {
			value := srv.Issue("alice")
			srv.Revoke("alice")
			return value
		}, status: 401, code: 40, rejected: 1},
		{name: "wrong secret", token: func(*testserver.Server) string { return mintWith("other", map[string]any{"user_id": "alice"}) }, status: 401, code: 43, rejected: 1},
		{name: "no token", token: func(*testserver.Server) string { return "" }, status: 401, code: 5, rejected: 1},
		{name: "server token", token: (*testserver.Server).ServerToken, status: 403, code: 17},
		{name: "another user's details", details: `{"id":"bob"}`, status: 400, code: 4},
		{name: "wrong API key", query: "api_key=x&", status: 401, code: 2},
		{name: "wrong auth type", query: "stream-auth-type=x&", status: 401, code: 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := &testserver.Server{TTL: time.Second}
			bubble(t, srv, func(t *testing.T) {
				if tt.token == nil {
					tt.token = func(srv *testserver.Server) string { return srv.Issue("alice") }
				}
				value := tt.token(srv)
				c := dial(t, srv, socketURL, tt.query)
				go c.listen()
				c.send(fmt.Sprintf(`{"token":%q,"user_details":%s}`, value, or(tt.details, "{}")))
				event := c.event()
				wantEvent(t, event, "connection.error")
				a := answer{status: tt.status, body: event["error"].(map[string]any)}
				wantCode(t, a, tt.status, tt.code)
				wantFields(t, event["error"], strings.Fields("code message StatusCode duration more_info details"))
				if a.number("StatusCode") != float64(tt.status) || !strings.HasPrefix(a.text("message"), "Connect failed with error: ") || event["connection_id"] != "" {
					t.Errorf("the rejection is %v", event)
				}
				c.wantClose(1000)
				synctest.Wait()
				if l := srv.Ledger(); l.Rejected != tt.rejected || l.Sockets != 0 || l.OpenSockets != 0 {
					t.Errorf("the ledger has %+v; want %d rejections, and no socket", l, tt.rejected)
				}
			})
		})
	}
}

// A client that opens a socket and does not say who it is loses it.
func TestSocketGreetingLimit(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		c := dial(t, srv, socketURL, "")
		go c.listen()
		start := time.Now()
		c.wantClose(websocket.StatusAbnormalClosure)
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("the connection was broken after %v, want 10s", took)
		}
		c = dial(t, srv, socketURL, "")
		go c.listen()
		c.send("hello")
		c.wantClose(websocket.StatusPolicyViolation)
	})
}

// A ping ahead of the greeting is answered by a pong, and by no event.
func TestSocketEarlyPing(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		c := dial(t, srv, socketURL, "")
		go c.listen()
		if err := c.ws.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		c.send(`{"token":"` + srv.Issue("alice") + `"}`)
		hello := c.event()
		wantEvent(t, hello, "connection.ok")
		c.send(`{"type":"health.check"}`)
		if event := c.event(); event["connection_id"] != hello["connection_id"] {
			t.Errorf("got the event %v, want the answer to the sign of life", event)
		}
	})
}

// The same frames over a real port, and a request that is no handshake.
func TestSocketOverLoopback(t *testing.T) {
	srv := &testserver.Server{}
	ts := httptest.NewServer(srv)
	defer ts.Close()
	defer srv.Close()
	c := dial(t, http.DefaultTransport, ts.URL+"/api/v2/connect", "")
	go c.listen()
	c.send(`{"token":"` + srv.Issue("alice") + `"}`)
	wantEvent(t, c.event(), "connection.ok")
	wantCode(t, caller{rt: rewrite{http.DefaultTransport, ts.URL}, token: srv.Issue("alice")}.do("GET", "/api/v2/connect", ""), 400, 4)
	srv.Close()
	c.wantClose(websocket.StatusAbnormalClosure)
}
