package feeds_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
	"github.com/stayauth/stayauth/transport"
)

// A counter is a token provider that issues tokens for alice, and counts.
type counter struct {
	srv   *testserver.Server
	calls atomic.Int64
	fail  func(n int64) error // asked before the nth call, from 1
}

func (c *counter) Token(context.Context, provider.Token) (provider.Token, error) {
	n := c.calls.Add(1)
	if c.fail != nil {
		if err := c.fail(n); err != nil {
			return provider.Token{}, err
		}
	}
	return provider.ParseJWT(c.srv.Issue("alice"))
}

// alice logs alice in.
func alice(t *testing.T, a *api, p provider.TokenProvider) *feeds.Session {
	t.Helper()
	s, err := a.client().ConnectUser(t.Context(), feeds.User{ID: "alice", Name: "Alice"}, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// What goes over the wire is what Stream's own clients send, and no token is in a URL.
func TestEventsOverTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{})
		p := &counter{srv: a.Server}
		s := alice(t, a, p)
		l := listen(t.Context(), s, func(ev feeds.Event) bool { return ev.Type != "stop" }, "user:alice", "user:alice", "timeline:alice")
		synctest.Wait()
		a.add(t, "one", "user:alice", "timeline:alice", "user:bob")
		c := a.open(t)
		for _, frame := range []string{
			`{"type":"feeds.activity.reaction.added","fid":"user:alice","created_at":1700000000000000001,"custom":{"k":"v"},"reaction":{"type":"like"}}`,
			`{"type":"odd","fid":"user:alice","created_at":"yesterday","custom":[],"activity":7}`,
			`{"type":"health.check","connection_id":"connection-0"}`, `not JSON`, `[]`, `{}`, `null`, `{"type":1}`,
			`{"type":"stop"}`,
		} {
			if err := c.Write(t.Context(), websocket.MessageText, []byte(frame)); err != nil {
				t.Fatal(err)
			}
		}
		<-l.done
		if got := l.seen(); !slices.Equal(got, []string{"connected", "one", "one", "feeds.activity.reaction.added", "odd", "stop"}) || l.errs != nil {
			t.Errorf("events %q, errors %v", got, l.errs)
		}
		added, reaction, odd := l.events[1], l.events[3], l.events[4]
		if l.events[2].FID == added.FID || added.Activity.User.ID != "alice" || !added.CreatedAt.Equal(added.Activity.CreatedAt.Time) ||
			added.Recovered || added.Gap != nil || !json.Valid(added.Raw) {
			t.Errorf("%+v", added)
		}
		if reaction.FID != "user:alice" || reaction.CreatedAt.UnixNano() != 1700000000000000001 || reaction.Custom["k"] != "v" ||
			!strings.Contains(string(reaction.Raw), `"reaction":{"type":"like"}`) {
			t.Errorf("%+v", reaction)
		}
		if odd.FID != "user:alice" || odd.Activity != nil || odd.Custom != nil || !odd.CreatedAt.IsZero() || odd.Raw == nil {
			t.Errorf("%+v", odd)
		}

		d := a.dialed()
		if len(d) != 1 {
			t.Fatalf("%d connections", len(d))
		}
		if got := d[0].url.RawQuery; got != "X-Stream-Client=stayauth-go-0.1.0&api_key="+testserver.DefaultKey+"&stream-auth-type=jwt" {
			t.Errorf("query %s", got)
		}
		h := d[0].hello
		if a.judgeStatus(h.Token) != 200 || h.User.ID != "alice" || h.User.Name != "Alice" || !slices.Equal(h.Products, []string{"feeds"}) {
			t.Errorf("first frame %+v", h)
		}
		synctest.Wait()
		if got := websocket.CloseStatus(a.ended(c)); got != websocket.StatusNormalClosure {
			t.Errorf("the connection ended with %v, want a close with 1000", a.ended(c))
		}
		if n := p.calls.Load(); n != 1 {
			t.Errorf("%d provider calls, want 1", n)
		}
	})
}

func (a *api) judgeStatus(token string) int {
	status, _, _ := a.judge(token)
	return status
}

