package feeds_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/stayauth/stayauth/testserver"
)

// cut closes the connection without a word, as a broken network does.
func cut(w http.ResponseWriter) {
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	_ = c.Close()
}

// answer answers with the status and no code of Stream's.
func answer(status int) func(int, http.ResponseWriter, *http.Request) bool {
	return func(_ int, w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(status); return true }
}

// After trouble that may pass, Events connects again, with pauses that grow from between 0.25 and
// 0.75 s to between 8 and 24 s, and that begin again with the first once a connection has lasted
// for 1 s. The provider is not called for it.
func TestEventsWaitOutTrouble(t *testing.T) {
	const failures = 9
	trouble := map[string]func(*api){
		"503":        func(a *api) { a.upgrade = answer(503) },
		"404":        func(a *api) { a.upgrade = answer(404) },
		"401":        func(a *api) { a.upgrade = answer(401) },
		"redirect":   func(a *api) { a.upgrade = answer(302) },
		"no upgrade": func(a *api) { a.upgrade = answer(200) },
		"cut": func(a *api) {
			a.upgrade = func(_ int, w http.ResponseWriter, _ *http.Request) bool { cut(w); return true }
		},
		"closed instead of an answer": func(a *api) {
			a.login = func(_ int, c *conn) bool { _ = c.Close(websocket.StatusInternalError, ""); return true }
		},
		"internal error": func(a *api) { a.login = func(_ int, c *conn) bool { c.refuse(500, -1, "oops"); return true } },
		"an error without a reason": func(a *api) {
			a.login = func(_ int, c *conn) bool { c.send(map[string]any{"type": "connection.error"}); return true }
		},
		"no JSON": func(a *api) { a.login = func(_ int, c *conn) bool { c.send("hello"); return true } },
		"no connection id": func(a *api) {
			a.login = func(_ int, c *conn) bool { c.send(map[string]any{"type": "connection.ok"}); return true }
		},
		"watching fails": func(a *api) { a.watch = answer(500) },
		"hangs up after the login": func(a *api) {
			a.serve = func(_ int, c *conn) { time.Sleep(time.Millisecond); _ = c.CloseNow() }
		},
	}
	for name, set := range trouble {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPI(t, &testserver.Server{})
				set(a)
				upgrade, login, serve, watch := a.upgrade, a.login, a.serve, a.watch
				if upgrade != nil {
					a.upgrade = func(n int, w http.ResponseWriter, r *http.Request) bool { return n < failures && upgrade(n, w, r) }
				}
				if login != nil {
					a.login = func(n int, c *conn) bool { return n < failures && login(n, c) }
				}
				a.serve = func(n int, c *conn) {
					switch {
					case n < failures && serve != nil:
						serve(n, c)
					case n == failures:
						time.Sleep(time.Second)
						_ = c.CloseNow()
					}
				}
				if watch != nil {
					a.watch = func(n int, w http.ResponseWriter, r *http.Request) bool { return n < failures && watch(n, w, r) }
				}
				p := &counter{srv: a.Server}
				s := alice(t, a, p)
				l := listen(t.Context(), s, nil, "user:alice")
				time.Sleep(5 * time.Minute)
				d := a.dialed()
				if len(d) != failures+2 {
					t.Fatalf("%d connections, want %d", len(d), failures+2)
				}
				for n := range failures {
					nominal := min(500*time.Millisecond<<n, 16*time.Second)
					if pause := d[n+1].at.Sub(d[n].at).Round(2 * time.Millisecond); pause < nominal/2 || pause > nominal*3/2 {
						t.Errorf("pause %d is %s, want about %s", n, pause, nominal)
					}
				}
				if pause := d[failures+1].at.Sub(d[failures].at) - time.Second; pause < 250*time.Millisecond || pause > 750*time.Millisecond {
					t.Errorf("the pause after a connection that had held is %s", pause)
				}
				if got := l.seen(); !slices.Equal(got[len(got)-2:], []string{"connected", "reconnected"}) && serve == nil {
					t.Errorf("events %q", got)
				}
				if n := p.calls.Load(); n != 1 {
					t.Errorf("%d provider calls", n)
				}
			})
		})
	}
}

// A provider that fails temporarily does not end the loop either.
func TestEventsSurviveAFailingProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{})
		down := time.Now().Add(10 * time.Minute)
		p := &counter{srv: a.Server, fail: func(n int64) error {
			if n > 1 && time.Now().Before(down) {
				return errors.New("the backend is down")
			}
			return nil
		}}
		s := alice(t, a, p)
		a.Revoke("alice")
		l := listen(t.Context(), s, nil, "user:alice")
		time.Sleep(11 * time.Minute)
		if got := l.seen(); !slices.Equal(got, []string{"connected"}) || l.errs != nil {
			t.Errorf("events %q, errors %v", got, l.errs)
		}
		if n := len(a.dialed()); n != 2 { // without a token there is nothing to dial with
			t.Errorf("%d connections, want 2", n)
		}
	})
}

// If the API says when to come back, Events comes back then.
func TestEventsKeepToRateLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{})
		a.upgrade = func(n int, w http.ResponseWriter, _ *http.Request) bool {
			if n > 0 {
				return false
			}
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(429)
			_, _ = w.Write([]byte(`{"code":9,"message":"too many","StatusCode":429}`))
			return true
		}
		s := alice(t, a, &counter{srv: a.Server})
		listen(t.Context(), s, nil, "user:alice")
		time.Sleep(time.Hour)
		d := a.dialed()
		if len(d) != 2 {
			t.Fatalf("%d connections", len(d))
		}
		if pause := d[1].at.Sub(d[0].at) - time.Minute; pause < 250*time.Millisecond || pause > 750*time.Millisecond {
			t.Errorf("dialed again %s after the minute", pause)
		}
	})
}

// An API that takes a connection and then says nothing is given 15 s for the login, and 2 min for
// the reading of the feeds.
func TestEventsGiveUpWaiting(t *testing.T) {
	hang := func(n int, _ http.ResponseWriter, r *http.Request) bool {
		if n > 0 {
			return false
		}
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		return true
	}
	for name, tt := range map[string]struct {
		set   func(*api)
		limit time.Duration
	}{
		"upgrade": {func(a *api) { a.upgrade = hang }, 15 * time.Second},
		"login": {func(a *api) {
			a.login = func(n int, c *conn) bool {
				if n == 0 {
					_, _, _ = c.Read(context.Background())
				}
				return n == 0
			}
		}, 15 * time.Second},
		"watch": {func(a *api) { a.watch = hang }, 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPI(t, &testserver.Server{})
				tt.set(a)
				s := alice(t, a, &counter{srv: a.Server})
				start := time.Now()
				l := listen(t.Context(), s, nil, "user:alice")
				time.Sleep(time.Hour)
				d := a.dialed()
				if got := l.seen(); len(d) != 2 || !slices.Equal(got, []string{"connected"}) {
					t.Fatalf("%d connections, events %q", len(d), got)
				}
				if pause := d[1].at.Sub(start) - tt.limit; pause < 250*time.Millisecond || pause > 750*time.Millisecond {
					t.Errorf("dialed again %s after the limit", pause)
				}
			})
		})
	}
}
