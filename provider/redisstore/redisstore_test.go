//go:build unix

package redisstore_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/redisstore"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

func TestConformance(t *testing.T) {
	server := startRedis(t)
	storetest.Run(t, func(*testing.T) shared.Store { return &redisstore.Store{Client: server.client()} })
}

// TestLoss: versions grow, also when the server has lost all that it had.
func TestLoss(t *testing.T) {
	server := startRedis(t)
	open := func(*testing.T) shared.Store { return &redisstore.Store{Client: server.client()} }
	for name, lose := range map[string]func(*testing.T){
		"FLUSHALL":                    func(*testing.T) { server.do("FLUSHALL") },
		"restart without persistence": func(*testing.T) { server.kill(); server.restart() },
	} {
		t.Run(name, func(t *testing.T) { storetest.RunLoss(t, open, lose) })
	}
}

func TestConformanceCluster(t *testing.T) {
	server := startRedis(t, "--cluster-enabled", "yes", "--cluster-require-full-coverage", "no")
	server.do("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
	for within(t).Err() == nil && !strings.Contains(fmt.Sprint(server.do("CLUSTER", "INFO")), "cluster_state:ok") {
		// it takes the server a moment to believe it
	}
	storetest.Run(t, func(t *testing.T) shared.Store {
		c := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{server.addr()}, IsClusterMode: true})
		t.Cleanup(func() { _ = c.Close() })
		return &redisstore.Store{Client: c}
	})
}

func TestKeysAndTTL(t *testing.T) {
	server := startRedis(t)
	client := server.client()
	for _, test := range []struct {
		store redisstore.Store
		name  string
		ttl   time.Duration
	}{
		{redisstore.Store{}, "stayauth:alice", -1},
		{redisstore.Store{Prefix: "app:", TTL: time.Hour}, "app:alice", time.Hour},
		{redisstore.Store{Prefix: "app:"}, "app:alice", -1},
		{redisstore.Store{Prefix: "short:", TTL: time.Hour + 1}, "short:alice", time.Hour + time.Millisecond},
	} {
		test.store.Client = client
		_, version, err := test.store.Load(within(t), "alice")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := test.store.CompareAndSwap(within(t), "alice", []byte("x"), version); err != nil {
			t.Fatal(err)
		}
		got, err := client.PTTL(within(t), test.name).Result()
		if test.ttl > 0 && (got > test.ttl || got < test.ttl-time.Minute) || test.ttl < 0 && got != test.ttl || err != nil {
			t.Errorf("%s has the TTL %v, %v; want %v", test.name, got, err, test.ttl)
		}
	}
}

// TestNotALogin: what is under the key and is no login is reported, for a person to mend, and left as
// it is.
func TestNotALogin(t *testing.T) {
	server := startRedis(t)
	store := &redisstore.Store{Client: server.client()}
	for name, set := range map[string][]any{
		"a string":          {"SET", "stayauth:a string", "geheim"},
		"another hash":      {"HSET", "stayauth:another hash", "name", "geheim"},
		"no version":        {"HSET", "stayauth:no version", "record", "geheim"},
		"no record":         {"HSET", "stayauth:no record", "version", "7"},
		"version 0":         {"HSET", "stayauth:version 0", "version", "0", "record", "geheim"},
		"a version of what": {"HSET", "stayauth:a version of what", "version", "geheim", "record", "geheim"},
	} {
		server.do(set...)
		before := server.do("DUMP", "stayauth:"+name)
		_, version, loadErr := store.Load(within(t), name)
		_, swapErr := store.CompareAndSwap(within(t), name, []byte("x"), version)
		if swapErr == nil || loadErr != nil && strings.Contains(loadErr.Error(), "geheim") {
			t.Errorf("%s: Load: %v, CompareAndSwap: %v; want errors that show nothing of it", name, loadErr, swapErr)
		}
		if provider.IsNoRetry(loadErr) == (name == "another hash") { // which has nothing that a login has
			t.Errorf("%s: Load: %v; want NoRetry", name, loadErr)
		}
		otherVersion := name == "no record" || name == "a version of what"
		if provider.IsNoRetry(swapErr) == otherVersion || errors.Is(swapErr, shared.ErrConflict) != otherVersion {
			t.Errorf("%s: CompareAndSwap: %v; want NoRetry, or a conflict where there is another version: %v", name, swapErr, otherVersion)
		}
		if server.do("DUMP", "stayauth:"+name) != before {
			t.Errorf("%s was overwritten", name)
		}
	}
	if _, _, err := new(redisstore.Store).Load(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "Client") {
		t.Errorf("Load without a Client: %v; want an error that names the field", err)
	}
}

// TestClockTurnedBack: a version in the future, as the clock left it, is followed by the next
// number.
func TestClockTurnedBack(t *testing.T) {
	server := startRedis(t)
	store := &redisstore.Store{Client: server.client()}
	const future = 9_000_000_000_000_000 // in the year 2255
	server.do("HSET", "stayauth:alice", "version", fmt.Sprint(future), "record", "x")
	if version, err := store.CompareAndSwap(within(t), "alice", []byte("y"), future); version != future+1 || err != nil {
		t.Errorf("CompareAndSwap = %d, %v; want %d", version, err, future+1)
	}
}
