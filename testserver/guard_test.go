package testserver_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"

	"github.com/stayauth/stayauth/testserver"
)

// A reply is what came back from a guard; err is set, and all else is not, when nothing did.
type reply struct {
	status int
	header http.Header
	body   string
	err    error
}

// A visitor sends requests to a guard as one client. Its token goes after the word Bearer.
type visitor struct {
	rt    http.RoundTripper
	token string
	id    string // X-Client-Request-Id
}

func (v visitor) do(method, path, body string) reply {
	req, err := http.NewRequest(method, "http://api.test"+path, strings.NewReader(body))
	if err != nil {
		return reply{err: err}
	}
	if v.token != "" {
		req.Header.Set("Authorization", "Bearer "+v.token)
	}
	return v.send(req)
}

func (v visitor) send(req *http.Request) reply {
	if v.id != "" {
		req.Header.Set(testserver.RequestID, v.id)
	}
	resp, err := v.rt.RoundTrip(req)
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{err: err}
	}
	return reply{status: resp.StatusCode, header: resp.Header, body: string(body)}
}

// guarded runs f in a synctest bubble with g, which is closed at the end. The bubble's clock starts
// at the beginning of a second, and f at half past it.
func guarded(t *testing.T, g *testserver.Guard, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		defer g.Close()
		time.Sleep(500 * time.Millisecond)
		f(t)
	})
}

func wantReply(t *testing.T, r reply, status int) {
	t.Helper()
	if r.err != nil || r.status != status {
		t.Fatalf("got status %d, error %v, body %q; want status %d", r.status, r.err, r.body, status)
	}
}

// What each reason looks like from outside, over a connection and as a handler alone.
func TestGuardJudges(t *testing.T) {
	const realm = `Bearer realm="testserver"`
	mint := func(secret string, claims jwt.MapClaims) string { return "Bearer " + mintWith(secret, claims) }
	key := testserver.DefaultSecret
	for _, tt := range []struct {
		name   string
		header func(g *testserver.Guard) string
		reason testserver.Reason // "": let through
	}{
		{"issued", func(g *testserver.Guard) string { return "Bearer " + g.Issue("alice") }, ""},
		{"lower case", func(g *testserver.Guard) string { return "bearer " + g.Issue("alice") }, ""},
		{"two spaces", func(g *testserver.Guard) string { return "Bearer  " + g.Issue("alice") }, ""},
		{"minted elsewhere", func(*testserver.Guard) string { return mint(key, jwt.MapClaims{"sub": "alice"}) }, ""},
		{"none", func(*testserver.Guard) string { return "" }, testserver.NoToken},
		{"the word alone", func(*testserver.Guard) string { return "Bearer" }, testserver.NoToken},
		{"another scheme", func(*testserver.Guard) string { return "Basic YTpi" }, testserver.NoToken},
		{"no scheme", func(g *testserver.Guard) string { return g.Issue("alice") }, testserver.NoToken},
		{"nonsense", func(*testserver.Guard) string { return "Bearer x" }, testserver.Malformed},
		{"a sub that is a number", func(*testserver.Guard) string { return mint(key, jwt.MapClaims{"sub": 7}) }, testserver.Malformed},
		{"other secret", func(*testserver.Guard) string { return mint("other", jwt.MapClaims{"sub": "alice"}) }, testserver.Unknown},
		{"nbf ahead", func(*testserver.Guard) string {
			return mint(key, jwt.MapClaims{"sub": "alice", "nbf": in(time.Hour)})
		}, testserver.NotYetValid},
		{"iat ahead", func(*testserver.Guard) string {
			return mint(key, jwt.MapClaims{"sub": "alice", "iat": in(time.Hour)})
		}, testserver.NotYetValid},
		{"expired", func(*testserver.Guard) string { return mint(key, jwt.MapClaims{"sub": "alice", "exp": in(0)}) }, testserver.Expired},
		{"revoked", func(g *testserver.Guard) string {
			defer g.Revoke("alice")
			return "Bearer " + g.Issue("alice")
		}, testserver.Revoked},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := &testserver.Guard{}
			guarded(t, g, func(t *testing.T) {
				for _, rt := range []http.RoundTripper{g, handled{g}} {
					req, _ := http.NewRequest("GET", "http://api.test/things", nil)
					if h := tt.header(g); h != "" {
						req.Header.Set("Authorization", h)
					}
					r := visitor{rt: rt}.send(req)
					if tt.reason == "" {
						wantReply(t, r, 200)
						if r.body != "alice\n" {
							t.Errorf("body %q, want alice's name", r.body)
						}
						continue
					}
					wantReply(t, r, 401)
					want := realm + `, error="invalid_token", error_description="` + string(tt.reason) + `"`
					if tt.reason == testserver.NoToken {
						want = realm
					}
					if got := r.header.Get("WWW-Authenticate"); got != want {
						t.Errorf("WWW-Authenticate: %s\nwant %s", got, want)
					}
					if r.body != string(tt.reason)+"\n" {
						t.Errorf("body %q, want the reason", r.body)
					}
				}
				l := g.Ledger()
				if want := map[bool]int{true: 0, false: 2}[tt.reason == ""]; l.Refused != want || l.Arrived != 2 {
					t.Errorf("%d rejected of %d, want %d of 2", l.Refused, l.Arrived, want)
				}
			})
		})
	}
}

