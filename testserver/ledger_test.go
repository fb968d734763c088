package testserver_test

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/stayauth/stayauth/testserver"
)

// violations returns the lines of Check's error, without the package's prefix.
func violations(srv *testserver.Server) []string {
	err := srv.Check()
	if err == nil {
		return nil
	}
	return strings.Split(strings.ReplaceAll(err.Error(), "testserver: ", ""), "\n")
}

func wantViolations(t *testing.T, srv *testserver.Server, want ...string) {
	t.Helper()
	if got := violations(srv); !reflect.DeepEqual(got, want) {
		t.Errorf("Check names\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestLedger(t *testing.T) {
	srv := &testserver.Server{TTL: time.Second, ClockOffset: time.Hour}
	bubble(t, srv, func(t *testing.T) {
		start := time.Now()
		first := login(srv, "alice")
		old := caller{rt: srv, token: first.text("token"), id: "1"}
		time.Sleep(100 * time.Millisecond)
		wantStatus(t, old.post("hello"), 201)

		time.Sleep(2 * time.Second)
		old.id = "2"
		wantCode(t, old.post("again"), 401, 40)
		next := caller{rt: srv, token: refresh(srv, first.text("refresh_token")).text("token"), id: "2"}
		wantStatus(t, next.post("again"), 201)
		next.id = ""
		wantStatus(t, next.post("without an id"), 201)
		wantStatus(t, next.post("without an id"), 201)
		elsewhere := mint(jwt.MapClaims{"user_id": "bob", "iat": 0})
		wantCode(t, caller{rt: srv, token: elsewhere}.do("GET", "/nowhere", ""), 404, 16)

		idOld, idNext := testserver.TokenID(old.token), testserver.TokenID(next.token)
		got := srv.Ledger()
		want := testserver.Ledger{
			Arrived: 8, Rejected: 1, Effects: 4, TokenCalls: 2, Issued: 2, Unnamed: 3,
			Requests: map[string]testserver.Request{
				"1": {Attempts: 1, Effects: 1, Tokens: []string{idOld}},
				"2": {Attempts: 2, Effects: 1, Rejected: 1, Tokens: []string{idOld, idNext}},
			},
			Tokens: map[string]testserver.Token{
				idOld: {User: "alice", Issued: start, FirstUsed: start.Add(100 * time.Millisecond),
					FirstRejected: start.Add(2100 * time.Millisecond), Rejection: "JWTAuth error: token is expired (exp)", Uses: 2, Rejections: 1},
				idNext: {User: "alice", Issued: start.Add(2100 * time.Millisecond),
					FirstUsed: start.Add(2100 * time.Millisecond), Uses: 3},
				testserver.TokenID(elsewhere): {User: "bob", FirstUsed: start.Add(2100 * time.Millisecond), Uses: 1},
			},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("ledger\n%+v\nwant\n%+v", got, want)
		}
		for _, secret := range []string{old.token, next.token, elsewhere, first.text("refresh_token")} {
			if strings.Contains(fmt.Sprintf("%+v", got), secret) {
				t.Error("the ledger holds a secret")
			}
		}
		wantViolations(t, srv)
	})
}

func TestTwoEffects(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		alice := caller{rt: srv, token: srv.Issue("alice")}
		server := caller{rt: srv, token: srv.ServerToken()}
		for i, tt := range []struct {
			op     string
			caller caller
			method string
			path   string
			body   string
		}{
			{"AddActivity", alice, "POST", "/api/v2/feeds/activities", `{"type":"post","feeds":["user:alice"]}`},
			{"UpdateUsers", alice, "POST", "/api/v2/users", `{"users":{"alice":{}}}`},
			{"UpdateUsersPartial", alice, "PATCH", "/api/v2/users", `{"users":[{"id":"alice","set":{"name":"A"}}]}`},
			{"UpdateApp", server, "PATCH", "/api/v2/app", `{}`},
			{"CreateGuest", alice, "POST", "/api/v2/guest", `{"user":{"id":"ann"}}`},
		} {
			tt.caller.id = fmt.Sprint(i)
			for range 2 {
				if a := tt.caller.do(tt.method, tt.path, tt.body); a.err != nil || a.status >= 300 {
					t.Errorf("%s: %v, %v", tt.op, a.err, a.body)
				}
			}
			v := violations(srv)
			if want := fmt.Sprintf(`request "%d" (%s) took effect 2 times`, i, tt.op); len(v) != i+1 || v[i] != want {
				t.Errorf("Check names %q, want %s as the last", v, want)
			}
		}
	})
}

// What only reads, or changes nothing the second time, may come as often as it likes.
func TestRepeatsWithoutEffect(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		alice := caller{rt: srv, token: srv.Issue("alice")}
		alice.post("hello")
		for i, tt := range [][3]string{
			{"GET", "/api/v2/app", ""},
			{"GET", allUsers, ""},
			{"POST", "/api/v2/feeds/activities/query", ""},
			{"POST", "/api/v2/feeds/feed_groups/user/feeds/new", ""},
			{"POST", "/token", `{"user_id":"alice"}`},
		} {
			alice.id = fmt.Sprint(i)
			for range 2 {
				if a := alice.do(tt[0], tt[1], tt[2]); a.err != nil || a.status >= 300 {
					t.Errorf("%v: %v, %v", tt, a.err, a.body)
				}
			}
		}
		wantViolations(t, srv)
		if n := srv.Ledger().Requests["3"].Effects; n != 1 {
			t.Errorf("making a feed has %d effects, want 1", n)
		}
	})
}

