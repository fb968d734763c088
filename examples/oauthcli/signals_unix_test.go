//go:build unix

package main

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stayauth/stayauth/testserver"
)

// TestSignalsInARefresh: whatever ends the tool while the server has the refresh token, the next
// one is saved, and the person is told why it takes a moment.
func TestSignalsInARefresh(t *testing.T) {
	const saving, still, interrupted = "oauthcli: saving the login", "oauthcli: still saving the login", "oauthcli: interrupted\n"
	for _, test := range []struct {
		name    string
		line    string
		signals []os.Signal
		say     []string // what is said to each
		status  int
		rest    string // what is said in the end
	}{
		{"Ctrl-C", "get /me", []os.Signal{os.Interrupt}, []string{saving}, exitFailed, interrupted},
		{"Ctrl-C twice", "get /me", []os.Signal{os.Interrupt, os.Interrupt}, []string{saving, still}, exitFailed, interrupted},
		{"timeout, which tells it and then its group", "get /me", []os.Signal{syscall.SIGTERM, syscall.SIGTERM}, []string{saving, still}, exitFailed, interrupted},
		{"a closed terminal and the shell's farewell", "get /me", []os.Signal{syscall.SIGHUP, syscall.SIGTERM}, []string{saving, still}, exitFailed, interrupted},
		{"timeout of token", "token", []os.Signal{syscall.SIGTERM, syscall.SIGTERM}, []string{saving, still}, exitOK, ""}, // it has one
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.signals[0] == syscall.SIGHUP && signal.Ignored(syscall.SIGHUP) {
				t.Skip("SIGHUP is ignored here, as under nohup")
			}
			d := newDesk(t)
			d.login()
			d.expire()
			d.Revoke("alice")
			before := d.Ledger().TokenCalls
			asked, answer := d.holdToken()
			cmd, stderr := d.start(nil, strings.Fields(test.line)...)
			<-asked
			for i, s := range test.signals {
				if err := cmd.Process.Signal(s); err != nil {
					t.Fatal(err)
				}
				if line, err := stderr.ReadString('\n'); !strings.HasPrefix(line, test.say[i]) {
					t.Fatalf("to signal %d it says %q, %v; want %q", i+1, line, err, test.say[i])
				}
			}
			answer()
			rest, _ := io.ReadAll(stderr)
			_ = cmd.Wait()
			if cmd.ProcessState.ExitCode() != test.status || string(rest) != test.rest {
				t.Errorf("it ended with %v, and says %q in the end; want %d and %q", cmd.ProcessState, rest, test.status, test.rest)
			}
			d.ok("get", "/me") // the login is as it was
			if l := d.Ledger(); l.TokenCalls != before+1 || l.Reused != 0 {
				t.Errorf("%d refreshes, %d with a spent refresh token; want 1 and 0", l.TokenCalls-before, l.Reused)
			}
		})
	}
}

// TestSignalsElsewhere: where there is nothing to save, one signal ends the tool, and quietly.
func TestSignalsElsewhere(t *testing.T) {
	d := newDesk(t)
	d.login()
	asked := make(chan struct{}, 10)
	d.goesWrong(func(r *http.Request) (f testserver.Fault) {
		if r.URL.Path == "/me" {
			asked <- struct{}{}
			f.Hang = true
		}
		return f
	})
	cmd, stderr := d.start(nil, "get", "/me")
	<-asked
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	said, _ := io.ReadAll(stderr)
	_ = cmd.Wait()
	if cmd.ProcessState.ExitCode() != exitFailed || string(said) != "oauthcli: interrupted\n" {
		t.Errorf("it ended with %v, and says %q; want status 1 and that it was interrupted", cmd.ProcessState, said)
	}
}

// TestReaderGone: a reader that leaves, as head does, ends the tool by an error and not by SIGPIPE,
// which would not let a refresh come to its end.
func TestReaderGone(t *testing.T) {
	d := newDesk(t)
	d.login()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	cmd, stderr := d.start(w, "get", "/me")
	w.Close()
	said, _ := io.ReadAll(stderr)
	_ = cmd.Wait()
	if cmd.ProcessState.ExitCode() != exitFailed || !strings.Contains(string(said), "broken pipe") {
		t.Errorf("it ended with %v, and says %q; want status 1 and that the pipe is broken", cmd.ProcessState, said)
	}
}

// start starts the tool as a process of its own.
func (d *desk) start(stdout io.Writer, line ...string) (*exec.Cmd, *bufio.Reader) {
	d.t.Helper()
	cmd := exec.CommandContext(d.t.Context(), os.Args[0], d.args(line)...)
	cmd.Env = append(os.Environ(), asTool+"=1")
	cmd.Stdout = stdout
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return cmd, bufio.NewReader(stderr)
}

// holdToken has the token endpoint wait until answer is called; it says in asked that it was asked.
func (d *desk) holdToken() (asked <-chan struct{}, answer func()) {
	calls, answered := make(chan struct{}, 10), make(chan struct{})
	d.goesWrong(func(r *http.Request) (f testserver.Fault) {
		if r.URL.Path == "/token" {
			calls <- struct{}{}
			<-answered
		}
		return f
	})
	answer = sync.OnceFunc(func() { close(answered) })
	d.t.Cleanup(answer) // or the server would wait for a test that has failed
	return calls, answer
}