// handled calls a guard as a handler, without a connection. An aborted request is an error.
type handled struct{ g *testserver.Guard }

func (h handled) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	defer func() {
		if v := recover(); v == http.ErrAbortHandler {
			err = http.ErrAbortHandler
		} else if v != nil {
			panic(v)
		}
	}()
	w := httptest.NewRecorder()
	h.g.ServeHTTP(w, req)
	return w.Result(), nil
}

// The last moment of a token's life, and the first after it, for both kinds of tokens and with a
// clock that is wrong.
func TestGuardExpiry(t *testing.T) {
	for _, g := range []*testserver.Guard{
		{TTL: 2 * time.Second},
		{TTL: 2 * time.Second, Opaque: true},
		{TTL: 2 * time.Second, ClockOffset: -time.Hour},
	} {
		t.Run(fmt.Sprintf("opaque %v, clock %v", g.Opaque, g.ClockOffset), func(t *testing.T) {
			guarded(t, g, func(t *testing.T) {
				alice := visitor{rt: g, token: g.Issue("alice")} // at 0.5 s, so it ends at 2.5 s rounded up
				if opaque := strings.Count(alice.token, ".") == 0; opaque != g.Opaque {
					t.Errorf("opaque: %v, want %v", opaque, g.Opaque)
				}
				time.Sleep(2500*time.Millisecond - 1)
				wantReply(t, alice.do("GET", "/", ""), 200)
				time.Sleep(time.Nanosecond)
				r := alice.do("GET", "/", "")
				wantReply(t, r, 401)
				if r.body != string(testserver.Expired)+"\n" {
					t.Errorf("body %q, want %q", r.body, testserver.Expired)
				}
			})
		})
	}
}

func TestGuardForever(t *testing.T) {
	for _, opaque := range []bool{false, true} {
		g := &testserver.Guard{TTL: -1, Opaque: opaque}
		guarded(t, g, func(t *testing.T) {
			alice := visitor{rt: g, token: g.Issue("alice")}
			time.Sleep(20 * 365 * 24 * time.Hour)
			wantReply(t, alice.do("GET", "/", ""), 200)
		})
	}
}

func TestGuardAdvanceClock(t *testing.T) {
	g := &testserver.Guard{TTL: time.Minute}
	guarded(t, g, func(t *testing.T) {
		alice := visitor{rt: g, token: g.Issue("alice")}
		g.AdvanceClock(2 * time.Minute)
		wantReply(t, alice.do("GET", "/", ""), 401)
		g.AdvanceClock(-2 * time.Minute)
		wantReply(t, alice.do("GET", "/", ""), 200)
	})
}

// An opaque token that nobody issued is unknown, and so is a JWT.
func TestGuardOpaqueUnknown(t *testing.T) {
	g := &testserver.Guard{Opaque: true}
	guarded(t, g, func(t *testing.T) {
		for _, token := range []string{"x", mint(jwt.MapClaims{"sub": "alice"})} {
			for range 2 { // the first one makes the ledger know it
				r := visitor{rt: g, token: token}.do("GET", "/", "")
				wantReply(t, r, 401)
				if r.body != string(testserver.Unknown)+"\n" {
					t.Errorf("body %q, want %q", r.body, testserver.Unknown)
				}
			}
		}
		alice := visitor{rt: g, token: g.Issue("alice")}
		wantReply(t, alice.do("GET", "/", ""), 200)
		g.Revoke("alice")
		wantReply(t, alice.do("GET", "/", ""), 401)
		alice.token = g.Issue("alice")
		wantReply(t, alice.do("GET", "/", ""), 200)
	})
}

// The rejection's form is whatever the test says, and the ledger knows of it all the same.
func TestGuardReject(t *testing.T) {
	g := &testserver.Guard{Reject: func(w http.ResponseWriter, r *http.Request, reason testserver.Reason) {
		w.Header().Set("WWW-Authenticate", reason.Challenge())
		http.Error(w, r.URL.Path+": "+string(reason), http.StatusOK)
	}}
	guarded(t, g, func(t *testing.T) {
		alice := visitor{rt: g, token: g.Issue("alice"), id: "1"}
		g.Revoke("alice")
		r := alice.do("GET", "/a", "")
		wantReply(t, r, 200)
		if want := "/a: " + string(testserver.Revoked) + "\n"; r.body != want {
			t.Errorf("body %q, want %q", r.body, want)
		}
		if got := g.Ledger().Requests["1"]; got.Refused != 1 || g.Ledger().Refused != 1 {
			t.Errorf("%d rejections of the request, %d in all; want 1, 1", got.Refused, g.Ledger().Refused)
		}
		alice.do("GET", "/a", "")
		want := `testserver: request "1" was replayed with token ` + testserver.TokenID(alice.token) + ", with which it had been refused"
		if err := g.Check(); err == nil || err.Error() != want {
			t.Errorf("Check says %v, want %s", err, want)
		}
	})
}

