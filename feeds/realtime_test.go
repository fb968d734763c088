package feeds_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/coder/websocket"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
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
