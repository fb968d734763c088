package testserver_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/stayauth/stayauth/testserver"
)

// Faults of the handshake are those of any request: the first event stands in place of the answer.
func TestSocketHandshakeFaults(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fault  testserver.Fault
		dead   bool
		status int // of an answer that is no handshake; 0: none
		first  string
		took   time.Duration
	}{
		{name: "rejected", fault: testserver.Fault{Status: 503}, status: 503},
		{name: "rejected token", fault: testserver.Fault{Status: 401}, status: 401},
		{name: "cut before", fault: testserver.Fault{Cut: testserver.CutBefore}},
		{name: "cut after", fault: testserver.Fault{Cut: testserver.CutAfter}},
		{name: "latency", fault: testserver.Fault{Latency: time.Second}, first: "connection.ok", took: time.Second},
		{name: "hold", fault: testserver.Fault{Hold: time.Second}, first: "connection.ok", took: time.Second},
		{name: "held rejection", fault: testserver.Fault{HoldRejection: time.Second}, dead: true, first: "connection.error", took: time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := &testserver.Server{Fault: always(tt.fault)}
			bubble(t, srv, func(t *testing.T) {
				value := srv.Issue("alice")
				if tt.dead {
					srv.Revoke("alice")
				}
				start := time.Now()
				ws, resp, err := websocket.Dial(t.Context(), socketURL+"?stream-auth-type=jwt&api_key="+testserver.DefaultKey,
					&websocket.DialOptions{HTTPClient: &http.Client{Transport: srv}})
				if err != nil {
					if resp == nil && tt.status != 0 || resp != nil && resp.StatusCode != tt.status || tt.first != "" {
						t.Errorf("the handshake failed with %v, want status %d", err, tt.status)
					}
					return
				}
				c := client{t: t, ws: ws, frames: make(chan []byte, 1)}
				go c.listen()
				defer ws.CloseNow()
				c.send(`{"token":"` + value + `"}`)
				if tt.first == "" {
					c.wantClose(websocket.StatusAbnormalClosure)
				} else {
					wantEvent(t, c.event(), tt.first)
				}
				if took := time.Since(start); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
			})
		})
	}
}

func TestSocketFaults(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault testserver.SocketFault
		code  websocket.StatusCode // 0: it stays open
	}{
		{"none", testserver.SocketFault{}, 0},
		{"final", testserver.SocketFault{Close: 1000}, 1000},
		{"dropped", testserver.SocketFault{After: 3 * time.Second, Close: 1006}, 1006},
		{"going away", testserver.SocketFault{After: 3 * time.Second, Close: 1001}, 1001},
		{"a code of its own", testserver.SocketFault{After: time.Second, Close: 4001, Silent: true}, 4001},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := &testserver.Server{Fault: always(testserver.Fault{Socket: tt.fault})}
			bubble(t, srv, func(t *testing.T) {
				c, hello := connect(t, srv, srv.Issue("alice"), `{}`)
				wantEvent(t, hello, "connection.ok")
				start := time.Now()
				if tt.code == 0 {
					time.Sleep(time.Hour)
					c.send(`{"type":"health.check"}`)
					wantEvent(t, c.event(), "health.check")
					return
				}
				c.wantClose(tt.code)
				if took := time.Since(start); took != tt.fault.After {
					t.Errorf("it ended after %v, want %v", took, tt.fault.After)
				}
				synctest.Wait()
				if n := srv.Ledger().OpenSockets; n != 0 {
					t.Errorf("%d sockets are open, want 0", n)
				}
			})
		})
	}
}

// A silent server keeps the connection and says nothing: no event, no answer, no pong.
func TestSocketSilence(t *testing.T) {
	srv := &testserver.Server{PushExpiry: true, Fault: always(testserver.Fault{Socket: testserver.SocketFault{Silent: true, After: time.Second}})}
	bubble(t, srv, func(t *testing.T) {
		alice := caller{rt: srv, token: srv.Issue("alice")}
		c, hello := connect(t, srv, alice.token, `{}`)
		alice.watch(t, hello, "user", "alice")
		c.send(`{"type":"health.check"}`)
		wantEvent(t, c.event(), "health.check")
		time.Sleep(time.Second)
		wantStatus(t, alice.post("unheard"), 201)
		c.send(`{"type":"health.check"}`)
		srv.Revoke("alice")
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := c.ws.Ping(ctx); err == nil {
			t.Error("a silent server answers a ping")
		}
		select {
		case frame, ok := <-c.frames:
			t.Errorf("heard %s, open: %v; want nothing for an hour", frame, ok)
		default:
		}
	})
}