// A login page needs no token, and whose token comes with it is not believed.
func TestGuardPublic(t *testing.T) {
	g := &testserver.Guard{
		Next:   http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "of %q", testserver.UserOf(r)) }),
		Public: func(r *http.Request) bool { return r.URL.Path == "/login" },
		Reject: func(w http.ResponseWriter, r *http.Request, _ testserver.Reason) {
			http.Redirect(w, r, "/login", http.StatusFound)
		},
	}
	guarded(t, g, func(t *testing.T) {
		r := visitor{rt: g}.do("GET", "/things", "")
		wantReply(t, r, 302)
		for _, token := range []string{"", "nonsense", mint(jwt.MapClaims{"sub": "alice", "exp": 0})} {
			r := visitor{rt: g, token: token}.do("GET", r.header.Get("Location"), "")
			wantReply(t, r, 200)
			if r.body != `of ""` {
				t.Errorf("body %s", r.body)
			}
		}
		if n := g.Ledger().Refused; n != 1 {
			t.Errorf("%d rejected, want 1", n)
		}
	})
}

// A token may stand where the API wants it.
func TestGuardToken(t *testing.T) {
	g := &testserver.Guard{Token: func(r *http.Request) string { return r.Header.Get("X-Access-Token") }}
	guarded(t, g, func(t *testing.T) {
		wantReply(t, visitor{rt: g, token: g.Issue("alice")}.do("GET", "/", ""), 401)
		req, _ := http.NewRequest("GET", "http://api.test/", nil)
		req.Header.Set("X-Access-Token", g.Issue("alice"))
		wantReply(t, visitor{rt: g}.send(req), 200)
	})
}

// What Next is told, and what comes back from it.
func TestGuardNext(t *testing.T) {
	g := &testserver.Guard{Next: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-User", testserver.UserOf(r))
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %s %s %v", r.Method, r.URL, body, strings.HasPrefix(r.Header.Get("Authorization"), "Bearer "))
	})}
	guarded(t, g, func(t *testing.T) {
		r := visitor{rt: g, token: g.Issue("alice")}.do("PUT", "/things/1?a=b", "hello")
		wantReply(t, r, http.StatusTeapot)
		if want := "PUT /things/1?a=b hello true"; r.body != want || r.header.Get("X-User") != "alice" {
			t.Errorf("body %q of %q, want %q of alice", r.body, r.header.Get("X-User"), want)
		}
	})
	if got := testserver.UserOf(httptest.NewRequest("GET", "/", nil)); got != "" {
		t.Errorf("a request from elsewhere is %q's", got)
	}
}

// Effects are what changes something, once for each request id.
func TestGuardEffects(t *testing.T) {
	g := &testserver.Guard{Next: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/silent":
		case "/bad":
			w.WriteHeader(http.StatusBadRequest)
		case "/early":
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusConflict)
		default:
			fmt.Fprint(w, "done")
		}
	})}
	guarded(t, g, func(t *testing.T) {
		alice := visitor{rt: g, token: g.Issue("alice")}
		effects := 0
		for i, tt := range []struct {
			method, path string
			effect       bool
		}{
			{"GET", "/", false}, {"HEAD", "/", false}, {"OPTIONS", "/", false},
			{"POST", "/", true}, {"PUT", "/", true}, {"PATCH", "/", true}, {"DELETE", "/", true},
			{"POST", "/silent", true}, {"POST", "/bad", false}, {"POST", "/early", false},
		} {
			alice.id = fmt.Sprint(i)
			alice.do(tt.method, tt.path, "x")
			if tt.effect {
				effects++
			}
			if n := g.Ledger().Effects; n != effects {
				t.Errorf("%s %s: %d effects so far, want %d", tt.method, tt.path, n, effects)
			}
		}
		if err := g.Check(); err != nil {
			t.Error(err)
		}
		alice.do("POST", "/bad", "x")
		alice.id = "3"
		alice.do("POST", "/again", "x")
		if err := g.Check(); err == nil || err.Error() != `testserver: request "3" (POST /again) took effect 2 times` {
			t.Errorf("Check says %v", err)
		}
		bob := visitor{rt: g, token: g.Issue("bob"), id: "0"}
		bob.do("GET", "/", "")
		if err := g.Check(); !strings.Contains(err.Error(), `request "0" of user "alice" was replayed with a token of user "bob"`) {
			t.Errorf("Check says %v", err)
		}
	})
}

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
		{name: "hold of a rejection", fault: testserver.Fault{Hold: ms, HoldRefusal: 10 * ms}, dead: true, status: 401, took: 11 * ms},
		{name: "no rejection to hold back", fault: testserver.Fault{HoldRefusal: 50 * ms}, status: 200, body: "done", effects: 1},
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
		if l.Effects != clients || len(l.Requests) != clients || l.Arrived != clients+l.Refused || l.Unnamed != 0 {
			t.Errorf("%d effects of %d requests, %d arrivals, %d rejected, %d unnamed", l.Effects, len(l.Requests), l.Arrived, l.Refused, l.Unnamed)
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
