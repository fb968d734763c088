package shared_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/storetest"
)

// An api takes one token at a time: a new one ends the one before. Its clock is right.
type api struct {
	singleUse

	mu       sync.Mutex // guards the fields below
	current  string
	until    time.Time
	rejected int
}

func (a *api) Token(ctx context.Context, old provider.Token) (provider.Token, error) {
	t, err := a.singleUse.Token(ctx, old)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.current, a.until = t.Value(), t.Expiry()
	}
	return t, err
}

// request is one with the given token. It reports whether that was taken.
func (a *api) request(t provider.Token) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t.Value() != a.current || !time.Now().Before(a.until) {
		a.rejected++
		return false
	}
	return true
}

// TestClocksAhead: two of five hosts are two hours ahead, and so is every token's end to them. They
// use what is stored until it is rejected, as the others do.
func TestClocksAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lives, life, pause = 6, time.Hour, 10 * time.Second
		store := new(storetest.Memory)
		backend := &api{singleUse: singleUse{life: life, work: time.Second}}
		start := time.Now()
		var wg sync.WaitGroup
		for host := range 5 {
			var ahead time.Duration
			if host < 2 {
				ahead = 2 * time.Hour
			}
			l := newLogin(backend, store, "fleet")
			wg.Go(func() {
				token := wantAny(t, l, provider.Token{})
				for time.Since(start) < lives*life {
					// What a transport does: early, if the end is to be believed, and else when the
					// token is rejected.
					early := token.Expiry().Add(-life / 10)
					if believed := start.Add(ahead).Before(token.Expiry()); believed && ahead == 0 && !time.Now().Before(early) {
						token = wantAny(t, l, token)
					}
					for !backend.request(token) {
						token = wantAny(t, l, token)
					}
					time.Sleep(pause)
				}
			})
		}
		wg.Wait()
		t.Logf("%d provider calls and %d rejected requests", backend.calls, backend.rejected)
		if backend.calls > lives+1 || backend.reused != 0 || backend.rejected > 5*lives {
			t.Errorf("%d provider calls, %d used refresh tokens and %d rejected requests in %d lives of a token; want at most %d, 0 and %d",
				backend.calls, backend.reused, backend.rejected, lives, lives+1, 5*lives)
		}
	})
}

func wantAny(t *testing.T, p provider.TokenProvider, old provider.Token) provider.Token {
	token, err := p.Token(t.Context(), old)
	if err != nil {
		t.Errorf("Token: %v", err)
	}
	return token
}

// TestCommandsWithAClockAhead: twenty commands in a minute, on a machine whose clock is ahead by a
// token's life and more.
func TestCommandsWithAClockAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, calls := new(storetest.Memory), 0
		backend := provider.TokenProvider(tokens(func() provider.Token {
			calls++
			return provider.NewToken(fmt.Sprintf("token-%d", calls), time.Now().Add(-time.Hour))
		}))
		for range 20 {
			wantToken(t, newLogin(backend, store, "alice"), provider.Token{}, "token-1")
			time.Sleep(3 * time.Second)
		}
		if calls != 1 {
			t.Errorf("%d provider calls; want 1", calls)
		}
	})
}

// tokens is a provider that mints tokens without a refresh token.
type tokens func() provider.Token

func (f tokens) Token(context.Context, provider.Token) (provider.Token, error) { return f(), nil }
