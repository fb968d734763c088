package shared_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
)

// TestLostLogin: a login that the store loses is written back by each process that has seen it,
// whoever logged in. No refresh token is sent twice, and none of the login before.
func TestLostLogin(t *testing.T) {
	next := provider.NewToken("new", time.Time{}).WithRefreshToken("new secret")
	for name, test := range map[string]struct {
		knew  bool // the service has used the login before
		ended bool // which the backend has rejected
		again bool // the new one was refreshed before it is lost
		works bool // or is being refreshed then
		other bool // when it is lost, one that has not seen it begins a refresh of the old one
	}{
		"of a service that was there":         {knew: true},
		"after a rejection":                   {ended: true},
		"of a service that was not there":     {},
		"with its refresh":                    {knew: true, again: true},
		"with its refresh, was not there":     {again: true},
		"during its refresh":                  {knew: true, works: true},
		"during its refresh, after rejection": {ended: true, works: true},
		"during its refresh, was not there":   {works: true},
		"and another refreshes the old one":   {knew: true, other: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, backend, service, command := serviceAndCommand(t)
				switch {
				case test.ended:
					service.Provider = reject(new(int))
					wantEnded(t, service, first())
					service.Provider = backend
				case test.knew:
					wantToken(t, service, first(), "token-1")
				}
				before, given := s.written(), len(backend.given)
				lose := func() { s.forget(s.written() - before) }
				if err := command.Login(t.Context(), next); err != nil {
					t.Fatal(err)
				}
				token := wantToken(t, service, first(), "new")
				if test.again {
					token, _ = service.Token(t.Context(), token)
				}
				if test.works {
					backend.work = 40 * time.Second
					time.AfterFunc(20*time.Second, lose)
					time.AfterFunc(30*time.Second, func() {
						if !strings.Contains(raw(t, s), "new secret") {
							t.Error("the claim was not written back")
						}
					})
				} else {
					lose()
				}
				if test.other {
					other := newLogin(provider.Func(func(context.Context) (string, error) {
						time.Sleep(time.Minute)
						return "of the old login", nil
					}), s, "alice")
					var wg sync.WaitGroup
					defer wg.Wait()
					wg.Go(func() { _, _ = other.Token(t.Context(), provider.NewToken("token-1", time.Time{})) })
					synctest.Wait()
				}
				for range 3 {
					var err error
					if token, err = service.Token(t.Context(), token); err != nil {
						t.Fatal(err)
					}
				}
				if backend.reused != 0 || backend.given[given].RefreshToken() != "new secret" {
					t.Errorf("sent %q first, and %d again", backend.given[given].RefreshToken(), backend.reused)
				}
			})
		})
	}
}

// serviceAndCommand returns two processes that share a login in a forgetful store. The second has
// made it, and the first has seen nothing yet.
func serviceAndCommand(t *testing.T) (s *forgetful, backend *singleUse, service, command *shared.Login) {
	t.Helper()
	s, backend = new(forgetful), new(singleUse)
	service, command = newLogin(backend, s, "alice"), newLogin(backend, s, "alice")
	if err := command.Login(t.Context(), first()); err != nil {
		t.Fatal(err)
	}
	return s, backend, service, command
}

// TestLostLogoutOfAnother: the same goes for a logout.
func TestLostLogoutOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, backend, service, command := serviceAndCommand(t)
		wantToken(t, service, provider.Token{}, "token-0")
		if err := command.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantEnded(t, service, first())
		s.forget(1)
		wantEnded(t, service, first())
		wantEnded(t, newLogin(backend, s, "alice"), first())
		backend.want(t, 0)
	})
}

// TestLostEnd: a login ends that has replaced another, and the store loses both. Somebody who knows
// of neither begins a refresh of the one before. Who knows puts the end back.
func TestLostEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, service, command := serviceAndCommand(t)
		wantToken(t, service, provider.Token{}, "token-0")
		next := provider.NewToken("new", time.Time{}).WithRefreshToken("new secret")
		if err := command.Login(t.Context(), next); err != nil {
			t.Fatal(err)
		}
		wantToken(t, service, first(), "new")
		service.Provider = reject(new(int))
		wantEnded(t, service, next)
		s.forget(3) // the login, the claim, and the end
		var wg sync.WaitGroup
		wg.Go(func() {
			slow := provider.Func(func(context.Context) (string, error) {
				time.Sleep(time.Minute)
				return "of the old login", nil
			})
			wantEnded(t, newLogin(slow, s, "alice"), first())
		})
		synctest.Wait()
		wantEnded(t, service, next)
		wg.Wait()
	})
}
