package shared_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
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
					endSaves(t)
					sent, store := 0, &network{Store: open(t)}
					p := newLogin(provider.TokenFunc(func(ctx context.Context, _ provider.Token) (provider.Token, error) {
						sent++
						store.set(hang)
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

// TestRejectionIsSaved: a rejection that could not be saved is, once the store is back, without
// another call. What was rejected is not handed to a new session then, and a token that came after
// it is none of it.
func TestRejectionIsSaved(t *testing.T) {
	unsaved := func(t *testing.T) (net *network, p *shared.Login, sent *int) {
		endSaves(t)
		net, sent = &network{Store: loggedIn(t)}, new(int)
		p = newLogin(provider.Func(func(context.Context) (string, error) {
			if *sent++; *sent > 1 {
				return "new", nil
			}
			net.set(down)
			return "", provider.Permanent(errRevoked)
		}), net, "alice")
		if _, err := p.Token(t.Context(), first()); err == nil || provider.IsPermanent(err) {
			t.Errorf("Token: %v; want a temporary error", err)
		}
		return net, p, sent
	}
	synctest.Test(t, func(t *testing.T) {
		net, _, sent := unsaved(t)
		net.set(nil)
		time.Sleep(5 * time.Second)
		wantEnded(t, newLogin(new(singleUse), net.Store, "alice"), first())
		if *sent != 1 {
			t.Errorf("the refresh token was sent %d times", *sent)
		}
	})
	synctest.Test(t, func(t *testing.T) { // by a program that ends, while the store is away for a moment
		net, p, _ := unsaved(t)
		time.AfterFunc(2*time.Second, func() { net.set(nil) })
		if err := p.Wait(t.Context()); err != nil || !strings.Contains(raw(t, net.Store), "dead") {
			t.Errorf("Wait: %v; the record is %s", err, raw(t, net.Store))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		net, p, _ := unsaved(t)
		net.set(nil)
		wantToken(t, p, provider.Token{}, "new")
	})
	synctest.Test(t, func(t *testing.T) { // another has had the same token again, from a cache
		net, p, _ := unsaved(t)
		wantToken(t, newLogin(answer(first()), net.Store, "alice"), first(), "token-0")
		net.set(nil)
		wantToken(t, p, first(), "new")
	})
}

// TestRejectionWaitsForAnother: a rejection that could not be saved does not end the login for one
// who has claimed it since, nor for those who wait for that.
func TestRejectionWaitsForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, net := rejectedCutOff(t, loggedIn(t), first(), new(int))
		var wg sync.WaitGroup
		other := newLogin(slowAnswer{10 * time.Second, func() {}}, net.Store, "alice")
		wg.Go(func() { wantToken(t, other, first(), "token-1") })
		for !strings.Contains(raw(t, net.Store), "holder") || strings.Contains(raw(t, net.Store), `"silent_ns"`) {
			time.Sleep(time.Second) // until the other has taken over
		}
		time.Sleep(20 * time.Second)
		net.set(nil)
		wantToken(t, p, first(), "token-1")
		wg.Wait()
	})
}

// TestRejectionOutlivesAnother: one who has claimed what was rejected dies. It is not sent again.
func TestRejectionOutlivesAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, sent := loggedIn(t), 0
		p, mine := rejectedCutOff(t, m, first(), &sent)
		abandonLease(t, m, 15*time.Second)
		mine.set(nil)
		wantEnded(t, p, first())
		if sent != 1 {
			t.Errorf("the refresh token was sent %d times", sent)
		}
	})
}

// TestRejectedAlone: no refresh token is at stake, and the store can't be written. The login is
// rejected, and a new session asks the Provider, which may have been mended. What it brings counts,
// and not what was rejected.
func TestRejectedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &network{Store: new(storetest.Memory)}
		able := numbered()
		p := newLogin(reject(new(int)), net, "alice")
		logIn(t, p, bare("token-0"))
		net.set(full)
		wantEnded(t, p, bare("token-0"))
		p.Provider = able
		old := wantToken(t, p, provider.Token{}, "own-1")
		old = wantToken(t, p, old, "own-2")
		p.Provider = reject(new(int))
		wantEnded(t, p, old)
		p.Provider = able
		token, err := p.Token(t.Context(), provider.Token{})
		if token.Value() == old.Value() { // which the API does not take
			token, err = p.Token(t.Context(), token)
		}
		if token.Value() != "own-3" || err != nil {
			t.Errorf("Token = %q, %v; want another", token.Value(), err)
		}
	})
}

