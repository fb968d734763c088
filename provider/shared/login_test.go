package shared_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

func ExampleLogin() {
	// Two processes would use the same Redis or the same folder; here they share a store in memory.
	var store storetest.Memory
	calls := 0
	backend := provider.Func(func(context.Context) (string, error) {
		calls++
		return fmt.Sprintf("token %d", calls), nil
	})
	one, other := newLogin(backend, &store, "alice"), newLogin(backend, &store, "alice")

	ctx := context.Background()
	a, _ := one.Token(ctx, provider.Token{})
	b, _ := other.Token(ctx, provider.Token{}) // finds it in the store
	fmt.Println(a.Value(), b.Value())

	a, _ = one.Token(ctx, a) // the API rejected it
	b, _ = other.Token(ctx, b)
	fmt.Println(a.Value(), b.Value())
	// Output:
	// token 1 token 1
	// token 2 token 2
}

func ExampleLogin_Login() {
	login := &shared.Login{
		Provider:     provider.Func(func(context.Context) (string, error) { return "", errors.New("not logged in") }),
		Store:        new(storetest.Memory),
		Key:          "alice",
		WaitForLogin: true,
	}
	ctx := context.Background()
	fmt.Println(login.Login(ctx, provider.NewToken("from the login page", time.Now().Add(time.Hour))))
	token, err := login.Token(ctx, provider.Token{})
	fmt.Println(token.Value(), err)

	fmt.Println(login.Forget(ctx))
	_, err = login.Token(ctx, token)
	fmt.Println(errors.Is(err, shared.ErrEnded))
	// Output:
	// <nil>
	// from the login page <nil>
	// <nil>
	// true
}

func TestSharesOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, backend := loggedIn(t), &singleUse{work: time.Second}
		var wg sync.WaitGroup
		for i := range 60 {
			p := newLogin(backend, m, "alice")
			for range 1 + i%3 { // some processes ask several times at once
				wg.Go(func() {
					if token, err := p.Token(t.Context(), first()); err != nil || token.Value() != "token-1" {
						t.Errorf("Token = %q, %v; want token-1", token.Value(), err)
					}
				})
			}
		}
		start := time.Now()
		wg.Wait()
		backend.want(t, 1)
		if waited := time.Since(start); waited < time.Second || waited > 2*time.Second {
			t.Errorf("all had the token after %v; want the second of the call, and at most as long again", waited)
		}
	})
}

// TestAdopts is about which stored token is handed over, and which is replaced.
func TestAdopts(t *testing.T) {
	for _, test := range []struct {
		name   string
		stored time.Duration // what is left of the stored token's life; 0: unknown
		old    provider.Token
		calls  int
	}{
		{"nothing in hand", 0, provider.Token{}, 0},
		{"nothing in hand, alive", time.Hour, provider.Token{}, 0},
		{"nothing in hand, expired by this clock", -time.Second, provider.Token{}, 0},
		{"an older one was rejected", 0, provider.NewToken("older", time.Time{}), 0},
		{"an older one, and the stored one has expired by this clock", -time.Hour, provider.NewToken("older", time.Time{}), 0},
		{"the stored one was rejected, and has expired", -time.Second, first(), 1},
		{"the stored one was rejected", 0, first(), 1},
		{"the stored one is about to expire", time.Second, first(), 1},
		{"the stored one was rejected, known without its secret", 0, provider.NewToken("token-0", time.Time{}), 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				backend := new(singleUse)
				p := newLogin(backend, new(storetest.Memory), "alice")
				stored := first()
				if test.stored != 0 {
					stored = provider.NewToken("token-0", time.Now().Add(test.stored)).WithRefreshToken("secret-0")
				}
				if err := p.Login(t.Context(), stored); err != nil {
					t.Fatal(err)
				}
				wantToken(t, p, test.old, fmt.Sprintf("token-%d", test.calls))
				backend.want(t, test.calls)
				if test.calls == 1 && !backend.given[0].Equal(stored) {
					t.Error("the provider was not given the stored token")
				}
			})
		})
	}
}

