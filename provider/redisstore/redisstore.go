// Package redisstore keeps shared logins in Redis: one login for a fleet of hosts.
//
//	client := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: addrs, ContextTimeoutEnabled: true})
//	login := &shared.Login{Provider: backend, Store: &redisstore.Store{Client: client}, Key: "bot-7"}
//
// It is a module of its own, so that programs without Redis don't depend on its client.
//
// # Keys
//
// Each login is one hash with the fields "version" and "record", under the name Prefix + key;
// nothing else is stored. Since there is one key for each login, Redis Cluster needs no hash tags.
// Each change is published on the channel of the same name, with the new version and nothing else.
// A record holds refresh tokens: who can read the database can use the logins, so give it a
// password or access lists, and TLS.
//
// # Access lists
//
// These are the commands that a user needs, for the default Prefix. Without the channel, and
// publish and subscribe, those who wait look for the new token once a second instead of being told.
//
//	ACL SETUSER fleet on >password ~stayauth:* &stayauth:* +eval +evalsha +hget +hmget +hset +exists +time +pexpire +persist
//	    +publish +subscribe +unsubscribe +ping
//
// The client says hello to the server with commands of its own (hello, auth, select, client
// setinfo), which it can do without, but for auth; a Cluster client needs cluster slots, too, and
// one of Sentinel asks the Sentinels.
//
// # Eviction
//
// Keys never expire by default. Set maxmemory-policy to noeviction, where a full server is an error
// that says so, or to one of the volatile-* policies, which spare keys that never expire: then
// leave TTL at 0. With allkeys-* a login can be evicted, and is lost then, unless a process that
// knows it is still running.
//
// # What a failover can lose
//
// Redis replicates asynchronously. A replica that is promoted may lack the last writes, and a
// server without appendfsync always may lose them in a crash. The processes that have seen what was
// lost notice it, as versions grow: they write the newest token that they know back, and leave the
// next step for one Lease to the process that may have claimed it, see [shared.Login]. The login is
// lost only where none of them is left, where one that has seen nothing of it is the first to ask,
// or where the newest token was lost together with all traces of it, except in the one process that
// saved it and does not ask again in time. Two masters at a time, as in a network split or after a
// Sentinel that was too impatient, can give the lease away twice, unless the one that was replaced
// takes no writes: set min-replicas-to-write to 1.
//
// Versions follow the server's clock, so that they grow after a loss, too. Where a replica is
// promoted whose clock is behind by more than the time since the last write, the next writes look
// like a loss to those who wait, and cost them a Lease.
package redisstore

import (
	"cmp"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
)

// A Store is a [shared.Store] in Redis, version 5 or later, or a server that speaks its protocol
// and runs its scripts. It is a [shared.Watcher] and a [shared.Ager], too. It may be used by
// several goroutines at once. Its fields must not be changed after its first use.
type Store struct {
	// Client is how to reach Redis: a single server, Sentinel or Cluster, with or without TLS.
	// Required. The Store does not close it. The Store's methods return when their context is done,
	// whatever the client's timeouts are. But only one with ContextTimeoutEnabled gives its
	// connection back then, too, so set that: while a server hangs there may soon be no connection
	// left for those who come after. The client repeats reads, but not writes: a repeated one would
	// find itself and report a conflict.
	//
	// Reads must come from the master, and be fresh: a Cluster client must not have ReadOnly,
	// RouteByLatency or RouteRandomly set, and none a ClientSideCacheConfig.
	Client redis.UniversalClient

	// Prefix begins the name of each key; "" means "stayauth:".
	Prefix string

	// TTL is how long a login is kept after it was last written, which happens with each refresh; 0
	// means for ever. It must be longer than the longest pause between two refreshes, or the login
	// is lost.
	TTL time.Duration
}

// swapScript writes ARGV[2] if the version is still ARGV[1], and returns the new version, or
// nothing. The new version is the server's time in microseconds, or one more than the last if the
// clock was turned back; Lua's numbers hold either exactly. ARGV[3] is the TTL in milliseconds. It
// tells those who watch, if it may.
var swapScript = newScript(`
local found = redis.call('HGET', KEYS[1], 'version')
if found == '0' or not found and redis.call('EXISTS', KEYS[1]) == 1 then
	return redis.error_reply('WRONGTYPE the key holds something else than a login')
end
if (found or '0') ~= ARGV[1] then
	return false
end
local time = redis.call('TIME')
local version = math.max(tonumber(time[1]) * 1000000 + tonumber(time[2]), tonumber(found or 0) + 1)
version = string.format('%.0f', version)
redis.call('HSET', KEYS[1], 'version', version, 'record', ARGV[2])
if ARGV[3] ~= '0' then
	redis.call('PEXPIRE', KEYS[1], ARGV[3])
else
	redis.call('PERSIST', KEYS[1])
end
redis.pcall('PUBLISH', KEYS[1], version)
return version
`)

