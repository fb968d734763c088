//go:build unix

package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
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

// lease is short, because some of these tests take some of it.
const lease = 3 * time.Second

// rotating is a backend with single-use refresh tokens. during runs in the middle of each call,
// after the secret is spent.
type rotating struct {
	during func()
	work   time.Duration // how long a call takes beside it

	mu            sync.Mutex // guards the fields below
	calls, reused int
	spent         map[string]bool
}

func (r *rotating) Token(_ context.Context, old provider.Token) (provider.Token, error) {
	n, err := r.spend(old.RefreshToken())
	if err != nil {
		return provider.Token{}, err
	}
	if r.during != nil {
		r.during()
	}
	time.Sleep(r.work)
	return provider.NewToken(fmt.Sprintf("token-%d", n), time.Time{}).WithRefreshToken(fmt.Sprintf("secret-%d", n)), nil
}

func (r *rotating) spend(secret string) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	if r.spent[secret] {
		r.reused++
		return 0, provider.Permanent(errors.New("backend: this secret was used before"))
	}
	if r.spent == nil {
		r.spent = make(map[string]bool)
	}
	r.spent[secret] = true
	return r.calls, nil
}

func (r *rotating) want(t *testing.T, calls int) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.calls != calls || r.reused != 0 {
		t.Errorf("the backend saw %d calls and %d used secrets; want %d and 0", r.calls, r.reused, calls)
	}
}

func first() provider.Token {
	return provider.NewToken("token-0", time.Time{}).WithRefreshToken("secret-0")
}

// next asks until p has another token than old, as a transport does after temporary errors.
func next(t *testing.T, p provider.TokenProvider, old provider.Token, want string) provider.Token {
	t.Helper()
	ctx := within(t)
	for {
		token, err := p.Token(ctx, old)
		switch {
		case err == nil && token.Value() == want:
			return token
		case err == nil, provider.IsPermanent(err), ctx.Err() != nil:
			t.Fatalf("Token = %q, %v; want %q", token.Value(), err, want)
		}
	}
}

func login(t *testing.T, p *shared.Login) {
	t.Helper()
	if err := p.Login(within(t), first()); err != nil {
		t.Fatal(err)
	}
}

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
				replica.do("REPLICAOF", "127.0.0.1", "1") // where nobody is: it gets no more writes
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

// TestNotALogin: what is under the key and is no login is reported, and left as it is.
func TestNotALogin(t *testing.T) {
	server := startRedis(t)
	store := &redisstore.Store{Client: server.client()}
	for name, set := range map[string][]any{
		"a string":          {"SET", "stayauth:a string", "geheim"},
		"another hash":      {"HSET", "stayauth:another hash", "name", "geheim"},
		"no version":        {"HSET", "stayauth:no version", "record", "geheim"},
		"no record":         {"HSET", "stayauth:no record", "version", "7"},
		"a version of what": {"HSET", "stayauth:a version of what", "version", "geheim", "record", "geheim"},
	} {
		server.do(set...)
		before := server.do("DUMP", "stayauth:"+name)
		_, version, loadErr := store.Load(within(t), name)
		_, swapErr := store.CompareAndSwap(within(t), name, []byte("x"), version)
		if swapErr == nil || loadErr != nil && strings.Contains(loadErr.Error(), "geheim") {
			t.Errorf("%s: Load: %v, CompareAndSwap: %v; want errors that show nothing of it", name, loadErr, swapErr)
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

// BenchmarkRefresh is what a refresh costs with the login in Redis beside one without, where the
// backend is as near as it can be: Redis and the backend are both on the loopback interface. It is
// the median ratio of interleaved rounds; floor-ratio is that of the call and two bare round trips
// to Redis, without which nothing can be claimed and saved.
func BenchmarkRefresh(b *testing.B) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "a token") }))
	defer backend.Close()
	alone := provider.Func(func(ctx context.Context) (string, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, backend.URL, nil)
		if err != nil {
			return "", err
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return "", err
		}
		defer answer.Body.Close()
		token, err := io.ReadAll(answer.Body)
		return string(token), err
	})
	client := startRedis(b).client()
	throughRedis := &shared.Login{Provider: alone, Store: &redisstore.Store{Client: client}, Key: "alice"}
	pinging := provider.Func(func(ctx context.Context) (string, error) {
		before := client.Ping(ctx).Err()
		token, err := alone(ctx)
		return token, errors.Join(before, err, client.Ping(ctx).Err())
	})
	const refreshes = 50 // in a round
	round := func(p provider.TokenProvider) time.Duration {
		var token provider.Token
		began := time.Now()
		for range refreshes {
			var err error
			if token, err = p.Token(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
		return time.Since(began)
	}
	var ratios, floors []float64
	var took time.Duration
	measure := func() {
		without := round(alone)
		with := round(throughRedis)
		floors = append(floors, float64(round(pinging))/float64(without))
		took += with
		ratios = append(ratios, float64(with)/float64(without))
	}
	for b.Loop() {
		measure()
	}
	for len(ratios) < 15 {
		measure()
	}
	slices.Sort(ratios)
	slices.Sort(floors)
	b.ReportMetric(floors[len(floors)/2], "floor-ratio")
	b.ReportMetric(float64(took.Nanoseconds())/float64(refreshes*len(ratios)), "ns/op")
	b.ReportMetric(ratios[len(ratios)/2], "time-ratio")
	b.Logf("a refresh through Redis: median %.1fx of one without, from %.1fx to %.1fx in %d interleaved rounds",
		ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1], len(ratios))
}
