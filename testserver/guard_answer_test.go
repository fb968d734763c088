package testserver_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/stayauth/stayauth/testserver"
)

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
		if got := g.Ledger().Requests["1"]; got.Rejected != 1 || g.Ledger().Rejected != 1 {
			t.Errorf("%d rejections of the request, %d in all; want 1, 1", got.Rejected, g.Ledger().Rejected)
		}
		alice.do("GET", "/a", "")
		want := `testserver: request "1" was replayed with token ` + testserver.TokenID(alice.token) + ", with which it had been rejected"
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
		if n := g.Ledger().Rejected; n != 1 {
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
