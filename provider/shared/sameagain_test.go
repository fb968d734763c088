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

// TestSameTokenAgain: the Provider brings the old token again, as one with a cache does. All who
// waited for that share it, in one process or in many, and a later call asks again.
func TestSameTokenAgain(t *testing.T) {
	for _, processes := range []int{1, 4, 20} {
		t.Run(fmt.Sprint(processes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, old := new(storetest.Memory), provider.NewToken("cached", time.Time{})
				var calls atomic.Int32
				backend := tokens(func() provider.Token {
					calls.Add(1)
					time.Sleep(time.Second)
					return old
				})
				if err := newLogin(backend, m, "alice").Login(t.Context(), old); err != nil {
					t.Fatal(err)
				}
				logins := make([]*shared.Login, processes)
				for i := range logins {
					logins[i] = newLogin(backend, m, "alice")
				}
				start := time.Now()
				for round := range 2 {
					var wg sync.WaitGroup
					for i := range 20 {
						wg.Go(func() { wantToken(t, logins[i%processes], old, "cached") })
					}
					wg.Wait()
					if n := calls.Load(); int(n) != round+1 {
						t.Errorf("%d calls after round %d; want one for each", n, round+1)
					}
				}
				if after := time.Since(start); after > 6*time.Second {
					t.Errorf("it took %v", after)
				}
			})
		})
	}
}

// TestBehindIsNotSameAgain: a process that finds its own token in a store that was behind has not
// been brought it again.
func TestBehindIsNotSameAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, backend := new(forgetful), new(singleUse)
		if err := newLogin(backend, s, "alice").Login(t.Context(), first()); err != nil {
			t.Fatal(err)
		}
		p := newLogin(backend, s, "alice")
		token := wantToken(t, p, first(), "token-1")
		s.forget(2)
		wantToken(t, p, token, "token-2")
		backend.want(t, 2)
	})
}

// TestFailureOfOneWhoLeft: those who wait in its process share it, as in others.
func TestFailureOfOneWhoLeft(t *testing.T) {
	for _, same := range []bool{true, false} { // value and refresh token, or the value alone
		synctest.Test(t, func(t *testing.T) {
			calls := 0
			p := newLogin(provider.Func(func(context.Context) (string, error) {
				calls++
				time.Sleep(10 * time.Second)
				return "", provider.RetryAfter(errors.New("429"), 30*time.Second)
			}), loggedIn(t), "alice")
			var wg sync.WaitGroup
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				_, _ = p.Token(ctx, first())
			})
			synctest.Wait()
			old := first()
			if !same {
				old = provider.NewToken(old.Value(), time.Time{})
			}
			for range 3 {
				wg.Go(func() {
					_, err := p.Token(t.Context(), old)
					if d, _ := provider.RetryDelay(err); d != 30*time.Second {
						t.Errorf("Token: %v; want what the Provider has said", err)
					}
				})
			}
			wg.Wait()
			if calls != 1 {
				t.Errorf("asked %d times; want once", calls)
			}
		})
	}
}

// TestEmptyAnswerIsShared: a Provider that brings nothing is asked once for all who wait.
func TestEmptyAnswerIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		p := newLogin(tokens(func() provider.Token {
			calls++
			time.Sleep(10 * time.Second)
			return provider.Token{}
		}), loggedIn(t), "alice")
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if token, err := p.Token(t.Context(), first()); !token.IsZero() || err != nil {
					t.Errorf("Token = %q, %v; want the Provider's empty answer", token.Value(), err)
				}
			})
		}
		if wg.Wait(); calls != 1 {
			t.Errorf("%d calls of the provider; want 1", calls)
		}
	})
}

// TestRejectionBeforeANewSession: of three callers the first is rejected for good, the second begins
// a new session, and the third, who has waited for both with the token of the first, gets that.
func TestRejectionBeforeANewSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		p := newLogin(provider.TokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
			time.Sleep(5 * time.Second)
			if calls++; calls == 1 {
				return provider.Token{}, provider.Permanent(errRevoked)
			}
			return bare("new session"), nil
		}), loggedIn(t), "alice")
		var wg sync.WaitGroup
		wg.Go(func() { wantEnded(t, p, first()) })
		synctest.Wait()
		wg.Go(func() { wantToken(t, p, provider.Token{}, "new session") })
		synctest.Wait()
		wg.Go(func() { wantToken(t, p, first(), "new session") })
		wg.Wait()
	})
}

// TestFailureIsSharedAcrossOthers: between those who wait for a failed attempt come callers who have
// no token yet and get the old one. The Provider is asked once all the same.
func TestFailureIsSharedAcrossOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		p := newLogin(provider.Func(func(context.Context) (string, error) {
			calls++
			time.Sleep(5 * time.Second)
			return "", errors.New("503")
		}), loggedIn(t), "alice")
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if _, err := p.Token(t.Context(), first()); err == nil {
					t.Error("Token has brought one")
				}
			})
			synctest.Wait()
			wg.Go(func() { wantToken(t, p, provider.Token{}, "token-0") })
			synctest.Wait()
		}
		if wg.Wait(); calls != 1 {
			t.Errorf("%d calls of the provider; want 1", calls)
		}
	})
}

// TestSameTokenAgainUnsaved: the Provider brings the old token again, as one does that reads a file,
// and that can't be saved, or it is not known to be. It is saved with one write, and no more.
func TestSameTokenAgainUnsaved(t *testing.T) {
	for name, old := range map[string]provider.Token{"a refresh token": first(), "none": bare("token-0")} {
		for where, ambiguous := range map[string]bool{"can't be saved": false, "in an empty store, may be saved": true} {
			t.Run(name+", "+where, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					endSaves(t)
					net := &network{Store: new(storetest.Memory), delay: time.Millisecond}
					p := newLogin(provider.TokenFunc(func(_ context.Context, old provider.Token) (provider.Token, error) {
						net.set(func(op string) (bool, error) {
							switch {
							case op != "swap":
								return true, nil
							case ambiguous:
								return true, errLost
							}
							return full(op)
						})
						return old, nil
					}), net, "alice")
					if !ambiguous {
						logIn(t, p, old)
					}
					net.reset()
					wantToken(t, p, old, old.Value())
					net.set(nil)
					time.Sleep(time.Minute)
					if err := p.Wait(t.Context()); err != nil || net.swaps > 4 {
						t.Errorf("Wait: %v after %d writes", err, net.swaps)
					}
					wantToken(t, newLogin(new(singleUse), net.Store, "alice"), provider.Token{}, old.Value())
				})
			})
		}
	}
}
