package testserver_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

// always returns a Fault function that gives every request the same fault.
func always(f testserver.Fault) func(*http.Request) testserver.Fault {
	return func(*http.Request) testserver.Fault { return f }
}

func delay(d time.Duration) func(*http.Request) testserver.Fault {
	return always(testserver.Fault{Latency: d})
}

func TestFaults(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		name    string
		fault   testserver.Fault
		dead    bool // the token that is sent
		status  int  // 0: the connection is cut
		code    int
		effects int
		took    time.Duration
		header  map[string]string
	}{
		{name: "none", status: 201, effects: 1},
		{name: "latency", fault: testserver.Fault{Latency: 70 * ms}, status: 201, effects: 1, took: 70 * ms},
		{name: "hold", fault: testserver.Fault{Hold: 30 * ms}, status: 201, effects: 1, took: 30 * ms},
		{name: "hold of a rejection", fault: testserver.Fault{Hold: 30 * ms}, dead: true, status: 401, code: 40, took: 30 * ms},
		{name: "rejection held back", fault: testserver.Fault{HoldRejection: 50 * ms}, dead: true, status: 401, code: 40, took: 50 * ms},
		{name: "no rejection to hold back", fault: testserver.Fault{HoldRejection: 50 * ms}, status: 201, effects: 1},
		{name: "all delays", fault: testserver.Fault{Latency: ms, Hold: 10 * ms, HoldRejection: 100 * ms}, dead: true, status: 401, code: 40, took: 111 * ms},
		{name: "cut before", fault: testserver.Fault{Cut: testserver.CutBefore}},
		{name: "cut after", fault: testserver.Fault{Cut: testserver.CutAfter}, effects: 1},
		{name: "cut after, late", fault: testserver.Fault{Cut: testserver.CutAfter, Latency: ms, Hold: ms}, effects: 1, took: 2 * ms},
		{name: "status 503", fault: testserver.Fault{Status: 503, RetryAfter: 1500 * ms}, status: 503, code: -1, header: map[string]string{"Retry-After": "2"}},
		{name: "status 429", fault: testserver.Fault{Status: 429, RetryAfter: time.Minute}, status: 429, code: 9, header: map[string]string{"Retry-After": "60"}},
		{name: "status 429 without Retry-After", fault: testserver.Fault{Status: 429}, status: 429, code: 9, header: map[string]string{"Retry-After": ""}},
		{name: "status 400", fault: testserver.Fault{Status: 400}, status: 400, code: 4},
		{name: "status 401", fault: testserver.Fault{Status: 401, HoldRejection: ms}, status: 401, code: 40, took: ms},
		{name: "status 401 code 43", fault: testserver.Fault{Status: 401, Code: 43}, status: 401, code: 43},
		{name: "status 403", fault: testserver.Fault{Status: 403}, status: 403, code: 17},
		{name: "status 404", fault: testserver.Fault{Status: 404}, status: 404, code: 16},
		{name: "redirect", fault: testserver.Fault{Status: 307, Location: "https://other.test/"}, status: 307, header: map[string]string{"Location": "https://other.test/"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := &testserver.Server{Fault: always(tt.fault)}
			bubble(t, srv, func(t *testing.T) {
				alice := caller{rt: srv, token: srv.Issue("alice")}
				if tt.dead {
					srv.Revoke("alice")
				}
				start := time.Now()
				a := alice.post("hello")
				if took := time.Since(start); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if tt.status == 0 {
					if a.err == nil {
						t.Errorf("got an answer with status %d, want none", a.status)
					}
				} else {
					wantCode(t, a, tt.status, tt.code)
				}
				for name, want := range tt.header {
					if got := a.header.Get(name); got != want {
						t.Errorf("%s: %q, want %q", name, got, want)
					}
				}
				if n := srv.Ledger().Effects; n != tt.effects {
					t.Errorf("%d effects, want %d", n, tt.effects)
				}
			})
		})
	}
}

// Each kind of waiting ends when the client gives up, and has no effect then.
func TestWaitingEndsWithTheClient(t *testing.T) {
	for name, tt := range map[string]struct {
		fault   testserver.Fault
		effects int
	}{
		"latency": {testserver.Fault{Latency: time.Hour}, 0},
		"hang":    {testserver.Fault{Hang: true}, 0},
		"hold":    {testserver.Fault{Hold: time.Hour}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			srv := &testserver.Server{Fault: always(tt.fault)}
			bubble(t, srv, func(t *testing.T) {
				for _, rt := range []http.RoundTripper{srv, direct{srv}} { // over a connection, and as a handler alone
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					before := srv.Ledger().Effects
					start := time.Now()
					req, err := http.NewRequestWithContext(ctx, "POST", "http://api.test/api/v2/feeds/activities",
						strings.NewReader(`{"type":"post","feeds":["user:alice"]}`))
					if err != nil {
						t.Fatal(err)
					}
					a := caller{rt: rt, token: srv.Issue("alice")}.send(req)
					if !errors.Is(a.err, context.DeadlineExceeded) && !errors.Is(a.err, http.ErrAbortHandler) {
						t.Errorf("error %v, want context.DeadlineExceeded or, of the handler, http.ErrAbortHandler", a.err)
					}
					if took := time.Since(start); took != time.Second {
						t.Errorf("took %v, want 1s", took)
					}
					time.Sleep(2 * time.Hour)
					if n := srv.Ledger().Effects - before; n != tt.effects {
						t.Errorf("%d effects, want %d", n, tt.effects)
					}
				}
			})
		})
	}
}

