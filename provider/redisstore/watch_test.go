//go:build unix

package redisstore_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/redisstore"
	"github.com/stayauth/stayauth/provider/shared"
)

// watched checks that the store tells of a change, of one that came before it was asked, and of
// nothing else.
func watched(t *testing.T, store *redisstore.Store) {
	t.Helper()
	version, err := store.CompareAndSwap(within(t), "watched", []byte("one"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Watch(within(t), "watched", version-1); err != nil {
		t.Errorf("Watch of a version that has passed: %v", err)
	}
	told := make(chan error, 1)
	go func() { told <- store.Watch(within(t), "watched", version) }() // ends with the change
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := store.Watch(ctx, "watched", version); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Watch of what does not change: %v; want the context's error", err)
	}
	if _, err := store.CompareAndSwap(within(t), "watched", []byte("two"), version); err != nil {
		t.Fatal(err)
	}
	if err := <-told; err != nil {
		t.Errorf("Watch: %v; want nil, for the change", err)
	}
}

func TestWatch(t *testing.T) {
	server := startRedis(t)
	store := &redisstore.Store{Client: server.client()}
	watched(t, store)

	// The connection breaks, and the change comes meanwhile.
	proxy := startProxy(t, server.addr())
	far := redis.NewClient(&redis.Options{Addr: proxy.addr})
	defer far.Close()
	_, version, err := store.Load(within(t), "watched")
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan error, 1)
	go func() { told <- (&redisstore.Store{Client: far}).Watch(within(t), "watched", version) }() // ends with the change
	for server.do("PUBSUB", "NUMSUB", "stayauth:watched").([]any)[1].(int64) == 0 {
		// it takes a moment
	}
	proxy.cut("127.0.0.1:1") // where there is no server
	if _, err := store.CompareAndSwap(within(t), "watched", []byte("three"), version); err != nil {
		t.Fatal(err)
	}
	proxy.cut(server.addr())
	if err := <-told; err != nil {
		t.Errorf("Watch across a break: %v; want nil, for the change", err)
	}

	// A server that does not answer keeps no one, also where the client would wait for ever.
	server.signal(syscall.SIGSTOP)
	patient := redis.NewClient(&redis.Options{Addr: server.addr(), ReadTimeout: -1})
	defer patient.Close()
	for _, client := range []*redis.Client{server.client(), patient} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := (&redisstore.Store{Client: client}).Watch(ctx, "watched", version); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Watch of a server that does not answer: %v; want the context's error", err)
		}
	}
	server.signal(syscall.SIGCONT)
	if err := new(redisstore.Store).Watch(t.Context(), "x", 1); !provider.IsPermanent(err) {
		t.Errorf("Watch without a Client: %v; want a permanent error", err)
	}
}

// TestAge: the record's age is by the server's clock, of this version and no other.
func TestAge(t *testing.T) {
	server := startRedis(t)
	store := &redisstore.Store{Client: server.client()}
	before := time.Now()
	version, err := store.CompareAndSwap(within(t), "alice", []byte("x"), 0)
	if err != nil {
		t.Fatal(err)
	}
	between := time.Now()
	first, err := store.Age(within(t), "alice", version)
	if most := time.Since(before); first < 0 || first > most || err != nil {
		t.Errorf("Age = %v, %v; want at most %v", first, err, most)
	}
	for least := time.Duration(0); least < 20*time.Millisecond; {
		least = time.Since(between)
		age, err := store.Age(within(t), "alice", version)
		if age < least-time.Millisecond || err != nil {
			t.Errorf("Age = %v, %v; want at least %v", age, err, least)
		}
	}
	if _, err := store.CompareAndSwap(within(t), "alice", []byte("y"), version); err != nil {
		t.Fatal(err)
	}
	for key, v := range map[string]uint64{"alice": version, "none": 0} {
		if age, err := store.Age(within(t), key, v); age != 0 || err != nil {
			t.Errorf("Age of a version that has passed, or of none = %v, %v; want 0", age, err)
		}
	}
	const future = 9_000_000_000_000_000 // as a clock left it that was turned back
	server.do("HSET", "stayauth:bob", "version", "9000000000000000", "record", "x")
	if age, err := store.Age(within(t), "bob", future); age != 0 || err != nil {
		t.Errorf("Age of a version from the future = %v, %v; want 0", age, err)
	}
}

