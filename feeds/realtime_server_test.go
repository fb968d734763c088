package feeds_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
)

// An api is a test server whose sockets do what the test says. HTTP calls go to the test server. A
// login on a socket is judged by it too, unless the test takes a step over.
type api struct {
	*testserver.Server
	base *http.Transport // leads here, over net.Pipe

	// Steps that a test may take over. They are set before the first connection, and called with
	// its number, from 0.
	upgrade func(n int, w http.ResponseWriter, r *http.Request) bool // true: answered
	login   func(n int, c *conn) bool                                // true: dealt with
	serve   func(n int, c *conn)                                     // after the login, beside the reading
	watch   func(n int, w http.ResponseWriter, r *http.Request) bool // called with the number of watched reads; true: answered
	between func(n int)                                              // after a feed is watched and before it is read
	after   func(n int)                                              // after it was read
	mute    bool                                                     // health checks are not answered
	deaf    bool                                                     // nothing is read after the login
	grouped map[string]*groupedFeed                                  // feeds that the test server has no part in

	mu      sync.Mutex
	dials   []dialed
	conns   []*conn // logged in and not yet closed
	watches int     // reads of feeds that had them watched
	reads   int     // and all of them
}

// A dialed is what arrived with one connection.
type dialed struct {
	at    time.Time
	url   *url.URL
	hello struct {
		Token    string     `json:"token"`
		User     feeds.User `json:"user_details"`
		Products []string   `json:"products"`
	}
}

func newAPI(t *testing.T, srv *testserver.Server) *api {
	a := &api{Server: srv}
	accept := make(chan net.Conn)
	done := make(chan struct{})
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		client, server := net.Pipe()
		select {
		case accept <- server:
			return client, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	a.base = &http.Transport{DialContext: dial, DialTLSContext: dial, MaxIdleConnsPerHost: 10}
	server := &http.Server{Handler: a}
	go func() { _ = server.Serve(pipes{accept, done}) }()
	t.Cleanup(func() {
		a.base.CloseIdleConnections()
		close(done)
		_ = server.Close()
		_ = srv.Close()
	})
	return a
}

type pipes struct {
	accept chan net.Conn
	done   chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accept:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error { return nil }

func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// client returns a client of a.
func (a *api) client() *feeds.Client {
	return backend(testserver.DefaultKey, testserver.DefaultSecret, a.base)
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/api/v2/connect":
		a.connect(w, r)
		return
	case strings.HasPrefix(r.URL.Path, "/api/v2/feeds/feed_groups/"):
		a.read(w, r)
		return
	case r.URL.Path == "/api/v2/feeds/activities/query" && a.list(w, r):
		return
	case r.Method == "POST" && r.URL.Path == "/api/v2/feeds/activities":
		rec := httptest.NewRecorder()
		a.Server.ServeHTTP(rec, r)
		var out struct {
			Activity json.RawMessage `json:"activity"`
		}
		if json.Unmarshal(rec.Body.Bytes(), &out) == nil && rec.Code == 201 {
			a.tell(out.Activity)
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
		return
	}
	a.Server.ServeHTTP(w, r)
}

// read answers the reading of a feed, and notes that a connection watches it.
func (a *api) read(w http.ResponseWriter, r *http.Request) {
	connection := r.URL.Query().Get("connection_id")
	a.mu.Lock()
	n := a.watches
	a.reads++
	if connection != "" {
		a.watches++
	}
	a.mu.Unlock()
	if connection == "" {
		a.answerRead(w, r)
		return
	}
	if a.watch != nil && a.watch(n, w, r) {
		return
	}
	body, _ := io.ReadAll(r.Body)
	path := strings.Split(r.URL.Path, "/") // /api/v2/feeds/feed_groups/{group}/feeds/{id}
	a.mu.Lock()
	for _, c := range a.conns {
		if c.id == connection && strings.Contains(string(body), `"watch":true`) {
			c.feeds = append(c.feeds, path[5]+":"+path[7])
		}
	}
	a.mu.Unlock()
	if a.between != nil {
		a.between(n)
	}
	// The test server has sockets of its own, and does not know this one.
	r.URL.RawQuery = "api_key=" + testserver.DefaultKey
	r.Body = io.NopCloser(strings.NewReader(strings.Replace(string(body), `"watch":true,`, "", 1)))
	a.answerRead(w, r)
	if a.after != nil {
		a.after(n)
	}
}

// tell sends an added activity to those who watch.
func (a *api) tell(activity json.RawMessage) {
	var in struct {
		Feeds     []string `json:"feeds"`
		CreatedAt int64    `json:"created_at"`
	}
	_ = json.Unmarshal(activity, &in)
	a.mu.Lock()
	conns := slices.Clone(a.conns)
	a.mu.Unlock()
	for _, c := range conns {
		for _, fid := range in.Feeds {
			a.mu.Lock()
			watches := slices.Contains(c.feeds, fid)
			a.mu.Unlock()
			if watches {
				c.send(map[string]any{"type": "feeds.activity.added", "fid": fid, "activity": activity, "created_at": in.CreatedAt, "custom": map[string]any{}})
			}
		}
	}
}

// add adds an activity, as a backend does. Every one has a time of its own.
func (a *api) add(t *testing.T, text string, feeds ...string) {
	t.Helper()
	time.Sleep(time.Nanosecond)
	token, err := provider.Signer{Secret: provider.NewSecret(testserver.DefaultSecret)}.ServerToken()
	if err != nil {
		t.Fatal(err)
	}
	body, _ := json.Marshal(map[string]any{"type": "post", "text": text, "feeds": feeds, "user_id": "alice"})
	r := httptest.NewRequest("POST", "/api/v2/feeds/activities?api_key="+testserver.DefaultKey, bytes.NewReader(body))
	r.Header.Set("Authorization", token)
	r.Header.Set("Stream-Auth-Type", "jwt")
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	if w.Code != 201 {
		t.Fatalf("adding %q: %d %s", text, w.Code, w.Body)
	}
}

// dialed returns what arrived so far.
func (a *api) dialed() []dialed {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.dials)
}

// readings returns how often feeds were read.
func (a *api) readings() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.reads
}
