package shared_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

// TestForgetWhileAlone: a process that has no store gets a token of its own, and there is a logout
// meanwhile.
func TestForgetWhileAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, old := &network{Store: new(storetest.Memory)}, provider.NewToken("token-0", time.Time{})
		p := newLogin(tokens(func() provider.Token {
			time.Sleep(10 * time.Second)
			return provider.NewToken("own", time.Time{})
		}), net, "alice")
		if err := p.Login(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		net.set(down)
		var wg sync.WaitGroup
		wg.Go(func() {
			if token, err := p.Token(t.Context(), old); err == nil {
				t.Errorf("Token after a logout = %q; want an error", token.Value())
			}
		})
		time.Sleep(5 * time.Second)
		net.set(nil)
		if err := p.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		wantEnded(t, p, old)
	})
}

// TestForgetWhileTheProviderLogsIn: there is a logout while the Provider logs in by itself, and then
// the store fails. The token that comes is void.
func TestForgetWhileTheProviderLogsIn(t *testing.T) {
	for _, ended := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			endSaves(t)
			net := &network{Store: new(storetest.Memory)}
			p := newLogin(&singleUse{work: 10 * time.Second}, net, "alice")
			if ended {
				if err := p.Forget(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			var wg sync.WaitGroup
			wg.Go(func() {
				if token, err := p.Token(t.Context(), provider.Token{}); err == nil {
					t.Errorf("Token after a logout (and one before: %v) = %q; want an error", ended, token.Value())
				}
			})
			time.Sleep(5 * time.Second)
			if err := p.Forget(t.Context()); err != nil {
				t.Fatal(err)
			}
			net.set(down)
			wg.Wait()
			if token, err := p.Token(t.Context(), provider.Token{}); err == nil {
				t.Errorf("Token later (and a logout before: %v) = %q; want an error", ended, token.Value())
			}
		})
	}
}

// TestSavesNothingElse: two processes have an answer that they could not save, because one was cut
// off, the other was rejected meanwhile, and a third has logged in. What each writes is a login.
func TestSavesNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		endSaves(t)
		m, log := loggedIn(t), new(journal)
		cut := &network{Store: m}
		one := &shared.Login{Provider: slowAnswer{time.Second, func() { cut.set(down) }}, Store: cut, Key: "alice", Logger: log.logger()}
		wantToken(t, one, first(), "token-1")
		wantEnded(t, newLogin(reject(new(int)), m, "alice"), first())
		var written []string // by the third
		also := &network{Store: &witness{Store: m, after: func(int) { written = append(written, raw(t, m)) }}}
		two := &shared.Login{Store: also, Key: "alice", Logger: log.logger(), Provider: tokens(func() provider.Token {
			also.set(down)
			return provider.NewToken("new", time.Time{}).WithRefreshToken("new secret")
		})}
		wantToken(t, two, provider.Token{}, "new")
		cut.set(nil)
		time.Sleep(3 * time.Second) // the first saves its answer
		also.set(nil)
		time.Sleep(3 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := two.Wait(ctx); err != nil {
			t.Errorf("Wait: %v", err)
		}
		for _, record := range written {
			if !strings.Contains(record, "secret") && !strings.Contains(record, "holder") {
				t.Errorf("it wrote %s", record)
			}
		}
		if record := raw(t, m); !strings.Contains(record, "secret") {
			t.Errorf("the login is gone: %s", record)
		}
	})
}

// TestConflictsForEver: a store that always tells of a conflict, which none does that keeps its
// contract, is not asked without end in no time.
func TestConflictsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &network{Store: loggedIn(t)}
		p := newLogin(slowAnswer{time.Second, func() {
			net.set(func(op string) (bool, error) {
				if op == "swap" && net.swaps < 500 {
					return false, shared.ErrConflict
				}
				return true, nil
			})
		}}, net, "alice")
		start := time.Now()
		wantToken(t, p, first(), "token-1")
		if after := time.Since(start); after < time.Minute {
			t.Errorf("500 writes took %v", after)
		}
		net.reset()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := p.Forget(ctx); !errors.Is(err, context.DeadlineExceeded) || net.swaps > 200 {
			t.Errorf("Forget: %v after %d writes", err, net.swaps)
		}
	})
	conflicts := func(op string) (bool, error) {
		if op == "swap" {
			return false, shared.ErrConflict
		}
		return true, nil
	}
	synctest.Test(t, func(t *testing.T) { // renewing
		net := &network{Store: loggedIn(t)}
		p := newLogin(&singleUse{work: 59 * time.Second}, net, "alice")
		time.AfterFunc(time.Second, func() { net.set(conflicts) })
		time.AfterFunc(58*time.Second, func() { net.set(nil) })
		wantToken(t, p, first(), "token-1")
		if net.swaps > 200 {
			t.Errorf("%d writes in a minute", net.swaps)
		}
	})
	synctest.Test(t, func(t *testing.T) { // writing back what is lost
		m := loggedIn(t)
		net := &network{Store: m}
		p := newLogin(new(singleUse), net, "alice")
		wantToken(t, p, first(), "token-1")
		m.Lose()
		net.set(conflicts)
		net.reset()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := p.Token(ctx, first()); !errors.Is(err, context.DeadlineExceeded) || net.swaps > 200 {
			t.Errorf("Token: %v after %d writes", err, net.swaps)
		}
	})
}
