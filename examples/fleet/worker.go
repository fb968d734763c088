package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/signal"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/redisstore"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/testserver"
)

// jobVariable is the environment variable that makes a worker of this program, and holds its job.
const jobVariable = "FLEET_JOB"

// A job is what a worker has to know.
type job struct {
	Worker   string // its name: the place in the fleet, and how many held it before
	API      string
	Store    place
	Reusable bool // see provider.HTTP
}

const (
	user = "bot"

	// lease is shorter than the default, because here a worker is killed all the time. One
	// that is suspended for as long while it has the lease looks dead.
	lease = 2 * time.Second

	postPause = 20 * time.Millisecond
)

// What a worker reports, a line each.
const (
	posted = "posted" // a post was acknowledged
	failed = "failed" // a post failed; and why
	rested = "rested" // a call for a token has returned, what it brought is saved; and how often the backend was called so far
	over   = "over"   // the session is over; and why
)

// workerHeader names the worker in its calls of the backend. A real one has no use for it: here it
// tells who to kill.
const workerHeader = "X-Fleet-Worker"

// work is a worker's whole life, which ends when stdin does: with the fleet. It returns the exit
// status.
func work(description string, stdin io.Reader, stdout io.Writer) int {
	signal.Ignore(endSignals...) // they are for the fleet
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // ends with the fleet, or with the process
		_, _ = io.Copy(io.Discard, stdin)
		cancel()
	}()
	report := func(what string, more any) {
		fmt.Fprintln(stdout, what, strings.ReplaceAll(fmt.Sprint(more), "\n", " "))
	}

	var j job
	if err := json.Unmarshal([]byte(description), &j); err != nil {
		report(failed, err)
		return exitUsage
	}
	redis.SetLogger(silent{}) // what it has to say about connections that break is no news here
	store := j.Store.client()
	defer store.Close()
	// There is nothing to log in with: all that a worker has is what is in Redis.
	seen := &witness{Store: &redisstore.Store{Client: store}}
	wire := &counted{worker: j.Worker, claim: seen}
	login := sharedLogin(provider.HTTP{
		URL: j.API + "/token", RefreshTokenReusable: j.Reusable, Client: &http.Client{Transport: wire, Timeout: 10 * time.Second},
	}, seen)
	client := &feeds.Client{Key: testserver.DefaultKey, BaseURL: j.API}
	session, err := client.ConnectUser(ctx, feeds.User{ID: user}, reporting{login, func() { report(rested, wire.calls.Load()) }})
	for n := 0; err == nil && ctx.Err() == nil; n++ {
		_, err = session.AddActivity(ctx, &feeds.AddActivityRequest{
			Type: "post", Feeds: []string{"user:" + user}, Text: fmt.Sprintf("Post %d of worker %s", n, j.Worker),
		})
		switch {
		case err == nil:
			report(posted, "")
		case ctx.Err() == nil && !feeds.IsSessionOver(err):
			report(failed, err)
			err = nil
		}
		select {
		case <-time.After(postPause):
		case <-ctx.Done():
		}
	}
	if session != nil {
		session.Close() // waits for a refresh that is under way
	}
	switch {
	case ctx.Err() != nil:
		return 0
	case feeds.IsSessionOver(err):
		report(over, err)
	default:
		report(failed, err)
	}
	return exitFailed
}

// sharedLogin is the one login of the fleet.
func sharedLogin(p provider.TokenProvider, store shared.Store) *shared.Login {
	return &shared.Login{Provider: p, Store: store, Key: user, Lease: lease}
}

// reporting tells when a call for a token has returned.
type reporting struct {
	provider.TokenProvider
	returned func()
}

// Token implements [provider.TokenProvider].
func (r reporting) Token(ctx context.Context, old provider.Token) (provider.Token, error) {
	defer r.returned()
	return r.TokenProvider.Token(ctx, old)
}

// counted puts a worker's name and its claim into its calls of the backend, and counts them.
type counted struct {
	worker string
	claim  fmt.Stringer
	calls  atomic.Int64
}

// RoundTrip implements [http.RoundTripper].
func (c *counted) RoundTrip(req *http.Request) (*http.Response, error) {
	c.calls.Add(1)
	req = req.Clone(req.Context())
	req.Header.Set(workerHeader, c.worker)
	req.Header.Set(claimHeader, c.claim.String())
	return http.DefaultTransport.RoundTrip(req)
}

// silent is a log that no one reads.
type silent struct{}

// Printf discards it.
func (silent) Printf(context.Context, string, ...any) {}
