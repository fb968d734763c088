package feeds_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
	"github.com/stayauth/stayauth/transport"
)

// Wherever the loop is, it ends in the moment in which the session is closed, its context ends or
// its body breaks. No goroutine is left, or the bubble would not end.
func TestEventsEndAtOnce(t *testing.T) {
	hang := func(_ int, _ http.ResponseWriter, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body) // or the server would not notice that the client has gone
		<-r.Context().Done()
		return true
	}
	phases := map[string]func(a *api, p *counter){
		"token": func(a *api, p *counter) {
			a.Revoke("alice")
			a.login = func(_ int, c *conn) bool { c.refuse(401, feeds.CodeTokenExpired, "expired"); return true }
			p.fail = func(n int64) error {
				if n > 1 {
					return errors.New("down") // so the refresh sleeps and asks again
				}
				return nil
			}
		},
		"upgrade": func(a *api, _ *counter) { a.upgrade = hang },
		"login": func(a *api, _ *counter) {
			a.login = func(_ int, c *conn) bool { _, _, _ = c.Read(context.Background()); return true }
		},
		"watch": func(a *api, _ *counter) { a.watch = hang },
		"idle":  func(*api, *counter) {},
		"deaf":  func(a *api, _ *counter) { a.deaf = true },
		"pause": func(a *api, _ *counter) { a.upgrade = answer(503) },
		"body":  func(*api, *counter) {},
		"recovery": func(a *api, _ *counter) {
			a.watch = func(n int, w http.ResponseWriter, r *http.Request) bool { return n > 0 && hang(n, w, r) }
			a.serve = func(n int, c *conn) {
				if n == 0 {
					time.Sleep(time.Second)
					_ = c.CloseNow()
				}
			}
		},
	}
	for phase, set := range phases {
		for _, how := range []string{"close", "cancel", "deadline"} {
			t.Run(phase+" "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a := newAPI(t, &testserver.Server{})
					p := &counter{srv: a.Server}
					s := alice(t, a, p)
					set(a, p)
					const after = 12 * time.Second
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					var want error = context.Canceled
					if how == "deadline" {
						ctx, cancel = context.WithTimeout(t.Context(), after)
						defer cancel()
						want = context.DeadlineExceeded
					}
					begin := time.Now()
					body := func(feeds.Event) bool {
						if phase == "body" {
							time.Sleep(time.Until(begin.Add(after)))
						}
						return true
					}
					l := listen(ctx, s, body, "user:alice")
					time.Sleep(after)
					switch how {
					case "close":
						_ = s.Close()
						want = transport.ErrClosed
					case "cancel":
						cancel()
					}
					<-l.done
					if got := l.at.Sub(begin); got != after {
						t.Errorf("ended after %s, want %s", got, after)
					}
					if len(l.errs) != 1 || !errors.Is(l.errs[0], want) || how != "close" && l.errs[0] != want || feeds.IsSessionOver(l.errs[0]) != (how == "close") {
						t.Errorf("errors %v, want %v", l.errs, want)
					}
					if phase == "deaf" {
						time.Sleep(2 * time.Hour) // until the server ends too
					}
				})
			})
		}
	}
}

// A closed session has no events.
func TestEventsOfAClosedSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{})
		s := alice(t, a, &counter{srv: a.Server})
		events := s.Events(t.Context(), "user:alice")
		s.Close()
		for ev, err := range events {
			if !errors.Is(err, transport.ErrClosed) || !feeds.IsSessionOver(err) {
				t.Errorf("event %+v, error %v", ev, err)
			}
		}
		if n := len(a.dialed()); n != 0 {
			t.Errorf("%d connections", n)
		}
	})
}

// A loop whose body breaks closes the connection, and does not wait long for an answer. Its body
// may close the session or panic, and the loop may be run again.
func TestEventsLeaveTheLoop(t *testing.T) {
	t.Run("deaf server", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a := newAPI(t, &testserver.Server{})
			a.deaf = true
			s := alice(t, a, &counter{srv: a.Server})
			start := time.Now()
			for range s.Events(t.Context(), "user:alice") {
				break
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("leaving took %s", took)
			}
			time.Sleep(2 * time.Hour)
		})
	})
	t.Run("closing the session", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a := newAPI(t, &testserver.Server{})
			s := alice(t, a, &counter{srv: a.Server})
			var errs []error
			for _, err := range s.Events(t.Context(), "user:alice") {
				s.Close()
				errs = append(errs, err)
			}
			if len(errs) != 2 || errs[0] != nil || !feeds.IsSessionOver(errs[1]) {
				t.Errorf("errors %v", errs)
			}
		})
	})
	t.Run("panic, and again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a := newAPI(t, &testserver.Server{})
			p := &counter{srv: a.Server}
			s := alice(t, a, p)
			events := s.Events(t.Context(), "user:alice")
			func() {
				defer func() { _ = recover() }()
				for range events {
					panic("oops")
				}
			}()
			var last *conn
			for ev, err := range events {
				if ev.Type != feeds.EventConnected || err != nil {
					t.Errorf("event %+v, error %v", ev, err)
				}
				synctest.Wait() // until the server has noticed the end of the first
				last = a.open(t)
				break
			}
			synctest.Wait()
			if len(a.dialed()) != 2 || a.ended(last) == nil || p.calls.Load() != 1 {
				t.Errorf("%d connections, the last ended with %v, %d provider calls", len(a.dialed()), a.ended(last), p.calls.Load())
			}
		})
	})
}

// A Base that hides the upgraded connection can never work, and says so.
func TestEventsNeedTheUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{})
		client := a.client()
		client.Base = roundTripper(func(r *http.Request) (*http.Response, error) {
			resp, err := a.base.RoundTrip(r)
			if err == nil {
				resp.Body = struct{ readCloser }{resp.Body}
			}
			return resp, err
		})
		s, err := client.ConnectUser(t.Context(), feeds.User{ID: "alice"}, provider.Static(a.Issue("alice")))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		l := listen(t.Context(), s, nil)
		<-l.done
		if len(l.errs) != 1 || !strings.Contains(l.errs[0].Error(), "Client.Base must return the body of a 101") {
			t.Errorf("errors %v", l.errs)
		}
	})
}

type readCloser interface {
	Read([]byte) (int, error)
	Close() error
}
