package shared_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

// Callers in one process share a failure as processes do: none asks again for what it has waited
// for.
func TestCallersShareFailures(t *testing.T) {
	for name, next := range map[string]error{
		"temporary": provider.RetryAfter(errors.New("503"), 30*time.Second), "permanent": provider.Permanent(errRevoked),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls atomic.Int32
				p := newLogin(provider.Func(func(context.Context) (string, error) {
					calls.Add(1)
					time.Sleep(10 * time.Second)
					return "", next
				}), new(storetest.Memory), "alice")
				want := func(n int32) {
					t.Helper()
					start := time.Now()
					var wg sync.WaitGroup
					for range 10 {
						wg.Go(func() {
							if _, err := p.Token(t.Context(), provider.Token{}); !errors.Is(err, errors.Unwrap(next)) {
								t.Errorf("Token: %v; want what the provider said", err)
							}
						})
					}
					wg.Wait()
					if calls.Load() != n || time.Since(start) != 10*time.Second {
						t.Errorf("%d calls, the last returned after %v; want %d, 10s", calls.Load(), time.Since(start), n)
					}
				}
				want(1)
				want(2) // which did not wait for the first
			})
		})
	}
}

// The end of one caller is no answer for the others.
func TestCallersDoNotShareTheirEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &network{Store: loggedIn(t), delay: time.Second}
		p := newLogin(new(singleUse), net, "alice")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := p.Token(ctx, first()); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Token: %v, want the caller's deadline", err)
			}
		})
		synctest.Wait()
		wg.Go(func() { wantToken(t, p, first(), "token-1") })
		wg.Wait()
	})
}

// telling is a Watcher with nothing to tell.
type telling struct{ shared.Store }

func (telling) Watch(ctx context.Context, _ string, _ uint64) error {
	<-ctx.Done()
	return ctx.Err()
}

// Callers wait for a new login together, and not one after the other, whatever token each has.
func TestCallersWaitForALoginTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &shared.Login{Provider: new(singleUse), Store: telling{loggedIn(t)}, Key: "alice", WaitForLogin: true}
		if err := p.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				if _, err := p.Token(t.Context(), bare(fmt.Sprintf("old-%d", i/2))); !errors.Is(err, shared.ErrEnded) || provider.IsPermanent(err) {
					t.Errorf("Token: %v; want a temporary ErrEnded", err)
				}
			})
		}
		wg.Wait()
		if d := time.Since(start); d != 15*time.Second {
			t.Errorf("the last returned after %v, want a lease", d)
		}
	})
}

// A Watch may return early. The call waits for its time all the same.
func TestWaitForALoginWithAnEarlyWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &shared.Login{Provider: new(singleUse), Store: early{loggedIn(t)}, Key: "alice", WaitForLogin: true}
		logout.by(t, p)
		start := time.Now()
		if _, err := p.Token(t.Context(), first()); !errors.Is(err, shared.ErrEnded) || time.Since(start) != 15*time.Second {
			t.Errorf("Token: %v after %v; want ErrEnded after a lease", err, time.Since(start))
		}
	})
}

// What comes meanwhile is seen, also if the store has told of nothing, or can't any more.
func TestLoginThatIsNotTold(t *testing.T) {
	for name, open := range map[string]func(shared.Store) shared.Store{
		"told too early":    func(s shared.Store) shared.Store { return early{s} },
		"can't tell at all": func(s shared.Store) shared.Store { return mute{s} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := loggedIn(t)
				other := newLogin(new(singleUse), m, "alice")
				logout.by(t, other)
				p := &shared.Login{Provider: new(singleUse), Store: open(m), Key: "alice", WaitForLogin: true}
				time.AfterFunc(5*time.Second, func() { login.by(t, other) })
				wantToken(t, p, first(), "new")
			})
		})
	}
}

// mute is a Watcher whose subscription ends after a while.
type mute struct{ shared.Store }

func (mute) Watch(ctx context.Context, _ string, _ uint64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	time.Sleep(6 * time.Second)
	return errors.New("the subscription is lost")
}

// early is a Watcher that always tells of a change.
type early struct{ shared.Store }

func (early) Watch(context.Context, string, uint64) error { return nil }