// TestCost counts what a refresh costs the store.
func TestCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &network{Store: loggedIn(t)}
		backend := &singleUse{work: time.Second}
		p := newLogin(backend, net, "alice")
		old := wantToken(t, p, provider.Token{}, "token-0")
		if net.loads != 1 || net.swaps != 0 {
			t.Errorf("handing over a live token took %d loads and %d writes; want 1 and 0", net.loads, net.swaps)
		}
		old = wantToken(t, p, old, "token-1")
		if net.loads != 1 || net.swaps != 2 {
			t.Errorf("a refresh took %d loads and %d writes; want 0 and 2: the record was as remembered", net.loads-1, net.swaps)
		}
		wantToken(t, newLogin(backend, net.Store, "alice"), old, "token-2")
		old = wantToken(t, p, old, "token-2")
		if net.loads != 2 || net.swaps != 3 {
			t.Errorf("learning of another's refresh took %d loads and %d writes; want 1 and 1, the one that finds it out", net.loads-1, net.swaps-2)
		}

		// A call of 31 s is renewed every 3 s: 10 times.
		backend.work = 31 * time.Second
		net.loads, net.swaps = 0, 0
		waiting := &network{Store: net.Store}
		done := make(chan struct{})
		go func() { // ends with the call below
			defer close(done)
			synctest.Wait()
			wantToken(t, newLogin(backend, waiting, "alice"), old, "token-3")
		}()
		wantToken(t, p, old, "token-3")
		<-done
		if net.loads != 0 || net.swaps != 12 {
			t.Errorf("a long refresh took %d loads and %d writes; want 0 and 12", net.loads, net.swaps)
		}
		// The pauses reach 1/15 of the lease, a second, and are between half and all of it.
		if waiting.loads < 31 || waiting.loads > 2*31+6 || waiting.swaps != 0 {
			t.Errorf("waiting for 31 s took %d loads and %d writes; want 31 to 68, and 0", waiting.loads, waiting.swaps)
		}
	})
}

func TestKeepsTheWholeAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := loggedIn(t)
		expiry := time.Now().Add(time.Hour)
		whole := provider.NewToken("no refresh token in it", expiry).WithLifetime(2 * time.Hour).WithExtras(map[string]string{"scope": "all"})
		p := newLogin(answer(whole), m, "alice")
		token := wantToken(t, p, first(), "no refresh token in it")
		if token.RefreshToken() != "" {
			t.Error("a refresh token that the provider has dropped came back")
		}
		got := wantToken(t, newLogin(answer(provider.Token{}), m, "alice"), first(), "no refresh token in it")
		if !got.Equal(token) || !got.Expiry().Equal(expiry) || got.Lifetime() != 2*time.Hour || got.Extra("scope") != "all" {
			t.Error("the token that came out of the store is not the one that went in")
		}

		// Times that JSON can't hold.
		far := time.Unix(1<<40, 0)
		p = newLogin(answer(provider.NewToken("far", far)), m, "far")
		token = wantToken(t, p, provider.Token{}, "far")
		if token.Expiry().Year() != 9999 {
			t.Errorf("a token of the year %d is kept as one of %d; want 9999", far.Year(), token.Expiry().Year())
		}
		p = newLogin(answer(provider.NewToken("long ago", time.Unix(-1<<40, 0))), m, "long ago")
		if token = wantToken(t, p, provider.Token{}, "long ago"); token.Expiry().Unix() != 0 {
			t.Errorf("a token of long ago is kept as one of %v; want 1970", token.Expiry())
		}
	})
}

// answer is a provider that always answers with the same token.
func answer(token provider.Token) provider.TokenProvider { return answerer{token} }

type answerer struct{ token provider.Token }

func (a answerer) Token(context.Context, provider.Token) (provider.Token, error) { return a.token, nil }

