package feeds_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/stayauth/stayauth/testserver"
)

// A conn is the server's end of a socket.
type conn struct {
	*websocket.Conn
	id      string
	feeds   []string    // that it watches; guarded by api.mu
	checked []time.Time // when health checks came; guarded by api.mu
	frames  []string    // what came after the login; guarded by api.mu
	err     error       // how the reading ended; guarded by api.mu
}

// send sends v as JSON. An error means that the client has gone.
func (c *conn) send(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	_ = c.Write(context.Background(), websocket.MessageText, b)
}

// refuse sends the error as the API does, and closes.
func (c *conn) refuse(status, code int, message string) {
	c.send(map[string]any{"type": "connection.error", "connection_id": "", "created_at": time.Now().UnixNano(), "error": map[string]any{
		"code": code, "StatusCode": status, "message": message, "duration": "0.00ms", "more_info": "", "details": []any{}}})
	_ = c.Close(websocket.StatusPolicyViolation, "refused")
}

func (a *api) connect(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	n := len(a.dials)
	a.dials = append(a.dials, dialed{at: time.Now(), url: r.URL})
	a.mu.Unlock()
	if a.upgrade != nil && a.upgrade(n, w, r) {
		return
	}
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		panic(err)
	}
	defer ws.CloseNow()
	c := &conn{Conn: ws, id: fmt.Sprint("connection-", n)}
	ctx := context.Background()
	_, frame, err := ws.Read(ctx)
	if err != nil {
		return
	}
	a.mu.Lock()
	_ = json.Unmarshal(frame, &a.dials[n].hello)
	token := a.dials[n].hello.Token
	a.mu.Unlock()
	if a.login != nil && a.login(n, c) {
		return
	}
	if status, code, message := a.judge(token); status != 200 {
		c.refuse(status, code, message)
		return
	}
	a.mu.Lock()
	a.conns = append(a.conns, c)
	a.mu.Unlock()
	c.send(map[string]any{"type": "connection.ok", "connection_id": c.id, "created_at": time.Now().UnixNano(), "me": map[string]any{"id": "alice"}})
	if a.serve != nil {
		go a.serve(n, c)
	}
	if a.deaf {
		time.Sleep(time.Hour)
	}
	for {
		_, frame, err := ws.Read(ctx)
		a.mu.Lock()
		if err != nil {
			c.err = err
			a.conns = slices.DeleteFunc(a.conns, func(o *conn) bool { return o == c })
			a.mu.Unlock()
			return
		}
		c.frames = append(c.frames, string(frame))
		c.checked = append(c.checked, time.Now())
		a.mu.Unlock()
		if !a.mute {
			c.send(map[string]any{"type": "health.check", "connection_id": c.id, "created_at": time.Now().UnixNano(), "custom": map[string]any{}})
		}
	}
}

// judge has the test server judge a token.
func (a *api) judge(token string) (status, code int, message string) {
	r := httptest.NewRequest("GET", "/api/v2/users?payload=%7B%22filter_conditions%22%3A%7B%7D%7D&api_key="+testserver.DefaultKey, nil)
	r.Header.Set("Authorization", token)
	r.Header.Set("Stream-Auth-Type", "jwt")
	w := httptest.NewRecorder()
	a.Server.ServeHTTP(w, r)
	var out struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	_ = json.Unmarshal(w.Body.Bytes(), &out)
	return w.Code, out.Code, out.Message
}

// open returns the only open connection.
func (a *api) open(t *testing.T) *conn {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.conns) != 1 {
		t.Fatalf("%d open connections", len(a.conns))
	}
	return a.conns[0]
}

// checks returns the health checks that came over c, and when.
func (a *api) checks(c *conn) ([]string, []time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(c.frames), slices.Clone(c.checked)
}

// ended returns how the reading of c ended, nil if it goes on.
func (a *api) ended(c *conn) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return c.err
}
