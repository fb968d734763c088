package testserver_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
)

// Revoking by the page is exact and can be undone, the API's own revocations too.
func TestPageRevokes(t *testing.T) {
	srv := &testserver.Server{TTL: time.Hour}
	bubble(t, srv, func(t *testing.T) {
		p := srv.Page()
		a, b := caller{rt: srv, token: srv.Issue("alice")}, caller{rt: srv, token: srv.Issue("bob")}
		operator := caller{rt: srv, token: srv.ServerToken()}
		want := func(after string, alice, bob int) {
			t.Helper()
			if x, y := a.ping(), b.ping(); x != alice || y != bob {
				t.Errorf("%s: alice gets code %d, bob %d; want %d, %d", after, x, y, alice, bob)
			}
		}
		want("at first", 0, 0)
		turn(t, p, `{"do":"revoke","users":["alice"]}`)
		want("alice is revoked", 40, 0)
		if fresh := (caller{rt: srv, token: srv.Issue("alice")}); fresh.ping() != 0 {
			t.Error("a token issued in the second of the revocation is rejected")
		}
		turn(t, p, `{"do":"revoke-all"}`)
		want("all are revoked", 40, 40)
		if s := show(t, p).View.Settings; s.Revoked == 0 {
			t.Errorf("the page does not say that all are revoked: %+v", s)
		}
		turn(t, p, `{"do":"undo-all"}`)
		want("that is undone", 40, 0)
		turn(t, p, `{"do":"undo","users":["alice"]}`)
		want("alice is undone", 0, 0)

		time.Sleep(2 * time.Second)
		now := time.Now().UTC().Format(time.RFC3339)
		wantStatus(t, operator.do("PATCH", "/api/v2/users", `{"users":[{"id":"alice","set":{"revoke_tokens_issued_before":"`+now+`"}}]}`), 200)
		want("alice is revoked by the API", 40, 0)
		turn(t, p, `{"do":"undo","users":["alice"]}`)
		want("the page undoes it", 0, 0)
		wantStatus(t, operator.do("PATCH", "/api/v2/app", `{"revoke_tokens_issued_before":"`+now+`"}`), 200)
		want("all are revoked by the API", 40, 40)
		turn(t, p, `{"do":"undo-all"}`)
		want("the page undoes it", 0, 0)
	})
}

func TestPageSwitches(t *testing.T) {
	srv := &testserver.Server{TTL: time.Hour}
	bubble(t, srv, func(t *testing.T) {
		p := srv.Page()
		dev := caller{rt: srv, token: turn(t, p, `{"do":"generate","user":"dave","form":"developer"}`)}
		minute := caller{rt: srv, token: turn(t, p, `{"do":"generate","user":"dave","form":"token","validity":60000}`)}
		ever := caller{rt: srv, token: turn(t, p, `{"do":"generate","user":"dave","form":"token","validity":0}`)}
		want := func(after string, d, m, e int) {
			t.Helper()
			if x, y, z := dev.ping(), minute.ping(), ever.ping(); x != d || y != m || z != e {
				t.Errorf("%s: the developer token gets code %d, that of a minute %d, that without an end %d; want %d, %d, %d", after, x, y, z, d, m, e)
			}
		}
		want("at first", 43, 0, 0)
		turn(t, p, `{"do":"auth-checks","on":false}`)
		want("without auth checks", 0, 0, 0)
		turn(t, p, `{"do":"auth-checks","on":true}`)
		want("with auth checks", 43, 0, 0)
		turn(t, p, `{"do":"clock","offset":120000}`)
		want("the clock is ahead", 43, 40, 0)
		if got := show(t, p); got.View.Settings.Offset != 120000 || got.states()[0] != "dave expired" {
			t.Errorf("the page says %+v, %q", got.View.Settings, got.states())
		}
		turn(t, p, `{"do":"clock","offset":0}`)
		want("the clock is right", 43, 0, 0)
		turn(t, p, `{"do":"clock","offset":-120000}`)
		want("the clock is behind", 43, 42, 42)
	})
}

