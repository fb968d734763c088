package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stayauth/stayauth/feeds"
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
		r.status <- run(ctx, d.args(append([]string{"tail"}, flags...)), strings.NewReader(""), r.stdout, r.stderr)
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
	tail := d.tail(ctx, "-n", "2", "-every", "1ms")
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
			if said := <-tail.stderr; !strings.HasSuffix(said, "waiting for it to come back\n") {
				t.Errorf("tail says %q", said)
			}
			down.Store(false)
			if said := <-tail.stderr; said != "cli: it is back\n" {
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
	d := newDesk(t, &testserver.Server{Fault: func(*http.Request) (f testserver.Fault) {
		if forbidden.Load() {
			f.Status = http.StatusForbidden
		}
		return f
	}})
	d.login()
	d.ok("post", "Hello")
	tail := d.tail(t.Context(), "-every", "1ms")
	tail.want("Hello")
	forbidden.Store(true)
	if status, said := <-tail.status, <-tail.stderr; status != exitFailed || !strings.Contains(said, "status 403") {
		t.Errorf("tail ended with status %d, and says %q; want 1, and why", status, said)
	}
}

// TestFollower is about what is new in a feed, in pages of two.
func TestFollower(t *testing.T) {
	var feed []feeds.Activity // the newest first
	var broken error
	add := func(id string, seconds int) {
		at := time.Unix(1_000_000+int64(seconds), 0)
		i, _ := slices.BinarySearchFunc(feed, at, func(a feeds.Activity, at time.Time) int { return at.Compare(a.CreatedAt.Time) })
		feed = slices.Insert(feed, i, feeds.Activity{ID: id, CreatedAt: feeds.Timestamp{Time: at}})
	}
	pages := 0
	f := &follower{page: func(_ context.Context, next string) ([]feeds.Activity, string, error) {
		pages++
		from, _ := strconv.Atoi(next)
		if from > 0 && broken != nil {
			return nil, "", broken
		}
		to := min(from+2, len(feed))
		if to == len(feed) {
			return feed[from:], "", nil
		}
		return feed[from:to], strconv.Itoa(to), nil
	}}
	look := func(least int, want string, wantPages int) {
		t.Helper()
		pages = 0
		got, err := f.look(t.Context(), least)
		var ids []string
		for _, a := range got {
			ids = append(ids, a.ID)
		}
		if s := strings.Join(ids, " "); err != nil || s != want || pages != wantPages {
			t.Errorf("found %q in %d pages, %v; want %q in %d", s, pages, err, want, wantPages)
		}
	}

	look(3, "", 1)
	for i, id := range []string{"a", "b", "c", "d", "e", "f"} {
		add(id, 100*i)
	}
	look(0, "f", 1) // of a feed that was empty at first, what is late enough
	f = &follower{page: f.page}
	look(3, "d e f", 2) // the fourth is on the second page
	look(3, "", 1)
	add("g", 510)
	add("older than g, and later", 505)
	look(0, "older than g, and later g", 2)
	add("of the same time", 510)
	add("too late", 400)
	look(0, "of the same time", 3)

	add("h", 600)
	add("i", 601)
	add("j", 602)
	broken = errors.New("broken")
	if got, err := f.look(t.Context(), 0); err != broken || got != nil {
		t.Errorf("found %v, %v; want the error", got, err)
	}
	broken = nil
	look(0, "h i j", 4)
	if len(f.seen) != 3 {
		t.Errorf("%d activities are remembered, want 3", len(f.seen))
	}
}