// TestShortLives: a process was killed in a refresh. The first that comes after the lease's end
// gets a token, though it does not live as long as the lease.
func TestShortLives(t *testing.T) {
	const lease, life = 6 * time.Second, 4 * time.Second // of which a busy machine takes some
	server, backend := startRedis(t), new(rotating)
	open := func() *redisstore.Store { return &redisstore.Store{Client: server.client()} }
	login(t, &shared.Login{Provider: backend, Store: open(), Key: "alice"})
	dying := server.client()
	killed := provider.Func(func(context.Context) (string, error) {
		_ = dying.Close()
		return "", errors.New("killed")
	})
	if _, err := (&shared.Login{Provider: killed, Store: &redisstore.Store{Client: dying}, Key: "alice", Lease: lease}).Token(within(t), first()); err == nil {
		t.Fatal("the killed process got a token")
	}
	_, version, err := open().Load(within(t), "alice")
	if err != nil {
		t.Fatal(err)
	}
	for { // until the lease is over
		if age, err := open().Age(within(t), "alice", version); err != nil {
			t.Fatal(err)
		} else if age > lease {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), life)
	defer cancel()
	token, err := (&shared.Login{Provider: backend, Store: open(), Key: "alice", Lease: lease}).Token(ctx, first())
	if err != nil || token.Value() != "token-1" {
		t.Errorf("Token of a process that lives for two thirds of the lease = %q, %v; want token-1", token.Value(), err)
	}
}

// polled hides that the store tells of changes.
type polled struct{ shared.Store }

// BenchmarkWaiters is how long those who wait do so after the new token was saved: nine hosts and a
// call of 400 ms, with the default lease.
func BenchmarkWaiters(b *testing.B) {
	for name, open := range map[string]func(*redisstore.Store) shared.Store{
		"told":    func(s *redisstore.Store) shared.Store { return s },
		"polling": func(s *redisstore.Store) shared.Store { return polled{s} },
	} {
		b.Run(name, func(b *testing.B) {
			server := startRedis(b)
			backend := &rotating{work: 400 * time.Millisecond}
			var hosts []*shared.Login
			for range 10 {
				c := redis.NewClient(&redis.Options{Addr: server.addr()})
				defer c.Close()
				hosts = append(hosts, &shared.Login{
					Provider: backend, Store: open(&redisstore.Store{Client: c}), Key: "fleet", Logger: slog.New(slog.DiscardHandler),
				})
			}
			old := first()
			if err := hosts[0].Login(b.Context(), old); err != nil {
				b.Fatal(err)
			}
			var waits []time.Duration
			for b.Loop() {
				var mu sync.Mutex // guards ends and token
				var ends []time.Time
				var token provider.Token
				var wg sync.WaitGroup
				for _, l := range hosts {
					wg.Go(func() {
						t, err := l.Token(b.Context(), old)
						mu.Lock()
						defer mu.Unlock()
						if err != nil {
							b.Error(err)
						}
						ends, token = append(ends, time.Now()), t
					})
				}
				wg.Wait()
				old = token
				slices.SortFunc(ends, time.Time.Compare)
				for _, end := range ends[1:] { // the first is the one who saved it, or was told as early
					waits = append(waits, end.Sub(ends[0]))
				}
			}
			slices.Sort(waits)
			b.ReportMetric(float64(waits[len(waits)/2].Microseconds())/1000, "median-ms")
			b.ReportMetric(float64(waits[len(waits)-1].Microseconds())/1000, "worst-ms")
		})
	}
}
