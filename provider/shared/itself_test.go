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

// A late store carries out each write at once and answers it after 3 seconds, when it has long been
// sent again, and the second was told of a conflict: with itself. It runs then after each write.
type late struct {
	shared.Store
	then func()
}

func (l late) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	next, err := l.Store.CompareAndSwap(ctx, key, record, version)
	if err != nil {
		return 0, err
	}
	if l.then != nil {
		l.then()
	}
	select {
	case <-time.After(3 * time.Second):
		return next, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// A write that meets itself is known for what it is: its process goes on as if it had been answered.
func TestWriteMeetsItself(t *testing.T) {
	t.Run("answer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, backend := loggedIn(t), new(singleUse)
			wantToken(t, newLogin(backend, late{Store: m}, "alice"), first(), "token-1")
			wantToken(t, newLogin(backend, m, "alice"), first(), "token-1")
			backend.want(t, 1)
		})
	})
	t.Run("rejection", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			cause := errors.New("the login was stolen")
			calls := 0
			p := provider.TokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
				calls++
				return provider.Token{}, provider.Permanent(cause)
			})
			_, err := newLogin(p, late{Store: loggedIn(t)}, "alice").Token(t.Context(), first())
			if !errors.Is(err, cause) || !errors.Is(err, shared.ErrEnded) || !provider.IsPermanent(err) || calls != 1 {
				t.Errorf("Token after %d calls: %v; want a permanent ErrEnded with the provider's own error, after one", calls, err)
			}
		})
	})
	t.Run("login", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, backend := new(storetest.Memory), new(singleUse)
			other := newLogin(backend, m, "alice")
			// Another process is quick, and has spent the refresh token before this one hears of its write.
			p := newLogin(backend, late{m, func() { wantToken(t, other, provider.Token{}, "token-1") }}, "alice")
			if err := p.Login(t.Context(), provider.Token{}.WithRefreshToken("secret-0")); err != nil {
				t.Errorf("Login: %v", err)
			}
			token := wantToken(t, p, provider.Token{}, "token-1")
			wantToken(t, newLogin(backend, m, "alice"), token, "token-2")
			backend.want(t, 2)
		})
	})
	t.Run("login whose answer is lost", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, backend := loggedIn(t), new(singleUse)
			net, other := &network{Store: m}, newLogin(backend, m, "alice")
			written := false
			net.set(func(op string) (bool, error) {
				if op == "swap" {
					written = true
					return true, errLost
				}
				if written {
					wantToken(t, other, first(), "token-1")
				}
				return true, nil
			})
			if err := newLogin(backend, net, "alice").Login(t.Context(), provider.Token{}.WithRefreshToken("secret")); err != nil {
				t.Errorf("Login: %v; it was carried out, and others use it", err)
			}
		})
	})
	t.Run("logout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, writes := loggedIn(t), 0
			p := newLogin(new(singleUse), late{m, func() { writes++ }}, "alice")
			if err := p.Forget(t.Context()); err != nil || writes != 1 {
				t.Errorf("Forget after %d writes: %v; want nil after one", writes, err)
			}
			wantEnded(t, p, first())
			wantEnded(t, newLogin(new(singleUse), m, "alice"), first())
		})
	})
}
