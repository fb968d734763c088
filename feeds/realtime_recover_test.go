package feeds_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/testserver"
)

// numbered returns prefix0, prefix1, ... up to n of them.
func numbered(prefix string, from, to int) []string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprint(prefix, i))
	}
	return out
}

// reconnected waits until the connection that is open has been replaced.
func reconnected() {
	time.Sleep(750 * time.Millisecond)
	synctest.Wait()
}

// A bot under tokens of 2 s, whose connection is ended every 2.5 s or so, in one of many ways, for
// 60 s: every activity is told once and in order in each feed, no call fails, and the provider is
// called for expiries alone.
func TestEventsLoseNothingAndDoubleNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{TTL: 2 * time.Second})
		p := &counter{srv: a.Server}
		s := alice(t, a, p)
		told := make(map[string][]string)
		recovered := 0
		l := listen(t.Context(), s, func(ev feeds.Event) bool {
			if ev.Type == feeds.EventActivityAdded {
				told[ev.FID] = append(told[ev.FID], ev.Activity.Text)
				if ev.Recovered {
					recovered++
				}
			}
			return true
		}, "user:alice", "timeline:alice")
		synctest.Wait()
		start := time.Now()
		want := make(map[string][]string)
		for i := 0; time.Since(start) < time.Minute; i++ {
			if i%25 == 24 {
				a.mu.Lock()
				conns := slices.Clone(a.conns)
				a.mu.Unlock()
				for _, c := range conns {
					switch i / 25 % 8 {
					case 0, 4:
						_ = c.CloseNow()
					case 1, 5:
						_ = c.Close(websocket.StatusServiceRestart, "restarting")
					case 2, 6:
						c.refuse(500, -1, "internal error")
					case 3:
						a.Revoke("alice")
						c.refuse(401, feeds.CodeTokenExpired, "revoked")
					case 7:
						time.Sleep(3 * time.Second) // until the token has expired
						c.refuse(401, feeds.CodeTokenExpired, "token is expired (exp)")
					}
				}
			}
			fids := [][]string{{"user:alice"}, {"timeline:alice"}, {"user:alice", "timeline:alice"}}[i%3]
			text := fmt.Sprint(i)
			a.add(t, text, fids...)
			for _, fid := range fids {
				want[fid] = append(want[fid], text)
			}
			time.Sleep(100 * time.Millisecond)
		}
		reconnected()
		s.Close()
		<-l.done
		for fid, texts := range want {
			if !slices.Equal(told[fid], texts) {
				t.Errorf("%s was told\n%s, want\n%s", fid, told[fid], texts)
			}
		}
		again := 0
		for _, word := range l.seen() {
			if word == feeds.EventReconnected {
				again++
			}
		}
		st := s.Stats()
		if again < 20 || recovered < 50 {
			t.Errorf("%d reconnections, %d recovered: the test proves nothing", again, recovered)
		}
		// A token lives for 2 to 3 s, and something needs one when a connection is made, and at the
		// beginning.
		calls, dials := p.calls.Load(), int64(len(a.dialed()))
		if calls > dials+1 || st.Refreshed != calls || st.Failed != 0 || st.NotReplayable != 0 {
			t.Errorf("%d provider calls for %d connections, stats %+v", calls, dials, st)
		}
	})
}

