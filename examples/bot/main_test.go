package main

import (
	"context"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

// As its user starts it, and stops it by a signal.
func TestRun(t *testing.T) {
	t.Setenv("TOKEN_SESSION", "the bot's")
	api := &testserver.Server{Session: "the bot's"}
	defer api.Close()
	server := httptest.NewServer(api)
	defer server.Close()

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	log, stderr := io.Pipe()
	status := make(chan int, 1)
	go func() { // ends with ctx
		defer stderr.Close()
		status <- run(ctx, []string{"-url", server.URL, "-token-url", server.URL + "/token", "-follow", "user:carol"}, stderr)
	}()
	var lines strings.Builder
	buf := make([]byte, 1<<10)
	// Both have to be read before it is stopped: what a Trace is told comes from a goroutine of the
	// transport's, in no order with what the bot itself says, and not at all once the process is
	// gone.
	for !strings.Contains(lines.String(), "once they exist: user:carol") || !strings.Contains(lines.String(), `msg="new token" reason=initial`) {
		n, err := log.Read(buf)
		if err != nil {
			t.Fatalf("it ended too early, having said: %s", lines.String())
		}
		lines.Write(buf[:n])
	}
	cancel()
	rest, _ := io.ReadAll(log)
	if got := <-status; got != 0 || !strings.Contains(string(rest), "msg=stopped answered=0 logins=1") {
		t.Errorf("exit status %d, want 0; it said %s", got, rest)
	}
	if said := lines.String() + string(rest); strings.Contains(said, "the bot's") {
		t.Errorf("it said its session secret: %s", said)
	}
}

func TestRunRefuses(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // what is not refused runs until then
	defer cancel()
	api := httptest.NewServer(&testserver.Server{})
	defer api.Close()
	for _, tt := range []struct {
		args   string
		status int
		says   string
	}{
		{"-bogus", 2, "flag provided but not defined: -bogus"},
		{"-h", 0, "Usage of bot"},
		{"now", 2, `bot: unexpected argument "now"`},
		{"-key=", 2, "bot: -key and -user must not be empty"},
		{"-user=", 2, "bot: -key and -user must not be empty"},
		{"-follow alice", 2, `invalid value "alice" for flag -follow: it is not of the form group:id`},
		{"-follow user:", 2, `invalid value "user:" for flag -follow`},
		{"-url stream.example", 2, "bot: -url must be of the form https://host"},
		{"-url http://stream.example", 2, "bot: -url must be of the form https://host"},
		{"-url ftp://127.0.0.1", 2, "bot: -url must be of the form https://host"},
		{"-url https://host?key=x", 2, "bot: -url must be of the form https://host"},
		{"-url https://alice@host", 2, "bot: -url must be of the form https://host"},
	} {
		var stderr strings.Builder
		if got := run(ctx, strings.Fields(tt.args), &stderr); got != tt.status {
			t.Errorf("%s: exit status %d, want %d", tt.args, got, tt.status)
		}
		if !strings.HasPrefix(stderr.String(), tt.says) {
			t.Errorf("%s: says %q, want %q", tt.args, stderr.String(), tt.says)
		}
	}
	// What only the API can tell.
	var stderr strings.Builder
	args := []string{"-url", api.URL, "-token-url", api.URL + "/token", "-key", "other"}
	if got := run(ctx, args, &stderr); got != 1 || !strings.Contains(stderr.String(), "bot: feeds: connecting \"bot\": ") {
		t.Errorf("with a wrong key: exit status %d, says %q", got, stderr.String())
	}
}