// TestSharesFailures: who waited for an attempt that failed does not repeat it.
func TestSharesFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := loggedIn(t)
		sick := errors.New("backend: 503")
		backend := &singleUse{work: 2 * time.Second, next: provider.RetryAfter(sick, 30*time.Second)}
		var wg sync.WaitGroup
		asker := make(chan bool, 40)
		for range 40 {
			wg.Go(func() {
				_, err := newLogin(backend, m, "alice").Token(t.Context(), first())
				if delay, ok := provider.RetryDelay(err); delay != 30*time.Second || !ok || provider.IsPermanent(err) {
					t.Errorf("Token: %v, to be retried after %v; want a temporary error, to be retried after 30 s", err, delay)
				}
				if !strings.Contains(err.Error(), sick.Error()) {
					t.Errorf("Token: %v; want it to say %q", err, sick)
				}
				asker <- errors.Is(err, sick)
			})
		}
		wg.Wait()
		close(asker)
		asked := 0
		for is := range asker {
			if is {
				asked++
			}
		}
		if asked != 1 {
			t.Errorf("%d processes got the provider's own error; want 1", asked)
		}
		backend.want(t, 1)
		wantToken(t, newLogin(backend, m, "alice"), first(), "token-2") // who comes later asks anew, at once
	})
}

// TestReason: what a provider says is kept for the others, if it is not too much.
func TestReason(t *testing.T) {
	for _, test := range []struct{ says, want string }{
		{"", "no reason was given"},
		{"broken \xff bytes", "broken ? bytes"},
		{strings.Repeat("é", 10_000), strings.Repeat("é", 250) + "..."},
	} {
		m := loggedIn(t)
		p := newLogin(&singleUse{next: provider.Permanent(errors.New(test.says))}, m, "alice")
		if _, err := p.Token(t.Context(), first()); !provider.IsPermanent(err) {
			t.Fatal(err)
		}
		_, err := p.Token(t.Context(), first())
		if err == nil || !strings.Contains(err.Error(), ": "+test.want+" (login") {
			t.Errorf("Token of another: %v; want it to say %q", err, test.want)
		}
	}
}

func TestEmptyAnswer(t *testing.T) {
	m := loggedIn(t)
	token, err := newLogin(answer(provider.Token{}), m, "alice").Token(t.Context(), first())
	if !token.IsZero() || err != nil {
		t.Errorf("Token = %v, %v; want the provider's empty answer, for the transport to complain about", token, err)
	}
	wantToken(t, newLogin(new(singleUse), m, "alice"), first(), "token-1") // the login is still there
}

func TestMisconfigured(t *testing.T) {
	for want, p := range map[string]*shared.Login{
		"Provider": {Store: new(storetest.Memory), Key: "alice"},
		"Store":    {Provider: new(singleUse), Key: "alice"},
		"Key":      {Provider: new(singleUse), Store: new(storetest.Memory)},
	} {
		if _, err := p.Token(t.Context(), provider.Token{}); !provider.IsPermanent(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("Token without %s: %v; want a permanent error that names it", want, err)
		}
		if err := p.Forget(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Forget without %s: %v; want an error that names it", want, err)
		}
	}
	if err := newLogin(new(singleUse), new(storetest.Memory), "alice").Login(t.Context(), provider.Token{}); err == nil {
		t.Error("Login with the zero Token succeeded")
	}
}

// TestShowsNoSecret prints a Login that holds one, and damages a record that does.
func TestShowsNoSecret(t *testing.T) {
	m, log := loggedIn(t), new(journal)
	p := &shared.Login{Provider: new(singleUse), Store: m, Key: "alice", Logger: log.logger()}
	wantToken(t, p, first(), "token-1")
	p.Store = nil // a Memory shows its records, as any store may
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if s := fmt.Sprintf(verb, p); strings.Contains(s, "token-1") || strings.Contains(s, "secret-1") || strings.Contains(s, "746f6b656e") {
			t.Errorf("%s shows a secret: %s", verb, s)
		}
	}
}
