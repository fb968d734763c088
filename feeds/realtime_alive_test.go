package feeds_test

import (
	"context"
	"errors"
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

// Close code 1000 is the API's last word. After any other end the connection is dialed again.
func TestEventsCloseCodes(t *testing.T) {
	for _, code := range []websocket.StatusCode{1000, 1001, 1003, 1006, 1008, 1011, 1012, 4000} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPI(t, &testserver.Server{})
				s := alice(t, a, &counter{srv: a.Server})
				l := listen(t.Context(), s, nil, "user:alice")
				synctest.Wait()
				c := a.open(t)
				if code == 1006 { // which is what the lack of any close is called
					_ = c.CloseNow()
				} else {
					_ = c.Close(code, "bye")
				}
				if code == 1000 {
					<-l.done
					if len(l.errs) != 1 || !errors.Is(l.errs[0], feeds.ErrEventsEnded) || feeds.IsSessionOver(l.errs[0]) || len(a.dialed()) != 1 {
						t.Errorf("errors %v, %d connections", l.errs, len(a.dialed()))
					}
					if _, err := s.QueryActivities(t.Context(), nil); err != nil {
						t.Errorf("the session has ended too: %v", err)
					}
					return
				}
				time.Sleep(750 * time.Millisecond)
				synctest.Wait()
				if got := l.seen(); !slices.Equal(got, []string{"connected", "reconnected"}) {
					t.Fatalf("events %q", got)
				}
				if err := l.last(feeds.EventReconnected).Gap.Err; err == nil || code != 1006 && !strings.Contains(err.Error(), fmt.Sprintf(`code %d ("bye")`, code)) {
					t.Errorf("the gap's error is %v", err)
				}
			})
		})
	}
}

// Events sends a health check every 25 s, in the form of Stream's own clients. A connection on
// which the API sends nothing for 35 s is dead.
func TestEventsKeepalive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{})
		s := alice(t, a, &counter{srv: a.Server})
		start := time.Now()
		l := listen(t.Context(), s, nil, "user:alice")
		time.Sleep(time.Hour + time.Second)
		frames, times := a.checks(a.open(t))
		if len(times) != 144 || len(a.dialed()) != 1 {
			t.Fatalf("%d health checks in an hour, %d connections", len(times), len(a.dialed()))
		}
		for n, at := range times {
			if got := at.Sub(start); got != time.Duration(n+1)*25*time.Second {
				t.Errorf("health check %d after %s", n, got)
			}
			if f := frames[n]; !strings.HasPrefix(f, `[{"client_id":"alice-`) || !strings.HasSuffix(f, `","type":"health.check"}]`) || f != frames[0] {
				t.Errorf("health check %s", f)
			}
		}
		if got := l.seen(); !slices.Equal(got, []string{"connected"}) {
			t.Errorf("events %q", got)
		}
	})
}

func TestEventsSilence(t *testing.T) {
	tests := []struct {
		name  string
		serve func(c *conn)
		alive time.Duration
	}{
		{"not a word", func(c *conn) {}, 0},
		{"an event", func(c *conn) { time.Sleep(30 * time.Second); c.send(map[string]any{"type": "hello"}) }, 30 * time.Second},
		{"not understood", func(c *conn) { time.Sleep(30 * time.Second); c.send("hello") }, 30 * time.Second},
		{"a ping", func(c *conn) { time.Sleep(30 * time.Second); _ = c.Ping(context.Background()) }, 30 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPI(t, &testserver.Server{})
				a.mute = true
				a.serve = func(n int, c *conn) {
					if n == 0 {
						tt.serve(c)
					}
				}
				s := alice(t, a, &counter{srv: a.Server})
				start := time.Now()
				l := listen(t.Context(), s, nil, "user:alice")
				synctest.Wait()
				first := a.open(t)
				for a.ended(first) == nil {
					time.Sleep(time.Millisecond)
				}
				if got, want := time.Since(start), tt.alive+35*time.Second; got < want || got > want+time.Millisecond {
					t.Errorf("given up after %s, want %s", got, want)
				}
				time.Sleep(750 * time.Millisecond)
				synctest.Wait()
				if gap := l.last(feeds.EventReconnected).Gap; gap == nil || !strings.Contains(gap.Err.Error(), "the API sent nothing for 35s") {
					t.Errorf("gap %+v", gap)
				}
			})
		})
	}
}