// TestOwnTokenRejected: a token that one process has got alone is rejected. The others' is not.
func TestOwnTokenRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(storetest.Memory)
		p, net, old := withItsOwn(t, m, readOnly)
		others := newLogin(answer(bare("fresh")), m, "alice")
		p.Provider = reject(new(int))
		wantEnded(t, p, old)
		wantToken(t, others, bare("token-0"), "fresh")
		net.set(nil)
		wantToken(t, p, old, "fresh")
		wantToken(t, others, provider.Token{}, "fresh")
	})
}

// TestRejectionOfALostToken: the store loses the token that was rejected, and another gets one in its
// place. That is not rejected.
func TestRejectionOfALostToken(t *testing.T) {
	for name, saved := range map[string]bool{"and the rejection": true, "before the rejection is saved": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				endSaves(t)
				s := new(forgetful)
				net := &network{Store: s}
				p, other := newLogin(answer(bare("token-1")), net, "alice"), newLogin(answer(bare("token-2")), s, "alice")
				logIn(t, p, bare("token-0"))
				old := wantToken(t, p, bare("token-0"), "token-1")
				p.Provider = provider.Func(func(context.Context) (string, error) {
					if !saved {
						net.set(down)
					}
					return "", provider.Permanent(errRevoked)
				})
				_, _ = p.Token(t.Context(), old)
				if saved {
					s.forget(4)
				} else {
					s.forget(3)
				}
				token := wantToken(t, other, bare("token-0"), "token-2")
				net.set(nil)
				time.Sleep(10 * time.Second)
				wantToken(t, p, old, "token-2")
				other.Provider = answer(bare("token-3"))
				wantToken(t, other, token, "token-3")
			})
		})
	}
}

// TestRejectedBesideAFailure: a process is rejected after it has lost its lease, and the one who took
// over fails for now. What was rejected is not sent again.
func TestRejectedBesideAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		endSaves(t)
		m, sent := loggedIn(t), 0
		net := &network{Store: m}
		p := newLogin(slowReject(25*time.Second, &sent), net, "alice")
		other := newLogin(slowFailure(20*time.Second), m, "alice")
		takenOver(net, 20*time.Second, func() { wantEnded(t, p, first()) }, func() { _, _ = other.Token(t.Context(), first()) }).Wait()
		wantEnded(t, p, first())
		wantEnded(t, other, first())
		if sent != 1 {
			t.Errorf("the refresh token was sent %d times", sent)
		}
	})
}

// TestRejectedBesideAFailureAndAClaim: the same, and the next attempt has begun by then, or the
// session began over a rejection: it is told of the other's failure, once.
func TestRejectedBesideAFailureAndAClaim(t *testing.T) {
	for name, test := range map[string]struct {
		old  provider.Token
		more int // attempts of the one who took over
	}{
		"another attempt has begun":          {first(), 2},
		"a new session over a rejection":     {provider.Token{}, 1},
		"the same, and another has begun":    {provider.Token{}, 2},
		"another attempt, and a third after": {first(), 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				endSaves(t)
				m := loggedIn(t)
				if test.old.IsZero() {
					wantEnded(t, newLogin(reject(new(int)), m, "alice"), first())
				}
				net, calls := &network{Store: m}, 0
				p := newLogin(slowReject(25*time.Second, new(int)), net, "alice")
				other := newLogin(provider.Func(func(context.Context) (string, error) {
					time.Sleep(20 * time.Second)
					if calls++; calls < test.more {
						return "", errors.New("503")
					}
					return "token-1", nil
				}), m, "alice")
				takenOver(net, 20*time.Second, func() {
					ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
					defer cancel()
					_, err := p.Token(ctx, test.old)
					if errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("Token: %v", err)
					}
				}, func() {
					for range test.more {
						_, _ = other.Token(t.Context(), test.old)
					}
				}).Wait()
				wantToken(t, p, first(), "token-1")
			})
		})
	}
}

// TestRejectedAndAnotherHasDied: a service without refresh tokens is rejected where a process has
// died and the store can't be written. It does not ask on and on.
func TestRejectedAndAnotherHasDied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, m := 0, new(storetest.Memory)
		logIn(t, newLogin(new(singleUse), m, "alice"), bare("token-0"))
		abandonLease(t, m, 15*time.Second)
		net := &network{Store: m}
		net.set(full)
		p := &shared.Login{Provider: reject(&calls), Store: net, Key: "alice", WaitForLogin: true}
		for range 5 {
			if _, err := p.Token(t.Context(), bare("token-0")); err == nil || provider.IsPermanent(err) {
				t.Errorf("Token: %v; want a temporary error", err)
			}
			time.Sleep(8 * time.Second)
		}
		if calls != 1 {
			t.Errorf("the provider was asked %d times", calls)
		}
	})
}

