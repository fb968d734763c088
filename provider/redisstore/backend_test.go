//go:build unix

package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
)

// lease is short, because some of these tests take some of it.
const lease = 3 * time.Second

// rotating is a backend with single-use refresh tokens. during runs in the middle of each call,
// after the refresh token is spent.
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
		return 0, provider.Permanent(errors.New("backend: this refresh token was used before"))
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
		t.Errorf("the backend saw %d calls and %d used refresh tokens; want %d and 0", r.calls, r.reused, calls)
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

// login saves the login, also where the machine is so busy that the store is late once.
func login(t *testing.T, p *shared.Login) {
	t.Helper()
	for ctx := within(t); ; {
		err := p.Login(ctx, first())
		if err == nil {
			return
		}
		if ctx.Err() != nil || provider.IsPermanent(err) {
			t.Fatal(err)
		}
	}
}
