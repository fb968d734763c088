package shared_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

// A machine is what processes share: a store, its clock and its kernel.
type machine struct {
	store storetest.Memory

	mu      sync.Mutex // guards the fields below
	written map[uint64]time.Time
	locked  *plain // who has the lock
}

// A plain store is one process's way to it, until that is killed.
type plain struct {
	m    *machine
	dead bool // guarded by m.mu
}

func (p *plain) check() error {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	if p.dead {
		return errors.New("this process is dead")
	}
	return nil
}

func (p *plain) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	if err := p.check(); err != nil {
		return nil, 0, err
	}
	return p.m.store.Load(ctx, key)
}

func (p *plain) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	if err := p.check(); err != nil {
		return 0, err
	}
	next, err := p.m.store.CompareAndSwap(ctx, key, record, version)
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	p.m.written[next] = time.Now()
	return next, err
}

// kill ends the process, as SIGKILL does: the kernel takes its lock away.
func (p *plain) kill() {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	p.dead = true
	if p.m.locked == p {
		p.m.locked = nil
	}
}

// An aging store is a [shared.Ager], as Redis is.
type aging struct{ *plain }

func (a aging) Age(_ context.Context, _ string, version uint64) (time.Duration, error) {
	a.m.mu.Lock()
	defer a.m.mu.Unlock()
	return time.Since(a.m.written[version]), nil
}

// A locking store is a [shared.Locker], as files are.
type locking struct{ *plain }

func (l locking) TryLock(context.Context, string) (func(), bool, error) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if l.m.locked != nil {
		return nil, false, nil
	}
	l.m.locked = l.plain
	return func() {
		l.m.mu.Lock()
		defer l.m.mu.Unlock()
		if l.m.locked == l.plain {
			l.m.locked = nil
		}
	}, true, nil
}

// A knowing store is both, as files are.
type knowing struct {
	locking
	aging
}

func (k knowing) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	return k.aging.Load(ctx, key)
}

func (k knowing) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	return k.aging.CompareAndSwap(ctx, key, record, version)
}

// kinds are the ways to open the store of a machine.
var kinds = map[string]func(*plain) shared.Store{
	"plain":   func(p *plain) shared.Store { return p },
	"aging":   func(p *plain) shared.Store { return aging{p} },
	"locking": func(p *plain) shared.Store { return locking{p} },
	"knowing": func(p *plain) shared.Store { return knowing{locking{p}, aging{p}} },
}

// newMachine returns a machine with the login of first on it.
func newMachine(t *testing.T) *machine {
	m := &machine{written: make(map[uint64]time.Time)}
	if err := newLogin(new(singleUse), &m.store, "alice").Login(t.Context(), first()); err != nil {
		t.Fatal(err)
	}
	return m
}

// die lets a process claim the lease and be killed while it asks. Its goroutine ends with the test.
func (m *machine) die(t *testing.T, kind string) {
	p := &plain{m: m}
	release := make(chan struct{})
	gone := make(chan struct{})
	killed := provider.Func(func(context.Context) (string, error) {
		p.kill()
		<-release
		return "", errors.New("too late")
	})
	go func() { // ends with the test
		defer close(gone)
		_, _ = newLogin(killed, kinds[kind](p), "alice").Token(context.Background(), first())
	}()
	synctest.Wait()
	t.Cleanup(func() { close(release); <-gone })
}

// TestShortLives: a process is killed in a refresh, and then comes a command a minute, for a day.
// None lives for as long as a lease, and none has to: where the store can tell that the holder is
// dead the first one gets a token, and elsewhere the second or third.
func TestShortLives(t *testing.T) {
	const day = 24 * 60 // minutes
	for _, test := range []struct {
		kind string
		life time.Duration // of a command
		late int           // so many come to nothing
	}{
		{"plain", 10 * time.Second, 1},
		{"plain", 7 * time.Second, 2},
		{"plain", 6200 * time.Millisecond, 2},
		{"plain", 5800 * time.Millisecond, day}, // less than two fifths of the lease show nothing
		{"aging", 10 * time.Second, 0},
		{"aging", time.Second, 2},
		{"locking", 10 * time.Second, 0},
		{"locking", 4 * time.Second, 1},
		{"knowing", time.Second, 2},
	} {
		t.Run(test.kind+" "+test.life.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, backend := newMachine(t), new(singleUse)
				m.die(t, test.kind)
				failed := 0
				for range day {
					time.Sleep(time.Minute)
					p := &plain{m: m}
					ctx, cancel := context.WithTimeout(t.Context(), test.life)
					token, err := newLogin(backend, kinds[test.kind](p), "alice").Token(ctx, first())
					cancel()
					p.kill()
					switch {
					case err == nil && token.Value() != "token-1":
						t.Fatalf("Token = %q; want token-1", token.Value())
					case err != nil:
						failed++
					}
				}
				if failed != test.late {
					t.Errorf("%d of %d commands had no token; want the first %d", failed, day, test.late)
				}
				backend.want(t, min(1, day-failed))
			})
		})
	}
}

// TestSuspended: a holder that stands still for three leases. Where the kernel tells that it is
// alive it is waited for; elsewhere this is the documented gap, and the others take over.
func TestSuspended(t *testing.T) {
	for kind, calls := range map[string]int{"plain": 2, "locking": 1, "knowing": 1} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const still = 45 * time.Second
				m := newMachine(t)
				backend := new(singleUse)
				p := &plain{m: m}
				wakes := func() {
					p.m.mu.Lock()
					defer p.m.mu.Unlock()
					p.dead = false
				}
				holder := newLogin(slowAnswer{still, func() {
					_, _ = backend.begin(first())
					backend.end()
					p.m.mu.Lock()
					defer p.m.mu.Unlock()
					p.dead = true // it does nothing, and keeps its lock
					time.AfterFunc(still, wakes)
				}}, kinds[kind](p), "alice")
				var wg sync.WaitGroup
				wg.Go(func() { wantToken(t, holder, first(), "token-1") })
				synctest.Wait()
				wg.Go(func() {
					_, err := newLogin(backend, kinds[kind](&plain{m: m}), "alice").Token(t.Context(), first())
					if (err == nil) != (calls == 1) {
						t.Errorf("Token of another: %v", err)
					}
				})
				wg.Wait()
				if backend.calls != calls {
					t.Errorf("the backend was called %d times; want %d", backend.calls, calls)
				}
			})
		})
	}
}

// TestSuspendedForGood: no process waits for ever for one that was stopped.
func TestSuspendedForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		m.die(t, "locking")
		m.locked = &plain{m: m} // it is not dead: it has the lock
		start := time.Now()
		wantToken(t, newLogin(new(singleUse), locking{&plain{m: m}}, "alice"), first(), "token-1")
		if after := time.Since(start); after < 74*time.Second || after > 80*time.Second {
			t.Errorf("a holder that stands still was waited for %v; want five leases", after)
		}
	})
}