// setFault turns one of the switches for what goes wrong.
func setFault(t *testing.T, p *testserver.Page, name, value string) {
	t.Helper()
	turn(t, p, `{"do":"fault","fault":"`+name+`","faults":{"`+name+`":`+value+`}}`)
}

func TestPageFaults(t *testing.T) {
	srv := &testserver.Server{TTL: time.Hour}
	bubble(t, srv, func(t *testing.T) {
		p := srv.Page()
		c := caller{rt: srv, token: srv.Issue("alice")}
		setFault(t, p, "apiFails", "true")
		setFault(t, p, "tokenDelay", "3000") // and the other stays
		wantStatus(t, c.post("x"), 500)
		began := time.Now()
		wantStatus(t, login(srv, "alice"), 200)
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("the token endpoint takes %v, want 3 s", took)
		}
		setFault(t, p, "apiFails", "false")
		setFault(t, p, "apiDelay", "2000")
		setFault(t, p, "tokenFails", "true")
		began = time.Now()
		wantStatus(t, c.post("x"), 201)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("the API takes %v, want 2 s", took)
		}
		wantStatus(t, login(srv, "alice"), 503)
		setFault(t, p, "tokenFails", "false")
		setFault(t, p, "tokenDead", "true")
		dead := login(srv, "alice")
		if code := (caller{rt: srv, token: dead.text("token")}).ping(); code != 40 {
			t.Errorf("a token that is dead on arrival gets code %d, want 40", code)
		}
		turn(t, p, `{"do":"heal"}`)
		began = time.Now()
		wantStatus(t, c.post("x"), 201)
		if took := time.Since(began); took != 0 {
			t.Errorf("the API takes %v when all is well again", took)
		}
		well := login(srv, "alice")
		if code := (caller{rt: srv, token: well.text("token")}).ping(); code != 0 {
			t.Errorf("when all is well again a new token gets code %d", code)
		}
	})
}

// While a call of the token endpoint lasts, the page says whose it is.
func TestPageShowsCallUnderWay(t *testing.T) {
	srv := &testserver.Server{TTL: time.Hour}
	bubble(t, srv, func(t *testing.T) {
		p := srv.Page()
		secret := login(srv, "alice").text("refresh_token")
		setFault(t, p, "tokenDelay", "3000")
		done := make(chan struct{})
		go func() {
			defer close(done)
			refresh(srv, secret)
		}()
		time.Sleep(time.Second)
		if u := show(t, p).Users; len(u) != 1 || u[0].ID != "alice" || u[0].Calling == 0 {
			t.Errorf("under way: %+v", u)
		}
		<-done
		if u := show(t, p).Users; u[0].Calling != 0 {
			t.Errorf("afterwards: %+v", u)
		}
	})
}