// TestRejectedSessionBesideAFailure: the same in a session over a logout, which asks once.
func TestRejectedSessionBesideAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, sent := loggedIn(t), 0
		logout.by(t, newLogin(new(singleUse), m, "alice"))
		net := &network{Store: m}
		p := newLogin(slowReject(25*time.Second, &sent), net, "alice")
		other := newLogin(slowFailure(20*time.Second), m, "alice")
		takenOver(net, 20*time.Second, func() { wantEnded(t, p, provider.Token{}) }, func() {
			_, _ = other.Token(t.Context(), provider.Token{})
		}).Wait()
		if sent != 1 {
			t.Errorf("the Provider was asked %d times", sent)
		}
	})
}

// TestRejectedWhileAnotherCannotSave: a process was cut off and is rejected, and the one who took over
// has the answer and can't save it: the disk is full for both. The login is alive.
func TestRejectedWhileAnotherCannotSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		endSaves(t)
		m := loggedIn(t)
		mine, others := &network{Store: m}, &network{Store: m}
		p := newLogin(provider.Func(func(context.Context) (string, error) {
			mine.set(down)
			time.Sleep(25 * time.Second)
			mine.set(full)
			return "", provider.Permanent(errors.New("used before"))
		}), mine, "alice")
		other := newLogin(tokens(func() provider.Token {
			others.set(full)
			time.Sleep(3 * time.Second)
			return bare("token-1").WithRefreshToken("secret-1")
		}), others, "alice")
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = p.Token(t.Context(), first()) })
		time.Sleep(time.Second)
		wg.Go(func() { wantToken(t, other, first(), "token-1") })
		wg.Wait()
		if _, err := p.Token(t.Context(), first()); provider.IsPermanent(err) || !errors.Is(err, shared.ErrUnwritable) {
			t.Errorf("Token: %v; want a temporary ErrUnwritable", err)
		}
		mine.set(nil)
		others.set(nil)
		time.Sleep(30 * time.Second)
		wantToken(t, p, first(), "token-1")
	})
}

// TestRejectionBesideAFailingAttempt: one that could not be saved is saved once another's attempt
// with the same token has failed for now, and so that sends it once.
func TestRejectionBesideAFailingAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, sent := loggedIn(t), 0
		_, mine := rejectedCutOff(t, m, first(), new(int))
		other := newLogin(provider.Func(func(context.Context) (string, error) {
			sent++
			time.Sleep(20 * time.Second)
			return "", errors.New("503")
		}), m, "alice")
		time.AfterFunc(20*time.Second, func() { mine.set(nil) })
		_, _ = other.Token(t.Context(), first())
		time.Sleep(5 * time.Second)
		wantEnded(t, other, first())
		if sent != 1 {
			t.Errorf("the other has sent it %d times", sent)
		}
	})
}

// TestRejectedRefreshTokenOfTheCaller: where the store has no login the caller's refresh token is at
// stake. That it was rejected is saved, and waited for.
func TestRejectedRefreshTokenOfTheCaller(t *testing.T) {
	for name, old := range map[string]provider.Token{
		"with a token": first(), "alone": provider.Token{}.WithRefreshToken(first().RefreshToken()),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, sent := new(storetest.Memory), 0
				p, net := rejectedCutOff(t, m, old, &sent)
				time.AfterFunc(2*time.Second, func() { net.set(nil) })
				if err := p.Wait(t.Context()); err != nil || !strings.Contains(raw(t, m), "dead") {
					t.Errorf("Wait: %v; the record is %s", err, raw(t, m))
				}
				wantEnded(t, newLogin(reject(&sent), m, "alice"), first())
				if sent != 1 {
					t.Errorf("the refresh token was sent %d times", sent)
				}
			})
		})
	}
}

// TestRejectedAndGone: a caller is rejected after it has lost the lease, and gives up while it waits
// for who has taken over. The next one does not send the same token.
func TestRejectedAndGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		endSaves(t)
		m, sent := loggedIn(t), 0
		net := &network{Store: m}
		p := newLogin(slowReject(25*time.Second, &sent), net, "alice")
		other := newLogin(slowFailure(20*time.Second), m, "alice")
		takenOver(net, 20*time.Second, func() {
			ctx, cancel := context.WithTimeout(t.Context(), 28*time.Second)
			defer cancel()
			if _, err := p.Token(ctx, first()); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Token: %v; want the deadline's error", err)
			}
		}, func() { _, _ = other.Token(t.Context(), first()) }).Wait()
		wantEnded(t, p, first())
		if sent != 1 {
			t.Errorf("the refresh token was sent %d times", sent)
		}
	})
}

