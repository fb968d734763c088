package testserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/stayauth/stayauth/testserver"
)

func TestGuardFaults(t *testing.T) {
	const ms = time.Millisecond
	html := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		http.Error(w, "<html>"+string(body), http.StatusForbidden)
	})
	for _, tt := range []struct {
		name    string
		fault   testserver.Fault
		dead    bool // the token that is sent
		status  int  // 0: the connection is cut
		body    string
		effects int
		took    time.Duration
		header  map[string]string
	}{
		{name: "none", status: 200, body: "done", effects: 1},
		{name: "latency", fault: testserver.Fault{Latency: 70 * ms}, status: 200, body: "done", effects: 1, took: 70 * ms},
		{name: "hold", fault: testserver.Fault{Hold: 30 * ms}, status: 200, body: "done", effects: 1, took: 30 * ms},
		{name: "hold of a rejection", fault: testserver.Fault{Hold: ms, HoldRejection: 10 * ms}, dead: true, status: 401, took: 11 * ms},
		{name: "no rejection to hold back", fault: testserver.Fault{HoldRejection: 50 * ms}, status: 200, body: "done", effects: 1},
		{name: "cut before", fault: testserver.Fault{Cut: testserver.CutBefore}},
		{name: "cut after", fault: testserver.Fault{Cut: testserver.CutAfter, Latency: ms, Hold: ms}, effects: 1, took: 2 * ms},
		{name: "rejection cut", fault: testserver.Fault{Cut: testserver.CutAfter}, dead: true},
		{name: "503", fault: testserver.Fault{Status: 503, RetryAfter: 1500 * ms}, status: 503,
			body: `{"error":"temporarily_unavailable","error_description":"fault injected by the test"}`, header: map[string]string{"Retry-After": "2"}},
		{name: "500", fault: testserver.Fault{Status: 500}, status: 500, body: `{"error":"server_error","error_description":"fault injected by the test"}`},
		{name: "401", fault: testserver.Fault{Status: 401}, status: 401, body: string(testserver.Revoked) + "\n",
			header: map[string]string{"WWW-Authenticate": testserver.Revoked.Challenge()}},
		{name: "redirect", fault: testserver.Fault{Status: 307, Location: "https://other.test/"}, status: 307, header: map[string]string{"Location": "https://other.test/"}},
		{name: "an answer of the test's own", fault: testserver.Fault{Answer: html, Hold: ms}, status: 403, body: "<html>hello\n", took: ms},
		{name: "an answer of its own to a dead token", fault: testserver.Fault{Answer: html}, dead: true, status: 403, body: "<html>hello\n"},
		{name: "an answer of its own, lost", fault: testserver.Fault{Answer: html, Cut: testserver.CutAfter}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := &testserver.Guard{
				Next:  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "done") }),
				Fault: always(tt.fault),
			}
			guarded(t, g, func(t *testing.T) {
				for i, rt := range []http.RoundTripper{g, handled{g}} {
					alice := visitor{rt: rt, token: g.Issue("alice")}
					if tt.dead {
						g.Revoke("alice")
					}
					start := time.Now()
					r := alice.do("POST", "/things", "hello")
					if took := time.Since(start); took != tt.took {
						t.Errorf("took %v, want %v", took, tt.took)
					}
					if tt.status == 0 {
						if r.err == nil {
							t.Errorf("got an answer with status %d, want none", r.status)
						}
					} else {
						wantReply(t, r, tt.status)
					}
					if tt.body != "" && r.body != tt.body {
						t.Errorf("body %q, want %q", r.body, tt.body)
					}
					for name, want := range tt.header {
						if got := r.header.Get(name); got != want {
							t.Errorf("%s: %q, want %q", name, got, want)
						}
					}
					if n := g.Ledger().Effects; n != tt.effects*(i+1) {
						t.Errorf("%d effects, want %d", n, tt.effects*(i+1))
					}
				}
			})
		})
	}
}