// Close cuts off what waits, at once.
func TestWaitingEndsWithClose(t *testing.T) {
	for name, fault := range map[string]testserver.Fault{
		"latency": {Latency: time.Hour},
		"hold":    {Hold: time.Hour},
		"hang":    {Hang: true},
	} {
		t.Run(name, func(t *testing.T) {
			srv := &testserver.Server{Fault: always(fault)}
			bubble(t, srv, func(t *testing.T) {
				got := make(chan answer, 2)
				for _, rt := range []http.RoundTripper{srv, direct{srv}} {
					go func() { got <- caller{rt: rt, token: srv.Issue("alice")}.post("hello") }()
				}
				time.Sleep(time.Second)
				start := time.Now()
				if err := srv.Close(); err != nil {
					t.Error(err)
				}
				for range 2 {
					if a := <-got; a.err == nil {
						t.Errorf("got an answer with status %d, want none", a.status)
					}
				}
				if took := time.Since(start); took != 0 {
					t.Errorf("Close took %v", took)
				}
			})
		})
	}
}

func TestTokenFaults(t *testing.T) {
	var fault testserver.Fault // of POST /token; written only between requests
	srv := &testserver.Server{Fault: func(r *http.Request) testserver.Fault {
		if r.URL.Path == "/token" {
			return fault
		}
		return testserver.Fault{}
	}}
	bubble(t, srv, func(t *testing.T) {
		fault = testserver.Fault{Dead: true}
		dead := login(srv, "alice")
		wantStatus(t, dead, 200)
		if code := (caller{rt: srv, token: dead.text("token")}).ping(); code != 40 {
			t.Errorf("dead on arrival: code %d, want 40", code)
		}

		fault = testserver.Fault{}
		live := refresh(srv, dead.text("refresh_token"))
		if code := (caller{rt: srv, token: live.text("token")}).ping(); code != 0 {
			t.Errorf("the one after it: code %d", code)
		}

		for _, tt := range []struct {
			status int
			err    string
		}{{400, "invalid_request"}, {401, "invalid_grant"}, {403, "unauthorized_client"}, {429, "temporarily_unavailable"}, {503, "server_error"}} {
			fault = testserver.Fault{Status: tt.status, RetryAfter: time.Second}
			a := refresh(srv, live.text("refresh_token"))
			wantStatus(t, a, tt.status)
			if a.text("error") != tt.err || a.header.Get("Retry-After") != "1" {
				t.Errorf("status %d: error %q, Retry-After %q; want %q, 1", tt.status, a.text("error"), a.header.Get("Retry-After"), tt.err)
			}
		}

		// The answer gets lost after the refresh token was used.
		fault = testserver.Fault{Cut: testserver.CutAfter}
		if a := refresh(srv, live.text("refresh_token")); a.err == nil {
			t.Errorf("got an answer with status %d, want none", a.status)
		}
		fault = testserver.Fault{}
		wantStatus(t, refresh(srv, live.text("refresh_token")), 401)

		fault = testserver.Fault{Hold: 3 * time.Second}
		start := time.Now()
		wantStatus(t, login(srv, "alice"), 200)
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("issuing took %v, want 3s", took)
		}
		if n := srv.Ledger().Rejected; n != 1 {
			t.Errorf("%d rejections, want 1: a 401 of POST /token is none", n)
		}
	})
}

func TestDeadGuest(t *testing.T) {
	srv := &testserver.Server{Fault: always(testserver.Fault{Dead: true})}
	bubble(t, srv, func(t *testing.T) {
		a := caller{rt: srv, auth: "-"}.do("POST", "/api/v2/guest", `{"user":{"id":"ann"}}`)
		if code := (caller{rt: srv, token: a.text("access_token")}).ping(); code != 40 {
			t.Errorf("code %d, want 40", code)
		}
	})
}

// The fault is asked once for each request, before anything else, and may use the server.
func TestFaultIsAskedOnce(t *testing.T) {
	var asked []string
	srv := &testserver.Server{}
	srv.Fault = func(r *http.Request) testserver.Fault {
		asked = append(asked, r.Method+" "+r.URL.Path+" "+r.Header.Get(testserver.RequestID))
		srv.Revoke("alice")
		return testserver.Fault{}
	}
	bubble(t, srv, func(t *testing.T) {
		alice := caller{rt: srv, token: srv.Issue("alice"), id: "1"}
		wantCode(t, alice.post("hello"), 401, 40)
		alice.id = "2"
		alice.do("GET", "/nowhere", "")
		if want := "POST /api/v2/feeds/activities 1, GET /nowhere 2"; strings.Join(asked, ", ") != want {
			t.Errorf("asked about %s, want %s", strings.Join(asked, ", "), want)
		}
	})
}