// TestRejectedAndUnwritable: a caller is rejected after it has lost the lease, and while it waits for
// who has taken over its store can't be written any more, and the other falls silent. It does not ask
// alone with the same token.
func TestRejectedAndUnwritable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, sent := new(storetest.Memory), 0
		logIn(t, newLogin(new(singleUse), m, "alice"), bare("token-0"))
		mine, others := &network{Store: m}, &network{Store: m}
		p := newLogin(slowReject(25*time.Second, &sent), mine, "alice")
		both := takenOver(mine, 20*time.Second, func() {
			wantEnded(t, p, bare("token-0"))
		}, func() {
			_, _ = newLogin(slowFailure(50*time.Second), others, "alice").Token(t.Context(), bare("token-0"))
		})
		time.Sleep(5 * time.Second) // rejected
		others.set(down)
		mine.set(full)
		both.Wait()
		if sent != 1 {
			t.Errorf("the token was sent %d times", sent)
		}
	})
}

// TestRejectionAndALostClaim: the store loses the claim of one who is rejected. There is nobody else to
// leave the rejection to.
func TestRejectionAndALostClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, sent := new(forgetful), 0
		logIn(t, newLogin(new(singleUse), s, "alice"), first())
		p, net := rejectedCutOff(t, s, first(), &sent)
		s.forget(1)
		time.AfterFunc(2*time.Second, func() { net.set(nil) })
		if err := p.Wait(t.Context()); err != nil {
			t.Errorf("Wait: %v", err)
		}
		wantEnded(t, newLogin(reject(&sent), s, "alice"), first())
		if sent != 1 {
			t.Errorf("the refresh token was sent %d times", sent)
		}
	})
}

// TestSessionAfterALostRejection: the store loses that a login was rejected. Who knows of it is not
// handed the rejected token in its next session.
func TestSessionAfterALostRejection(t *testing.T) {
	for _, writes := range []int{1, 2} { // without the claim, or with it
		synctest.Test(t, func(t *testing.T) {
			s := new(forgetful)
			p := newLogin(reject(new(int)), s, "alice")
			logIn(t, p, first())
			wantEnded(t, p, first())
			time.Sleep(time.Minute)
			s.forget(writes)
			p.Provider = answer(bare("new"))
			wantToken(t, p, provider.Token{}, "new")
		})
	}
}

// TestRejectedWhileAnotherBegins: one who was rejected after it had lost the lease can't write, and sees
// that another has claimed the token since. That one may know better.
func TestRejectedWhileAnotherBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		endSaves(t)
		m := loggedIn(t)
		net := &network{Store: m}
		var wg sync.WaitGroup
		p := newLogin(provider.Func(func(context.Context) (string, error) {
			time.Sleep(25 * time.Second)
			net.set(only(1)) // the write that meets its conflict
			time.AfterFunc(2*time.Second, func() {
				wg.Go(func() {
					wantToken(t, newLogin(slowAnswer{20 * time.Second, func() {}}, m, "alice"), first(), "token-1")
				})
			})
			return "", provider.Permanent(errRevoked)
		}), net, "alice")
		wantToken(t, p, provider.Token{}, "token-0") // so that it does not look before the next refresh
		wg.Go(func() {
			if token, err := p.Token(t.Context(), first()); provider.IsPermanent(err) || err == nil && token.Value() != "token-1" {
				t.Errorf("Token = %q, %v; want the other's token, or a temporary error", token.Value(), err)
			}
		})
		time.Sleep(time.Second)
		net.set(down)
		wg.Go(func() { _, _ = newLogin(slowFailure(0), m, "alice").Token(t.Context(), first()) }) // takes over, and fails
		time.Sleep(40 * time.Second)
		wg.Wait()
		net.set(nil)
		wantToken(t, p, first(), "token-1")
	})
}

// only lets so many writes through, and has no other answered.
func only(writes int32) func(op string) (bool, error) {
	var written atomic.Int32
	return func(op string) (bool, error) {
		if op == "swap" && written.Add(1) > writes {
			return hang(op)
		}
		return true, nil
	}
}
