package testserver_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

// A bubble ends only when all of its goroutines have: every one of these must leave none behind.
func TestCloseLeavesNothing(t *testing.T) {
	for name, use := range map[string]func(*testing.T, *testserver.Server){
		"unused": func(*testing.T, *testserver.Server) {},
		"idle connection": func(_ *testing.T, srv *testserver.Server) {
			caller{rt: srv, token: srv.Issue("alice")}.ping()
		},
		"answer not read": func(t *testing.T, srv *testserver.Server) {
			req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://api.test/api/v2/app", nil)
			if _, err := srv.RoundTrip(req); err != nil { // its body is left open
				t.Error(err)
			}
		},
		"connection without a request": func(t *testing.T, srv *testserver.Server) {
			if _, err := srv.DialContext(t.Context(), "tcp", "api.test:80"); err != nil {
				t.Error(err)
			}
		},
		"request body that never ends": func(t *testing.T, srv *testserver.Server) {
			body, w := io.Pipe()
			t.Cleanup(func() { w.Close() }) // after srv.Close; net/http waits for the body that it was given
			req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://api.test/token", body)
			go func() {
				if _, err := srv.RoundTrip(req); err == nil {
					t.Error("got an answer to half a request")
				}
			}()
			_, _ = w.Write([]byte("{"))
			synctest.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := &testserver.Server{}
				use(t, srv)
				for range 2 {
					if err := srv.Close(); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

// Close and a dial at the same moment leave nothing behind either, whichever comes first.
func TestCloseWhileDialling(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			srv := &testserver.Server{}
			for range 4 {
				go func() { _, _ = srv.DialContext(t.Context(), "", "") }()
			}
			runtime.Gosched()
			srv.Close()
		})
	}
}

func TestClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &testserver.Server{}
		alice := caller{rt: srv, token: srv.Issue("alice")}
		wantStatus(t, alice.post("hello"), 201)
		srv.Close()
		if a := alice.post("hello"); a.err == nil || !strings.Contains(a.err.Error(), "testserver: the server is closed") {
			t.Errorf("after Close: status %d, error %v", a.status, a.err)
		}
		if n := srv.Ledger().Effects; n != 1 {
			t.Errorf("%d effects in the ledger, want 1", n)
		}
	})
	// As a handler a closed server cuts every connection.
	srv := &testserver.Server{}
	ts := httptest.NewServer(srv)
	defer ts.Close()
	srv.Close()
	if resp, err := ts.Client().Get(ts.URL); err == nil {
		resp.Body.Close()
		t.Errorf("a closed server answers with status %d", resp.StatusCode)
	}
}

// Every URL leads to the server, https ones too, and net/http keeps connections alive and apart as
// it always does.
func TestRoundTripURLs(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		client := &http.Client{Transport: srv}
		for _, url := range []string{"http://api.test", "https://api.test", "https://other.test:8443", "http://127.0.0.1:1"} {
			resp, err := client.Post(url+"/token", "application/json", strings.NewReader(`{"user_id":"alice"}`))
			if err != nil {
				t.Errorf("%s: %v", url, err)
				continue
			}
			resp.Body.Close()
			if resp.StatusCode != 200 {
				t.Errorf("%s: status %d", url, resp.StatusCode)
			}
		}
		client.CloseIdleConnections()
		synctest.Wait()
	})
}

// DialContext serves a transport with a limit of its own: two requests on one connection take
// turns.
func TestDialContext(t *testing.T) {
	srv := &testserver.Server{Fault: delay(time.Second)}
	bubble(t, srv, func(t *testing.T) {
		base := &http.Transport{DialContext: srv.DialContext, MaxConnsPerHost: 1}
		defer base.CloseIdleConnections()
		alice := caller{rt: base, token: srv.Issue("alice")}
		start := time.Now()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { alice.post("hello") })
		}
		wg.Wait()
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("two requests took %v, want 2s", took)
		}
		if n := srv.Ledger().Effects; n != 2 {
			t.Errorf("%d effects, want 2", n)
		}
	})
}

// Many clients who begin at the same moment, and whose tokens are revoked under them.
func TestManyClients(t *testing.T) {
	const clients, rounds = 200, 3
	run := func(t *testing.T, srv *testserver.Server, rt http.RoundTripper, base string) {
		var rejected atomic.Int64
		var wg sync.WaitGroup
		for i := range clients {
			wg.Go(func() {
				user := fmt.Sprintf("user%d", i%10)
				c := caller{rt: rewrite{rt, base}, token: srv.Issue(user), feed: "user:" + user}
				for n := range rounds {
					c.id = fmt.Sprintf("%d-%d", i, n)
					if i < 10 && n == 1 {
						srv.Revoke(user)
					}
					for a := c.post("hello"); a.status != 201; a = c.post("hello") {
						if a.code() != 40 {
							t.Errorf("%s: status %d, error %v, %v", c.id, a.status, a.err, a.body)
							return
						}
						rejected.Add(1)
						c.token = srv.Issue(user)
					}
				}
			})
		}
		wg.Wait()
		l := srv.Ledger()
		if l.Effects != clients*rounds || len(l.Requests) != clients*rounds {
			t.Errorf("%d effects of %d requests, want %d of each", l.Effects, len(l.Requests), clients*rounds)
		}
		if n := int(rejected.Load()); l.Rejected != n || l.Arrived != clients*rounds+n || n < 10 {
			t.Errorf("the ledger counts %d rejections of %d arrivals; the clients met %d", l.Rejected, l.Arrived, n)
		}
		if err := srv.Check(); err != nil {
			t.Error(err)
		}
	}
	t.Run("bubble", func(t *testing.T) {
		srv := &testserver.Server{Fault: delay(time.Millisecond)}
		bubble(t, srv, func(t *testing.T) { run(t, srv, srv, "http://api.test") })
	})
	t.Run("loopback", func(t *testing.T) {
		srv := &testserver.Server{}
		ts := httptest.NewServer(srv)
		defer ts.Close()
		run(t, srv, ts.Client().Transport, ts.URL)
	})
}

// rewrite sends every request to another server.
type rewrite struct {
	rt   http.RoundTripper
	base string
}

func (r rewrite) RoundTrip(req *http.Request) (*http.Response, error) {
	req.URL.Host = strings.TrimPrefix(r.base, "http://")
	return r.rt.RoundTrip(req)
}

// An hour of a client that asks for a token only when its own is rejected: one rejection for each
// token.
func TestHourOfExpiries(t *testing.T) {
	srv := &testserver.Server{TTL: 10 * time.Second}
	bubble(t, srv, func(t *testing.T) {
		time.Sleep(500 * time.Millisecond) // a new second begins, so tokens live exactly 10 s
		alice := caller{rt: srv, token: srv.Issue("alice")}
		for n := range 720 {
			alice.id = fmt.Sprint(n)
			if alice.post("hello").code() == 40 {
				alice.token = srv.Issue("alice")
				wantStatus(t, alice.post("hello"), 201)
			}
			time.Sleep(5 * time.Second)
		}
		l := srv.Ledger()
		if l.Effects != 720 || l.Rejected != 359 || l.Issued != 360 {
			t.Errorf("%d effects, %d rejections, %d tokens; want 720, 359, 360", l.Effects, l.Rejected, l.Issued)
		}
		if err := srv.Check(); err != nil {
			t.Error(err)
		}
	})
}
