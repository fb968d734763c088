package testserver_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

// A shown is what a page shows at a moment.
type shown struct {
	raw    string
	Counts [2]int
	Events []struct {
		User   string `json:"u"`
		Kind   string `json:"k"`
		Token  string `json:"i"`
		Status int    `json:"s"`
		Words  string `json:"w"`
	}
	Tokens []struct {
		ID, User, State   string
		Issued, Ends, Cut float64
		Uses              int
		Mine              bool
	}
	Users []struct {
		ID                                 string
		Paused, Calling, Revoked           float64
		Served, Rejected, Replayed, Failed int
	}
	View struct {
		Kind     string
		Can      []string
		Check    []string
		Settings struct {
			AuthChecks      bool
			Revoked, Offset float64
		}
		Ledger []struct {
			Name  string
			Value int
		}
		Sockets []struct{ User, Token string }
		Logins  []struct {
			User, Client, State string
			Refreshes           int
		}
	}
}

// kinds lists the events: who, what and which status.
func (s shown) kinds() (all []string) {
	for _, e := range s.Events {
		all = append(all, fmt.Sprintf("%s %s %d", e.User, e.Kind, e.Status))
	}
	return all
}

// states lists the tokens: whose and how they stand.
func (s shown) states() (all []string) {
	for _, t := range s.Tokens {
		all = append(all, t.User+" "+t.State)
	}
	slices.Sort(all)
	return all
}

// toPage makes a request as the page's own script does on this machine.
func toPage(p *testserver.Page, method, path, body string) *httptest.ResponseRecorder {
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // a stream ends after its first message
	r := httptest.NewRequestWithContext(ctx, method, "http://127.0.0.1:8081"+path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:54321"
	r.Header.Set("Page-Key", "none")
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w
}

func show(t *testing.T, p *testserver.Page) (s shown) {
	t.Helper()
	s.raw = toPage(p, "GET", "/events", "").Body.String()
	if err := json.Unmarshal([]byte(strings.TrimPrefix(s.raw, "data: ")), &s); err != nil {
		t.Fatalf("%v: %s", err, s.raw)
	}
	return s
}

// turn turns a switch and returns its value.
func turn(t *testing.T, p *testserver.Page, action string) (value string) {
	t.Helper()
	w := toPage(p, "POST", "/act", action)
	var out struct{ Value, Error string }
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code != 200 {
		t.Fatalf("%s: status %d, %s", action, w.Code, w.Body)
	}
	return out.Value
}

func wantList(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// What has come, and how it went.
func TestPageShowsRequests(t *testing.T) {
	fail := false
	srv := &testserver.Server{TTL: time.Hour, Fault: func(*http.Request) testserver.Fault {
		if fail {
			return testserver.Fault{Cut: testserver.CutBefore}
		}
		return testserver.Fault{}
	}}
	bubble(t, srv, func(t *testing.T) {
		p := srv.Page()
		tok := srv.Issue("alice")
		c := caller{rt: srv, token: tok, id: "1"}
		c.post("served")
		srv.Revoke("alice")
		c.post("rejected")
		next := caller{rt: srv, token: srv.Issue("alice"), id: "1"}
		next.do("GET", "/api/v2/feeds/activities/nothing", "")
		next.ping()
		caller{rt: srv, token: srv.ServerToken()}.ping()
		caller{rt: srv, token: "nonsense"}.ping()
		login(srv, "bob")
		refresh(srv, "nonsense")
		fail = true
		caller{rt: direct{srv}, token: tok}.ping()
		got := show(t, p)
		wantList(t, "events", got.kinds(),
			"alice served 201", "alice rejected 401", "alice pause 0", "alice failed 404", "alice replayed 200", "\x00server served 200", "\x00unknown rejected 401",
			"bob call 200", "alice call 401", "alice failed 0")
		wantList(t, "tokens", got.states(), "\x00server valid", "alice revoked", "alice valid", "bob valid")
		if got.Events[0].Token != testserver.TokenID(tok) || got.Events[0].Words != "AddActivity" || got.Events[8].Words != "the refresh token is unknown" {
			t.Errorf("events: %+v", got.Events)
		}
		if got.View.Kind != "server" || len(got.View.Check) != 0 || len(got.View.Logins) != 1 || got.View.Ledger[0].Value != srv.Ledger().Arrived {
			t.Errorf("the rest: %+v", got.View)
		}
	})
}

// The page holds no token and no secret, except the one that was asked for.
func TestPageHoldsNoSecret(t *testing.T) {
	secrets := []string{testserver.DefaultSecret, "sesame", "s&same"}
	srv := &testserver.Server{Session: "sesame"}
	defer srv.Close()
	guard := &testserver.Guard{Clients: map[string]string{"app": "s&same"}, Session: "sesame"}
	defer guard.Close()
	pages := []*testserver.Page{srv.Page(), guard.Page()}

	a := login(srv, "alice")
	b := refresh(srv, a.text("refresh_token"))
	refresh(srv, a.text("refresh_token")) // for the second time
	for _, tok := range []string{a.text("token"), b.text("token"), srv.Issue("alice"), srv.ServerToken()} {
		caller{rt: srv, token: tok}.post("hello")
		caller{rt: srv, token: "Bearer " + tok}.ping()
		secrets = append(secrets, tok)
	}
	secrets = append(secrets, a.text("refresh_token"), b.text("refresh_token"))

	first := guard.LogIn("bob")
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first}, "client_id": {"app"}, "client_secret": {"s&same"}}
	for range 2 {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "/token", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		guard.ServeHTTP(w, r)
		var out map[string]any
		_ = json.Unmarshal(w.Body.Bytes(), &out)
		for _, name := range []string{"access_token", "refresh_token"} {
			if v, ok := out[name].(string); ok {
				secrets = append(secrets, v)
			}
		}
	}
	secrets = append(secrets, first)
	if len(secrets) != 3+4+2+2+1 {
		t.Fatalf("%d secrets, want 12", len(secrets))
	}
	for _, p := range pages {
		got := show(t, p)
		if len(got.Tokens) == 0 || len(got.Events) == 0 {
			t.Fatalf("the page shows nothing: %s", got.raw)
		}
		for _, secret := range secrets {
			if strings.Contains(got.raw, secret) {
				t.Errorf("%.12s... is on the page: %s", secret, got.raw)
			}
		}
	}
}

// A server has one page, however often it is asked for. What came before is not on it.
func TestPageIsOne(t *testing.T) {
	srv := &testserver.Server{}
	defer srv.Close()
	srv.Issue("before")
	if first, second := srv.Page(), srv.Page(); first != second {
		t.Error("two calls return two pages")
	}
	srv.Issue("after")
	if got := show(t, srv.Page()).states(); !slices.Equal(got, []string{"after valid"}) {
		t.Errorf("the page shows %q, want what came after the first call", got)
	}
}

// What a client tells of itself.
func TestPageOfClientThatTells(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		p := srv.Page()
		p.Waiting("alice")
		time.Sleep(time.Second)
		if u := show(t, p).Users; len(u) != 1 || u[0].Paused == 0 {
			t.Errorf("a client that waits: %+v", u)
		}
		p.HeldBack("alice", time.Second)
		p.Resumed("alice", 1, errors.New("no luck"))
		got := show(t, p)
		wantList(t, "events", got.kinds(), "alice held 0", "alice pause 0")
		if words := got.Events[1].Words; words != "1 request waited, and no token came: no luck" || got.Users[0].Paused != 0 {
			t.Errorf("%q, %+v", words, got.Users)
		}
	})
}
