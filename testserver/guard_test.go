package testserver_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
		{"no user", func(*testserver.Guard) string { return mint(key, jwt.MapClaims{"exp": in(time.Hour)}) }, testserver.Malformed},
		{"a user_id that is a number", func(*testserver.Guard) string { return mint(key, jwt.MapClaims{"user_id": 7}) }, testserver.Malformed},
		{"a backend's, by user_id", func(*testserver.Guard) string { return mint(key, jwt.MapClaims{"user_id": "alice"}) }, ""},
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
				if want := map[bool]int{true: 0, false: 2}[tt.reason == ""]; l.Rejected != want || l.Arrived != 2 {
					t.Errorf("%d rejected of %d, want %d of 2", l.Rejected, l.Arrived, want)
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

// An opaque token that was never issued is unknown, and so is a JWT.
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
