package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
)

// asTool makes the test binary behave as the tool: that is how a test gets several processes.
const asTool = "STAYAUTH_TEST_AS_CLI"

func TestMain(m *testing.M) {
	if os.Getenv(asTool) != "" {
		main()
	}
	os.Exit(m.Run())
}

const session = "alice's session secret"

// A desk is where a person sits: a state folder and a server.
type desk struct {
	t     *testing.T
	url   string
	state string
}

func newDesk(t *testing.T, server http.Handler) *desk {
	for _, name := range []string{"STREAM_API_KEY", "STREAM_API_SECRET", "STREAM_BASE_URL", "STREAM_TOKEN_URL", "STREAM_SESSION"} {
		t.Setenv(name, "")
	}
	hs := httptest.NewServer(server)
	t.Cleanup(hs.Close)
	return &desk{t, hs.URL, filepath.Join(t.TempDir(), "state")}
}

// args puts the state folder into a command line.
func (d *desk) args(line []string) []string {
	return slices.Insert(slices.Clone(line), 1, "-state", d.state)
}

// run runs the tool with nothing to read, and returns its exit status and what it wrote.
func (d *desk) run(line ...string) (status int, stdout, stderr string) {
	d.t.Helper()
	var out, diag bytes.Buffer
	status = newTool(strings.NewReader(""), &out, &diag).run(d.t.Context(), d.args(line))
	if strings.Contains(out.String()+diag.String(), session) {
		d.t.Errorf("%s: the session secret was printed", line[0])
	}
	return status, out.String(), diag.String()
}

// ok runs the tool, which must succeed and have no complaint, and returns what it printed.
func (d *desk) ok(line ...string) string {
	d.t.Helper()
	status, stdout, stderr := d.run(line...)
	if status != exitOK || stderr != "" {
		d.t.Fatalf("cli %s: exit status %d, and it says %q; want 0 and nothing", strings.Join(line, " "), status, stderr)
	}
	return stdout
}

func (d *desk) login(more ...string) {
	d.t.Helper()
	d.t.Setenv("STREAM_SESSION", session)
	d.ok(append([]string{"login", "-user", "alice", "-key", testserver.DefaultKey, "-base", d.url, "-token-url", d.url + "/token"}, more...)...)
	d.t.Setenv("STREAM_SESSION", "")
}

