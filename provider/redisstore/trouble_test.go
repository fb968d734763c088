//go:build unix

package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/redisstore"
	"github.com/stayauth/stayauth/provider/shared"
)

// TestRestart: the server is killed and comes back, with what it had or with nothing. The login
// goes on.
func TestRestart(t *testing.T) {
	for name, args := range map[string][]string{
		"with everything":  {"--appendonly", "yes", "--appendfsync", "always"},
		"with nothing":     {"--appendonly", "no"},
		"during a refresh": {"--appendonly", "yes", "--appendfsync", "always"},
	} {
		t.Run(name, func(t *testing.T) {
			server, backend := startRedis(t, args...), new(rotating)
			store := &redisstore.Store{Client: server.client()}
			p := &shared.Login{Provider: backend, Store: store, Key: "alice", Lease: lease}
			login(t, p)
			if name == "during a refresh" {
				backend.during = func() { server.kill(); server.restart() }
			}
			token := next(t, p, first(), "token-1")
			backend.during = nil
			_, before, err := store.Load(within(t), "alice")
			if err != nil {
				t.Fatal(err)
			}
			server.kill()
			if _, err := p.Token(within(t), token); err == nil {
				t.Error("Token without a server succeeded")
			}
			server.restart()
			next(t, p, first(), "token-1")
			next(t, &shared.Login{Provider: backend, Store: &redisstore.Store{Client: server.client()}, Key: "alice", Lease: lease}, token, "token-2")
			if _, after, err := store.Load(within(t), "alice"); after <= before || err != nil {
				t.Errorf("after the restart the version is %d, %v; want one above %d", after, err, before)
			}
			backend.want(t, 2)
		})
	}
}

