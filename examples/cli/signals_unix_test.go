//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

// TestSignalsInARefresh: whatever ends the tool while the backend has the refresh token, the next
// one is saved, and the person is told why it takes a moment.
func TestSignalsInARefresh(t *testing.T) {
	const saving, still = "cli: saving the login", "cli: still saving the login"
	for _, test := range []struct {
		name    string
		signals []os.Signal
		say     []string // what is said to each
	}{
		{"Ctrl-C", []os.Signal{os.Interrupt}, []string{saving}},
		{"Ctrl-C twice", []os.Signal{os.Interrupt, os.Interrupt}, []string{saving, still}},
		{"a closed terminal", []os.Signal{syscall.SIGHUP}, []string{saving}},
		{"a closed terminal and the shell's farewell", []os.Signal{syscall.SIGHUP, syscall.SIGTERM}, []string{saving, still}},
	} {
		t.Run(test.name, func(t *testing.T) {
			skipUnderNohup(t, test.signals[0])
			var hold atomic.Bool
			asked, answer := make(chan struct{}), make(chan struct{})
			srv := &testserver.Server{Session: session, ClockOffset: -24 * time.Hour, Fault: func(r *http.Request) (f testserver.Fault) {
				if hold.Load() && r.URL.Path == "/token" {
					asked <- struct{}{}
					<-answer
				}
				return f
			}}
			d := newDesk(t, srv)
			d.login()
			srv.AdvanceClock(24 * time.Hour)
			hold.Store(true)
			cmd, stderr := d.start("post", "Hello")
			<-asked
			for i, s := range test.signals {
				if err := cmd.Process.Signal(s); err != nil {
					t.Fatal(err)
				}
				if line, err := stderr.ReadString('\n'); !strings.HasPrefix(line, test.say[i]) {
					t.Fatalf("to signal %d it says %q, %v; want %q", i+1, line, err, test.say[i])
				}
			}
			close(answer)
			rest, _ := io.ReadAll(stderr)
			if err := cmd.Wait(); cmd.ProcessState.ExitCode() != exitFailed || string(rest) != "cli: interrupted\n" {
				t.Errorf("it ended with %v, and says %q in the end; want status 1 and that it was interrupted", err, rest)
			}
			hold.Store(false)
			d.ok("post", "The login is as it was.")
			if calls := srv.Ledger().TokenCalls; calls != 2 {
				t.Errorf("%d token calls, want 2: the one that was interrupted was the last", calls)
			}
		})
	}
}

// TestSignals: where there is nothing to save, a signal ends the tool at once, and quietly.
func TestSignals(t *testing.T) {
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(s.String(), func(t *testing.T) {
			skipUnderNohup(t, s)
			endsQuietly(t, s)
		})
	}
}

// skipUnderNohup skips a test in which SIGHUP is sent where it is ignored, by nohup: processes
// inherit that.
func skipUnderNohup(t *testing.T, s os.Signal) {
	if s == syscall.SIGHUP && signal.Ignored(syscall.SIGHUP) {
		t.Skip("SIGHUP is ignored here, as under nohup")
	}
}

func endsQuietly(t *testing.T, s os.Signal) {
	var hold atomic.Bool
	asked := make(chan struct{}, 10)
	srv := &testserver.Server{Fault: func(r *http.Request) (f testserver.Fault) {
		if hold.Load() && r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/activities") {
			asked <- struct{}{}
			f.Hang = true
		}
		return f
	}}
	d := newDesk(t, srv)
	d.login()
	hold.Store(true)
	cmd, stderr := d.start("post", "Hello")
	<-asked
	if err := cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(stderr)
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != exitFailed || string(rest) != "cli: interrupted\n" {
		t.Errorf("%v: it ended with %v, and says %q; want status 1 and that it was interrupted", s, err, rest)
	}
}

// start starts the tool as a process of its own.
func (d *desk) start(line ...string) (*exec.Cmd, *bufio.Reader) {
	d.t.Helper()
	cmd := exec.CommandContext(d.t.Context(), os.Args[0], d.args(line)...)
	cmd.Env = append(os.Environ(), asTool+"=1")
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return cmd, bufio.NewReader(stderr)
}

// TestSignalWhileReading: a signal ends the tool while it waits for a secret that does not come.
func TestSignalWhileReading(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	d := newDesk(t, new(testserver.Server))
	for _, line := range []string{
		"login -user alice -key k -base " + d.url + " -token-url " + d.url + "/token -session-file -",
		"token -user alice -secret-file -",
		"token -user alice -secret-file " + fifo,
		"revoke -user alice -key k -secret-file -",
	} {
		t.Run(line, func(t *testing.T) {
			var diag bytes.Buffer
			ctx, cancel := context.WithCancel(t.Context())
			if strings.HasSuffix(line, fifo) {
				cancel() // nothing tells when the tool waits for a writer
			}
			status := newTool(silence{cancel}, io.Discard, &diag).run(ctx, d.args(strings.Fields(line)))
			if status != exitFailed || diag.String() != "cli: interrupted\n" {
				t.Errorf("exit status %d, and it says %q; want 1 and that it was interrupted", status, diag.String())
			}
		})
	}
}

// silence is an input from which nothing comes. The signal does when it is read from.
type silence struct{ signal func() }

func (s silence) Read([]byte) (int, error) {
	s.signal()
	select {} // ends with the process
}