// A guard's page: the same as far as a guard has it, and its logins.
func TestPageOfGuard(t *testing.T) {
	guard := &testserver.Guard{TTL: time.Hour}
	defer guard.Close()
	p := guard.Page()
	ping := func(token string) int {
		r := httptest.NewRequest("GET", "/things", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		guard.ServeHTTP(w, r)
		return w.Code
	}
	spend := func(refresh string) int {
		r := httptest.NewRequest("POST", "/token", strings.NewReader("grant_type=refresh_token&refresh_token="+refresh))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		guard.ServeHTTP(w, r)
		return w.Code
	}
	token := turn(t, p, `{"do":"generate","user":"alice","form":"token","validity":60000}`)
	want := func(after string, status int) {
		t.Helper()
		if got := ping(token); got != status {
			t.Errorf("%s: status %d, want %d", after, got, status)
		}
	}
	want("at first", 200)
	turn(t, p, `{"do":"revoke","users":["alice"]}`)
	want("revoked", 401)
	turn(t, p, `{"do":"undo","users":["alice"]}`)
	want("undone", 200)
	turn(t, p, `{"do":"revoke-all"}`)
	want("all revoked", 401)
	turn(t, p, `{"do":"undo-all"}`)
	want("all undone", 200)
	turn(t, p, `{"do":"clock","offset":61000}`)
	want("a minute later", 401)
	turn(t, p, `{"do":"clock","offset":0}`)

	first := turn(t, p, `{"do":"generate","user":"bob","form":"refresh"}`)
	if status := spend(first); status != 200 {
		t.Errorf("a refresh: status %d", status)
	}
	got := show(t, p)
	if l := got.View.Logins; len(l) != 1 || l[0].User != "bob" || l[0].Refreshes != 1 || l[0].State != "open" {
		t.Errorf("the login: %+v", l)
	}
	if status := spend(first); status != 400 {
		t.Errorf("the same refresh token again: status %d", status)
	}
	got = show(t, p)
	if l := got.View.Logins; l[0].State != "ended: a refresh token was used twice" {
		t.Errorf("the login: %+v", l)
	}
	if e := got.Events[len(got.Events)-1]; e.Kind != "call" || e.User != "bob" || e.Status != 400 ||
		e.Words != "refresh_token: the refresh token was used before: the login has ended" {
		t.Errorf("the call: %+v", e)
	}
	last := turn(t, p, `{"do":"generate","user":"bob","form":"refresh"}`)
	turn(t, p, `{"do":"log-out","users":["bob"]}`)
	if status := spend(last); status != 400 {
		t.Errorf("after the logins have ended: status %d", status)
	}
	setFault(t, p, "apiFails", "true")
	want("the API fails", 500)
	for _, action := range []string{`{"do":"cut-sockets"}`, `{"do":"auth-checks"}`, `{"do":"nonsense"}`, `{"do":"generate","user":"x","form":"developer"}`} {
		if w := toPage(p, "POST", "/act", action); w.Code != 400 || !strings.Contains(w.Body.String(), "a Guard ") {
			t.Errorf("%s: status %d, %s", action, w.Code, w.Body)
		}
	}
}

// A token endpoint of one's own is on the page, and its switches act on it.
func TestPageTokenEndpoint(t *testing.T) {
	srv := &testserver.Server{TTL: time.Hour}
	bubble(t, srv, func(t *testing.T) {
		p := srv.Page()
		backend := &testserver.Guard{Next: p.TokenEndpoint(provider.Handler{
			Validate: func(r *http.Request) (string, error) {
				in, err := provider.ReadTokenRequest(r)
				return in.UserID, err
			},
			Signer: provider.Signer{Secret: provider.NewSecret(testserver.DefaultSecret), Validity: time.Hour},
		}), Public: func(*http.Request) bool { return true }, Prefix: "/none"}
		defer backend.Close()
		tokens := provider.HTTP{URL: "https://backend.test/token", UserID: "alice", Session: provider.NewSecret("s"), Client: &http.Client{Transport: backend}}
		get := func() string {
			tok, err := tokens.Token(context.Background(), provider.Token{})
			if err != nil {
				t.Fatal(err)
			}
			return tok.Value()
		}
		first := get()
		if code := (caller{rt: srv, token: first}).ping(); code != 0 {
			t.Errorf("its token gets code %d", code)
		}
		got := show(t, p)
		if e := got.Events[0]; e.Kind != "call" || e.User != "alice" || e.Status != 200 || e.Token != testserver.TokenID(first) {
			t.Errorf("the call: %+v", e)
		}
		setFault(t, p, "tokenDead", "true")
		setFault(t, p, "tokenDelay", "2000")
		began := time.Now()
		if code := (caller{rt: srv, token: get()}).ping(); code != 40 {
			t.Errorf("a token that is dead on arrival gets code %d, want 40", code)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("it took %v, want 2 s", took)
		}
		setFault(t, p, "tokenFails", "true")
		if _, err := tokens.Token(context.Background(), provider.Token{}); err == nil || !strings.Contains(err.Error(), "503") {
			t.Errorf("an endpoint that fails: %v", err)
		}
	})
}