// Callers get the token in memory together where the store hangs, whatever token each has; only who
// has that very token looks for another.
func TestCallersOfAStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &network{Store: loggedIn(t)}
		p := newLogin(new(singleUse), net, "alice")
		wantToken(t, p, first(), "token-1")
		net.set(hang)
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() { wantToken(t, p, bare(fmt.Sprintf("old-%d", i/2)), "token-1") })
		}
		wg.Wait()
		if after := time.Since(start); after != 5*time.Second {
			t.Errorf("the last returned after %v; want a third of the lease", after)
		}
	})
}

// Only what a caller did is for those who wait for it, and not what it has read, or how long it could
// wait.
func TestCallersDoNotShareWhatWasRead(t *testing.T) {
	for _, waits := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) { // there was a login since
			m := loggedIn(t)
			logout.by(t, newLogin(new(singleUse), m, "alice"))
			p := &shared.Login{
				Provider: new(singleUse), Store: &network{Store: m, delay: 400 * time.Millisecond}, Key: "alice", WaitForLogin: waits,
			}
			var wg sync.WaitGroup
			wg.Go(func() { _, _ = p.Token(t.Context(), first()) })
			time.Sleep(500 * time.Millisecond) // it has read, and has no answer yet
			login.by(t, newLogin(new(singleUse), m, "alice"))
			wantToken(t, p, first(), "new")
			wg.Wait()
		})
	}
	synctest.Test(t, func(t *testing.T) { // there was a login since, and what was read is that nothing can be written
		m := loggedIn(t)
		net := &network{Store: m, delay: 400 * time.Millisecond}
		p := newLogin(new(singleUse), net, "alice")
		wantToken(t, p, provider.Token{}, "token-0")
		wantEnded(t, newLogin(reject(new(int)), m, "alice"), first())
		net.set(full)
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = p.Token(t.Context(), first()) })
		time.Sleep(900 * time.Millisecond)
		login.by(t, newLogin(new(singleUse), m, "alice"))
		wantToken(t, p, first(), "new")
		wg.Wait()
	})
	synctest.Test(t, func(t *testing.T) { // the session of the first was rejected, and the second began after that
		m := loggedIn(t)
		logout.by(t, newLogin(new(singleUse), m, "alice"))
		other := newLogin(slowReject(10*time.Second, new(int)), m, "alice")
		p := newLogin(answer(bare("new")), m, "alice")
		var wg sync.WaitGroup
		wg.Go(func() { wantEnded(t, other, provider.Token{}) })
		time.Sleep(time.Millisecond)
		wg.Go(func() { _, _ = p.Token(t.Context(), provider.Token{}) })
		time.Sleep(10 * time.Second)
		wantToken(t, p, provider.Token{}, "new")
		wg.Wait()
	})
	synctest.Test(t, func(t *testing.T) { // there was a login since, and the first left before it could look
		m := loggedIn(t)
		other := newLogin(new(singleUse), m, "alice")
		logout.by(t, other)
		p := &shared.Login{
			Provider: new(singleUse), Store: early{&network{Store: m, delay: time.Millisecond}}, Key: "alice", WaitForLogin: true,
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = p.Token(ctx, first()) })
		time.Sleep(5 * time.Second)
		login.by(t, other)
		time.Sleep(time.Second)
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
			defer cancel()
			if token, err := p.Token(ctx, first()); token.Value() != "new" {
				t.Errorf("Token = %q, %v; want the new one", token.Value(), err)
			}
		})
		time.Sleep(4 * time.Second)
		cancel()
		wg.Wait()
	})
	synctest.Test(t, func(t *testing.T) { // the token of the first is rejected, and the second waits for a login
		m := loggedIn(t)
		p := &shared.Login{Provider: slowReject(time.Second, new(int)), Store: telling{m}, Key: "alice", WaitForLogin: true}
		time.AfterFunc(3*time.Second, func() { login.by(t, newLogin(new(singleUse), m, "alice")) })
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = p.Token(t.Context(), first()) })
		time.Sleep(100 * time.Millisecond)
		start := time.Now()
		if _, err := p.Token(t.Context(), bare("another")); time.Since(start) != 15*time.Second {
			t.Errorf("Token: %v after %v; want a lease", err, time.Since(start)) // this store tells of nothing
		}
		wg.Wait()
	})
	synctest.Test(t, func(t *testing.T) { // the first has little time to wait for a login
		p := &shared.Login{Provider: new(singleUse), Store: telling{loggedIn(t)}, Key: "alice", WaitForLogin: true}
		logout.by(t, p)
		var wg sync.WaitGroup
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			_, _ = p.Token(ctx, first())
		})
		synctest.Wait()
		start := time.Now()
		if _, err := p.Token(t.Context(), first()); time.Since(start) != 15*time.Second {
			t.Errorf("Token: %v after %v; want a lease", err, time.Since(start))
		}
		wg.Wait()
	})
	synctest.Test(t, func(t *testing.T) { // the first has no refresh token
		p := newLogin(provider.TokenFunc(func(_ context.Context, old provider.Token) (provider.Token, error) {
			time.Sleep(time.Second)
			if old.RefreshToken() == "" {
				return provider.Token{}, provider.Permanent(errors.New("log in first"))
			}
			return bare("new").WithRefreshToken("next"), nil
		}), new(storetest.Memory), "alice")
		var wg sync.WaitGroup
		wg.Go(func() { wantEnded(t, p, provider.Token{}) })
		synctest.Wait()
		wg.Go(func() { wantToken(t, p, bare("").WithRefreshToken("mine"), "new") })
		wg.Wait()
	})
}