// Load implements [shared.Store].
func (s *Store) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	type result struct {
		record  []byte
		version uint64
	}
	r, err := obey(ctx, "loading", func() (result, error) {
		if s.Client == nil {
			return result{}, errNoClient
		}
		values, err := s.Client.HMGet(ctx, s.name(key), "version", "record").Result()
		if err != nil || len(values) != 2 || values[0] == nil && values[1] == nil {
			return result{}, err
		}
		found, _ := values[0].(string)
		record, ok := values[1].(string)
		version, err := strconv.ParseUint(found, 10, 64)
		if err != nil || version == 0 || !ok {
			return result{}, toBeMended(fmt.Errorf("the key %q is damaged; it is left as it is: delete it to log in anew", s.name(key)))
		}
		return result{[]byte(record), version}, nil
	})
	return r.record, r.version, err
}

// CompareAndSwap implements [shared.Store].
func (s *Store) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	ttl := (s.TTL + time.Millisecond - 1).Milliseconds() // rounded up: 0 would be for ever
	return obey(ctx, "saving", func() (uint64, error) {
		if s.Client == nil {
			return 0, errNoClient
		}
		next, err := s.run(ctx, swapScript, key, strconv.FormatUint(version, 10), record, max(ttl, 0)).Text()
		if errors.Is(err, redis.Nil) {
			return 0, shared.ErrConflict
		}
		if err != nil {
			return 0, err
		}
		return strconv.ParseUint(next, 10, 64)
	})
}

// A script is what the server runs, and its hash, by which the server knows it.
type script struct{ source, hash string }

func newScript(source string) script {
	return script{source, fmt.Sprintf("%x", sha1.Sum([]byte(source)))}
}

// run runs a script on the key, by its hash if the server knows it.
func (s *Store) run(ctx context.Context, script script, key string, args ...any) *redis.Cmd {
	send := func(command, what string) *redis.Cmd {
		cmd := redis.NewCmd(ctx, append([]any{command, what, 1, s.name(key)}, args...)...)
		_ = s.Client.Process(ctx, once{cmd}) // the error is in cmd, too
		return cmd
	}
	cmd := send("evalsha", script.hash)
	if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") { // and has done nothing
		return send("eval", script.source)
	}
	return cmd
}

// once is a command that the client does not send again after a network error, as it may have been
// carried out.
type once struct{ *redis.Cmd }

// NoRetry implements [redis.Cmder].
func (once) NoRetry() bool { return true }

var errNoClient = provider.Permanent(errors.New("Store.Client is nil: set how to reach Redis"))

func (s *Store) name(key string) string { return cmp.Or(s.Prefix, "stayauth:") + key }

// obey runs operation and returns its result, or an error as soon as ctx is done: the client looks
// at a context only now and then. The operation's goroutine ends when the client gives up, by its
// own timeouts.
func obey[T any](ctx context.Context, doing string, operation func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	if ctx.Err() != nil {
		return none, fmt.Errorf("redisstore: %s: %w", doing, ctx.Err())
	}
	done := make(chan result, 1)
	go func() {
		value, err := operation()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		if deadline, ok := ctx.Deadline(); r.err != nil && ok && !time.Now().Before(deadline) {
			<-ctx.Done() // the client's timeout came first, and this comes in a moment
			return none, fmt.Errorf("redisstore: %s: %w", doing, ctx.Err())
		}
		if r.err != nil {
			return none, fmt.Errorf("redisstore: %s: %w", doing, judged(r.err))
		}
		return r.value, nil
	case <-ctx.Done():
		return none, fmt.Errorf("redisstore: %s: %w", doing, ctx.Err())
	}
}

// judged marks the errors that a person has to mend: those who wait are told at once.
func judged(err error) error {
	switch {
	case redis.IsPermissionError(err), redis.IsOOMError(err), redis.HasErrorPrefix(err, "MISCONF"):
		return fmt.Errorf("%w: %w", shared.ErrUnwritable, err)
	case redis.IsAuthError(err), redis.HasErrorPrefix(err, "WRONGTYPE"):
		return toBeMended(err)
	}
	return err
}

// toBeMended marks what a person has to mend, and is looked at again a moment later.
func toBeMended(err error) error { return provider.RetryAfter(provider.NoRetry(err), 5*time.Second) }
