//go:build unix

package redisstore_test

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/redisstore"
	"github.com/stayauth/stayauth/provider/shared"
)

// situations are what happens to Redis in the middle of a refresh, when the other hosts have seen
// that there is one. What no other has seen may be lost without anyone's notice: that is one of the
// documented gaps.
var situations = []struct {
	name   string
	args   []string     // of the server
	before func(*trial) // before there is a login; nil: nothing
	stored func(*trial) // when it is stored; nil: nothing
	during func(*trial)
}{
	{name: "FLUSHALL in a refresh", during: func(tr *trial) { tr.server.do("FLUSHALL") }},
	{name: "restart without persistence in a refresh", during: (*trial).restart},
	{name: "restart with an older snapshot in a refresh", stored: func(tr *trial) { tr.server.do("SAVE") }, during: (*trial).restart},
	{name: "READONLY for 4 s", during: func(tr *trial) { tr.readOnly(4 * time.Second) }},
	{name: "READONLY for 8 s", during: func(tr *trial) { tr.readOnly(8 * time.Second) }},
	{name: "writes paused for 8 s", during: func(tr *trial) { tr.server.do("CLIENT", "PAUSE", "8000", "WRITE") }},
	{
		name: "AOF always, server away for two leases", args: []string{"--appendonly", "yes", "--appendfsync", "always"},
		during: func(tr *trial) {
			tr.server.kill()
			time.Sleep(2 * lease)
			tr.server.restart()
		},
	},
	{name: "Sentinel, master killed in a refresh", before: (*trial).underSentinel, during: func(tr *trial) { tr.server.kill() }},
}

// TestProof makes a trial of each situation, or twenty with STAYAUTH_PROOF=1 in the environment,
// and prints a row for each. No login may be lost.
func TestProof(t *testing.T) {
	for _, s := range situations {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			trials := 1
			if os.Getenv("STAYAUTH_PROOF") != "" {
				trials = 20
			}
			var lost atomic.Int32
			var wg sync.WaitGroup
			places := make(chan struct{}, runtime.GOMAXPROCS(0))
			for range trials {
				places <- struct{}{}
				wg.Go(func() {
					defer func() { <-places }()
					tr := &trial{t: t, server: startRedis(t, s.args...), backend: &rotating{work: 2 * time.Second}}
					tr.connect = tr.server.client
					if s.before != nil {
						s.before(tr)
					}
					login(t, tr.login())
					if s.stored != nil {
						s.stored(tr)
					}
					tr.backend.during = func() {
						time.Sleep(500 * time.Millisecond)
						s.during(tr)
					}
					if !tr.run() {
						lost.Add(1)
					}
				})
			}
			wg.Wait()
			t.Logf("| %s, lease %v | lost: %d of %d |", s.name, lease, lost.Load(), trials)
			if lost.Load() > 0 {
				t.Errorf("the login was lost in %d of %d trials", lost.Load(), trials)
			}
		})
	}
}

// A trial is one refresh of five hosts on a Redis of their own.
type trial struct {
	t       *testing.T
	server  *server
	connect func() *redis.Client
	backend *rotating
}

// login returns one host's part of the login.
func (tr *trial) login() *shared.Login {
	return &shared.Login{
		Provider: tr.backend, Store: &redisstore.Store{Client: tr.connect()}, Key: "fleet", Lease: lease, Logger: slog.New(slog.DiscardHandler),
	}
}

// run lets the hosts refresh, and returns whether all of them have the new token in the end and
// none used a refresh token twice.
func (tr *trial) run() bool {
	var missing atomic.Int32
	var wg sync.WaitGroup
	for range 5 {
		l := tr.login()
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(tr.t.Context(), time.Minute)
			defer cancel()
			for {
				token, err := l.Token(ctx, first())
				switch {
				case err == nil && token.Value() == "token-1":
					return
				case err == nil, provider.IsPermanent(err), ctx.Err() != nil:
					tr.t.Logf("a host has %q, %v", token.Value(), err)
					missing.Add(1)
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
	wg.Wait()
	tr.backend.mu.Lock()
	defer tr.backend.mu.Unlock()
	return missing.Load() == 0 && tr.backend.reused == 0 && tr.backend.calls == 1
}

// restart kills the server, which comes back with what it has on its disk.
func (tr *trial) restart() {
	tr.server.kill()
	tr.server.restart()
}

// readOnly has the server take no writes for so long, as in a failover that went wrong: it is a
// replica of no server.
func (tr *trial) readOnly(d time.Duration) {
	tr.server.do("REPLICAOF", "127.0.0.1", "1")
	time.AfterFunc(d, func() { tr.server.do("REPLICAOF", "NO", "ONE") })
}

// underSentinel gives the server a replica, and a Sentinel that promotes it.
func (tr *trial) underSentinel() {
	startRedis(tr.t, "--replicaof", "127.0.0.1", tr.server.port)
	sentinel := startSentinel(tr.t, tr.server)
	awaitReplica(tr.t, sentinel)
	tr.connect = func() *redis.Client {
		c := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "fleet", SentinelAddrs: []string{sentinel}})
		tr.t.Cleanup(func() { _ = c.Close() })
		return c
	}
}
