package feeds_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/testserver"
)

// users returns the names of n feeds.
func users(n int) []string { return numbered("user:", 0, n) }

// connectedAfter waits for an event of the type, and returns how long after now it is told.
func (l *loop) connectedAfter(t *testing.T, typ string, limit time.Duration) time.Duration {
	t.Helper()
	start := time.Now()
	for l.last(typ).Type == "" {
		if time.Since(start) > limit {
			t.Fatalf("no %q within %s", typ, limit)
		}
		time.Sleep(10 * time.Millisecond)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.times[slices.IndexFunc(l.events, func(ev feeds.Event) bool { return ev.Type == typ })].Sub(start)
}

// Feeds are read eight at a time: 450 of them at 0.3 s a call take 17.1 s.
func TestEventsOfManyFeeds(t *testing.T) {
	for _, tt := range []struct {
		feeds int
		took  time.Duration
	}{{1, 300 * time.Millisecond}, {8, 300 * time.Millisecond}, {9, 600 * time.Millisecond}, {450, 17100 * time.Millisecond}} {
		t.Run(fmt.Sprint(tt.feeds), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPI(t, &testserver.Server{})
				a.between = func(int) { time.Sleep(300 * time.Millisecond) }
				s := alice(t, a, &counter{srv: a.Server})
				l := listen(t.Context(), s, nil, users(tt.feeds)...)
				if took := l.connectedAfter(t, feeds.EventConnected, time.Minute); took != tt.took {
					t.Errorf("connected after %s, want %s", took, tt.took)
				}
				if n := a.readings(); n != tt.feeds || len(a.dialed()) != 1 {
					t.Errorf("%d calls over %d connections", n, len(a.dialed()))
				}
				_ = a.open(t).CloseNow()
				synctest.Wait()
				a.add(t, "missed", "user:0")
				if took := l.connectedAfter(t, feeds.EventReconnected, time.Minute) - tt.took; took < 250*time.Millisecond || took > 750*time.Millisecond {
					t.Errorf("reconnected %s after the feeds could have been read", took)
				}
				synctest.Wait()
				if got := l.seen(); !slices.Equal(got, []string{"connected", "reconnected", "+missed"}) {
					t.Errorf("events %q", got)
				}
			})
		})
	}
}

// The reading of many feeds keeps to the API's rate limit: there are no more calls than the answers
// say are left, and then all readers wait for the next minute, on one connection.
func TestEventsOfManyFeedsKeepToTheRateLimit(t *testing.T) {
	for _, tt := range []struct {
		name     string
		hide     bool // the headers of answers that were no refusal say nothing
		noWait   bool
		feeds    int
		minutes  int
		refusals int // at most
	}{
		{"told by the answers", false, false, 450, 7, 0},
		{"told by the refusals", true, true, 450, 7, 7 * 8},
		{"within the limit", false, false, 60, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPI(t, &testserver.Server{RateLimit: 60})
				var mu sync.Mutex
				limited := 0
				client := a.client()
				client.NoRateLimitWait = tt.noWait
				client.Base = roundTripper(func(req *http.Request) (*http.Response, error) {
					resp, err := a.base.RoundTrip(req)
					if err == nil && strings.Contains(req.URL.Path, "/feed_groups/") {
						mu.Lock()
						defer mu.Unlock()
						if resp.StatusCode == 429 {
							limited++
						} else if tt.hide {
							resp.Header.Del("X-Ratelimit-Remaining")
						}
					}
					return resp, err
				})
				time.Sleep(time.Until(time.Now().Truncate(time.Minute).Add(time.Minute))) // a fresh minute
				s, err := client.ConnectUser(t.Context(), feeds.User{ID: "alice"}, &counter{srv: a.Server})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { s.Close() })
				start := time.Now()
				l := listen(t.Context(), s, nil, users(tt.feeds)...)
				took := l.connectedAfter(t, feeds.EventConnected, time.Hour)
				if least := time.Duration(tt.minutes) * time.Minute; took < least || took > least+2*time.Second {
					t.Errorf("connected after %s, want %s", time.Since(start), least)
				}
				mu.Lock()
				defer mu.Unlock()
				if limited > tt.refusals || len(a.dialed()) != 1 {
					t.Errorf("%d calls met the limit, over %d connections", limited, len(a.dialed()))
				}
				if tt.refusals > 0 && limited == 0 {
					t.Error("no call met the limit: the test proves nothing")
				}
			})
		})
	}
}

// A feed that can't be read for now does not cost the others their connection.
func TestEventsTryAFeedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{})
		a.watch = func(n int, w http.ResponseWriter, _ *http.Request) bool {
			if n%3 > 0 {
				return false
			}
			if n%2 == 0 {
				cut(w)
			} else {
				w.WriteHeader(502)
			}
			return true
		}
		s := alice(t, a, &counter{srv: a.Server})
		l := listen(t.Context(), s, nil, users(90)...)
		// 30 of 90 fail, 10 of those 30, and so on, with half a second in between.
		if took := l.connectedAfter(t, feeds.EventConnected, time.Minute); took > 5*time.Second {
			t.Errorf("connected after %s", took)
		}
		if n := len(a.dialed()); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// What was read before the connection broke is kept: the next one goes on from there, and all is
// told in order.
func TestEventsGoOnWithARecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{})
		s := alice(t, a, &counter{srv: a.Server})
		l := listen(t.Context(), s, nil, "user:0", "user:1")
		synctest.Wait()
		_ = a.open(t).CloseNow()
		synctest.Wait()
		for i := range 950 {
			a.add(t, fmt.Sprint(i), "user:0")
		}
		a.add(t, "950", "user:1")
		var once sync.Once
		a.watch = func(_ int, w http.ResponseWriter, r *http.Request) bool {
			broken := false
			if strings.HasSuffix(r.URL.Path, "/1") {
				once.Do(func() {
					time.Sleep(100 * time.Millisecond) // the other feed has been read
					a.open(t).CloseNow()
					time.Sleep(time.Millisecond)
					cut(w)
					broken = true
				})
			}
			return broken
		}
		before := a.readings()
		time.Sleep(5 * time.Second)
		if got := l.seen(); !slices.Equal(got, append([]string{"connected", "reconnected"}, numbered("+", 0, 951)...)) {
			t.Errorf("%d events", len(got))
		}
		// Ten pages and one that breaks off; then, where nothing has come since, one of each.
		if n := a.readings() - before; n != 13 {
			t.Errorf("%d calls, want 13", n)
		}
	})
}

// If the API says that a limit ends in a year, Events waits for five minutes.
func TestEventsDontWaitForARateLimitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{})
		a.between = func(int) { time.Sleep(300 * time.Millisecond) }
		client := a.client()
		client.Base = roundTripper(func(req *http.Request) (*http.Response, error) {
			resp, err := a.base.RoundTrip(req)
			if err == nil && strings.Contains(req.URL.Path, "/feed_groups/") {
				resp.Header.Set("X-Ratelimit-Remaining", "0")
				resp.Header.Set("X-Ratelimit-Reset", fmt.Sprint(time.Now().Add(365*24*time.Hour).Unix()))
			}
			return resp, err
		})
		s, err := client.ConnectUser(t.Context(), feeds.User{ID: "alice"}, &counter{srv: a.Server})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		l := listen(t.Context(), s, nil, users(9)...) // eight at once, and one
		if took := l.connectedAfter(t, feeds.EventConnected, time.Hour); took < 5*time.Minute || took > 5*time.Minute+2*time.Second {
			t.Errorf("connected after %s", took)
		}
	})
}