// A token that is refused, in the handshake or on an open connection, costs one provider call and
// no time; and a token is the same for HTTP and for the socket, whichever of the two it was that
// needed it.
func TestEventsShareTheToken(t *testing.T) {
	tests := []struct {
		name   string
		script func(t *testing.T, a *api, s *feeds.Session) *loop
		dials  int
		events []string
	}{
		{"refused in the handshake", func(t *testing.T, a *api, s *feeds.Session) *loop {
			a.Revoke("alice")
			return listen(t.Context(), s, nil, "user:alice")
		}, 2, []string{"connected"}},
		{"expired in the handshake", func(t *testing.T, a *api, s *feeds.Session) *loop {
			a.AdvanceClock(2 * time.Hour) // only by the server's clock, so that the client must be told
			return listen(t.Context(), s, nil, "user:alice")
		}, 2, []string{"connected"}},
		{"expired by our clock as well", func(t *testing.T, a *api, s *feeds.Session) *loop {
			time.Sleep(2 * time.Hour)
			return listen(t.Context(), s, nil, "user:alice")
		}, 1, []string{"connected"}},
		{"refused on the open connection", func(t *testing.T, a *api, s *feeds.Session) *loop {
			l := listen(t.Context(), s, nil, "user:alice")
			synctest.Wait()
			a.Revoke("alice")
			a.open(t).refuse(401, feeds.CodeTokenExpired, "token is expired (exp)")
			return l
		}, 2, []string{"connected", "reconnected"}},
		{"refused for HTTP first", func(t *testing.T, a *api, s *feeds.Session) *loop {
			a.Revoke("alice")
			if _, err := s.QueryActivities(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			return listen(t.Context(), s, nil, "user:alice")
		}, 1, []string{"connected"}},
		{"refused for HTTP, and then on the connection that was opened before", func(t *testing.T, a *api, s *feeds.Session) *loop {
			l := listen(t.Context(), s, nil, "user:alice")
			synctest.Wait()
			a.Revoke("alice")
			if _, err := s.QueryActivities(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			a.open(t).refuse(401, feeds.CodeTokenExpired, "token is expired (exp)")
			return l
		}, 2, []string{"connected", "reconnected"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPI(t, &testserver.Server{})
				p := &counter{srv: a.Server}
				s := alice(t, a, p)
				l := tt.script(t, a, s)
				start := time.Now()
				synctest.Wait()
				if got := l.seen(); !slices.Equal(got, tt.events) {
					t.Errorf("events %q, want %q", got, tt.events)
				}
				if d := a.dialed(); len(d) != tt.dials || !d[len(d)-1].at.Equal(start) {
					t.Errorf("%d connections, want %d", len(d), tt.dials)
				}
				if _, err := s.QueryActivities(t.Context(), nil); err != nil {
					t.Error(err)
				}
				if n := p.calls.Load(); n != 2 {
					t.Errorf("%d provider calls, want 2", n)
				}
				if gap := l.last(feeds.EventReconnected).Gap; gap != nil {
					if e, ok := errors.AsType[*feeds.Error](gap.Err); !ok || e.Code != feeds.CodeTokenExpired || gap.Dropped != 0 || gap.Incomplete != nil {
						t.Errorf("gap %+v", gap)
					}
				}
			})
		})
	}
}

// When there is no next token the loop ends, with the provider's own error.
func TestEventsRevokedForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{})
		gone := errors.New("alice was deleted")
		p := &counter{srv: a.Server, fail: func(n int64) error {
			if n > 1 {
				return provider.Permanent(gone)
			}
			return nil
		}}
		s := alice(t, a, p)
		l := listen(t.Context(), s, nil, "user:alice")
		synctest.Wait()
		start := time.Now()
		a.Revoke("alice")
		a.open(t).refuse(401, feeds.CodeTokenExpired, "revoked")
		<-l.done
		if len(l.errs) != 1 || !feeds.IsSessionOver(l.errs[0]) || !errors.Is(l.errs[0], gone) || !strings.HasPrefix(l.errs[0].Error(), "feeds: ") {
			t.Errorf("errors %v", l.errs)
		}
		if d := a.dialed(); len(d) != 1 || p.calls.Load() != 2 || !l.at.Equal(start) {
			t.Errorf("%d connections, %d provider calls, ended after %s", len(d), p.calls.Load(), l.at.Sub(start))
		}
	})
}

