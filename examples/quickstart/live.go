package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stayauth/stayauth/examples/internal/tell"
	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
)

const (
	pageAddr    = "127.0.0.1:8081" // or a free port, if it is taken
	liveLife    = 8 * time.Second  // of a token, long enough to be looked at
	livePosters = 4                // of each bot
	livePause   = 500 * time.Millisecond
	liveWay     = 500 * time.Millisecond // to your backend: long enough to see that requests wait
)

// live runs bots under a page that shows them, until ctx is done.
func live(ctx context.Context, out io.Writer) error {
	// The API and your backend, as in run. The page watches both.
	server := &testserver.Server{}
	page := server.Page()
	api, err := serve(server)
	if err != nil {
		return err
	}
	defer api.Close()
	defer server.Close()
	b := &backend{life: liveLife}
	tokens, err := serve(page.TokenEndpoint(b.handler()))
	if err != nil {
		return err
	}
	defer tokens.Close()
	shown, err := servePage(page)
	if err != nil {
		return err
	}
	defer shown.Close()

	fmt.Fprintf(out, "Two bots post to their feeds. Their tokens live for %s.\n\n    open %s/\n\nPress Revoke there, and watch. Ctrl-C ends it.\n", liveLife, shown.url)
	var work errgroup.Group
	for _, name := range []string{"alice", "bob"} {
		client := &feeds.Client{Key: testserver.DefaultKey, BaseURL: api.url, Trace: tell.Trace(page, name)}
		backend := provider.HTTP{URL: tokens.url, UserID: name, Session: provider.NewSecret(sessionOf(name))}
		far := provider.TokenFunc(func(call context.Context, old provider.Token) (provider.Token, error) {
			pause(call, liveWay)
			return backend.Token(call, old)
		})
		bot, err := client.ConnectUser(ctx, feeds.User{ID: name}, far)
		if err != nil {
			return err
		}
		for i := range livePosters {
			work.Go(func() error {
				pause(ctx, time.Duration(i)*livePause/livePosters)
				for n := 0; ctx.Err() == nil; n++ {
					// An error is what the page was asked for: it has switches to make things fail.
					_, _ = bot.AddActivity(ctx, &feeds.AddActivityRequest{
						Type: "post", Feeds: []string{"user:" + name}, Text: fmt.Sprintf("Post %d of poster %d", n, i),
					})
					pause(ctx, livePause)
				}
				return nil
			})
		}
		defer bot.Close()
	}
	_ = work.Wait() // it returns no error

	ledger := server.Ledger()
	fmt.Fprintf(out, "\n%d requests arrived, %d were rejected for their token, and the backend was asked for a token %s.\n",
		ledger.Arrived, ledger.Rejected, count(int(b.calls.Load()), "time"))
	return server.Check()
}

// servePage serves the page at the address that this program is known for, or at a free one.
func servePage(h http.Handler) (*running, error) {
	l, err := net.Listen("tcp", pageAddr)
	if err != nil {
		return serve(h)
	}
	r := &running{&http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}, "http://" + l.Addr().String()}
	go func() { // ends with Close
		if err := r.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			fmt.Println("the page:", err)
		}
	}()
	return r, nil
}
