package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
)

// TestTenAtOnce: ten processes that find the token expired, or revoked, get one between them.
func TestTenAtOnce(t *testing.T) {
	srv := &testserver.Server{Session: session, ClockOffset: -24 * time.Hour, Fault: func(r *http.Request) (f testserver.Fault) {
		if r.URL.Path == "/token" {
			f.Latency = 300 * time.Millisecond // so that the others come while one asks
		}
		return f
	}}
	d := newDesk(t, srv)
	d.login()
	for i, end := range []func(){
		func() { srv.AdvanceClock(24 * time.Hour) }, // the token has expired by everybody's clock
		func() { srv.AdvanceClock(24 * time.Hour) }, // by the server's alone
		func() { srv.Revoke("alice") },
	} {
		end()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				cmd := exec.CommandContext(t.Context(), os.Args[0], d.args([]string{"post", "Hello"})...)
				cmd.Env = append(os.Environ(), asTool+"=1")
				if out, err := cmd.CombinedOutput(); err != nil || string(out) != "Posted to user:alice.\n" {
					t.Errorf("cli post: %v, and it says %q", err, out)
				}
			})
		}
		wg.Wait()
		if calls := srv.Ledger().TokenCalls; calls != 2+i {
			t.Fatalf("%d token calls after %d logins, expiries and revocations; want as many", calls, 2+i)
		}
	}
	if posts := strings.Count(d.ok("list", "-n", "1000"), "Hello"); posts != 30 {
		t.Errorf("%d posts, want 30", posts)
	}
	if err := srv.Check(); err != nil {
		t.Error(err)
	}
}

func TestLogoutIsForAll(t *testing.T) {
	srv := &testserver.Server{Session: session}
	d := newDesk(t, srv)
	d.login()
	d.ok("post", "Hello")
	tail := d.tail(t.Context())
	tail.want("Hello")

	if out := d.ok("logout"); out != "alice is logged out.\n" {
		t.Errorf("logout printed %q", out)
	}
	if status := <-tail.status; status != exitLoggedOut {
		t.Errorf("tail ended with status %d, want 3", status)
	}
	for _, command := range []string{"whoami", "post", "list", "tail"} {
		status, _, stderr := d.run(command, "Hello")
		if command != "post" {
			status, _, stderr = d.run(command)
		}
		if status != exitLoggedOut || stderr != "cli: you are not logged in\nTry: cli login\n" {
			t.Errorf("%s: exit status %d, and it says %q", command, status, stderr)
		}
	}
	if calls := srv.Ledger().TokenCalls; calls != 1 {
		t.Errorf("%d token calls, want 1: nobody may ask for a user who has logged out", calls)
	}
	d.ok("logout") // again
	t.Setenv("STREAM_SESSION", session)
	d.ok("login") // as before
	d.ok("post", "Hello")
}

// TestTwoUsersAtOnce: two people log in at the same time. Both get an answer, one of them is logged
// in afterwards, and after a logout no secret is left of either.
func TestTwoUsersAtOnce(t *testing.T) {
	for range 10 {
		d := newDesk(t, &testserver.Server{Session: session})
		t.Setenv("STREAM_SESSION", session)
		var wg sync.WaitGroup
		for _, user := range []string{"alice", "bob"} {
			wg.Go(func() {
				cmd := exec.CommandContext(t.Context(), os.Args[0], d.args([]string{"login", "-user", user, "-key", testserver.DefaultKey,
					"-base", d.url, "-token-url", d.url + "/token"})...)
				cmd.Env = append(os.Environ(), asTool+"=1")
				if out, err := cmd.CombinedOutput(); err != nil || string(out) != fmt.Sprintf("Logged in as %s at %s.\n", user, d.url) {
					t.Errorf("cli login -user %s: %v, and it says %q", user, err, out)
				}
			})
		}
		wg.Wait()
		d.ok("post", "Hello")
		d.ok("logout")
		d.wantNoSecrets()
		if t.Failed() {
			return
		}
	}
}

