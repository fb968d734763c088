//go:build unix

package redisstore_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stayauth/stayauth/provider/redisstore"
)

// counted is a hook that counts commands.
type counted struct{ commands atomic.Int32 }

func (c *counted) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (c *counted) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.commands.Add(1)
		return next(ctx, cmd)
	}
}

func (c *counted) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// TestHooks: the client's hooks, as for tracing, see each operation, whatever its time limit.
func TestHooks(t *testing.T) {
	client, hook := redis.NewClient(&redis.Options{Addr: startRedis(t).addr(), ReadTimeout: time.Hour}), new(counted)
	defer client.Close()
	client.AddHook(hook)
	store := &redisstore.Store{Client: client}
	version, err := store.CompareAndSwap(within(t), "alice", []byte("record"), 0) // with the script itself
	if err != nil {
		t.Fatal(err)
	}
	hook.commands.Store(0)
	for n, ctx := range []context.Context{within(t), t.Context()} {
		if _, _, err := store.Load(ctx, "alice"); err != nil {
			t.Error(err)
		}
		if version, err = store.CompareAndSwap(ctx, "alice", []byte("record"), version); err != nil {
			t.Error(err)
		}
		if seen := hook.commands.Swap(0); seen != 2 {
			t.Errorf("the hook saw %d of 2 operations (context %d)", seen, n)
		}
	}
}

// TestWatchCannotTell: whether there was a change before it was told of any.
func TestWatchCannotTell(t *testing.T) {
	server := startRedis(t)
	store := &redisstore.Store{Client: withRules(t, server, []any{"~stayauth:*", "&stayauth:*", "+subscribe", "+ping"})}
	ctx, cancel := context.WithTimeout(within(t), time.Minute)
	defer cancel()
	if err := store.Watch(ctx, "alice", 1); err == nil || ctx.Err() != nil {
		t.Errorf("Watch: %v; want an error before the context ends", err)
	}
}
