package browser_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stayauth/stayauth/examples/internal/tell"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
	"github.com/stayauth/stayauth/transport"
)

// A world is a test server with its page and clients.
type world struct {
	t         *testing.T
	api, page string // addresses
	srv       interface {
		http.Handler
		Page() *testserver.Page
		Ledger() testserver.Ledger
		Check() error
		Close() error
	}
	failed atomic.Int64 // requests that the clients' callers saw fail
	sent   atomic.Int64
}

func newServer(t *testing.T, s *testserver.Server) *world { return start(t, &world{t: t, srv: s}) }
func newGuard(t *testing.T, g *testserver.Guard) *world   { return start(t, &world{t: t, srv: g}) }

func start(t *testing.T, w *world) *world {
	page := httptest.NewServer(w.srv.Page())
	api := httptest.NewServer(w.srv)
	w.api, w.page = api.URL, page.URL+"/"
	t.Cleanup(func() {
		w.srv.Close()
		api.Close()
		page.CloseClientConnections()
		page.Close()
	})
	return w
}

// client returns an http.Client of this module that is logged in as the user, and tells the page
// of itself.
func (w *world) client(user string) *http.Client {
	tr := &transport.Transport{Origins: []string{w.api}, Trace: tell.Trace(w.srv.Page(), user)}
	if g, ok := w.srv.(*testserver.Guard); ok {
		tr.Provider = provider.OAuth2{TokenURL: w.api + "/token", ClientID: "cli", RefreshToken: provider.NewSecret(g.LogIn(user))}
	} else {
		tr.Provider = provider.HTTP{URL: w.api + "/token", UserID: user, Session: provider.NewSecret("s")}
		tr.Authorize = func(r *http.Request, tok provider.Token) {
			r.Header.Set("Authorization", tok.Value())
			r.Header.Set("Stream-Auth-Type", "jwt")
		}
		tr.IsRejected = transport.BodyCode("code", 40)
	}
	w.t.Cleanup(func() { tr.Close() })
	return &http.Client{Transport: tr}
}

// traffic has the user's client send requests until the test ends, each worker one every so often.
func (w *world) traffic(user string, workers int, every time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	c := w.client(user)
	for i := range workers {
		work.Go(func() {
			time.Sleep(time.Duration(i) * every / time.Duration(workers))
			for ctx.Err() == nil {
				if err := w.send(ctx, c, user); err != nil && ctx.Err() == nil {
					w.failed.Add(1)
				}
				w.sent.Add(1)
				time.Sleep(every)
			}
		})
	}
	w.t.Cleanup(func() {
		cancel()
		work.Wait()
	})
}

// send sends one request that changes something.
func (w *world) send(ctx context.Context, c *http.Client, user string) error {
	path := w.api + "/things"
	if _, ok := w.srv.(*testserver.Server); ok {
		path = w.api + "/api/v2/feeds/activities?api_key=" + testserver.DefaultKey
	}
	req, err := http.NewRequestWithContext(ctx, "POST", path, strings.NewReader(`{"type":"post","text":"hello","feeds":["user:`+user+`"]}`))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(testserver.RequestID, rand.Text())
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}

// post sends a request with a token, and returns the status of the answer.
func (w *world) post(token, id string) (status int) {
	w.t.Helper()
	path, scheme := "/things", "Bearer "
	if _, ok := w.srv.(*testserver.Server); ok {
		path, scheme = "/api/v2/feeds/activities?api_key="+testserver.DefaultKey, ""
	}
	req, err := http.NewRequest("POST", w.api+path, strings.NewReader(`{"type":"post","text":"hello","feeds":["user:x"]}`))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", scheme+token)
	req.Header.Set("Stream-Auth-Type", "jwt")
	if id != "" {
		req.Header.Set(testserver.RequestID, id)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// login logs a user in at the server's token endpoint.
func (w *world) login(user string) (status int, token string) {
	w.t.Helper()
	resp, err := http.Post(w.api+"/token", "application/json", strings.NewReader(`{"user_id":"`+user+`"}`))
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	var out struct{ Token string }
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, out.Token
}

// refresh spends a refresh token at the guard's token endpoint.
func (w *world) refresh(token string) (status int) {
	w.t.Helper()
	resp, err := http.PostForm(w.api+"/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "client_id": {"cli"}})
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// issue mints a token for a user.
func (w *world) issue(user string) string {
	if g, ok := w.srv.(*testserver.Guard); ok {
		return g.Issue(user)
	}
	return w.srv.(*testserver.Server).Issue(user)
}