// What was there before is not told, what came in a gap is, in one call per feed if it is not much,
// and page by page up to the documented bound.
func TestEventsRecoverAGap(t *testing.T) {
	tests := []struct{ before, missed, lost, reads int }{
		{0, 0, 0, 1}, {0, 1, 0, 1}, {5, 99, 0, 1}, {250, 3, 0, 1}, {250, 99, 0, 1}, {250, 100, 0, 2}, {0, 100, 0, 1}, {0, 250, 0, 3}, {0, 1000, 0, 10}, {0, 1001, 1, 11}, {250, 1500, 500, 11},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPI(t, &testserver.Server{})
				s := alice(t, a, &counter{srv: a.Server})
				for _, text := range numbered("old", 0, tt.before) {
					a.add(t, text, "user:alice")
				}
				l := listen(t.Context(), s, nil, "user:alice")
				synctest.Wait()
				reads := a.readings()
				_ = a.open(t).CloseNow()
				synctest.Wait()
				for _, text := range numbered("", 0, tt.missed) {
					a.add(t, text, "user:alice")
				}
				reconnected()
				a.add(t, "live", "user:alice")
				synctest.Wait()
				want := slices.Concat([]string{"connected", "reconnected"}, numbered("+", tt.lost, tt.missed), []string{"live"})
				if got := l.seen(); !slices.Equal(got, want) {
					t.Errorf("events %q, want %q", got, want)
				}
				if got := a.readings() - reads; got != tt.reads {
					t.Errorf("%d reads, want %d", got, tt.reads)
				}
				if gap := l.last(feeds.EventReconnected).Gap; gap.Err == nil || gap.Dropped != 0 || slices.Equal(gap.Incomplete, []string{"user:alice"}) != (tt.lost > 0) {
					t.Errorf("gap %+v", gap)
				}
				if ev := l.last(feeds.EventActivityAdded); tt.missed > 0 && ev.FID != "user:alice" {
					t.Errorf("%+v", ev)
				}
			})
		})
	}
}

// What is added while the feed is being watched and read arrives by both ways, and is told once:
// what the reading had first, then what came over the connection.
func TestEventsAddedDuringTheRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{})
		var n atomic.Int64
		addSome := func(many int) {
			for range many {
				a.add(t, fmt.Sprint(n.Add(1)-1), "user:alice")
			}
		}
		a.between = func(watch int) { addSome(150) }
		a.after = func(watch int) { addSome(150) }
		s := alice(t, a, &counter{srv: a.Server})
		l := listen(t.Context(), s, nil, "user:alice")
		time.Sleep(time.Second)
		// On the first connection what the first page has, the newest 100, counts as being there
		// before.
		first := append([]string{"connected"}, slices.Concat(numbered("", 0, 50), numbered("", 150, 300))...)
		if got := l.seen(); !slices.Equal(got, first) {
			t.Errorf("events %q, want %q", got, first)
		}
		_ = a.open(t).CloseNow()
		synctest.Wait()
		addSome(150)
		reconnected()
		want := slices.Concat(first, []string{"reconnected"}, numbered("+", 300, 600), numbered("", 600, 750))
		if got := l.seen(); !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
	})
}

// A recovery that breaks off has told nothing, and the next one tells it all.
func TestEventsRecoveryBreaksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{})
		a.watch = func(n int, w http.ResponseWriter, r *http.Request) bool {
			switch n {
			case 2, 4: // the second feed of the second and of the third connection
				cut(w)
				return true
			}
			return false
		}
		a.between = func(n int) {
			if n == 5 { // the first feed of the fourth, which breaks meanwhile
				a.mu.Lock()
				c := a.conns[len(a.conns)-1]
				a.mu.Unlock()
				_ = c.Close(websocket.StatusInternalError, "")
				time.Sleep(time.Millisecond) // until the client has noticed
			}
		}
		s := alice(t, a, &counter{srv: a.Server})
		l := listen(t.Context(), s, nil, "user:alice", "user:bob")
		synctest.Wait()
		_ = a.open(t).CloseNow()
		synctest.Wait()
		for i := range 10 {
			a.add(t, fmt.Sprint(i), []string{"user:alice", "user:bob"}[i%2])
		}
		time.Sleep(time.Minute)
		want := append([]string{"connected", "reconnected"}, numbered("+", 0, 10)...)
		if got := l.seen(); !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
		if gap := l.last(feeds.EventReconnected).Gap; !strings.Contains(gap.Err.Error(), "the connection broke") {
			t.Errorf("the gap's error is that of a later attempt: %v", gap.Err)
		}
	})
}
