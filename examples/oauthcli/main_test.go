package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/filestore"
	"github.com/stayauth/stayauth/testserver"
)

// asTool makes the test binary behave as the tool: that is how a test gets several processes.
const asTool = "STAYAUTH_TEST_AS_OAUTHCLI"

func TestMain(m *testing.M) {
	if os.Getenv(asTool) != "" {
		main()
	}
	os.Exit(m.Run())
}

// A desk is where a person sits: a state folder, a server, and a browser that does what the
// terminal says.
type desk struct {
	*testserver.Guard
	t           *testing.T
	base, state string
	fault       atomic.Pointer[func(*http.Request) testserver.Fault] // the guard's, which may change while it runs
}

func newDesk(t *testing.T) *desk {
	t.Setenv("OAUTH_CLIENT_SECRET", "")
	guard := newDemo(time.Hour)
	d := &desk{Guard: guard, t: t, state: filepath.Join(t.TempDir(), "state")}
	guard.Fault = func(r *http.Request) (f testserver.Fault) {
		if fault := d.fault.Load(); fault != nil {
			return (*fault)(r)
		}
		return f
	}
	t.Cleanup(func() { guard.Close() })
	server := httptest.NewServer(guard)
	t.Cleanup(server.Close)
	d.base = server.URL
	return d
}

// goesWrong says what goes wrong with a request from now on.
func (d *desk) goesWrong(fault func(*http.Request) testserver.Fault) { d.fault.Store(&fault) }

// run runs the tool and returns its exit status and what it wrote.
func (d *desk) run(line ...string) (status int, stdout, stderr string) {
	d.t.Helper()
	var out bytes.Buffer
	terminal := &person{t: d.t}
	status = newTool(&out, terminal).run(d.t.Context(), d.args(line))
	terminal.went.Wait()
	return status, out.String(), terminal.seen.String()
}

// args puts the state folder into a command line.
func (d *desk) args(line []string) []string {
	return slices.Insert(slices.Clone(line), min(1, len(line)), "-state", d.state)
}

// ok runs the tool, which must succeed, and returns what it printed.
func (d *desk) ok(line ...string) string {
	d.t.Helper()
	status, stdout, stderr := d.run(line...)
	if status != exitOK {
		d.t.Fatalf("oauthcli %s: exit status %d, %q", strings.Join(line, " "), status, stderr)
	}
	return stdout
}

func (d *desk) login(more ...string) string {
	d.t.Helper()
	return d.ok(append([]string{"login", "-no-browser", "-issuer", d.base, "-client-id", "demo", "-api", d.base}, more...)...)
}

// wants fails the test unless the tool ends with the given status, prints nothing, and says what is
// wanted.
func (d *desk) wants(status int, says string, line ...string) {
	d.t.Helper()
	got, stdout, stderr := d.run(line...)
	if got != status || !strings.Contains(stderr, says) || stdout != "" {
		d.t.Errorf("oauthcli %s: exit status %d, %q, %q; want %d and %q", strings.Join(line, " "), got, stdout, stderr, status, says)
	}
}

// A person reads the terminal and goes to where it sends him.
type person struct {
	t    *testing.T
	seen bytes.Buffer
	went sync.WaitGroup
}

var (
	address = regexp.MustCompile(`(?m)^http\S+$`)
	code    = regexp.MustCompile(`Go to (\S+) and type in this code: (\S+)`)
)

func (p *person) Write(b []byte) (int, error) {
	p.seen.Write(b)
	to := string(address.Find(b))
	if m := code.FindSubmatch(b); m != nil {
		to = string(m[1]) + "?user_code=" + string(m[2])
	}
	if to != "" {
		p.went.Go(func() {
			resp, err := http.Get(to)
			if err != nil {
				p.t.Error(err)
				return
			}
			resp.Body.Close()
		})
	}
	return len(b), nil
}

