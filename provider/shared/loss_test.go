package shared_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

// A forgetful store can lose its last writes. Its versions grow all the same.
type forgetful struct {
	mu     sync.Mutex // guards the fields below
	writes []stored
	last   uint64
}

type stored struct {
	record  []byte
	version uint64
}

func (f *forgetful) newest() stored {
	if len(f.writes) == 0 {
		return stored{}
	}
	return f.writes[len(f.writes)-1]
}

func (f *forgetful) Load(context.Context, string) ([]byte, uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.newest().record, f.newest().version, nil
}

func (f *forgetful) CompareAndSwap(_ context.Context, _ string, record []byte, version uint64) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.newest().version != version {
		return 0, shared.ErrConflict
	}
	f.last++
	f.writes = append(f.writes, stored{record, f.last})
	return f.last, nil
}

// forget loses n writes, or all that there are.
func (f *forgetful) forget(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes = f.writes[:max(len(f.writes)-n, 0)]
}

// written returns how many writes there are.
func (f *forgetful) written() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.writes)
}

// TestLostLogout: a logout that the store loses stays one for the process that made it, which puts
// it back.
func TestLostLogout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, backend := new(forgetful), new(singleUse)
		p, other := newLogin(backend, s, "alice"), newLogin(backend, s, "alice")
		if err := p.Login(t.Context(), first()); err != nil {
			t.Fatal(err)
		}
		wantToken(t, p, provider.Token{}, "token-0")
		if err := p.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.forget(1)
		wantEnded(t, p, first())
		wantEnded(t, other, first())
		backend.want(t, 0)
	})
}

// TestSavedInTheBackground: the store is away when the answer comes, and comes back when no one
// asks for a token.
func TestSavedInTheBackground(t *testing.T) {
	for _, away := range []time.Duration{16 * time.Second, 30 * time.Second, time.Minute, 9 * time.Minute} {
		t.Run(away.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				endSaves(t)
				m, backend := loggedIn(t), new(singleUse)
				net, others := &network{Store: m}, &network{Store: m}
				p := &shared.Login{Store: net, Key: "alice", Logger: new(journal).logger()}
				p.Provider = slowAnswer{time.Second, func() {
					_, _ = backend.begin(first())
					backend.end()
					net.set(down)
					others.set(down)
				}}
				time.AfterFunc(away, func() { net.set(nil); others.set(nil) })
				start := time.Now()
				wantToken(t, p, first(), "token-1")
				other := newLogin(backend, others, "alice")
				for {
					token, err := other.Token(t.Context(), first())
					if err == nil {
						if token.Value() != "token-1" {
							t.Errorf("Token of another = %q; want token-1", token.Value())
						}
						break
					}
					time.Sleep(500 * time.Millisecond)
				}
				if after := time.Since(start); after > away+3*time.Second {
					t.Errorf("another had the token after %v; want soon after %v", after, away)
				}
				backend.want(t, 1)
			})
		})
	}
}

// A noting store has another process note something in the record after each look that comes some
// time after the one before.
type noting struct {
	shared.Store
	begun  bool
	looked time.Time
}

func (s *noting) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	record, version, err := s.Store.Load(ctx, key)
	if err == nil && s.begun && time.Since(s.looked) > time.Millisecond {
		_, err = s.CompareAndSwap(ctx, key, record, version)
	}
	s.looked = time.Now()
	return record, version, err
}

// TestSavedDespiteNotes: those who watch a silent holder write into the record, too. When its answer
// comes second to that it is saved at once, not a pause later, when they may have written again.
func TestSavedDespiteNotes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		endSaves(t)
		m, backend := loggedIn(t), new(singleUse)
		watched := &noting{Store: m}
		net := &network{Store: watched}
		p := &shared.Login{Store: net, Key: "alice", Logger: new(journal).logger()}
		p.Provider = slowAnswer{time.Second, func() {
			_, _ = backend.begin(first())
			backend.end()
			net.set(down)
		}}
		wantToken(t, p, first(), "token-1") // after a lease, unsaved
		watched.begun = true
		net.set(nil)
		time.Sleep(3 * time.Second)
		wantToken(t, newLogin(backend, m, "alice"), first(), "token-1")
		backend.want(t, 1)
	})
}

// TestLeaverFailsNoOne: a caller that leaves just after its claim has made no attempt. Those who
// wait for it go on and ask.
func TestLeaverFailsNoOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, backend := loggedIn(t), new(singleUse)
		waiting := newLogin(backend, m, "alice")
		wantToken(t, waiting, provider.Token{}, "token-0")
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		leaver := newLogin(backend, &witness{Store: m, after: func(write int) {
			if write == 1 { // its claim is there, and it does not know
				wg.Go(func() { wantToken(t, waiting, first(), "token-1") })
				time.Sleep(time.Second)
				cancel()
			}
		}}, "alice")
		if _, err := leaver.Token(ctx, first()); !errors.Is(err, context.Canceled) {
			t.Errorf("Token of the one who left: %v; want its context's error", err)
		}
		wg.Wait()
		backend.want(t, 1)
	})
}

// TestSentAgain: an operation that hangs is sent again beside itself, and does not hold anybody up
// for longer than a fifteenth of the lease. One that comes late does no harm.
func TestSentAgain(t *testing.T) {
	for _, op := range []string{"load", "swap"} {
		synctest.Test(t, func(t *testing.T) {
			net, backend := &network{Store: loggedIn(t)}, new(singleUse)
			var hung atomic.Bool
			net.set(func(what string) (bool, error) {
				if what == op && !hung.Swap(true) {
					return false, errHang
				}
				return true, nil
			})
			start := time.Now()
			wantToken(t, newLogin(backend, net, "alice"), first(), "token-1")
			if after := time.Since(start); after != time.Second {
				t.Errorf("with a %s that hung Token returned after %v; want 1 s, a fifteenth of the lease", op, after)
			}
			backend.want(t, 1)
		})
	}
	synctest.Test(t, func(t *testing.T) { // all of them are slow: the first answer counts
		net, backend := &network{Store: loggedIn(t), delay: 1200 * time.Millisecond}, new(singleUse)
		wantToken(t, newLogin(backend, net, "alice"), first(), "token-1")
		wantToken(t, newLogin(backend, new(storetest.Memory), "alice"), provider.Token{}, "token-2")
		backend.want(t, 2)
	})
}

// TestLogoutAfterALoss: the process that began the login sees the logout of another, although the
// store had lost all in between.
func TestLogoutAfterALoss(t *testing.T) {
	for _, began := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			m, backend := new(storetest.Memory), new(singleUse)
			p := newLogin(backend, m, "alice")
			if err := p.Login(t.Context(), first()); err != nil {
				t.Fatal(err)
			}
			if !began {
				p = newLogin(backend, m, "alice")
			}
			token := wantToken(t, p, first(), "token-1")
			m.Lose()
			time.Sleep(time.Microsecond) // it is the clock that tells which came later
			if err := newLogin(backend, m, "alice").Forget(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantEnded(t, p, token)
		})
	}
}
