// Package interop_test runs Stream's own published clients for JavaScript, unmodified, against the
// test server. They are the referee: what they can't tell from the real API is good enough for
// everyone else.
//
// The tests need Node 20 or later, npm, and a registry to install from, so they run only if the
// environment variable INTEROP is set. With INTEROP=1 they skip, and say so, where something is
// missing; with INTEROP=require they fail then:
//
//	INTEROP=require go test -count=1 ./testserver/interop
//
// The versions are pinned in package.json and package-lock.json. Nothing is installed outside a
// temporary directory.
package interop_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/testserver"
	"github.com/stayauth/stayauth/testserver/internal/published"
)

func TestSDKs(t *testing.T) {
	dir := install(t)
	plain := func() *testserver.Server { return &testserver.Server{} }

	// The counts are what must have reached the server, whatever the SDK has said about it.
	type counts struct{ tokenCalls, rejected, sockets, effects int }
	for _, tt := range []struct {
		name string // script and case
		srv  *testserver.Server
		want counts
	}{
		{"feeds login", &testserver.Server{RateLimit: 1000}, counts{1, 0, 1, 1}},
		{"feeds expire", plain(), counts{2, 1, 1, 2}},
		{"feeds revoke", plain(), counts{2, 1, 1, 2}},
		{"feeds developer", &testserver.Server{DisableAuthChecks: true}, counts{0, 0, 1, 1}},
		{"feeds realtime", plain(), counts{1, 0, 1, 8}},
		{"feeds reconnect", plain(), counts{2, 1, 2, 2}},
		{"feeds pushed", &testserver.Server{PushExpiry: true}, counts{2, 1, 2, 0}},
		{"feeds guest", plain(), counts{0, 0, 1, 2}},
		{"feeds anonymous", plain(), counts{1, 0, 1, 1}},
		{"feeds forbidden", plain(), counts{2, 0, 2, 1}},
		{"feeds content", plain(), counts{1, 0, 1, 16}},

		{"content notifications", plain(), counts{2, 0, 2, 8}},
		{"content uploads", plain(), counts{1, 0, 1, 5}},
		{"content batch", plain(), counts{1, 0, 1, 10}},
		{"content privacy", plain(), counts{2, 0, 2, 11}},
		{"content feeds", plain(), counts{1, 0, 1, 5}},
		{"content members", plain(), counts{2, 0, 2, 5}},
		{"content bookmarks", plain(), counts{1, 0, 1, 7}},
		{"content comments", plain(), counts{2, 0, 2, 11}},
		{"content pins", plain(), counts{1, 0, 1, 4}},
		{"content server", plain(), counts{0, 0, 0, 9}},

		{"node mint", plain(), counts{0, 4, 0, 0}},
		{"node upsert", plain(), counts{0, 0, 0, 2}},
		{"node revokeUser", plain(), counts{0, 1, 0, 2}},
		{"node revokeApp", plain(), counts{0, 1, 0, 2}},
		{"node developer", plain(), counts{0, 2, 0, 2}},
		{"node limit", &testserver.Server{RateLimit: 3}, counts{0, 0, 0, 1}},

		{"chat login", plain(), counts{1, 0, 1, 0}},
		{"chat guest", plain(), counts{0, 0, 1, 1}},
		{"chat anonymous", plain(), counts{0, 0, 1, 0}},
		{"chat expire", plain(), counts{2, 1, 1, 0}},
		{"chat reconnect", plain(), counts{2, 1, 2, 0}},
		{"chat revoke", plain(), counts{3, 2, 1, 4}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			runScript(t, dir, tt.name, tt.srv)
			l := tt.srv.Ledger()
			if got := (counts{l.TokenCalls, l.Rejected, l.Sockets, l.Effects}); got != tt.want {
				t.Errorf("the ledger counts %+v, want %+v", got, tt.want)
			}
			if err := tt.srv.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

// runScript runs one case of a script against the server. All that the server answers and sends is
// held against the API.
func runScript(t *testing.T, dir, name string, srv *testserver.Server) {
	script, test, _ := strings.Cut(name, " ")
	api := published.Load()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w}
		srv.ServeHTTP(rec, r)
		if !strings.HasPrefix(r.URL.Path, "/api/v2/") || rec.body.Len() == 0 {
			return // none of the API's, or a socket
		}
		if err := api.Answer(r.Method, r.URL.Path, rec.status, rec.body.Bytes()); err != nil {
			t.Error(err)
		}
	})
	mux.HandleFunc("POST /control/frame", func(_ http.ResponseWriter, r *http.Request) {
		frame, err := io.ReadAll(r.Body)
		if err == nil && script != "chat" { // whose protocol is older
			err = api.Event(frame)
		}
		if err != nil {
			t.Error(err)
		}
	})
	mux.HandleFunc("POST /control/expire", func(http.ResponseWriter, *http.Request) { // all tokens of now
		srv.AdvanceClock(testserver.DefaultTTL + 2*time.Second)
	})
	mux.HandleFunc("POST /control/minute", func(http.ResponseWriter, *http.Request) { // a new one begins, for the rate limit
		now := time.Now()
		srv.AdvanceClock(now.Truncate(time.Minute).Add(time.Minute).Sub(now))
	})
	mux.HandleFunc("POST /control/drop", func(http.ResponseWriter, *http.Request) { srv.CloseSockets("", 1006) })
	mux.HandleFunc("POST /control/sockets", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(srv.Ledger().Sockets)
	})
	ts := httptest.NewServer(mux)
	defer ts.Close()
	defer srv.Close()

	cmd := exec.CommandContext(t.Context(), "node", script+".mjs", test)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "BASE="+ts.URL, "KEY="+testserver.DefaultKey, "SECRET="+testserver.DefaultSecret)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("node %s.mjs %s: %v\n%s", script, test, err, out)
	}
}

// A recorder keeps a copy of an answer.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (r *recorder) WriteHeader(status int) { r.status = status; r.ResponseWriter.WriteHeader(status) }

func (r *recorder) Write(b []byte) (int, error) { r.body.Write(b); return r.ResponseWriter.Write(b) }

// Unwrap lets a socket have the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// install returns a directory with the scripts and the packages that they need. It skips the test,
// or fails it, where that can't be had.
func install(t *testing.T) string {
	t.Helper()
	missing := t.Skipf
	switch os.Getenv("INTEROP") {
	case "":
		t.Skip("Stream's SDKs are not run: set INTEROP=1 (or INTEROP=require) to install them from npm and run them")
	case "require":
		missing = t.Fatalf
	}
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing("Stream's SDKs can't be run: %v", err)
		}
	}
	dir := t.TempDir()
	files, err := filepath.Glob("*.mjs")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(files, "package.json", "package-lock.json", ".npmrc") {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		missing("Stream's SDKs can't be installed: npm ci: %v\n%s", err, out)
	}
	return dir
}