// TestStopped: the server does not answer. Everything ends with its context; afterwards nothing is
// lost.
func TestStopped(t *testing.T) {
	server, backend := startRedis(t), new(rotating)
	patient := redis.NewClient(&redis.Options{Addr: server.addr(), ReadTimeout: -1}) // waits for ever if it is let
	defer patient.Close()
	store := &redisstore.Store{Client: patient}
	p := &shared.Login{Provider: backend, Store: &redisstore.Store{Client: server.client()}, Key: "alice", Lease: 3 * time.Second}
	login(t, p)
	server.signal(syscall.SIGSTOP)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := store.Load(ctx, "alice"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Load: %v; want the context's error", err)
	}
	if _, err := store.CompareAndSwap(ctx, "alice", []byte("x"), 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("CompareAndSwap: %v; want the context's error", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, _, err := store.Load(ctx, "alice"); !errors.Is(err, context.Canceled) {
		t.Errorf("Load: %v; want the context's error", err)
	}
	server.signal(syscall.SIGCONT)

	backend.during = func() {
		server.signal(syscall.SIGSTOP)
		time.AfterFunc(1500*time.Millisecond, func() { server.signal(syscall.SIGCONT) })
	}
	token := next(t, p, first(), "token-1")
	backend.during = nil
	next(t, &shared.Login{Provider: backend, Store: &redisstore.Store{Client: server.client()}, Key: "alice"}, token, "token-2")
	backend.want(t, 2)
}

// TestHungWrites: operations that their callers have left don't keep the client's connections, so
// that one that comes after them gets one.
func TestHungWrites(t *testing.T) {
	server := startRedis(t)
	client := redis.NewClient(&redis.Options{Addr: server.addr(), PoolSize: 3, ReadTimeout: time.Hour, PoolTimeout: time.Hour})
	defer client.Close()
	store := &redisstore.Store{Client: client}
	server.do("CLIENT", "PAUSE", "60000", "WRITE")
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if _, err := store.CompareAndSwap(ctx, "alice", []byte("x"), 0); err == nil {
			t.Error("CompareAndSwap of a server that takes no writes succeeded")
		}
		cancel()
	}
	if _, _, err := store.Load(within(t), "alice"); err != nil {
		t.Errorf("Load while writes hang: %v", err)
	}
}

// TestCut: the connection breaks after a write was carried out, before its answer arrives. That is
// no conflict, and a refresh gets over it.
func TestCut(t *testing.T) {
	server, backend := startRedis(t), new(rotating)
	proxy := startProxy(t, server.addr())
	client := redis.NewClient(&redis.Options{Addr: proxy.addr})
	defer client.Close()
	store := &redisstore.Store{Client: client}
	version, err := store.CompareAndSwap(within(t), "bob", []byte("one"), 0)
	if err != nil {
		t.Fatal(err)
	}
	proxy.lose("evalsha")
	if _, err := store.CompareAndSwap(within(t), "bob", []byte("two"), version); err == nil || errors.Is(err, shared.ErrConflict) {
		t.Errorf("CompareAndSwap whose answer was lost: %v; want an error that is no conflict", err)
	}
	if record, _, err := store.Load(within(t), "bob"); string(record) != "two" || err != nil {
		t.Errorf("Load = %q, %v; want what was written", record, err)
	}
	if _, _, err := store.Load(within(t), "bob"); err != nil {
		t.Errorf("Load after a cut: %v", err)
	}

	p := &shared.Login{Provider: backend, Store: store, Key: "alice"}
	login(t, p)
	proxy.lose("evalsha") // the answer to the claim
	backend.during = func() { proxy.lose("evalsha") }
	next(t, p, first(), "token-1")
	proxy.cut("")
	backend.during = func() { proxy.cut("") }
	next(t, p, provider.NewToken("token-1", time.Time{}), "token-2")
	backend.want(t, 2)
}

// TestFailover: the master dies and its replica takes over, with all writes or without the last
// one.
func TestFailover(t *testing.T) {
	for _, behind := range []bool{false, true} {
		t.Run(fmt.Sprintf("behind=%v", behind), func(t *testing.T) {
			master, backend := startRedis(t, "--repl-diskless-sync-delay", "0"), new(rotating)
			replica := startRedis(t, "--replicaof", "127.0.0.1", master.port)
			proxy := startProxy(t, master.addr())
			client := redis.NewClient(&redis.Options{Addr: proxy.addr})
			defer client.Close()
			p := &shared.Login{Provider: backend, Store: &redisstore.Store{Client: client}, Key: "alice", Lease: lease}
			login(t, p)
			synced := master.client()
			for { // until the replica has it: it may still be loading
				if n, err := synced.Wait(within(t), 1, time.Second).Result(); err != nil {
					t.Fatal(err)
				} else if n == 1 {
					break
				}
			}
			if behind {
				replica.do("REPLICAOF", "127.0.0.1", "1") // where there is no server: it gets no more writes
			}
			token := next(t, p, first(), "token-1")
			if !behind {
				synced := master.client()
				if n, err := synced.Wait(within(t), 1, 10*time.Second).Result(); n != 1 || err != nil {
					t.Fatalf("WAIT = %d, %v", n, err)
				}
			}
			master.kill()
			replica.do("REPLICAOF", "NO", "ONE")
			proxy.cut(replica.addr())
			if behind {
				next(t, p, first(), "token-1") // the process that knows it writes it back
			}
			next(t, &shared.Login{Provider: backend, Store: &redisstore.Store{Client: replica.client()}, Key: "alice", Lease: lease}, token, "token-2")
			next(t, p, token, "token-2")
			backend.want(t, 2)
		})
	}
}

// TestTwoMasters: a replica is promoted while its master is alive, and hosts still use that one. It
// gives the lease away once more, unless it has min-replicas-to-write, as the documentation says.
func TestTwoMasters(t *testing.T) {
	for _, least := range []string{"1", "0"} {
		t.Run("min-replicas-to-write "+least, func(t *testing.T) {
			master, backend := startRedis(t, "--repl-diskless-sync-delay", "0"), new(rotating)
			replica := startRedis(t, "--replicaof", "127.0.0.1", master.port)
			goodReplicas := func() string {
				info := fmt.Sprint(master.do("INFO", "replication"))
				_, after, _ := strings.Cut(info, "min_slaves_good_slaves:")
				return strings.Fields(after + " 0")[0]
			}
			master.do("CONFIG", "SET", "min-replicas-max-lag", "10")
			master.do("CONFIG", "SET", "min-replicas-to-write", "1") // also in the control, to count them
			for within(t).Err() == nil && goodReplicas() != "1" {
				// it takes a moment
			}
			old := &shared.Login{Provider: backend, Store: &redisstore.Store{Client: master.client()}, Key: "alice", Lease: lease}
			login(t, old)
			for version := uint64(0); version == 0 && within(t).Err() == nil; {
				_, version, _ = (&redisstore.Store{Client: replica.client()}).Load(within(t), "alice")
			}
			replica.do("REPLICAOF", "NO", "ONE")
			for within(t).Err() == nil && goodReplicas() != "0" {
				// it takes a moment
			}
			master.do("CONFIG", "SET", "min-replicas-to-write", least)

			next(t, &shared.Login{Provider: backend, Store: &redisstore.Store{Client: replica.client()}, Key: "alice", Lease: lease}, first(), "token-1")
			_, err := old.Token(within(t), first())
			if reused := map[string]int{"1": 0, "0": 1}[least]; err == nil || provider.IsPermanent(err) != (reused == 1) || backend.reused != reused {
				t.Errorf("Token at the old master: %v, and the backend saw %d used refresh tokens; want %d", err, backend.reused, reused)
			}
		})
	}
}

// TestFleet: hosts share one login through Redis, and all connections are cut in the middle of
// every refresh.
func TestFleet(t *testing.T) {
	const hosts, expiries = 5, 20
	server, backend := startRedis(t), new(rotating)
	login(t, &shared.Login{Provider: backend, Store: &redisstore.Store{Client: server.client()}, Key: "fleet"})
	var proxies []*proxy
	for range hosts {
		proxies = append(proxies, startProxy(t, server.addr()))
	}
	backend.during = func() {
		for _, p := range proxies {
			p.cut("")
		}
	}
	var wg sync.WaitGroup
	for _, proxy := range proxies {
		client := redis.NewClient(&redis.Options{Addr: proxy.addr})
		t.Cleanup(func() { _ = client.Close() })
		p := &shared.Login{Provider: backend, Store: &redisstore.Store{Client: client}, Key: "fleet"}
		wg.Go(func() {
			ctx, token := within(t), first()
			for token.Value() != fmt.Sprintf("token-%d", expiries) {
				next, err := p.Token(ctx, token)
				if provider.IsPermanent(err) || ctx.Err() != nil {
					t.Errorf("the login is lost: %v", err)
					return
				}
				if err == nil {
					token = next
				}
			}
		})
	}
	wg.Wait()
	backend.want(t, expiries)
}
