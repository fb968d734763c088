package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/stayauth/stayauth/examples/internal/tell"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
	"github.com/stayauth/stayauth/transport"
)

// demoUsers are the clients of -demo.
var demoUsers = []string{"alice", "bob", "carol"}

const (
	demoTTL     = 8 * time.Second        // unless -ttl says otherwise
	demoWorkers = 3                      // of each client
	demoPause   = 400 * time.Millisecond // between two requests of one
	demoWay     = 500 * time.Millisecond // to the token endpoint: long enough to see that requests wait
)

// demo runs clients of this module against the server until ctx is done.
func (o options) demo(ctx context.Context, base string, srv server) {
	var work sync.WaitGroup
	for i, user := range demoUsers {
		t := &transport.Transport{Origins: []string{base}, Trace: tell.Trace(srv.Page(), user)}
		path, body := "/things", ""
		if guard, ok := srv.(*testserver.Guard); ok {
			id := o.client
			if id == "" {
				id = "demo"
			}
			t.Provider = provider.OAuth2{
				TokenURL: base + endpoints + "/token", ClientID: id, ClientSecret: provider.NewSecret(o.clientSecret), RefreshToken: provider.NewSecret(guard.LogIn(user)),
			}
		} else {
			t.Provider = provider.HTTP{URL: base + "/token", UserID: user, Session: provider.NewSecret(o.session)}
			t.Authorize = func(r *http.Request, tok provider.Token) {
				r.Header.Set("Authorization", tok.Value())
				r.Header.Set("Stream-Auth-Type", "jwt")
			}
			t.IsRejected = transport.BodyCode("code", 40)
			path = "/api/v2/feeds/activities?api_key=" + o.key
			body = fmt.Sprintf(`{"type":"post","text":"hello","feeds":["user:%s"]}`, user)
		}
		tokens := t.Provider
		t.Provider = provider.TokenFunc(func(call context.Context, old provider.Token) (provider.Token, error) {
			pause(call, demoWay)
			return tokens.Token(call, old)
		})
		defer t.Close()
		client := &http.Client{Transport: t}
		for w := range demoWorkers {
			work.Go(func() {
				pause(ctx, time.Duration(i*demoWorkers+w)*demoPause/7) // so that they don't march in step
				for ctx.Err() == nil {
					send(ctx, client, base+path, body)
					pause(ctx, demoPause)
				}
			})
		}
	}
	work.Wait()
}

// send sends one request. How it went is for the page to show.
func send(ctx context.Context, client *http.Client, url, body string) {
	req, err := http.NewRequestWithContext(ctx, "POST", url, strings.NewReader(body))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(testserver.RequestID, rand.Text())
	resp, err := client.Do(req)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
}

// pause waits for d, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