func TestReplayWithRejectedToken(t *testing.T) {
	for name, srv := range map[string]*testserver.Server{
		"judged": {},
		"fault":  {Fault: always(testserver.Fault{Status: 401})},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, srv, func(t *testing.T) {
				alice := caller{rt: srv, token: srv.Issue("alice"), id: "a"}
				srv.Revoke("alice")
				wantCode(t, alice.post("hello"), 401, 40)
				alice.id = "b" // the same token with another request is no replay
				wantCode(t, alice.post("hello"), 401, 40)
				alice.id = ""
				wantCode(t, alice.post("hello"), 401, 40)
				wantCode(t, alice.post("hello"), 401, 40)
				wantViolations(t, srv)
				alice.id = "a"
				wantCode(t, alice.post("hello"), 401, 40)
				wantViolations(t, srv, `request "a" was replayed with token `+testserver.TokenID(alice.token)+`, with which it had been rejected`)
			})
		})
	}
}

// A client that was not told of the rejection can't know better.
func TestRejectionThatDidNotArrive(t *testing.T) {
	fault := testserver.Fault{Cut: testserver.CutAfter} // written only between requests
	srv := &testserver.Server{Fault: func(*http.Request) testserver.Fault { return fault }}
	bubble(t, srv, func(t *testing.T) {
		alice := caller{rt: srv, token: srv.Issue("alice"), id: "a"}
		srv.Revoke("alice")
		if a := alice.post("hello"); a.err == nil {
			t.Fatalf("got an answer with status %d, want none", a.status)
		}
		fault = testserver.Fault{}
		wantCode(t, alice.post("hello"), 401, 40)
		wantViolations(t, srv)
		wantCode(t, alice.post("hello"), 401, 40)
		if n := len(violations(srv)); n != 1 {
			t.Errorf("%d violations, want 1", n)
		}
	})
}

func TestReplayAsAnotherUser(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		alice := caller{rt: srv, token: srv.Issue("alice"), id: "a"}
		srv.Revoke("alice")
		wantCode(t, alice.post("hello"), 401, 40)
		bob := caller{rt: srv, token: srv.Issue("bob"), id: "a", feed: "user:bob"}
		wantStatus(t, bob.post("hello"), 201)
		server := caller{rt: srv, token: srv.ServerToken(), id: "a"}
		wantStatus(t, server.do("GET", "/api/v2/app", ""), 200)
		wantViolations(t, srv, `request "a" of user "alice" was replayed with a token of user "bob"`,
			`request "a" of user "alice" was replayed with a token of a server`)
	})
}

func TestForeign(t *testing.T) {
	srv := &testserver.Server{Foreign: true, Fault: always(testserver.Fault{Cut: testserver.CutBefore})}
	bubble(t, srv, func(t *testing.T) {
		nobody := caller{rt: srv, auth: "-"}
		nobody.do("POST", "/anything", `{"user_id":"alice"}`)
		nobody.do("POST", "/token", `{"user_id":"alice","session":"","refresh_token":null}`)
		wantViolations(t, srv)

		secret := "s3cret-value"
		somebody := caller{rt: srv, token: secret}
		somebody.do("POST", "/a", "")
		nobody.do("POST", "/token?authorization="+secret, `{"session":"`+secret+`"}`)
		nobody.do("POST", "/c", `{"refresh_token":"`+secret+`"}`)
		nobody.do("POST", "/d", "grant_type=refresh_token&refresh_token="+secret)
		nobody.do("POST", "/e", "grant_type=client_credentials&client_secret="+secret)
		nobody.do("POST", "/f", "refresh_token=&"+secret)
		id := testserver.TokenID(secret)
		wantViolations(t, srv, "token "+id+" reached a foreign server, with POST /a",
			"token "+id+" reached a foreign server, with POST /token",
			"a session secret reached a foreign server, with POST /token",
			"a refresh token reached a foreign server, with POST /c",
			"a refresh token reached a foreign server, with POST /d",
			"a client secret reached a foreign server, with POST /e")
		if strings.Contains(srv.Check().Error(), secret) {
			t.Error("Check's error holds a secret")
		}
	})
}

// Check spells out the first hundred violations, counts the rest, and each is an error of its own.
func TestManyViolations(t *testing.T) {
	srv := &testserver.Server{Foreign: true}
	bubble(t, srv, func(t *testing.T) {
		for range 107 {
			caller{rt: srv, token: "x"}.ping()
		}
		v := violations(srv)
		if len(v) != 101 || v[100] != "and 7 more" {
			t.Errorf("%d lines, the last %q; want 101 and %q", len(v), v[len(v)-1], "and 7 more")
		}
		if joined, ok := errors.AsType[interface {
			error
			Unwrap() []error
		}](srv.Check()); !ok || len(joined.Unwrap()) != 101 {
			t.Error("Check's error joins no errors")
		}
	})
}

// Ids that are too long count as none, so that a client can't fill the server's memory with them.
func TestLongRequestID(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		for _, n := range []int{256, 257} {
			alice := caller{rt: srv, token: srv.Issue("alice"), id: strings.Repeat("x", n)}
			wantStatus(t, alice.post("hello"), 201)
		}
		if n := len(srv.Ledger().Requests); n != 1 {
			t.Errorf("%d requests with an id, want 1", n)
		}
	})
}