// An answer of the test's own comes from a Server too, and its handler gets the body.
func TestServerFaultAnswer(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `{"is":%q}`, body)
	})
	srv := &testserver.Server{Fault: always(testserver.Fault{Answer: page})}
	bubble(t, srv, func(t *testing.T) {
		a := login(srv, "alice")
		wantStatus(t, a, 403)
		if a.text("is") != `{"user_id":"alice","session":"sesame"}` || srv.Ledger().Issued != 0 {
			t.Errorf("the handler got %q, and %d tokens were issued", a.text("is"), srv.Ledger().Issued)
		}
		ws, _, err := websocket.Dial(t.Context(), "http://api.test/api/v2/connect?stream-auth-type=jwt&api_key="+testserver.DefaultKey,
			&websocket.DialOptions{HTTPClient: &http.Client{Transport: srv}})
		if err == nil {
			ws.CloseNow()
			t.Error("a socket was opened all the same")
		}
		srv.Close()
		if _, err := (direct{srv}).RoundTrip(httptest.NewRequest("GET", "/", nil)); !errors.Is(err, http.ErrAbortHandler) {
			t.Errorf("a closed server answers, error %v", err)
		}
	})
}

// Each kind of waiting ends when the client gives up, and when the guard is closed.
func TestGuardWaitingEnds(t *testing.T) {
	for name, fault := range map[string]testserver.Fault{"latency": {Latency: time.Hour}, "hang": {Hang: true}, "hold": {Hold: time.Hour}} {
		t.Run(name, func(t *testing.T) {
			reached := 0
			g := &testserver.Guard{
				Next:  http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }),
				Fault: always(fault),
			}
			guarded(t, g, func(t *testing.T) {
				for _, rt := range []http.RoundTripper{g, handled{g}} {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					req, _ := http.NewRequestWithContext(ctx, "POST", "http://api.test/", strings.NewReader("hello"))
					req.Header.Set("Authorization", "Bearer "+g.Issue("alice"))
					start := time.Now()
					if r := (visitor{rt: rt}).send(req); !errors.Is(r.err, context.DeadlineExceeded) && !errors.Is(r.err, http.ErrAbortHandler) {
						t.Errorf("status %d, error %v", r.status, r.err)
					}
					if took := time.Since(start); took != time.Second {
						t.Errorf("took %v, want 1s", took)
					}
				}
				time.Sleep(2 * time.Hour)
				if want := map[bool]int{true: 2, false: 0}[name == "hold"]; reached != want {
					t.Errorf("Next was reached %d times, want %d", reached, want)
				}
				got := make(chan reply, 1)
				go func() { got <- visitor{rt: g, token: g.Issue("alice")}.do("POST", "/", "hello") }()
				time.Sleep(time.Second)
				start := time.Now()
				g.Close()
				if r := <-got; r.err == nil {
					t.Errorf("got an answer with status %d, want none", r.status)
				}
				if took := time.Since(start); took != 0 {
					t.Errorf("Close took %v", took)
				}
				if r := (visitor{rt: handled{g}}).do("GET", "/", ""); !errors.Is(r.err, http.ErrAbortHandler) {
					t.Errorf("a closed guard answers with status %d, error %v", r.status, r.err)
				}
			})
		})
	}
}

// Nothing of a lost answer goes out, however much Next says, and Next is not disturbed.
func TestGuardLostAnswer(t *testing.T) {
	said := 0
	g := &testserver.Guard{
		Fault: always(testserver.Fault{Cut: testserver.CutAfter}),
		Next: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusCreated)
			for range 100 {
				n, err := w.Write(make([]byte, 1000))
				if err == nil {
					err = http.NewResponseController(w).Flush()
				}
				if err != nil {
					t.Error(err)
				}
				said += n
			}
		}),
	}
	guarded(t, g, func(t *testing.T) {
		req, _ := http.NewRequest("POST", "http://api.test/", nil)
		req.Header.Set("Authorization", "Bearer "+g.Issue("alice"))
		if resp, err := g.RoundTrip(req); err == nil {
			resp.Body.Close()
			t.Errorf("got an answer with status %d, want none", resp.StatusCode)
		}
		if n := g.Ledger().Effects; n != 1 || said != 100_000 {
			t.Errorf("%d effects, %d bytes said; want 1, 100000", n, said)
		}
	})
}