func TestLogin(t *testing.T) {
	for name, flags := range map[string][]string{"browser": nil, "code": {"-device"}} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.wants(exitLoggedOut, "you are not logged in", "status")
			if got := d.login(append(flags, "-scope", "offline_access read")...); got != "Logged in at "+d.base+".\n" {
				t.Errorf("login prints %q", got)
			}
			if got := d.ok("status"); !strings.Contains(got, "Logged in at "+d.base+" with the client id demo, ") || !strings.Contains(got, "is then replaced by itself") {
				t.Errorf("status prints %q", got)
			}
			for _, path := range []string{"/me", "me", d.base + "/me", "/me?a=b"} {
				if got := d.ok("get", path); got != `{"name":"alice"}`+"\n" {
					t.Errorf("get %s prints %q", path, got)
				}
			}
			token := strings.TrimSpace(d.ok("token"))
			if status := d.get(token); status != http.StatusOK {
				t.Errorf("token prints one that is answered with %d", status)
			}
			before := d.Ledger().TokenCalls
			d.Revoke("alice")
			d.ok("get", "/me")
			if l := d.Ledger(); l.TokenCalls != before+1 || l.Reused != 0 {
				t.Errorf("%d refreshes, %d with a spent refresh token; want 1 and 0", l.TokenCalls-before, l.Reused)
			}
			token = strings.TrimSpace(d.ok("token"))
			if got := d.ok("logout"); got != "Logged out at "+d.base+".\n" || d.get(token) != http.StatusUnauthorized {
				t.Errorf("logout prints %q, and after it the token is answered with %d", got, d.get(token))
			}
			d.wants(exitLoggedOut, "you are not logged in", "get", "/me")
			if got := d.ok("logout"); got != "You were not logged in.\n" {
				t.Errorf("a second logout prints %q", got)
			}
			d.ok(append([]string{"login", "-no-browser"}, flags...)...) // what was given once need not be given again
			d.ok("get", "/me")
		})
	}
}

// get returns the status with which the API answers a token.
func (d *desk) get(token string) int {
	d.t.Helper()
	req, err := http.NewRequest(http.MethodGet, d.base+"/me", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// Another server's login takes the place of the last one.
func TestAnotherServer(t *testing.T) {
	first, second := newDesk(t), newDesk(t)
	first.login()
	second.state = first.state
	second.login()
	if got := second.ok("status"); !strings.Contains(got, second.base) {
		t.Errorf("status prints %q", got)
	}
	s, err := (&tool{store: filestore.Store{Dir: first.state}}).remembered(t.Context())
	if err != nil || s.Issuer != second.base {
		t.Fatalf("remembered: %q, %v", s.Issuer, err)
	}
	s.Issuer, s.Endpoints.Token = first.base, first.base+"/token"
	old := (&tool{store: filestore.Store{Dir: first.state}, stderr: io.Discard}).sharedLogin(s)
	if _, err := old.Token(t.Context(), provider.Token{}); !errors.Is(err, errNotLoggedIn) {
		t.Errorf("the first login: %v, want none", err)
	}
}

// Ten copies at once, four times: each time the access token was revoked, one of them gets the next
// for all.
func TestTenCopies(t *testing.T) {
	d := newDesk(t)
	d.login()
	before := d.Ledger().TokenCalls
	for round := 1; round <= 4; round++ {
		d.Revoke("alice")
		var copies sync.WaitGroup
		for range 10 {
			copies.Go(func() {
				cmd := exec.CommandContext(t.Context(), os.Args[0], "get", "-state", d.state, "/me")
				cmd.Env = append(os.Environ(), asTool+"=1")
				if out, err := cmd.CombinedOutput(); err != nil || string(out) != `{"name":"alice"}`+"\n" {
					t.Errorf("a copy: %v, %s", err, out)
				}
			})
		}
		copies.Wait()
		if l := d.Ledger(); l.TokenCalls-before != round || l.Reused != 0 {
			t.Errorf("after %d rounds: %d refreshes, %d with a spent refresh token; want %d and 0", round, l.TokenCalls-before, l.Reused, round)
		}
	}
}

// The server has ended the login: the tool says so, what to do, and by its exit status.
func TestLoginEnded(t *testing.T) {
	d := newDesk(t)
	d.login()
	before := d.Ledger().TokenCalls
	d.LogOut("alice")
	d.wants(exitLoggedOut, `"invalid_grant"`, "get", "/me")
	d.wants(exitLoggedOut, "Try: oauthcli login", "get", "/me")
	if l := d.Ledger(); l.TokenCalls-before != 1 {
		t.Errorf("%d refreshes, want 1", l.TokenCalls-before)
	}
	d.login()
	d.ok("get", "/me")
}
