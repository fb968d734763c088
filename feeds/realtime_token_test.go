package feeds_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
	"github.com/stayauth/stayauth/transport"
)

// A token that is rejected, in the handshake or on an open connection, costs one provider call and
// no time; and a token is the same for HTTP and for the socket, whichever of the two it was that
// needed it.
func TestEventsShareTheToken(t *testing.T) {
	tests := []struct {
		name   string
		script func(t *testing.T, a *api, s *feeds.Session) *loop
		dials  int
		events []string
	}{
		{"rejected in the handshake", func(t *testing.T, a *api, s *feeds.Session) *loop {
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
		{"rejected on the open connection", func(t *testing.T, a *api, s *feeds.Session) *loop {
			l := listen(t.Context(), s, nil, "user:alice")
			synctest.Wait()
			a.Revoke("alice")
			a.open(t).refuse(401, feeds.CodeTokenExpired, "token is expired (exp)")
			return l
		}, 2, []string{"connected", "reconnected"}},
		{"rejected for HTTP first", func(t *testing.T, a *api, s *feeds.Session) *loop {
			a.Revoke("alice")
			if _, err := s.QueryActivities(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			return listen(t.Context(), s, nil, "user:alice")
		}, 1, []string{"connected"}},
		{"rejected for HTTP, and then on the connection that was opened before", func(t *testing.T, a *api, s *feeds.Session) *loop {
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

// An API that rejects every token on its sockets is not stormed, and neither is the provider: the
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
				t.Errorf("a rejected token was sent again, %s later", d.at.Sub(a.dialed()[0].at))
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
