package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// started is run, as its user meets it. It returns the address in the line that says that it is
// ready.
func started(t *testing.T, args ...string) (url string, stop func() (status int)) {
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
	url, _, _ = strings.Cut(rest, ": ")
	return url, func() int {
		cancel()
		return <-status
	}
}

func TestRun(t *testing.T) {
	f := newFixture(t)
	secretFile := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secretFile, []byte(testSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	url, stop := started(t, "-addr", "127.0.0.1:0", "-users", f.path, "-secret-file", secretFile)
	resp, err := http.Post(url+"/login", "application/json", strings.NewReader(`{"user_id":"alice","password":"`+f.passwords["alice"]+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 200 || !strings.Contains(string(body), `"expires_in":2592000`) {
		t.Errorf("login: status %d, %d bytes, want 200 and 30 days", resp.StatusCode, len(body))
	}
	if status := stop(); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
}

func TestRunTLS(t *testing.T) {
	f := newFixture(t)
	model := httptest.NewTLSServer(nil) // for its certificate
	defer model.Close()
	pair := model.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]},
		keyFile:  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv(secretVariable, testSecret)
	// Beyond loopback, which TLS permits: run listens on every address of this machine.
	url, stop := started(t, "-addr", ":0", "-users", f.path, "-tls-cert", certFile, "-tls-key", keyFile)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(url, "https://"))
	client := model.Client()
	client.Transport.(*http.Transport).TLSClientConfig.ServerName = "example.com" // whom the certificate is for
	resp, err := client.Get("https://127.0.0.1:" + port + "/token")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 405 || resp.TLS.Version < tls.VersionTLS12 {
		t.Errorf("GET /token: status %d over TLS %x, want 405 over 1.2 at least", resp.StatusCode, resp.TLS.Version)
	}
	if status := stop(); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
}

// A request that is under way when the process is told to stop gets its answer.
func TestServeIsPatient(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-leave
		_, _ = io.WriteString(w, "done")
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served, answered := make(chan error, 1), make(chan error, 1)
	go func() { served <- serve(ctx, server, l) }() // ends with ctx
	go func() {                                     // ends with the answer
		resp, err := http.Get("http://" + l.Addr().String())
		if err == nil {
			var body []byte
			body, err = io.ReadAll(resp.Body)
			if _ = resp.Body.Close(); err == nil && string(body) != "done" {
				err = errors.New("the answer was cut off")
			}
		}
		answered <- err
	}()
	<-entered
	cancel()
	for { // until it listens no more, which is when it has begun to stop
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			break
		}
		_ = conn.Close()
	}
	close(leave)
	if err := <-answered; err != nil {
		t.Errorf("the request under way: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
}

func TestRunRefuses(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // what is not refused runs until then
	defer cancel()
	f := newFixture(t)
	users := " -users " + f.path
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte(" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args   string
		env    string
		status int
		says   string
	}{
		{"-bogus", "s", 2, "flag provided but not defined: -bogus"},
		{"-h", "s", 0, "Usage of backend"},
		{"now", "s", 2, `backend: unexpected argument "now"`},
		{"", "s", 2, "backend: -users is missing"},
		{"-users /nowhere/users.txt", "s", 1, "backend: open /nowhere/users.txt: "},
		{users, "", 2, "backend: the API secret is missing"},
		{users + " -secret-file " + empty, "", 2, "backend: the API secret is missing"},
		{users + " -secret-file /nowhere/secret", "", 2, "backend: open /nowhere/secret: "},
		{users + " -secret-file " + empty, "s", 2, "backend: the API secret is in both -secret-file and STREAM_API_SECRET"},
		{users + " -token-life 0", "s", 2, "backend: -token-life and -session-life must be more than 0"},
		{users + " -tls-cert cert.pem", "s", 2, "backend: -tls-cert and -tls-key go together"},
		{users + " -tls-cert " + empty + " -tls-key " + empty, "s", 1, "backend: tls: "},
		{users + " -addr 0.0.0.0:0", "s", 2, "backend: 0.0.0.0:0 can be reached from other machines"},
		{users + " -addr :0", "s", 2, "backend: :0 can be reached from other machines"},
		{users + " -addr nowhere", "s", 1, "backend: listen tcp: address nowhere: missing port"},
		{"-new-user \n", "s", 2, "backend: a user id is UTF-8"},
	} {
		t.Setenv(secretVariable, tt.env)
		if tt.env == "" {
			if err := os.Unsetenv(secretVariable); err != nil {
				t.Fatal(err)
			}
		}
		var stderr strings.Builder
		if got := run(ctx, strings.FieldsFunc(tt.args, func(r rune) bool { return r == ' ' }), io.Discard, &stderr); got != tt.status {
			t.Errorf("%s: exit status %d, want %d", tt.args, got, tt.status)
		}
		if !strings.HasPrefix(stderr.String(), tt.says) {
			t.Errorf("%s: says %q, want %q", tt.args, stderr.String(), tt.says)
		}
	}
}
