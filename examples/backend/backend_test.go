package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/stayauth/stayauth/provider"
)

const (
	testSecret  = "an API secret that nobody else has"
	sessionLife = 24 * time.Hour
	tokenLife   = 10 * time.Minute
)

// A fixture is a backend with two users, alice and bob.
type fixture struct {
	*backend
	t         *testing.T
	path      string            // of its users
	passwords map[string]string // by user id
	logged    bytes.Buffer
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, path: filepath.Join(t.TempDir(), "users.txt"), passwords: make(map[string]string)}
	var lines bytes.Buffer
	for _, id := range []string{"alice", "bob"} {
		var shown strings.Builder
		if err := printNewUser(id, &lines, &shown); err != nil {
			t.Fatal(err)
		}
		f.passwords[id] = shown.String()[strings.LastIndex(strings.TrimSpace(shown.String()), " ")+1 : shown.Len()-1]
	}
	f.writeUsers("# our users\n\n" + lines.String())
	f.backend = &backend{
		users:    usersFile(f.path),
		sessions: &memorySessions{life: sessionLife},
		signer:   provider.Signer{Secret: provider.NewSecret(testSecret), Validity: tokenLife},
		log:      slog.New(slog.NewTextHandler(&f.logged, nil)),
	}
	return f
}

func (f *fixture) writeUsers(data string) {
	f.t.Helper()
	if err := os.WriteFile(f.path, []byte(data), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// RoundTrip answers without a network. It implements http.RoundTripper.
func (f *fixture) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	f.handler().ServeHTTP(w, r)
	return w.Result(), nil
}

func (f *fixture) post(path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(f.t.Context(), "POST", path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	f.handler().ServeHTTP(w, r)
	return w
}

func (f *fixture) login(userID string) (session string) {
	f.t.Helper()
	w := f.post("/login", fmt.Sprintf(`{"user_id":%q,"password":%q}`, userID, f.passwords[userID]))
	var in struct {
		UserID    string `json:"user_id"`
		Session   string `json:"session"`
		ExpiresIn int    `json:"expires_in"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &in); err != nil || w.Code != 200 {
		f.t.Fatalf("login: status %d: %v", w.Code, err)
	}
	if in.UserID != userID || in.Session == "" || in.ExpiresIn != int(sessionLife.Seconds()) {
		f.t.Fatalf("login answered for user %q, with a session of %d characters for %d s", in.UserID, len(in.Session), in.ExpiresIn)
	}
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		f.t.Errorf("login may be cached: Cache-Control %q", got)
	}
	return in.Session
}

// provider returns what the backend's clients use.
func (f *fixture) provider(userID, session string) provider.HTTP {
	return provider.HTTP{URL: "https://backend.example/token", UserID: userID, Session: provider.NewSecret(session), Client: &http.Client{Transport: f}}
}

func TestLoginTokenLogout(t *testing.T) {
	f := newFixture(t)
	sessions := []string{f.login("alice"), f.login("alice"), f.login("bob")}
	for i, user := range []string{"alice", "alice", "bob"} {
		tok, err := f.provider(user, sessions[i]).Token(t.Context(), provider.Token{})
		if err != nil {
			t.Fatal(err)
		}
		claims := jwt.MapClaims{}
		_, err = jwt.ParseWithClaims(tok.Value(), claims, func(*jwt.Token) (any, error) { return []byte(testSecret), nil })
		if err != nil || claims["user_id"] != user {
			t.Errorf("session %d got a token for %v, want %s: %v", i, claims["user_id"], user, err)
		}
		if got := tok.Lifetime().Round(time.Minute); got != tokenLife {
			t.Errorf("the token lives for %s, want %s", got, tokenLife)
		}
	}

	// A logout ends one session, and the same answer comes a second time.
	for range 2 {
		if w := f.post("/logout", fmt.Sprintf(`{"session":%q}`, sessions[0])); w.Code != 204 || w.Body.Len() > 0 {
			t.Errorf("logout: status %d, %d bytes, want 204 and none", w.Code, w.Body.Len())
		}
	}
	if _, err := f.provider("alice", sessions[0]).Token(t.Context(), provider.Token{}); !provider.IsPermanent(err) {
		t.Errorf("after the logout: %v, want a permanent error", err)
	}
	for i, user := range map[int]string{1: "alice", 2: "bob"} {
		if _, err := f.provider(user, sessions[i]).Token(t.Context(), provider.Token{}); err != nil {
			t.Errorf("another session than the one that was logged out: %v", err)
		}
	}

	log := f.logged.String()
	for _, secret := range append(sessions, f.passwords["alice"], f.passwords["bob"], testSecret) {
		if strings.Contains(log, secret) {
			t.Error("the log holds a secret")
		}
	}
	if n := strings.Count(log, "logged in"); n != 3 {
		t.Errorf("%d logins are in the log, want 3", n)
	}
	if n := strings.Count(log, "logged out"); n != 1 {
		t.Errorf("%d logouts are in the log, want 1", n)
	}
}

func TestLoginRefuses(t *testing.T) {
	f := newFixture(t)
	alice := f.passwords["alice"]
	for _, tt := range []struct {
		name, contentType, body string
		status                  int
		says, logs              string
	}{
		{"wrong password", "application/json", `{"user_id":"alice","password":"guess"}`, 401, "access_denied", "wrong password"},
		{"another user's", "application/json", `{"user_id":"bob","password":"` + alice + `"}`, 401, "access_denied", "wrong password"},
		{"no password", "application/json", `{"user_id":"alice"}`, 401, "access_denied", "wrong password"},
		{"unknown user", "application/json", `{"user_id":"eve","password":"` + alice + `"}`, 401, "access_denied", "no such user"},
		{"nobody", "application/json", `null`, 401, "access_denied", "no such user"},
		{"a form", "application/x-www-form-urlencoded", `user_id=alice&password=` + alice, 415, "unsupported_media_type", ""},
		{"a form in disguise", "text/plain", `{"user_id":"alice","password":"` + alice + `"}`, 415, "unsupported_media_type", ""},
		{"no JSON", "application/json", `alice`, 400, "invalid_request", ""},
		{"too long", "application/json", `{"user_id":"` + strings.Repeat("a", maxRequest) + `"}`, 413, "request_too_large", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f.logged.Reset()
			r := httptest.NewRequestWithContext(t.Context(), "POST", "/login", strings.NewReader(tt.body))
			r.Header.Set("Content-Type", tt.contentType)
			w := httptest.NewRecorder()
			f.handler().ServeHTTP(w, r)
			if want := `{"error":"` + tt.says + `"}` + "\n"; w.Code != tt.status || w.Body.String() != want {
				t.Errorf("status %d, %s, want %d, %s", w.Code, w.Body, tt.status, want)
			}
			if log := f.logged.String(); !strings.Contains(log, tt.logs) || strings.Contains(log, alice) {
				t.Errorf("logged %q, want %q and no password", log, tt.logs)
			}
		})
	}
	w := httptest.NewRecorder()
	f.handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/login", nil))
	if w.Code != 405 {
		t.Errorf("GET /login: status %d, want 405", w.Code)
	}
	if n := len(f.sessions.(*memorySessions).open); n != 0 {
		t.Errorf("%d sessions were begun, want none", n)
	}
}

func TestTokenRefuses(t *testing.T) {
	f := newFixture(t)
	session := f.login("alice")
	for name, p := range map[string]provider.HTTP{
		"a made-up session":      f.provider("alice", "made up"),
		"no session":             f.provider("alice", ""),
		"another user's session": f.provider("bob", session),
	} {
		if _, err := p.Token(t.Context(), provider.Token{}); !provider.IsPermanent(err) {
			t.Errorf("%s: %v, want a permanent error", name, err)
		}
	}
	if _, err := f.provider("", session).Token(t.Context(), provider.Token{}); err != nil {
		t.Errorf("a session without a user id: %v", err)
	}
	if log := f.logged.String(); !strings.Contains(log, `the session of \"alice\" was used to ask for a token of \"bob\"`) {
		t.Errorf("the log does not tell of the mixed-up users: %s", log)
	}
}

// A list of users that can't be read logs nobody out. One that has lost a user does.
func TestUsersChange(t *testing.T) {
	f := newFixture(t)
	session := f.login("alice")
	whole, err := os.ReadFile(f.path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(whole), "\n")
	bob := lines[len(lines)-2]

	for _, torn := range []string{"", string(whole[:len(whole)-2]), lines[2] + bob[:len(bob)-1], "what is this\n"} {
		f.writeUsers(torn)
		_, err := f.provider("alice", session).Token(t.Context(), provider.Token{})
		if _, paced := provider.RetryDelay(err); err == nil || provider.IsPermanent(err) || !paced {
			t.Errorf("with the users %.20q...: %v, want a temporary error", torn, err)
		}
		if w := f.post("/login", `{"user_id":"alice","password":"`+f.passwords["alice"]+`"}`); w.Code != 503 {
			t.Errorf("with the users %.20q...: login has status %d, want 503", torn, w.Code)
		}
	}
	f.writeUsers(string(whole))
	if _, err := f.provider("alice", session).Token(t.Context(), provider.Token{}); err != nil {
		t.Errorf("once the users were back: %v", err)
	}
	forgotten := f.passwords["alice"]
	f.writeUsers(string(whole) + strings.Repeat("0f", 32) + " alice\n")
	if w := f.post("/login", `{"user_id":"alice","password":"`+forgotten+`"}`); w.Code != 401 {
		t.Errorf("with a password that was replaced: login has status %d, want 401", w.Code)
	}
	f.writeUsers(bob)
	if _, err := f.provider("alice", session).Token(t.Context(), provider.Token{}); !provider.IsPermanent(err) {
		t.Errorf("once the user was gone: %v, want a permanent error", err)
	}
}
