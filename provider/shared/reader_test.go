package shared_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

// The tests of a process that can read the store and not write it. TestModelAlone searches the same
// ground.

// TestReaderWaitsForWhoIsAtWork: a process that can't claim the lease sees that another has, and gets
// what that one gets, whether it had read the record before or not.
func TestReaderWaitsForWhoIsAtWork(t *testing.T) {
	for name, fault := range map[string]func(string) (bool, error){"full": full, "fails": readOnly, "hangs": hangWrites} {
		for _, remembers := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, has read it before %v", name, remembers), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m, backend := loggedIn(t), new(singleUse)
					net := &network{Store: m}
					net.set(fault)
					p := newLogin(backend, net, "alice")
					if remembers {
						wantToken(t, p, provider.Token{}, "token-0")
					}
					start := time.Now()
					var wg sync.WaitGroup
					wg.Go(func() {
						wantToken(t, newLogin(slowAnswer{25 * time.Second, func() {}}, m, "alice"), first(), "token-1")
					})
					time.Sleep(time.Second)
					wantToken(t, p, first(), "token-1")
					wg.Wait()
					backend.want(t, 0)
					if took := time.Since(start); took > 26*time.Second {
						t.Errorf("it took %v; want 25 s, and a look", took)
					}
				})
			})
		}
	}
}

// TestOwnTokenIsRejected: a process that can't write has a token of its own, which is rejected for
// good. That says nothing about the shared one.
func TestOwnTokenIsRejected(t *testing.T) {
	t.Run("and another has refreshed the shared one", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, calls := new(storetest.Memory), 0
			p, _, own := withItsOwn(t, m, readOnly)
			p.Provider = slowReject(10*time.Second, &calls)
			time.AfterFunc(5*time.Second, func() { // the generation is the same as that of its own
				wantToken(t, newLogin(answer(bare("fresh")), m, "alice"), bare("token-0"), "fresh")
			})
			wantToken(t, p, own, "fresh")
			if calls != 1 {
				t.Errorf("the provider was asked %d times", calls)
			}
		})
	})
	t.Run("and the shared one is good", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, _, own := withItsOwn(t, new(storetest.Memory), readOnly)
			p.Provider = rejecting(own, bare("own-2"))
			wantToken(t, p, own, "own-2")
		})
	})
	t.Run("and so is the shared one", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, _, own := withItsOwn(t, new(storetest.Memory), readOnly)
			p.Provider = provider.TokenFunc(func(_ context.Context, old provider.Token) (provider.Token, error) {
				if old.IsZero() {
					return bare("new"), nil
				}
				return provider.Token{}, provider.Permanent(errRevoked)
			})
			wantEnded(t, p, own)
			time.Sleep(time.Hour)
			wantToken(t, p, provider.Token{}, "new") // a new session
		})
	})
}

// rejecting rejects one token for good, and has an answer to all others.
func rejecting(dead, answer provider.Token) provider.TokenProvider {
	return provider.TokenFunc(func(_ context.Context, old provider.Token) (provider.Token, error) {
		if old.Value() == dead.Value() {
			return provider.Token{}, provider.Permanent(errRevoked)
		}
		return answer, nil
	})
}

// TestLoginWhileARejectionCannotBeSaved: a process knows that the login was rejected, and tries to save
// that. While the write hangs a person logs in.
func TestLoginWhileARejectionCannotBeSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, calls := new(storetest.Memory), 0
		net := &network{Store: m}
		p := newLogin(reject(&calls), net, "alice")
		logIn(t, p, bare("token-0"))
		net.set(hangWrites)
		wantEnded(t, p, bare("token-0"))
		time.Sleep(time.Minute)
		time.AfterFunc(time.Second, func() { logIn(t, newLogin(new(singleUse), m, "alice"), bare("new")) })
		wantToken(t, p, bare("token-0"), "new")
		if calls != 1 {
			t.Errorf("the provider was asked %d times", calls)
		}
	})
}

// TestLoginBeforeASilenceCannotBeNoted: a process knows that the login was rejected, and watches one who
// has claimed it and is dead. While it finds out that it can't note that a person logs in.
func TestLoginBeforeASilenceCannotBeNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(storetest.Memory)
		net := &network{Store: m}
		p := newLogin(reject(new(int)), net, "alice")
		logIn(t, p, bare("token-0"))
		net.set(full)
		wantEnded(t, p, bare("token-0"))
		abandonLease(t, m, 15*time.Second)
		net.set(func(op string) (bool, error) {
			if op == "swap" {
				logIn(t, newLogin(new(singleUse), m, "alice"), bare("new"))
			}
			return full(op)
		})
		wantToken(t, p, bare("token-0"), "new")
	})
}

// TestRejectedAloneBesideOneAtWork: a process that can't write asks alone, and another, who can, begins
// as well. The first is rejected for good, and the other may have more luck.
func TestRejectedAloneBesideOneAtWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(storetest.Memory)
		net := &network{Store: m}
		p := newLogin(slowReject(10*time.Second, new(int)), net, "alice")
		logIn(t, p, bare("token-0"))
		net.set(readOnly)
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := p.Token(t.Context(), bare("token-0")); err == nil || provider.IsPermanent(err) || errors.Is(err, shared.ErrEnded) {
				t.Errorf("Token: %v; want a temporary error", err)
			}
			wantToken(t, p, bare("token-0"), "token-1")
		})
		time.Sleep(5 * time.Second)
		wantToken(t, newLogin(slowAnswer{10 * time.Second, func() {}}, m, "alice"), bare("token-0"), "token-1")
		wg.Wait()
	})
}

// TestClaimIsLostAndNothingCanBeWritten: the store has lost the claim of a new session, and takes no
// writes. The place can't be kept, and a process gets a token of its own.
func TestClaimIsLostAndNothingCanBeWritten(t *testing.T) {
	for _, loggedOut := range []bool{false, true} {
		t.Run(fmt.Sprintf("logged out %v", loggedOut), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := new(forgetful)
				mine, others := &network{Store: s}, &network{Store: s}
				if loggedOut {
					l := newLogin(new(singleUse), s, "alice")
					logIn(t, l, bare("token-0"))
					logout.by(t, l)
				}
				p := &shared.Login{Provider: answer(bare("own")), Store: mine, Key: "alice", Logger: new(journal).logger()}
				killed := newLogin(rejectCutOff(others, new(int)), others, "alice")
				_, _ = killed.Token(t.Context(), provider.Token{}) // leaves its claim
				seen, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, _ = p.Token(seen, provider.Token{})
				s.forget(1)
				mine.set(full)
				wantToken(t, p, provider.Token{}, "own")
			})
		})
	}
}

// TestSessionBesideADeadHolderOfARejectedToken: a process knows that the token in the store was rejected
// for good. It can't write that, and a dead process has claimed the token. A new session does not
// get it.
func TestSessionBesideADeadHolderOfARejectedToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(storetest.Memory)
		logIn(t, newLogin(new(singleUse), m, "alice"), bare("token-0"))
		net := &network{Store: m}
		net.set(full)
		p := &shared.Login{Provider: rejecting(bare("token-0"), bare("new")), Store: net, Key: "alice", Logger: new(journal).logger()}
		wantEnded(t, p, bare("token-0"))
		abandonLease(t, m, 15*time.Second)
		wantToken(t, p, provider.Token{}, "new")
	})
}