// TestInterruptedLogin: a login whose process was killed when it had saved the token is forgotten
// by a logout, too.
func TestInterruptedLogin(t *testing.T) {
	d := newDesk(t, &testserver.Server{Session: session})
	d.login()
	tool := newTool(nil, t.Output(), t.Output())
	tool.store.Dir = d.state
	m, err := tool.remembered(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bobs := settings{User: "bob", Key: testserver.DefaultKey}
	m.Logins = append(m.Logins, bobs.loginKey())
	if err := tool.remember(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	bob := tool.sharedLogin(bobs)
	if err := bob.Login(t.Context(), provider.NewToken("bob's token", time.Time{}).WithRefreshToken("bob's")); err != nil {
		t.Fatal(err)
	}
	d.ok("post", "Hello") // alice is still logged in
	d.ok("logout")
	d.wantNoSecrets()
}

// wantNoSecrets checks that no file in the state folder holds a token.
func (d *desk) wantNoSecrets() {
	d.t.Helper()
	files, err := os.ReadDir(d.state)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(d.state, f.Name()))
		if err != nil {
			d.t.Fatal(err)
		}
		for _, field := range []string{`"token":"`, `"refresh":"`} {
			if bytes.Contains(data, []byte(field)) {
				d.t.Errorf("%s still holds a secret", f.Name())
			}
		}
	}
}

// record is the file with alice's login.
func (d *desk) record() string {
	d.t.Helper()
	files, err := filepath.Glob(filepath.Join(d.state, "login-alice@"+testserver.DefaultKey+"@*.json"))
	if err != nil || len(files) != 1 {
		d.t.Fatalf("alice's login is in %q, %v; want one file", files, err)
	}
	return files[0]
}

// TestAnotherBackend: the secrets of a login go to the backend that it was made at, also those of
// the same user with the same key, and also from a copy of the tool that still runs with the last.
func TestAnotherBackend(t *testing.T) {
	var got atomic.Int32 // token calls of the first backend
	first := &testserver.Server{Session: session, Fault: func(r *http.Request) (f testserver.Fault) {
		if r.URL.Path == "/token" {
			got.Add(1)
		}
		return f
	}}
	d := newDesk(t, first)
	d.login()
	still := newTool(nil, t.Output(), t.Output())
	still.store.Dir = d.state
	m, err := still.remembered(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second := newDesk(t, &testserver.Server{Session: session})
	second.state = d.state
	second.login()

	before := got.Load()
	token, err := still.sharedLogin(m.settings).Token(t.Context(), provider.Token{})
	if !errors.Is(err, errNotLoggedIn) || !token.IsZero() {
		t.Errorf("a copy with the first backend finds a login, %v; want none", err)
	}
	second.ok("post", "Hello")
	if calls := got.Load() - before; calls != 0 {
		t.Errorf("%d token calls of the first backend after the login at the second, want none", calls)
	}
	second.ok("logout")
	second.wantNoSecrets()
}

func TestAnotherUser(t *testing.T) {
	srv := &testserver.Server{Session: session}
	d := newDesk(t, srv)
	d.login()
	record := d.record()
	before, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	if status, _, _ := d.run("login", "-user", "bob"); status != exitFailed { // without the session secret
		t.Fatalf("exit status %d, want 1", status)
	}
	if after, err := os.ReadFile(record); err != nil || !bytes.Equal(before, after) {
		t.Errorf("a login that failed has changed the one that was there (%v)", err)
	}
	if out := d.ok("whoami", "-json"); !strings.Contains(out, `"user":"alice"`) {
		t.Errorf("whoami printed %q", out)
	}
	d.login("-user", "bob")
	if after, err := os.ReadFile(record); err != nil || !bytes.Contains(after, []byte(`"forgotten":true`)) {
		t.Errorf("alice's login is still there (%v)", err)
	}
	if out := d.ok("whoami", "-json"); !strings.Contains(out, `"user":"bob"`) {
		t.Errorf("whoami printed %q", out)
	}
}
