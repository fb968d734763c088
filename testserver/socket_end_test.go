package testserver_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/stayauth/stayauth/testserver"
)

// By default nothing is said about a dead token on an open socket; PushExpiry tells, at the moment
// it dies.
func TestPushExpiry(t *testing.T) {
	for name, tt := range map[string]struct {
		kill  func(*testserver.Server)
		after time.Duration
		inner string
	}{
		"expiry":  {func(*testserver.Server) {}, 2500 * time.Millisecond, "token is expired"},
		"Revoke":  {func(srv *testserver.Server) { srv.Revoke("alice") }, 0, "has been revoked"},
		"cutoff":  {func(srv *testserver.Server) { revokeUsers(srv, stamp(time.Second), "alice") }, 0, "has been revoked"},
		"app":     {func(srv *testserver.Server) { revokeApp(srv, stamp(time.Second)) }, 0, "has been revoked"},
		"clock":   {func(srv *testserver.Server) { srv.AdvanceClock(time.Second) }, 1500 * time.Millisecond, "token is expired"},
		"another": {func(srv *testserver.Server) { srv.Revoke("bob") }, 2500 * time.Millisecond, "token is expired"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := &testserver.Server{PushExpiry: true, TTL: 2 * time.Second}
			bubble(t, srv, func(t *testing.T) {
				c, _ := connect(t, srv, srv.Issue("alice"), `{}`)
				synctest.Wait()
				start := time.Now()
				tt.kill(srv)
				event := c.event()
				wantEvent(t, event, "connection.error")
				wantCode(t, answer{status: 401, body: event["error"].(map[string]any)}, 401, 40)
				if took := time.Since(start); took != tt.after {
					t.Errorf("told after %v, want %v", took, tt.after)
				}
				if msg := event["error"].(map[string]any)["message"].(string); !strings.Contains(msg, tt.inner) {
					t.Errorf("the message is %s, want one with %s", msg, tt.inner)
				}
				c.wantClose(websocket.StatusPolicyViolation)
			})
		})
	}
	srv := &testserver.Server{TTL: time.Second}
	bubble(t, srv, func(t *testing.T) {
		c, _ := connect(t, srv, srv.Issue("alice"), `{}`)
		srv.Revoke("alice")
		time.Sleep(time.Hour)
		c.send(`{"type":"health.check"}`)
		wantEvent(t, c.event(), "health.check")
	})
}

func TestCloseSockets(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		alice1, _ := connect(t, srv, srv.Issue("alice"), `{}`)
		alice2, _ := connect(t, srv, srv.Issue("alice"), `{}`)
		bob, _ := connect(t, srv, srv.Issue("bob"), `{}`)
		if n := srv.CloseSockets("alice", 1012); n != 2 {
			t.Errorf("closes %d sockets of alice's, want 2", n)
		}
		alice1.wantClose(1012)
		alice2.wantClose(1012)
		bob.send(`{"type":"health.check"}`)
		wantEvent(t, bob.event(), "health.check")
		synctest.Wait()
		if n := srv.CloseSockets("", 1006); n != 1 {
			t.Errorf("closes %d sockets, want 1", n)
		}
		bob.wantClose(1006)
		synctest.Wait()
		if n := srv.CloseSockets("", 1006); n != 0 {
			t.Errorf("closes %d sockets where there are none", n)
		}
	})
}

// Close ends a socket at every stage of its life, at once, and a bubble can end.
func TestCloseEndsSockets(t *testing.T) {
	for name, use := range map[string]func(*testing.T, *testserver.Server){
		"before the greeting": func(t *testing.T, srv *testserver.Server) { dial(t, srv, socketURL, "") },
		"open":                func(t *testing.T, srv *testserver.Server) { connect(t, srv, srv.Issue("alice"), `{}`) },
		"in its closing": func(t *testing.T, srv *testserver.Server) {
			deaf(t, srv, srv.Issue("alice")) // so the server waits for the client's half of it
			srv.CloseSockets("", 1001)
			synctest.Wait()
		},
		"not read": func(t *testing.T, srv *testserver.Server) {
			alice := caller{rt: srv, token: srv.Issue("alice")}
			_, hello := deaf(t, srv, alice.token)
			alice.watch(t, hello, "user", "alice")
			wantStatus(t, alice.post("hello"), 201)
			synctest.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := &testserver.Server{}
			synctest.Test(t, func(t *testing.T) {
				use(t, srv)
				start := time.Now()
				srv.Close()
				if took := time.Since(start); took != 0 {
					t.Errorf("Close took %v", took)
				}
			})
		})
	}
}

// A client that does not read loses its connection, and no one waits for it. So does one that is
// too slow for what happens: it is not to think that it has been told everything.
func TestSlowSocket(t *testing.T) {
	for _, tt := range []struct {
		name   string
		events int
		listen time.Duration // when the client begins to read
		closed bool
	}{
		{"not too slow", 1000, 9 * time.Second, false},
		{"too slow", 1100, 5 * time.Second, true},
		{"never reads", 1, 11 * time.Second, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := &testserver.Server{}
			bubble(t, srv, func(t *testing.T) {
				alice := caller{rt: srv, token: srv.Issue("alice")}
				c, hello := deaf(t, srv, alice.token)
				alice.watch(t, hello, "user", "alice")
				start := time.Now()
				for range tt.events {
					wantStatus(t, alice.post("hello"), 201)
				}
				if took := time.Since(start); took != 0 {
					t.Errorf("posting took %v", took)
				}
				time.Sleep(tt.listen)
				go c.listen()
				synctest.Wait()
				if n := srv.Ledger().OpenSockets; n != map[bool]int{false: 1}[tt.closed] {
					t.Errorf("%d sockets are open", n)
				}
				if n := len(c.frames); !tt.closed && n != tt.events {
					t.Errorf("%d events have come, want %d", n, tt.events)
				}
			})
		})
	}
}
