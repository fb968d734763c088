package shared_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

// TestRejectedAndTheStoreAway: a host loses its network during a refresh, and with it the answer
// and the store. The refresh token may be spent: it is not sent again, and once the store is back
// the others learn of it.
func TestRejectedAndTheStoreAway(t *testing.T) {
	lost := errors.New("no answer: the refresh token may be spent")
	for name, ends := range map[string]func(context.Context) error{
		"at once":          func(context.Context) error { return provider.Permanent(lost) },
		"at Login.Timeout": func(ctx context.Context) error { <-ctx.Done(); return provider.Permanent(ctx.Err()) },
	} {
		for which, open := range map[string]func(*testing.T) *storetest.Memory{
			"a login": loggedIn, "the caller's token": func(*testing.T) *storetest.Memory { return new(storetest.Memory) },
		} {
			t.Run(name+", "+which, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sent, store := 0, &network{Store: open(t)}
					p := newLogin(provider.TokenFunc(func(ctx context.Context, _ provider.Token) (provider.Token, error) {
						sent++
						store.set(func(string) (bool, error) { return false, errHang })
						time.Sleep(30 * time.Second)
						return provider.Token{}, ends(ctx)
					}), store, "alice")
					for range 3 {
						if _, err := p.Token(t.Context(), first()); err == nil || provider.IsPermanent(err) {
							t.Errorf("Token without the store: %v; want a temporary error", err)
						}
					}
					store.set(nil)
					wantEnded(t, p, first())
					wantEnded(t, p, first())
					wantEnded(t, newLogin(new(singleUse), store.Store, "alice"), first())
					if sent != 1 {
						t.Errorf("the refresh token was sent %d times", sent)
					}
					logIn(t, p, bare("new"))
					wantToken(t, p, first(), "new")
				})
			})
		}
	}
}

// TestRejectedWaitingUnwritable: a service that waits for a login can't write that its own has ended.
// It does not ask on and on, and sees the next login.
func TestRejectedWaitingUnwritable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, m := 0, new(storetest.Memory)
		net := &network{Store: m}
		net.set(full)
		p := &shared.Login{Provider: reject(&calls), Store: net, Key: "alice", WaitForLogin: true}
		for range 5 {
			if _, err := p.Token(t.Context(), bare("token-0")); !errors.Is(err, shared.ErrEnded) || provider.IsPermanent(err) {
				t.Errorf("Token: %v; want a temporary ErrEnded", err)
			}
		}
		if calls != 1 {
			t.Errorf("the provider was asked %d times", calls)
		}
		logIn(t, newLogin(new(singleUse), m, "alice"), bare("new"))
		wantToken(t, p, bare("token-0"), "new")
	})
}
