package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
)

// runs is run, as its user meets it, until the test calls stop.
func runs(t *testing.T, args ...string) (url string, stop func() (status int)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, stdout := io.Pipe()
	status := make(chan int, 1)
	go func() { // ends with stop, or with the test
		defer stdout.Close()
		status <- run(ctx, args, stdout, t.Output())
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("no line that says it is ready: %v", err)
	}
	_, rest, _ := strings.Cut(line, "ready at ")
	url, _, _ = strings.Cut(rest, " ")
	return url, func() int {
		cancel()
		return <-status
	}
}

func clearEnvironment(t *testing.T) {
	t.Setenv("TOKEN_COMMAND", "")
	t.Setenv("TOKEN_SESSION", "")
}

func needsShell(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("there is no sh, which TOKEN_COMMAND needs")
	}
}

func TestRunCommand(t *testing.T) {
	clearEnvironment(t)
	needsShell(t)
	// The command prints a token with one more character each time.
	t.Setenv("TOKEN_COUNT", filepath.Join(t.TempDir(), "count"))
	t.Setenv("TOKEN_COMMAND", `printf 1 >>"$TOKEN_COUNT"; echo "token-$(cat "$TOKEN_COUNT")"`)
	a := &api{first: 11, reject: bearer401}
	server := httptest.NewServer(a)
	defer server.Close()
	url, stop := runs(t, "-addr", "127.0.0.1:0", server.URL)
	if status, body := do(t, newRequest(t, "GET", url, "")); status != 200 || body != "welcome" {
		t.Errorf("status %d, %q", status, body)
	}
	if len(a.arrived) != 2 {
		t.Errorf("%d requests arrived, want one under each of two tokens", len(a.arrived))
	}
	if status := stop(); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
}

// Against Stream's protocol, with a token endpoint: a login, a revocation, and a server that comes
// back without its memory.
func TestRunTokenURL(t *testing.T) {
	clearEnvironment(t)
	t.Setenv("TOKEN_SESSION", "the session")
	first := &testserver.Server{Session: "the session"}
	second := &testserver.Server{Session: "the session", ClockOffset: 2 * time.Hour} // when the tokens of the first have ended
	var now atomic.Pointer[testserver.Server]
	now.Store(first)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { now.Load().ServeHTTP(w, r) }))
	defer server.Close()
	url, stop := runs(t, "-addr", "127.0.0.1:0", "-rejected", "code40", "-token-url", server.URL+"/token", "-user", "alice", server.URL)
	ask := func() {
		t.Helper()
		if status, body := do(t, newRequest(t, "GET", url+"/api/v2/app?api_key="+testserver.DefaultKey, "")); status != 200 {
			t.Errorf("status %d, %s", status, body)
		}
	}
	ask()
	first.Revoke("alice")
	ask()
	if n := first.Ledger().TokenCalls; n != 2 {
		t.Errorf("%d token calls, want one to log in and one for the revocation", n)
	}
	now.Store(second)
	ask()
	ask()
	if n := second.Ledger().TokenCalls; n != 2 {
		t.Errorf("%d token calls, want one that is refused and one to log in again", n)
	}
	for _, s := range []*testserver.Server{first, second} {
		if err := s.Check(); err != nil {
			t.Error(err)
		}
	}
	if status := stop(); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
}

func TestTokenCommandFails(t *testing.T) {
	needsShell(t)
	for _, tt := range []struct {
		command   string
		says      string
		permanent bool
	}{
		{"echo half a token; exit 3", "TOKEN_COMMAND: exit status 3", false},
		{"no-such-command-anywhere 2>&1", "TOKEN_COMMAND: exit status 127", true},
	} {
		tok, err := tokenCommand(tt.command).Token(t.Context(), provider.Token{})
		if err == nil || err.Error() != tt.says || provider.IsPermanent(err) != tt.permanent || !tok.IsZero() {
			t.Errorf("%s: %v, permanent: %t, want %s, %t, and no token", tt.command, err, provider.IsPermanent(err), tt.says, tt.permanent)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // what is not refused runs until then
	defer cancel()
	clearEnvironment(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const api = "https://api.example.com"
	for _, tt := range []struct {
		args    string
		command string
		status  int
		says    string
	}{
		{"-bogus", "cmd", 2, "flag provided but not defined: -bogus"},
		{"-h", "cmd", 0, "Usage: TOKEN_COMMAND="},
		{"", "cmd", 2, "proxy: one argument is needed"},
		{api + " -addr :0", "cmd", 2, "proxy: one argument is needed, after the flags"},
		{"api.example.com", "cmd", 2, "proxy: the API must be a whole URL"},
		{"ftp://api.example.com", "cmd", 2, "proxy: the API must be a whole URL"},
		{"https://alice:hunter2@api.example.com", "cmd", 2, "proxy: the API's URL may have a path"},
		{api + "?key=hunter2", "cmd", 2, "proxy: the API's URL may have a path"},
		{"http://api.example.com", "cmd", 2, "proxy: over plain http everyone on the way to api.example.com could read the token"},
		{"-rejected 401 " + api, "cmd", 2, `proxy: -rejected is "401", and must be bearer, any401 or code40`},
		{api, "", 2, "proxy: there is nowhere to get a token from"},
		{"-token-url https://b.example/token " + api, "cmd", 2, "proxy: TOKEN_COMMAND is set"},
		{"-user alice " + api, "cmd", 2, "proxy: TOKEN_COMMAND is set"},
		{"-addr 0.0.0.0:0 " + api, "cmd", 2, "proxy: 0.0.0.0:0 can be reached from other machines"},
		{"-addr :0 " + api, "cmd", 2, "proxy: :0 can be reached from other machines"},
		{"-addr " + l.Addr().String() + " " + api, "cmd", 1, "proxy: listen tcp "},
	} {
		if err := os.Setenv("TOKEN_COMMAND", tt.command); err != nil { // clearEnvironment puts it back
			t.Fatal(err)
		}
		var stderr strings.Builder
		if got := run(ctx, strings.Fields(tt.args), io.Discard, &stderr); got != tt.status {
			t.Errorf("%s: exit status %d, want %d", tt.args, got, tt.status)
		}
		if !strings.HasPrefix(stderr.String(), tt.says) || strings.Contains(stderr.String(), "hunter2") {
			t.Errorf("%s: says %q, want %q", tt.args, stderr.String(), tt.says)
		}
	}
}

// With a name to be called by, it serves others than this machine.
func TestRunForOthers(t *testing.T) {
	clearEnvironment(t)
	needsShell(t)
	t.Setenv("TOKEN_COMMAND", "echo token-1")
	server := httptest.NewServer(&api{first: 1})
	defer server.Close()
	url, stop := runs(t, "-addr", "0.0.0.0:0", "-host", "proxy.lan", server.URL)
	url = "http://127.0.0.1" + url[strings.LastIndex(url, ":"):]
	for host, want := range map[string]int{"proxy.lan": 200, "evil.example": 421} {
		req := newRequest(t, "GET", url, "")
		req.Host = host
		if status, _ := do(t, req); status != want {
			t.Errorf("called by %s: status %d, want %d", host, status, want)
		}
	}
	if status := stop(); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
}