// A new login in the middle of a refresh takes its answer's place, also where the store can't say
// so any more.
func TestLoginDuringRefreshWithoutTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		endSaves(t)
		net := &network{Store: loggedIn(t)}
		p := newLogin(&singleUse{work: 10 * time.Second}, net, "alice")
		var wg sync.WaitGroup
		wg.Go(func() {
			if token, err := p.Token(t.Context(), first()); err == nil && token.Value() != "new" {
				t.Errorf("Token after a new login = %q", token.Value())
			}
		})
		time.Sleep(5 * time.Second)
		if err := p.Login(t.Context(), provider.NewToken("new", time.Time{}).WithRefreshToken("new-secret")); err != nil {
			t.Fatal(err)
		}
		net.set(down)
		wg.Wait()
		for range 3 {
			wantToken(t, p, provider.Token{}, "new")
		}
		net.set(nil)
	})
}

// Many callers are told that the login has ended, in the time of a few operations of a slow store, and
// at once where they all have waited as long as they could.
func TestManyCallersOfAnEndedLogin(t *testing.T) {
	ended := func(t *testing.T, p *shared.Login, callers int) (last time.Duration) {
		t.Helper()
		start := time.Now()
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				time.Sleep(time.Microsecond) // as it takes some time to call
				if _, err := p.Token(ctx, first()); !errors.Is(err, shared.ErrEnded) {
					t.Errorf("Token: %v; want ErrEnded", err)
				}
			})
		}
		wg.Wait()
		return time.Since(start)
	}
	synctest.Test(t, func(t *testing.T) {
		m := loggedIn(t)
		logout.by(t, newLogin(new(singleUse), m, "alice"))
		p := newLogin(new(singleUse), &network{Store: m, delay: 250 * time.Millisecond}, "alice")
		if last := ended(t, p, 100); last > 2*time.Second {
			t.Errorf("the last was told after %v", last)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		p := &shared.Login{Provider: new(singleUse), Store: telling{loggedIn(t)}, Key: "alice", WaitForLogin: true}
		logout.by(t, p)
		if last := ended(t, p, 30); last > 15*time.Second+time.Millisecond {
			t.Errorf("the last was told after %v", last)
		}
	})
	synctest.Test(t, func(t *testing.T) { // a rejection that can't be saved
		endSaves(t)
		net := &network{Store: loggedIn(t)}
		p := newLogin(provider.Func(func(context.Context) (string, error) {
			net.set(hangWrites)
			return "", provider.Permanent(errRevoked)
		}), net, "alice")
		_, _ = p.Token(t.Context(), first())
		if last := ended(t, p, 20); last > 15*time.Second {
			t.Errorf("the last was told after %v", last)
		}
	})
}

// TestSessionsOfManyCallers: many callers in many processes want a new session, which is rejected.
// All of them have waited for the one attempt.
func TestSessionsOfManyCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, calls := loggedIn(t), 0
		logout.by(t, newLogin(new(singleUse), m, "alice"))
		start := time.Now()
		var wg sync.WaitGroup
		for range 10 {
			p := newLogin(slowReject(10*time.Second, &calls), m, "alice")
			for range 10 {
				wg.Go(func() { wantEnded(t, p, provider.Token{}) })
			}
		}
		wg.Wait()
		if took := time.Since(start); calls != 1 || took > 12*time.Second {
			t.Errorf("the provider was asked %d times, and the last caller told after %v", calls, took)
		}
	})
}
