package testserver_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/coder/websocket"

	"github.com/stayauth/stayauth/testserver"
)

// Everyone who watches a feed is told of everything once, and all in the same order.
func TestManySockets(t *testing.T) {
	const sockets, posters, posts = 50, 4, 10
	run := func(t *testing.T, srv *testserver.Server, rt http.RoundTripper, base string) {
		server := caller{rt: rewrite{rt, base}, token: srv.ServerToken()}
		var clients []*client
		for i := range sockets {
			user := fmt.Sprintf("user%d", i%10)
			c := dial(t, rt, base+"/api/v2/connect", "")
			go c.listen()
			token := srv.Issue(user)
			c.send(`{"token":"` + token + `"}`)
			caller{rt: rewrite{rt, base}, token: token}.watch(t, c.event(), "news", "all")
			clients = append(clients, c)
		}
		var wg sync.WaitGroup
		for p := range posters {
			wg.Go(func() {
				for n := range posts {
					if a := server.do("POST", activities, fmt.Sprintf(`{"type":"post","feeds":["news:all"],"id":"%d-%d","user_id":"x"}`, p, n)); a.status != 201 {
						t.Errorf("status %d, error %v", a.status, a.err)
					}
				}
			})
		}
		wg.Wait()
		var first []string
		for i, c := range clients {
			var got []string
			for range posters * posts {
				got = append(got, answer{body: c.event()}.get("activity", "id").(string))
			}
			c.wantNoEvent()
			if first == nil {
				first = got
				sorted := slices.Compact(slices.Sorted(slices.Values(got)))
				if len(sorted) != posters*posts {
					t.Errorf("told of %d activities, want %d", len(sorted), posters*posts)
				}
			}
			if !slices.Equal(got, first) {
				t.Errorf("socket %d was told of %v, the first of %v", i, got, first)
			}
		}
		if n := srv.CloseSockets("", 1001); n != sockets {
			t.Errorf("%d sockets were open, want %d", n, sockets)
		}
		for _, c := range clients {
			c.wantClose(websocket.StatusGoingAway)
		}
	}
	t.Run("bubble", func(t *testing.T) {
		srv := &testserver.Server{}
		bubble(t, srv, func(t *testing.T) { run(t, srv, srv, "http://api.test") })
	})
	t.Run("loopback", func(t *testing.T) {
		srv := &testserver.Server{}
		ts := httptest.NewServer(srv)
		defer ts.Close()
		defer srv.Close()
		run(t, srv, ts.Client().Transport, ts.URL)
	})
}

// Close at the same moment as everything else that happens to sockets leaves nothing behind,
// whichever comes first.
func TestCloseWhileConnecting(t *testing.T) {
	for i := range 100 {
		synctest.Test(t, func(t *testing.T) {
			srv := &testserver.Server{PushExpiry: true}
			for range 4 {
				go func() {
					ws, _, err := websocket.Dial(t.Context(), socketURL+"?stream-auth-type=jwt&api_key="+testserver.DefaultKey,
						&websocket.DialOptions{HTTPClient: &http.Client{Transport: srv}})
					if err != nil {
						return
					}
					defer ws.CloseNow()
					_ = ws.Write(t.Context(), websocket.MessageText, []byte(`{"token":"`+srv.Issue("alice")+`"}`))
					_, _, _ = ws.Read(t.Context())
				}()
			}
			for range i {
				runtime.Gosched()
			}
			srv.Revoke("alice")
			srv.CloseSockets("", 1012)
			srv.Close()
		})
	}
}
