package feeds_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/testserver"
)

// A loop that is busy for ten minutes keeps its connection, gets what was held for it, is told how
// much was not, and gets that by way of the feed.
func TestEventsSlowLoop(t *testing.T) {
	tests := []struct {
		name   string
		events int
	}{
		{"just enough", 1000},
		{"too many", 1200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPI(t, &testserver.Server{})
				s := alice(t, a, &counter{srv: a.Server})
				busy := true
				l := listen(t.Context(), s, func(feeds.Event) bool {
					if busy {
						busy = false
						time.Sleep(10 * time.Minute)
					}
					return true
				}, "user:alice")
				synctest.Wait()
				for i := range tt.events {
					a.add(t, fmt.Sprint(i), "user:alice")
				}
				time.Sleep(9 * time.Minute)
				if _, at := a.checks(a.open(t)); len(at) != 21 {
					t.Errorf("%d health checks in 9 minutes", len(at))
				}
				time.Sleep(2 * time.Minute)
				a.add(t, "live", "user:alice")
				synctest.Wait()
				const held = 1000
				want := append([]string{"connected"}, numbered("", 0, held)...)
				if held < tt.events {
					want = slices.Concat(want, []string{"dropped"}, numbered("+", held, tt.events))
				}
				want = append(want, "live")
				if got := l.seen(); !slices.Equal(got, want) {
					t.Errorf("events %q, want %q", got, want)
				}
				if gap := l.last(feeds.EventDropped).Gap; gap != nil && (gap.Dropped != tt.events-held || gap.Err != nil || gap.Incomplete != nil) {
					t.Errorf("gap %+v", gap)
				}
				if n := len(a.dialed()); n != 1 {
					t.Errorf("%d connections", n)
				}
			})
		})
	}
}

// A loop that is behind all the time is told everything once, and in order, however often it is
// overrun.
func TestEventsLoopAlwaysBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{})
		s := alice(t, a, &counter{srv: a.Server})
		l := listen(t.Context(), s, func(feeds.Event) bool { time.Sleep(3 * time.Millisecond); return true }, "user:alice")
		synctest.Wait()
		for i := range 1600 {
			a.add(t, fmt.Sprint(i), "user:alice")
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Minute)
		var got []string
		for _, word := range l.seen() {
			if word = strings.TrimPrefix(word, "+"); word != "connected" && word != "dropped" {
				got = append(got, word)
			}
		}
		if !slices.Equal(got, numbered("", 0, 1600)) || l.last(feeds.EventDropped).Gap == nil {
			t.Errorf("events %q", got)
		}
	})
}

// What is held is bounded in bytes too: of messages of 1 MiB there are eight.
func TestEventsSlowLoopWithLargeEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{})
		s := alice(t, a, &counter{srv: a.Server})
		l := listen(t.Context(), s, func(ev feeds.Event) bool {
			if ev.Type == feeds.EventConnected {
				time.Sleep(time.Minute)
			}
			return true
		}, "user:alice")
		synctest.Wait()
		for range 10 {
			a.open(t).sendBig(1 << 20)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		want := slices.Concat([]string{"connected"}, slices.Repeat([]string{"big"}, 8), []string{"dropped"})
		if got := l.seen(); !slices.Equal(got, want) || l.last(feeds.EventDropped).Gap.Dropped != 2 {
			t.Errorf("events %q, want %q", got, want)
		}
		for range 10 { // to a loop that keeps up
			a.open(t).sendBig(1 << 20)
			synctest.Wait()
		}
		want = append(want, slices.Repeat([]string{"big"}, 10)...)
		if got := l.seen(); !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
	})
}

// sendBig sends an event of that many bytes.
func (c *conn) sendBig(size int) {
	const begin, end = `{"type":"big","custom":{"x":"`, `"}}`
	_ = c.Write(context.Background(), websocket.MessageText, []byte(begin+strings.Repeat("x", size-len(begin+end))+end))
}

// A connection that is lost while the loop is busy and behind: one gap, which tells both.
func TestEventsSlowLoopLosesTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{})
		s := alice(t, a, &counter{srv: a.Server})
		l := listen(t.Context(), s, func(ev feeds.Event) bool {
			if ev.Type == feeds.EventConnected {
				time.Sleep(10 * time.Minute)
			}
			return true
		}, "user:alice")
		synctest.Wait()
		for i := range 1100 {
			a.add(t, fmt.Sprint(i), "user:alice")
		}
		_ = a.open(t).Close(websocket.StatusGoingAway, "restart")
		for i := range 100 {
			a.add(t, fmt.Sprint(1100+i), "user:alice")
		}
		time.Sleep(10 * time.Minute)
		reconnected()
		want := slices.Concat([]string{"connected"}, numbered("", 0, 1000), []string{"reconnected"}, numbered("+", 1000, 1200))
		if got := l.seen(); !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
		if gap := l.last(feeds.EventReconnected).Gap; gap.Dropped != 100 || !strings.Contains(gap.Err.Error(), "code 1001") {
			t.Errorf("gap %+v", gap)
		}
	})
}

// A message of more than 1 MiB is dropped, and what it may have told of is read; a MiB passes.
func TestEventsFramesAreBounded(t *testing.T) {
	for _, size := range []int{1 << 20, 1<<20 + 1} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPI(t, &testserver.Server{})
				s := alice(t, a, &counter{srv: a.Server})
				l := listen(t.Context(), s, nil, "user:alice")
				synctest.Wait()
				c := a.open(t)
				a.mu.Lock()
				c.feeds = nil // what is added now is not told of, as if it were in the long message
				a.mu.Unlock()
				a.add(t, "hidden", "user:alice")
				a.mu.Lock()
				c.feeds = []string{"user:alice"}
				a.mu.Unlock()
				c.sendBig(size)
				reconnected()
				want := []string{"connected", "big"}
				if size > 1<<20 {
					want = []string{"connected", "dropped", "+hidden"}
				}
				if got := l.seen(); !slices.Equal(got, want) || len(a.dialed()) != 1 {
					t.Errorf("events %q, want %q; %d connections", got, want, len(a.dialed()))
				}
				a.add(t, "one", "user:alice")
				synctest.Wait()
				if got := l.seen(); got[len(got)-1] != "one" {
					t.Errorf("events %q", got)
				}
			})
		})
	}
}
