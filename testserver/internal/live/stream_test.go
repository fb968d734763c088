package live_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/testserver/internal/live"
)

// A message is what the page gets.
type message struct {
	Now    float64
	Counts []int
	Events []live.Event
	Tokens []live.Token
	Users  []live.User
	View   *live.View
}

// connect opens the events of a page that listens.
func connect(t *testing.T, url string) (next func() message, status int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Page-Key", "none")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	lines := bufio.NewReader(resp.Body)
	return func() (m message) {
		t.Helper()
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		blank, err := lines.ReadString('\n')
		data, found := strings.CutPrefix(line, "data: ")
		if err != nil || !found || blank != "\n" {
			t.Fatalf("%v: %q is no message", err, line)
		}
		if err := json.Unmarshal([]byte(data), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}, resp.StatusCode
}

// The first message says how all stands, and the later ones what has changed.
func TestStream(t *testing.T) {
	f, s := live.NewFeed(), newSubject()
	meet(f, "alice", "a")
	f.Request(request("alice", "a", live.Served))
	srv := httptest.NewServer(live.NewHandler(f, s, ""))
	defer srv.Close()
	defer close(s.done)
	next, status := connect(t, srv.URL)
	if status != 200 {
		t.Fatalf("status %d", status)
	}
	m := next()
	if len(m.Events) != 1 || len(m.Tokens) != 1 || len(m.Users) != 1 || m.View == nil || m.Counts[0] != 1 {
		t.Fatalf("the first message: %+v", m)
	}
	meet(f, "alice", "b")
	m = next()
	if len(m.Events) != 0 || len(m.Tokens) != 1 || m.Tokens[0].ID != "b" || m.View != nil || m.Counts != nil {
		t.Errorf("a new token: %+v", m)
	}
	s.set("a", "revoked")
	if m = next(); len(m.Tokens) != 1 || m.Tokens[0].State != "revoked" || m.Users != nil {
		t.Errorf("a revoked token: %+v", m)
	}
	m = next() // without any news, as a sign of life
	if m.Events != nil || m.Tokens != nil || m.Users != nil || m.View != nil || m.Now == 0 {
		t.Errorf("a sign of life: %+v", m)
	}
}

// Only so many pages at a time, and one that is closed makes room.
func TestReaders(t *testing.T) {
	s := newSubject()
	srv := httptest.NewServer(live.NewHandler(live.NewFeed(), s, ""))
	defer srv.Close()
	defer close(s.done)
	for i := range 16 {
		if _, status := connect(t, srv.URL); status != 200 {
			t.Fatalf("page %d: status %d", i+1, status)
		}
	}
	if _, status := connect(t, srv.URL); status != 503 {
		t.Errorf("the 17th page: status %d, want 503", status)
	}
}

// A browser that does not read what it is sent holds up no one, and costs no memory that grows: it
// misses what has fallen out of the feed.
func TestSlowReader(t *testing.T) {
	f, s := live.NewFeed(), newSubject()
	srv := httptest.NewServer(live.NewHandler(f, s, ""))
	defer srv.Close()
	defer close(s.done)
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /events HTTP/1.1\r\nHost: %s\r\nPage-Key: none\r\n\r\n", srv.Listener.Addr())
	// It reads nothing. The others go on:
	next, _ := connect(t, srv.URL)
	next()
	begin := time.Now()
	for i := range 20_000 {
		r := request("alice", "", live.Served)
		r.Begin, r.End = begin.Add(time.Duration(i)*100*time.Millisecond), begin.Add(time.Duration(i)*100*time.Millisecond)
		f.Request(r)
	}
	seen := 0
	for seen == 0 {
		m := next()
		if len(m.Events) > 4096 {
			t.Errorf("a message of %d events", len(m.Events))
		}
		if m.Counts != nil && m.Counts[0] == 20_000 {
			seen = m.Counts[0]
		}
	}
}
