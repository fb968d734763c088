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
)

// A telling store is a [shared.Watcher].
type telling struct {
	*network
	mu      sync.Mutex    // guards changed
	changed chan struct{} // closed at the next write
}

func (s *telling) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	next, err := s.network.CompareAndSwap(ctx, key, record, version)
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
	return next, err
}

func (s *telling) Watch(ctx context.Context, _ string, _ uint64) error {
	s.mu.Lock()
	changed := s.changed
	s.mu.Unlock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestWaitForLoginIsTold: who waits for a new login has it at once where the store tells, and asks it no more than three times a minute.
func TestWaitForLoginIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &telling{network: &network{Store: loggedIn(t)}, changed: make(chan struct{})}
		p := &shared.Login{Provider: new(singleUse), Store: s, Key: "alice", WaitForLogin: true}
		if err := p.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		const login = 10*time.Minute + 7*time.Second
		time.AfterFunc(login, func() {
			if err := newLogin(nil, s, "alice").Login(t.Context(), provider.NewToken("new", time.Time{})); err == nil {
				t.Error("Login without a Provider succeeded")
			}
			if err := newLogin(new(singleUse), s, "alice").Login(t.Context(), provider.NewToken("new", time.Time{})); err != nil {
				t.Error(err)
			}
		})
		s.loads = 0
		for { // as a transport does
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			token, err := p.Token(ctx, first())
			cancel()
			if err == nil {
				if token.Value() != "new" {
					t.Errorf("Token = %q; want new", token.Value())
				}
				break
			}
			delay, _ := provider.RetryDelay(err)
			if !errors.Is(err, shared.ErrEnded) || provider.IsPermanent(err) || delay != 5*time.Second {
				t.Fatalf("Token: %v, again after %v; want a temporary ErrEnded, 5 s", err, delay)
			}
			time.Sleep(delay)
		}
		if late := time.Since(start) - login; late > 5*time.Second || s.loads > 3*11 {
			t.Errorf("the new login was seen %v late, with %d loads in ten minutes; want at most 5 s and 33", late, s.loads)
		}
	})
}

// A mute store is a [shared.Watcher] that can't tell, as one that passes on what another can do.
type mute struct{ shared.Store }

func (mute) Watch(context.Context, string, uint64) error { return errors.ErrUnsupported }

// TestMute: a store that can't tell after all is looked at as often as any, and nobody waits for it.
func TestMute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, backend := loggedIn(t), &singleUse{work: 200 * time.Millisecond}
		start := time.Now()
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { wantToken(t, newLogin(backend, mute{m}, "alice"), first(), "token-1") })
		}
		wg.Wait()
		if after := time.Since(start); after > 1200*time.Millisecond {
			t.Errorf("the last one had the token after %v; want little more than the call's 200 ms", after)
		}
		p := &shared.Login{Provider: backend, Store: mute{m}, Key: "alice", WaitForLogin: true}
		if err := p.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		start = time.Now()
		if _, err := p.Token(t.Context(), first()); !errors.Is(err, shared.ErrEnded) || time.Since(start) != 0 {
			t.Errorf("Token of a login that has ended: %v after %v; want ErrEnded at once", err, time.Since(start))
		}
	})
}