func TestPostsTheNextDayWithoutAsking(t *testing.T) {
	srv := &testserver.Server{Session: session, ClockOffset: -24 * time.Hour}
	d := newDesk(t, srv)
	d.login()
	srv.AdvanceClock(24 * time.Hour)

	var posted entry
	if err := json.Unmarshal([]byte(d.ok("post", "-json", "Good", "morning")), &posted); err != nil {
		t.Fatal(err)
	}
	if posted.Text != "Good morning" || posted.User != "alice" || !slices.Equal(posted.Feeds, []string{"user:alice"}) || posted.ID == "" {
		t.Errorf("post printed %+v", posted)
	}
	if l := srv.Ledger(); l.TokenCalls != 2 || l.Rejected != 1 { // it is used until it is rejected: this machine's clock may be wrong
		t.Errorf("%d token calls and %d requests refused; want 2 and 1", l.TokenCalls, l.Rejected)
	}
	if out := d.ok("list"); !strings.HasSuffix(out, "  alice  Good morning\n") {
		t.Errorf("list printed %q", out)
	}
	if out := d.ok("whoami"); !strings.HasPrefix(out, "alice at "+d.url+", with a token until 20") {
		t.Errorf("whoami printed %q", out)
	}
	var who struct {
		User      string    `json:"user"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	if err := json.Unmarshal([]byte(d.ok("whoami", "-json")), &who); err != nil || who.User != "alice" || time.Until(who.ExpiresAt) <= 0 {
		t.Errorf("whoami -json has user %q and expiry %v, %v", who.User, who.ExpiresAt, err)
	}
	if err := srv.Check(); err != nil {
		t.Error(err)
	}
}

// TestKeepsOnlyWhatItNeeds: the session secret has done its work where there is a refresh token.
func TestKeepsOnlyWhatItNeeds(t *testing.T) {
	d := newDesk(t, &testserver.Server{Session: session})
	d.login()
	err := filepath.WalkDir(d.state, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(session)) {
			t.Errorf("%s holds the session secret", e.Name())
		}
		if info, err := e.Info(); runtime.GOOS != "windows" && (err != nil || info.Mode().Perm() != 0o600) {
			t.Errorf("%s has mode %v, %v; want 0600", e.Name(), info.Mode(), err)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSessionOver(t *testing.T) {
	first := &testserver.Server{Session: session}
	// Another one knows nothing of the login, and to it the token is an old one.
	second := &testserver.Server{Session: session, ClockOffset: 48 * time.Hour}
	var now atomic.Pointer[testserver.Server]
	now.Store(first)
	d := newDesk(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { now.Load().ServeHTTP(w, r) }))
	d.login()
	now.Store(second)

	status, _, stderr := d.run("post", "Hello")
	if status != exitLoggedOut || !strings.HasPrefix(stderr, "cli: your session is over: ") ||
		!strings.Contains(stderr, "the refresh token is unknown") || !strings.HasSuffix(stderr, "\nTry: cli login\n") {
		t.Errorf("exit status %d, and it says %q; want 3, and why", status, stderr)
	}
	if status, _, stderr := d.run("post", "Hello"); status != exitLoggedOut || stderr != "cli: you are not logged in\nTry: cli login\n" {
		t.Errorf("the next run: exit status %d, and it says %q", status, stderr)
	}
	if calls := second.Ledger().TokenCalls; calls != 1 {
		t.Errorf("%d token calls, want 1: what was refused is not tried again", calls)
	}
	t.Setenv("STREAM_SESSION", session)
	d.ok("login") // the rest is remembered
	d.ok("post", "Hello")
}

// TestBackendWithoutRefreshSecrets: the session secret buys every token, until the backend says no.
func TestBackendWithoutRefreshSecrets(t *testing.T) {
	srv := new(testserver.Server)
	var calls, revoked atomic.Int32
	tokens := provider.Handler{
		Create: func(_ context.Context, userID string) (provider.Token, error) { // no two are the same
			signer := provider.Signer{Secret: provider.NewSecret(testserver.DefaultSecret), Claims: map[string]any{"jti": calls.Load()}}
			value, err := signer.UserToken(userID)
			return provider.NewToken(value, time.Time{}), err
		},
		Validate: func(r *http.Request) (string, error) {
			calls.Add(1)
			if in, err := provider.ReadTokenRequest(r); err != nil || in.Session.Value() != session || revoked.Load() > 0 {
				return "", provider.ErrDenied
			}
			return "alice", nil
		},
	}
	mux := http.NewServeMux()
	mux.Handle("/api/", srv)
	mux.Handle("/token", tokens)
	d := newDesk(t, mux)
	d.login()
	for i := range 3 {
		srv.Revoke("alice")
		d.ok("post", "Hello")
		if got := int(calls.Load()); got != 2+i {
			t.Errorf("%d token calls after a login and %d revocations", got, 1+i)
		}
	}
	revoked.Store(1)
	srv.Revoke("alice")
	if status, _, stderr := d.run("post", "Hello"); status != exitLoggedOut || !strings.Contains(stderr, "access_denied") {
		t.Errorf("exit status %d, and it says %q; want 3, and what the backend said", status, stderr)
	}
}

// TestBackendIsAway: a login that can't be refreshed now is not over.
func TestBackendIsAway(t *testing.T) {
	var away atomic.Bool
	srv := &testserver.Server{Session: session, ClockOffset: -24 * time.Hour, Fault: func(r *http.Request) (f testserver.Fault) {
		if away.Load() && r.URL.Path == "/token" {
			f.Status = http.StatusServiceUnavailable
		}
		return f
	}}
	d := newDesk(t, srv)
	d.login()
	srv.AdvanceClock(24 * time.Hour)
	away.Store(true)
	for range 2 {
		status, _, stderr := d.run("post", "Hello")
		if status != exitFailed || !strings.HasPrefix(stderr, "cli: provider: "+d.url+"/token answered with status 503") {
			t.Errorf("exit status %d, and it says %q; want 1, and that the backend is away", status, stderr)
		}
	}
	if calls := srv.Ledger().TokenCalls; calls != 3 {
		t.Errorf("%d token calls, want 3: one for each try", calls)
	}
	away.Store(false)
	d.ok("post", "Hello")
}

// TestListPages lists more than the API gives at a time.
func TestListPages(t *testing.T) {
	d := newDesk(t, new(testserver.Server))
	d.login()
	for i := range maxPage + 5 {
		d.ok("post", strconv.Itoa(i))
	}
	for _, most := range []int{1, maxPage, maxPage + 3, maxPage + 5, 1000} {
		var want, got []string
		for i := maxPage + 4; i >= 0 && len(want) < most; i-- {
			want = append(want, strconv.Itoa(i))
		}
		for line := range strings.Lines(d.ok("list", "-json", "-n", strconv.Itoa(most))) {
			var e entry
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			got = append(got, e.Text)
		}
		if !slices.Equal(got, want) {
			t.Errorf("list -n %d printed %v", most, got)
		}
	}
}
