package feeds_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/testserver"
)

// An error of the API that neither a new token nor waiting cures ends the loop at once.
func TestEventsRejectedForGood(t *testing.T) {
	for _, e := range []struct{ status, code int }{{401, 2}, {401, 5}, {403, 17}, {401, 41}, {401, 42}, {401, 43}, {400, 4}, {404, 16}} {
		body := fmt.Sprintf(`{"code":%d,"message":"no","StatusCode":%d}`, e.code, e.status)
		places := map[string]func(*api){
			"upgrade": func(a *api) {
				a.upgrade = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
					w.WriteHeader(e.status)
					_, _ = w.Write([]byte(body))
					return true
				}
			},
			"login": func(a *api) {
				a.login = func(_ int, c *conn) bool { c.refuse(e.status, e.code, "no"); return true }
			},
			"watch": func(a *api) {
				a.watch = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
					w.WriteHeader(e.status)
					_, _ = w.Write([]byte(body))
					return true
				}
			},
			"open": func(a *api) {
				a.serve = func(_ int, c *conn) { c.refuse(e.status, e.code, "no") }
			},
		}
		if e.code == feeds.CodeBadInput || e.code == feeds.CodeNotFound {
			delete(places, "open") // see TestEventsMayFindTheConnectionGone
		}
		for place, set := range places {
			t.Run(fmt.Sprint(place, e), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a := newAPI(t, &testserver.Server{})
					set(a)
					p := &counter{srv: a.Server}
					s := alice(t, a, p)
					start := time.Now()
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					defer cancel()
					l := listen(ctx, s, nil, "user:alice")
					<-l.done
					if len(l.errs) != 1 || feeds.IsSessionOver(l.errs[0]) {
						t.Fatalf("errors %v", l.errs)
					}
					got, ok := errors.AsType[*feeds.Error](l.errs[0])
					if !ok || got.Code != e.code || got.StatusCode != e.status || got.Message != "no" || got.RequestID == "" {
						t.Errorf("error %#v", got)
					}
					if len(a.dialed()) != 1 || p.calls.Load() != 1 || !l.at.Equal(start) {
						t.Errorf("%d connections, %d provider calls, ended after %s", len(a.dialed()), p.calls.Load(), l.at.Sub(start))
					}
				})
			})
		}
	}
}

// A connection can be gone before the feeds are watched by it again, and the API then says that it
// is not found. That passes.
func TestEventsMayFindTheConnectionGone(t *testing.T) {
	for _, e := range []struct{ status, code int }{{400, 4}, {404, 16}, {400, 46}} {
		t.Run(fmt.Sprint(e), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPI(t, &testserver.Server{})
				a.watch = func(n int, w http.ResponseWriter, _ *http.Request) bool {
					if n != 1 {
						return false
					}
					w.WriteHeader(e.status)
					_, _ = fmt.Fprintf(w, `{"code":%d,"message":"no such connection","StatusCode":%d}`, e.code, e.status)
					return true
				}
				s := alice(t, a, &counter{srv: a.Server})
				l := listen(t.Context(), s, nil, "user:alice")
				time.Sleep(time.Second)
				_ = a.open(t).CloseNow()
				time.Sleep(3 * time.Second)
				if got := l.seen(); !slices.Equal(got, []string{"connected", "reconnected"}) || len(a.dialed()) != 3 {
					t.Errorf("events %q, %d connections", got, len(a.dialed()))
				}
			})
		})
	}
}