// A refusal that no new token and no waiting cures ends the loop at once.
func TestEventsRefusedForGood(t *testing.T) {
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

// An API that refuses every token on its sockets is not stormed, and neither is the provider: the
// transport's pauses between dead tokens hold here too.
func TestEventsPaceDeadTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{})
		a.login = func(_ int, c *conn) bool { c.refuse(401, feeds.CodeTokenExpired, "expired"); return true }
		p := &counter{srv: a.Server}
		s := alice(t, a, p)
		l := listen(t.Context(), s, nil, "user:alice")
		time.Sleep(time.Minute)
		// Tokens at 0, 0, 0, 0.25 s, and then no sooner than 1, 4, 16 and 30 s after one another.
		if n := p.calls.Load(); n < 6 || n > 8 {
			t.Errorf("%d provider calls in a minute", n)
		}
		tokens := make(map[string]int)
		for _, d := range a.dialed() {
			if tokens[d.hello.Token]++; tokens[d.hello.Token] > 1 {
				t.Errorf("a refused token was sent again, %s later", d.at.Sub(a.dialed()[0].at))
			}
		}
		s.Close()
		<-l.done
		if len(l.errs) != 1 || !errors.Is(l.errs[0], transport.ErrClosed) {
			t.Errorf("errors %v", l.errs)
		}
	})
}

// No token is in the log or in an error, even if the API repeats it.
func TestEventsTellNoSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{})
		a.login = func(n int, c *conn) bool {
			token := a.dialed()[n].hello.Token
			switch n {
			case 0:
				c.refuse(401, feeds.CodeTokenExpired, "expired: "+token)
			case 1:
				_ = c.Close(websocket.StatusInternalError, token[:100])
			case 2:
				c.refuse(401, feeds.CodeBadSignature, "not signed by us: "+token)
			}
			return true
		}
		var mu sync.Mutex
		var log bytes.Buffer
		client := a.client()
		client.Logger = slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			return log.Write(p)
		}), &slog.HandlerOptions{Level: slog.LevelDebug}))
		s, err := client.ConnectUser(t.Context(), feeds.User{ID: "alice"}, issuer(a.Server, "alice"))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		l := listen(t.Context(), s, nil)
		<-l.done
		said := log.String() + fmt.Sprint(l.errs)
		if len(l.errs) != 1 || !strings.Contains(said, "REDACTED") {
			t.Errorf("errors %v", l.errs)
		}
		for _, want := range []string{"will dial with the next", "will dial again", "code 1011", "events ended"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log does not say %q", want)
			}
		}
		for _, d := range a.dialed() {
			if strings.Contains(said, d.hello.Token) || strings.Contains(said, d.hello.Token[:60]) {
				t.Errorf("a token in: %s", said)
			}
		}
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestEventsFeedNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{})
		s := alice(t, a, &counter{srv: a.Server})
		for _, fid := range []string{"", "alice", ":alice", "user:", ":"} {
			l := listen(t.Context(), s, nil, "user:alice", fid)
			<-l.done
			if len(l.errs) != 1 || !strings.Contains(l.errs[0].Error(), fmt.Sprintf("the feed %q is not of the form group:id", fid)) {
				t.Errorf("%q: %v", fid, l.errs)
			}
		}
		if n := len(a.dialed()); n != 0 {
			t.Errorf("%d connections", n)
		}
	})
}

// An anonymous session has no token to send, and says so.
func TestEventsAnonymous(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{})
		a.login = func(_ int, c *conn) bool { c.refuse(401, feeds.CodeBadKey, "no anonymous users here"); return true }
		s, err := a.client().ConnectAnonymous(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		l := listen(t.Context(), s, nil)
		<-l.done
		d := a.dialed()[0]
		if d.url.Query().Get("stream-auth-type") != "anonymous" || d.hello.Token != "" || d.hello.User.ID != "" {
			t.Errorf("%s, first frame %+v", d.url, d.hello)
		}
		if len(l.errs) != 1 || !strings.Contains(l.errs[0].Error(), "no anonymous users here") {
			t.Errorf("errors %v", l.errs)
		}
	})
}
