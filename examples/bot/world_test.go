package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
)

const baseURL = "http://localhost"

// A world is an API that restarts, with alice in it, who posts, and a bot that answers. It lives in
// a bubble.
type world struct {
	t   *testing.T
	bot *bot

	mu  sync.Mutex // guards the field below
	api *testserver.Server

	stopped chan error // gets what the bot's run returned
	stop    context.CancelFunc
}

var errDown = errors.New("connection refused")

// RoundTrip goes to the API, if there is one at the time.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	api := w.api
	w.mu.Unlock()
	if api == nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, errDown
	}
	return api.RoundTrip(r)
}

// newWorld starts all but the bot.
func newWorld(t *testing.T, api *testserver.Server) *world {
	w := &world{t: t, api: api, stopped: make(chan error, 1)}
	w.bot = &bot{
		client: &feeds.Client{Key: testserver.DefaultKey, BaseURL: baseURL, Base: w},
		tokens: provider.HTTP{URL: baseURL + "/token", UserID: "bot", Session: provider.NewSecret("bot's"), Client: &http.Client{Transport: w, Timeout: 10 * time.Second}},
		user:   feeds.User{ID: "bot"},
		follow: []string{"user:alice"},
		reply:  reply,
		log:    slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	t.Cleanup(func() { w.restart(nil) })
	return w
}

// start starts the bot. It runs until end, or until it gives up.
func (w *world) start() {
	ctx, stop := context.WithCancel(w.t.Context())
	w.stop = stop
	go func() { w.stopped <- w.bot.run(ctx) }() // ends with stop
}

// end ends the bot, as a signal does.
func (w *world) end() {
	w.t.Helper()
	w.stop()
	if err := <-w.stopped; err != nil {
		w.t.Errorf("run: %v", err)
	}
}

// restart puts another API in place of the one that there is, which breaks all connections. It may
// be nil, for none.
func (w *world) restart(api *testserver.Server) {
	w.mu.Lock()
	old := w.api
	w.api = api
	w.mu.Unlock()
	if old != nil {
		_ = old.Close()
	}
}

// post has alice post. She has a session with the API of now.
func (w *world) post(text string) (id string) {
	w.t.Helper()
	client := feeds.Client{Key: testserver.DefaultKey, BaseURL: baseURL, Base: w}
	alice, err := client.ConnectUser(w.t.Context(), feeds.User{ID: "alice"}, provider.Signer{Secret: provider.NewSecret(testserver.DefaultSecret)}.For("alice"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer alice.Close()
	added, err := alice.AddActivity(w.t.Context(), &feeds.AddActivityRequest{Type: "post", Feeds: []string{"user:alice"}, Text: text})
	if err != nil {
		w.t.Fatal(err)
	}
	return added.Activity.ID
}

// operatorOf returns a client that has the secret.
func operatorOf(w *world) *feeds.Client {
	c, err := feeds.NewClient(testserver.DefaultKey, testserver.DefaultSecret)
	if err != nil {
		w.t.Fatal(err)
	}
	c.BaseURL, c.Base = baseURL, w
	return c
}

// answers returns what the bot has said to an activity.
func (w *world) answers(activityID string) (texts []string) {
	w.t.Helper()
	server, err := operatorOf(w).ConnectServer(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	defer server.Close()
	for comment, err := range server.Comments(w.t.Context(), &feeds.GetCommentsRequest{ObjectID: activityID}) {
		if err != nil {
			w.t.Fatal(err)
		}
		if comment.User.ID != "bot" {
			w.t.Errorf("%s has answered", comment.User.ID)
		}
		texts = append(texts, comment.Text)
	}
	return texts
}

// wantOne fails unless each activity has one answer.
func (w *world) wantOne(activityIDs ...string) {
	w.t.Helper()
	for i, id := range activityIDs {
		if got := w.answers(id); len(got) != 1 || !strings.HasPrefix(got[0], "Hello alice, you said ") {
			w.t.Errorf("activity %d of %d has the answers %q, want one", i+1, len(activityIDs), got)
		}
	}
}
