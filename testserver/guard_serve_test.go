package testserver_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

func TestGuardClosed(t *testing.T) {
	g := &testserver.Guard{}
	guarded(t, g, func(t *testing.T) {
		alice := visitor{rt: g, token: g.Issue("alice")}
		wantReply(t, alice.do("POST", "/", "x"), 200)
		for range 2 {
			if err := g.Close(); err != nil {
				t.Error(err)
			}
		}
		for _, rt := range []http.RoundTripper{g, handled{g}} {
			alice.rt = rt
			if r := alice.do("POST", "/", "x"); r.err == nil {
				t.Errorf("a closed guard answers with status %d", r.status)
			}
		}
		if n := g.Ledger().Effects; n != 1 {
			t.Errorf("%d effects in the ledger, want 1", n)
		}
	})
}

// Next can stream, and take over its connection; holding an answer back keeps neither from it.
func TestGuardStreams(t *testing.T) {
	g := &testserver.Guard{
		Fault: always(testserver.Fault{Hold: time.Second}),
		Next: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/flusher":
				w.(http.Flusher).Flush()
			case "/controller":
				if err := http.NewResponseController(w).Flush(); err != nil {
					t.Error(err)
				}
			case "/hijack":
				conn, _, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello\n")
				conn.Close()
				return
			}
			if err := http.NewResponseController(w).SetReadDeadline(time.Time{}); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Minute)
			fmt.Fprint(w, "done")
		}),
	}
	guarded(t, g, func(t *testing.T) {
		for _, path := range []string{"/flusher", "/controller", "/hijack"} {
			req, _ := http.NewRequest("GET", "http://api.test"+path, nil)
			req.Header.Set("Authorization", "Bearer "+g.Issue("alice"))
			start := time.Now()
			resp, err := g.RoundTrip(req)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if took := time.Since(start); took != time.Second {
				t.Errorf("%s: the headers took %v, want 1s", path, took)
			}
			if path == "/hijack" {
				if line, err := bufio.NewReader(resp.Body).ReadString('\n'); line != "hello\n" {
					t.Errorf("%s: got %q, %v", path, line, err)
				}
			} else if body, err := io.ReadAll(resp.Body); string(body) != "done" || time.Since(start) != 61*time.Second {
				t.Errorf("%s: got %q, %v after %v", path, body, err, time.Since(start))
			}
			resp.Body.Close()
		}
	})
}

// A rejection arrives whatever the body: one that is short is read first, and a longer one, or one
// that waits for the answer, is not waited for.
func TestGuardRejectsBodies(t *testing.T) {
	g := &testserver.Guard{}
	guarded(t, g, func(t *testing.T) {
		endless, w := io.Pipe()
		defer w.Close()
		for name, body := range map[string]io.Reader{
			"none":    nil,
			"short":   strings.NewReader(strings.Repeat("x", 1<<20)),
			"unknown": io.MultiReader(strings.NewReader("x")),
			"endless": endless,
		} {
			req, _ := http.NewRequest("POST", "http://api.test/", body)
			r := visitor{rt: g}.send(req)
			if r.err != nil || r.status != 401 {
				t.Errorf("%s: status %d, error %v; want 401", name, r.status, r.err)
			}
		}
	})
}

// Many clients who begin at the same moment, and whose tokens are revoked under them, over loopback
// and in a bubble.
func TestGuardManyClients(t *testing.T) {
	const clients = 200
	run := func(t *testing.T, g *testserver.Guard, rt http.RoundTripper, base string) {
		var wg sync.WaitGroup
		for i := range clients {
			wg.Go(func() {
				user := fmt.Sprintf("user%d", i%10)
				v := visitor{rt: rewrite{rt, base}, token: g.Issue(user), id: fmt.Sprint(i)}
				if i < 10 {
					g.Revoke(user)
				}
				for r := v.do("POST", "/", "x"); r.status != 200; r = v.do("POST", "/", "x") {
					if r.status != 401 {
						t.Errorf("status %d, error %v", r.status, r.err)
						return
					}
					v.token = g.Issue(user)
				}
			})
		}
		wg.Wait()
		l := g.Ledger()
		if l.Effects != clients || len(l.Requests) != clients || l.Arrived != clients+l.Rejected || l.Unnamed != 0 {
			t.Errorf("%d effects of %d requests, %d arrivals, %d rejected, %d unnamed", l.Effects, len(l.Requests), l.Arrived, l.Rejected, l.Unnamed)
		}
		if err := g.Check(); err != nil {
			t.Error(err)
		}
	}
	t.Run("bubble", func(t *testing.T) {
		g := &testserver.Guard{Fault: delay(time.Millisecond)}
		guarded(t, g, func(t *testing.T) { run(t, g, g, "http://api.test") })
	})
	t.Run("loopback", func(t *testing.T) {
		g := &testserver.Guard{}
		ts := httptest.NewServer(g)
		defer ts.Close()
		run(t, g, ts.Client().Transport, ts.URL)
	})
}

func TestGuardPanics(t *testing.T) {
	g := &testserver.Guard{}
	for name, f := range map[string]func(){
		"testserver: Issue needs a user id": func() { g.Issue("") },
		"testserver: LogIn needs a user id": func() { g.LogIn("") },
		"testserver: Guard.ClientAuth is none of client_secret_basic and client_secret_post": func() {
			(&testserver.Guard{ClientAuth: "basic"}).Ledger()
		},
	} {
		func() {
			defer func() {
				if v := recover(); !reflect.DeepEqual(v, name) {
					t.Errorf("panic %v, want %s", v, name)
				}
			}()
			f()
		}()
	}
}
