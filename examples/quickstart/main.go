// Quickstart shows a login that outlives its tokens.
//
//	go run ./examples/quickstart
//
// It starts a test server that speaks Stream's protocol, and a token backend on another port, both
// on this machine. A bot logs in and posts to a feed from many goroutines for about 10 s, while
// tokens of 2 s end under it and one is revoked.
//
//	go run ./examples/quickstart -page
//
// shows the same in a browser, slowly, until Ctrl-C: open the page that it names, and press Revoke.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stayauth/stayauth/examples/internal/frame"
	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
)

const (
	user      = "alice"
	tokenLife = 2 * time.Second
	duration  = 10 * time.Second
	posters   = 20
)

func main() {
	frame.Main(func(ctx context.Context) int {
		p := frame.New("quickstart", os.Stderr)
		page := p.Bool("page", false, "show it in a browser, slowly, until Ctrl-C")
		if status, done := p.Parse(os.Args[1:], 0, ""); done {
			return status
		}
		work := run
		if *page {
			work = func(ctx context.Context) error { return live(ctx, os.Stdout) }
		}
		if err := work(ctx); err != nil {
			return p.Fail(frame.Failed, "%v", err)
		}
		return frame.OK
	})
}

func run(ctx context.Context) error {
	// The API, in place of Stream's.
	server := &testserver.Server{}
	api, err := serve(server)
	if err != nil {
		return err
	}
	defer api.Close()

	// Your backend: it knows who is asking, and mints the tokens with the API secret.
	b := &backend{life: tokenLife}
	tokens, err := serve(b.handler())
	if err != nil {
		return err
	}
	defer tokens.Close()

	// The bot. This is all that it takes.
	seen := &observer{server: server, backend: b}
	client := &feeds.Client{Key: testserver.DefaultKey, BaseURL: api.url, Trace: seen.trace()}
	bot, err := client.ConnectUser(ctx, feeds.User{ID: user}, provider.HTTP{URL: tokens.url, UserID: user, Session: provider.NewSecret(sessionOf(user))})
	if err != nil {
		return err
	}

	seen.begin()
	var work errgroup.Group
	working, stopWork := context.WithTimeout(ctx, duration)
	defer stopWork()
	for i := range posters {
		work.Go(func() error {
			for n := 0; working.Err() == nil; n++ {
				// One that has begun is ended, also after Ctrl-C: what the summary says has to be
				// true.
				_, err := bot.AddActivity(context.WithoutCancel(ctx), &feeds.AddActivityRequest{
					Type: "post", Feeds: []string{"user:" + user}, Text: fmt.Sprintf("Post %d of poster %d", n, i),
				})
				seen.posted(err)
				pause(working, 10*time.Millisecond)
			}
			return nil
		})
	}
	work.Go(func() error {
		pause(working, duration/2)
		err := revoke(working, api.url, b, seen)
		if ctx.Err() != nil { // Ctrl-C
			return nil
		}
		return err
	})
	seen.show(working)
	return errors.Join(work.Wait(), bot.Close(), seen.summary(ctx.Err() != nil))
}

// A backend is what your servers do: it tells who is asking, and mints tokens for them.
type backend struct {
	life   time.Duration // of a token
	calls  atomic.Int64
	minted atomic.Int64 // when the last token was, in Unix nanoseconds
}

func (b *backend) handler() http.Handler {
	return provider.Handler{
		Validate: func(r *http.Request) (string, error) {
			b.calls.Add(1)
			time.Sleep(30 * time.Millisecond) // looking the session up
			in, err := provider.ReadTokenRequest(r)
			if err != nil {
				return "", err
			}
			owner, ok := strings.CutSuffix(in.Session.Value(), sessionOf(""))
			if !ok {
				return "", provider.ErrDenied
			}
			b.minted.Store(time.Now().UnixNano())
			return owner, nil
		},
		Signer: provider.Signer{Secret: provider.NewSecret(testserver.DefaultSecret), Validity: b.life},
	}
}

// sessionOf is what a user's session with the backend looks like here. A real one is a secret.
func sessionOf(user string) string { return user + "'s session with the backend" }

// revoke revokes the user's tokens, as an operator would: from the server side. A token says only
// in which second it was issued, so a revocation bites for certain when a second has just begun and
// the token is of the one before. It is also young then, and its age no reason to replace it.
func revoke(ctx context.Context, baseURL string, b *backend, seen *observer) error {
	operator, err := feeds.NewClient(testserver.DefaultKey, testserver.DefaultSecret)
	if err != nil {
		return err
	}
	operator.BaseURL = baseURL
	for {
		now := time.Now()
		second := now.Truncate(time.Second).Add(time.Second)
		if !pause(ctx, second.Sub(now)) {
			return errors.New("stopped before the revocation")
		}
		if age := second.Sub(time.Unix(0, b.minted.Load())); age > 0 && age < time.Second {
			_, err := operator.UpdateUsersPartial(ctx, &feeds.UpdateUsersPartialRequest{Users: []feeds.UpdateUserPartialRequest{
				{ID: user, Set: map[string]any{"revoke_tokens_issued_before": second}},
			}})
			if err != nil {
				return err
			}
			// On a machine that is held up for long the token may have been replaced before the
			// call arrived.
			if pause(ctx, 900*time.Millisecond); seen.sawRevocation() {
				return nil
			}
		}
	}
}

// pause waits for d and reports whether ctx lasted as long.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// A running is an HTTP server on a free port of this machine.
type running struct {
	*http.Server
	url string
}

func serve(h http.Handler) (*running, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &running{&http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}, "http://" + l.Addr().String()}
	go func() { _ = r.Serve(l) }() // ends with Close
	return r, nil
}
