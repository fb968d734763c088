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

// TestLostClaim: the store forgets in the middle of a refresh, with everything or just the claim.
// The next step is the holder's, which knows nothing of it yet, and the others wait for it.
func TestLostClaim(t *testing.T) {
	for name, forget := range map[string]func(*forgetful){
		"the claim":  func(s *forgetful) { s.forget(1) },
		"everything": func(s *forgetful) { s.forget(100) },
		"everything, thrice": func(s *forgetful) {
			s.forget(100)
			time.AfterFunc(time.Second, func() { s.forget(100) })
			time.AfterFunc(2*time.Second, func() { s.forget(100) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, backend := new(forgetful), &singleUse{work: 40 * time.Second}
				if err := newLogin(backend, s, "alice").Login(t.Context(), first()); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				var wg sync.WaitGroup
				for range 10 {
					wg.Go(func() { wantToken(t, newLogin(backend, s, "alice"), first(), "token-1") })
				}
				time.Sleep(2 * time.Second) // before the first renewal: the claim is the last write
				forget(s)
				wg.Wait()
				backend.want(t, 1)
				if after := time.Since(start); after > 42*time.Second {
					t.Errorf("the last one had the token after %v; want soon after the call's 40 s", after)
				}
			})
		})
	}
}

// TestLostClaimIsNotForgotten: a process that has seen that a claim was lost, and could not write
// that down, still knows it in the next call.
func TestLostClaimIsNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, backend := new(forgetful), &singleUse{work: 40 * time.Second}
		net := &network{Store: s}
		p := newLogin(backend, net, "alice")
		if err := p.Login(t.Context(), first()); err != nil {
			t.Fatal(err)
		}
		wantToken(t, p, provider.Token{}, "token-0")
		var wg sync.WaitGroup
		wg.Go(func() { wantToken(t, newLogin(backend, s, "alice"), first(), "token-1") })
		briefly := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			_, err := p.Token(ctx, first())
			return err
		}
		synctest.Wait()
		if err := briefly(); err == nil {
			t.Error("Token in the middle of another's refresh succeeded")
		}
		s.forget(1)
		net.set(readOnly)
		if err := briefly(); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Token that can't write: %v; want the store's error", err)
		}
		net.set(nil)
		wantToken(t, p, first(), "token-1")
		wg.Wait()
		backend.want(t, 1)
	})
}

// TestLostClaimOfADeadHolder: it is not waited for beyond the lease.
func TestLostClaimOfADeadHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(forgetful)
		p := newLogin(new(singleUse), s, "alice")
		if err := p.Login(t.Context(), first()); err != nil {
			t.Fatal(err)
		}
		wantToken(t, p, provider.Token{}, "token-0")
		s.forget(1)
		start := time.Now()
		wantToken(t, p, first(), "token-1")
		if after := time.Since(start); after < 15*time.Second || after > 16*time.Second {
			t.Errorf("a claim that may be lost was waited for %v; want the lease of 15 s", after)
		}
	})
}

// TestLostClaimOfALongLease: the store loses a claim that a process with a shorter lease has seen,
// which keeps its place for as long as its holder may be silent.
func TestLostClaimOfALongLease(t *testing.T) {
	for _, short := range []time.Duration{time.Second, 3 * time.Second, 15 * time.Second} {
		t.Run(short.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, backend := new(forgetful), &singleUse{work: 40 * time.Second}
				if err := newLogin(backend, s, "alice").Login(t.Context(), first()); err != nil {
					t.Fatal(err)
				}
				var wg sync.WaitGroup
				for _, length := range []time.Duration{time.Minute, short} {
					wg.Go(func() {
						wantToken(t, &shared.Login{Provider: backend, Store: s, Key: "alice", Lease: length}, first(), "token-1")
					})
					synctest.Wait()
				}
				time.Sleep(2 * time.Second)
				s.forget(1)
				wg.Wait()
				backend.want(t, 1)
			})
		})
	}
}
