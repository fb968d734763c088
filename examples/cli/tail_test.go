package main

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

// A tailing is a running "cli tail".
type tailing struct {
	t              *testing.T
	stdout, stderr lines
	status         chan int
}

// lines takes what the tool writes, a line at a time.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

func (d *desk) tail(ctx context.Context, flags ...string) *tailing {
	r := &tailing{d.t, make(lines, 1000), make(lines, 1000), make(chan int, 1)}
	go func() { // ends with ctx, or with the session
		r.status <- newTool(strings.NewReader(""), r.stdout, r.stderr).run(ctx, d.args(append([]string{"tail"}, flags...)))
	}()
	return r
}

// want waits for the next line that tail prints, which must end in text.
func (r *tailing) want(text string) {
	r.t.Helper()
	select {
	case line := <-r.stdout:
		if !strings.HasSuffix(line, "  alice  "+text+"\n") {
			r.t.Fatalf("tail printed %q, want %s", line, text)
		}
	case status := <-r.status:
		r.t.Fatalf("tail ended with status %d, and says %q", status, <-r.stderr)
	}
}

// TestTail follows a feed through all that may happen to it.
func TestTail(t *testing.T) {
	var down atomic.Bool
	srv := &testserver.Server{Fault: func(*http.Request) (f testserver.Fault) {
		if down.Load() {
			f.Cut = testserver.CutBefore
		}
		return f
	}}
	d := newDesk(t, srv)
	d.login()
	for i := range 12 {
		d.ok("post", strconv.Itoa(i))
	}
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	tail := d.tail(ctx, "-n", "2")
	tail.want("10")
	tail.want("11")
	for _, test := range []struct {
		text    string
		happens func()
	}{
		{"as usual", func() {}},
		{"after the token expired", func() { srv.AdvanceClock(2 * time.Hour) }},
		{"after it was revoked", func() { srv.Revoke("alice") }},
		{"after the server was away", func() {
			down.Store(true)
			srv.CloseSockets("alice", 1006)
			if said := <-tail.stderr; !strings.HasPrefix(said, "cli: events: no connection, will dial again: ") {
				t.Errorf("tail says %q", said)
			}
			down.Store(false)
			said := <-tail.stderr
			for strings.HasPrefix(said, "cli: events: no connection") {
				said = <-tail.stderr
			}
			if said != "cli: it is back\n" {
				t.Errorf("tail says %q", said)
			}
		}},
	} {
		test.happens()
		d.ok("post", test.text)
		d.ok("post", test.text+", again")
		tail.want(test.text)
		tail.want(test.text + ", again")
	}
	interrupt()
	if status := <-tail.status; status != exitOK || len(tail.stdout) > 0 || len(tail.stderr) > 0 {
		t.Errorf("interrupted, tail ended with status %d and %d more lines; want 0 and none", status, len(tail.stdout)+len(tail.stderr))
	}
	if calls := srv.Ledger().TokenCalls; calls != 3 {
		t.Errorf("%d token calls, want 3", calls)
	}
	if err := srv.Check(); err != nil {
		t.Error(err)
	}
}

// TestTailIsNotWanted: what no waiting can mend ends it.
func TestTailIsNotWanted(t *testing.T) {
	var forbidden atomic.Bool
	srv := &testserver.Server{Fault: func(*http.Request) (f testserver.Fault) {
		if forbidden.Load() {
			f.Status = http.StatusForbidden
		}
		return f
	}}
	d := newDesk(t, srv)
	d.login()
	d.ok("post", "Hello")
	tail := d.tail(t.Context())
	tail.want("Hello")
	forbidden.Store(true)
	srv.CloseSockets("alice", 1006)
	status, said := <-tail.status, ""
	for len(tail.stderr) > 0 {
		said = <-tail.stderr
	}
	if status != exitFailed || !strings.Contains(said, "status 403") {
		t.Errorf("tail ended with status %d, and says %q in the end; want 1, and why", status, said)
	}
}
