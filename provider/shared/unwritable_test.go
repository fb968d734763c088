package shared_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

// full loses writes as a full or read-only file system does.
func full(op string) (bool, error) {
	if op == "swap" {
		return false, fmt.Errorf("disk: %w", shared.ErrUnwritable)
	}
	return true, nil
}

// TestUnwritableWithNothingToLose: no refresh token is at stake, so each process gets tokens of its
// own, and says so once.
func TestUnwritableWithNothingToLose(t *testing.T) {
	for name, fault := range map[string]func(string) (bool, error){
		"full":      full,
		"down":      down,
		"hangs":     hang,
		"read-only": readOnly,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls, log := 0, new(journal)
				backend := tokens(func() provider.Token {
					calls++
					return provider.NewToken(fmt.Sprintf("token-%d", calls), time.Now().Add(time.Hour))
				})
				net := &network{Store: new(storetest.Memory)}
				p := &shared.Login{Provider: backend, Store: net, Key: "alice", Logger: log.logger()}
				if name == "full" || name == "read-only" {
					net.set(fault) // from the beginning
				}
				token := wantToken(t, p, provider.Token{}, "token-1")
				net.set(fault)
				start := time.Now()
				for i := range 5 {
					token = wantToken(t, p, token, fmt.Sprintf("token-%d", i+2))
					wantToken(t, p, provider.Token{}, token.Value()) // for another transport of this process
				}
				if calls != 6 || log.count("can't be saved") != 1 {
					t.Errorf("%d provider calls, said %d times that nothing can be saved; want 6 and 1:\n%s", calls, log.count(""), log.buf.String())
				}
				want := time.Duration(0)
				if name == "hangs" {
					want = 55 * time.Second // a third of the lease for each operation: one in a call, and one more in the first
				}
				if after := time.Since(start); after != want {
					t.Errorf("it took %v; want %v", after, want)
				}

				net.set(nil) // and it is shared again
				token = wantToken(t, p, token, "token-7")
				wantToken(t, newLogin(backend, net.Store, "alice"), provider.Token{}, "token-7")
				net.set(fault)
				wantToken(t, p, token, "token-8")
				if log.count("can't be saved") != 2 {
					t.Errorf("it was said %d times that nothing can be saved; want 2, as the store has worked in between", log.count("can't be saved"))
				}
			})
		})
	}
}

// TestUnwritableWithARefreshToken: the refresh token is not spent where its successor can't be
// kept. The error comes at once and says what to do, and the next request finds out whether it was
// done.
func TestUnwritableWithARefreshToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, backend := &network{Store: loggedIn(t)}, new(singleUse)
		net.set(full)
		p := newLogin(backend, net, "alice")
		start := time.Now()
		wantToken(t, p, provider.Token{}, "token-0")
		_, err := p.Token(t.Context(), first())
		delay, _ := provider.RetryDelay(err)
		if !errors.Is(err, shared.ErrUnwritable) || provider.IsPermanent(err) || delay != 5*time.Second || !provider.IsNoRetry(err) || !strings.Contains(fmt.Sprint(err), "make the store writable") {
			t.Errorf("Token: %v, again after %v; want an error without retries that says what to do, 5s", err, delay)
		}
		backend.want(t, 0)
		net.set(nil)
		wantToken(t, p, first(), "token-1")
		if time.Since(start) != 0 {
			t.Errorf("it took %v; want no time", time.Since(start))
		}
	})
}

// TestUnwritableAfterALogin: a provider that logs in by itself brings a refresh token that can't be
// kept. It is used, and not spent.
func TestUnwritableAfterALogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		endSaves(t)
		m, backend, log := new(storetest.Memory), new(singleUse), new(journal)
		net := &network{Store: m}
		net.set(full)
		p := &shared.Login{Provider: backend, Store: net, Key: "alice", Logger: log.logger()}
		token := wantToken(t, p, provider.Token{}, "token-1")
		if _, err := p.Token(t.Context(), token); !errors.Is(err, shared.ErrUnwritable) {
			t.Errorf("Token to replace what is not saved: %v; want ErrUnwritable", err)
		}
		if log.count("may be lost") != 1 {
			t.Errorf("the log says %q; want it to say that the login may be lost", log.buf.String())
		}
		backend.want(t, 1)
		net.set(nil)
		time.Sleep(2 * time.Second)
		wantToken(t, newLogin(backend, m, "alice"), provider.Token{}, "token-1")
	})
}

// TestAloneAndEnded: a provider that rejects for good is believed where the record could be read,
// and not where it couldn't: another process may have a new login.
func TestAloneAndEnded(t *testing.T) {
	for fault, permanent := range map[string]bool{"read-only": true, "down": false} {
		m, calls := new(storetest.Memory), 0
		if err := newLogin(nil, m, "alice").Login(t.Context(), first()); err == nil {
			t.Fatal("Login without a Provider succeeded")
		}
		net := &network{Store: m}
		p := newLogin(answer(provider.NewToken("token-0", time.Time{})), net, "alice")
		wantToken(t, p, provider.Token{}, "token-0")
		net.set(map[string]func(string) (bool, error){"read-only": readOnly, "down": down}[fault])
		p.Provider = reject(&calls)
		_, err := p.Token(t.Context(), provider.NewToken("token-0", time.Time{}))
		if provider.IsPermanent(err) != permanent || !errors.Is(err, errRevoked) || errors.Is(err, shared.ErrEnded) != permanent {
			t.Errorf("%s: %v; want the provider's own error, permanent: %v", fault, err, permanent)
		}
	}
}

// TestStoreMisconfigured: a mistake in the configuration of the store is told at once, for good.
func TestStoreMisconfigured(t *testing.T) {
	net := &network{Store: new(storetest.Memory)}
	net.set(func(string) (bool, error) { return false, provider.Permanent(errors.New("no address")) })
	for _, old := range []provider.Token{{}, first()} {
		if _, err := newLogin(new(singleUse), net, "alice").Token(context.Background(), old); !provider.IsPermanent(err) {
			t.Errorf("Token: %v; want a permanent error", err)
		}
	}
}

// TestUnwritableAtTheBeginning: the refresh token with which a login begins is at stake, too,
// though no record has one yet.
func TestUnwritableAtTheBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		server := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			asked++
			return nil, errors.New("it is not to be asked")
		})}
		tokens := provider.OAuth2{TokenURL: "https://auth.example.com/token", ClientID: "a", RefreshToken: provider.NewSecret("first"), Client: server}
		for _, p := range []provider.TokenProvider{tokens, &tokens} {
			net := &network{Store: new(storetest.Memory)}
			net.set(full)
			_, err := (&shared.Login{Provider: p, Store: net, Key: "alice"}).Token(t.Context(), provider.Token{})
			if !errors.Is(err, shared.ErrUnwritable) || asked != 0 {
				t.Errorf("%v; the server was asked %d times", err, asked)
			}
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// TestClaimInAStoreThatCannotBeWritten: a dead process has left its claim, and the disk is full. Its
// silence can't be noted, so nobody can take over: who waits is told why.
func TestClaimInAStoreThatCannotBeWritten(t *testing.T) {
	for _, atStake := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			m, old := new(storetest.Memory), first()
			if !atStake {
				old = provider.NewToken("token-0", time.Time{})
			}
			if err := newLogin(new(singleUse), m, "alice").Login(t.Context(), old); err != nil {
				t.Fatal(err)
			}
			abandonLease(t, m, 15*time.Second)
			net := &network{Store: m}
			net.set(full)
			backend := tokens(func() provider.Token { return provider.NewToken("own", time.Time{}) })
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			token, err := newLogin(backend, net, "alice").Token(ctx, old)
			if atStake && (!errors.Is(err, shared.ErrUnwritable) || !provider.IsNoRetry(err)) || !atStake && (err != nil || token.Value() != "own") {
				t.Errorf("with a refresh token: %v: Token = %q, %v", atStake, token.Value(), err)
			}
		})
	}
}

// TestDeadHolderInAStoreThatCannotBeWritten: a process has died in a refresh, and then the store
// takes no writes, for whatever reason. Its silence can't be noted, so no one waits for its end
// longer than for a lease of that.
func TestDeadHolderInAStoreThatCannotBeWritten(t *testing.T) {
	for name, fault := range map[string]func(string) (bool, error){
		"full": full, "fails": readOnly,
		"hangs": hangWrites,
	} {
		for _, atStake := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, a refresh token is at stake %v", name, atStake), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m, old := new(storetest.Memory), bare("token-0")
					if atStake {
						old = first()
					}
					logIn(t, newLogin(new(singleUse), m, "alice"), old)
					abandonLease(t, m, 15*time.Second)
					net := &network{Store: m}
					net.set(fault)
					p := &shared.Login{Provider: answer(bare("own")), Store: net, Key: "alice", Logger: new(journal).logger()}
					start := time.Now()
					token, err := p.Token(t.Context(), old)
					switch {
					case !atStake && token.Value() != "own", atStake && (err == nil || provider.IsPermanent(err)):
						t.Errorf("Token = %q, %v", token.Value(), err)
					case time.Since(start) > 40*time.Second: // two fifths of a lease until the first note, and a lease of failures
						t.Errorf("it took %v", time.Since(start))
					}
				})
			})
		}
	}
}

// TestLivingHolderInAStoreThatCannotBeWritten: one who can't write sees a holder that is silent twice
// for a moment, a lease apart. That is no lease of silence that can't be noted.
func TestLivingHolderInAStoreThatCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, b := loggedIn(t), &singleUse{work: 32 * time.Second}
		way, mine := &network{Store: m}, &network{Store: m}
		mine.set(readOnly)
		var wg sync.WaitGroup
		wg.Go(func() { wantToken(t, newLogin(b, way, "alice"), first(), "token-1") })
		synctest.Wait()
		wg.Go(func() { wantToken(t, newLogin(b, mine, "alice"), first(), "token-1") })
		time.Sleep(time.Second)
		for range 2 {
			way.set(down)
			time.Sleep(7500 * time.Millisecond)
			way.set(nil)
			time.Sleep(7500 * time.Millisecond)
		}
		wg.Wait()
	})
}

// TestReaderSeesWhatOthersWrite: a process that can't write the store has read the login long ago.
// Before it asks alone it looks what others have made of it.
func TestReaderSeesWhatOthersWrite(t *testing.T) {
	for name, test := range map[string]struct {
		old     provider.Token
		another func() provider.TokenProvider // refreshes it; nil: it logs in anew
		want    string
	}{
		"a login":                        {bare("token-0"), nil, "new"},
		"a refresh":                      {bare("token-0"), func() provider.TokenProvider { return answer(bare("token-1")) }, "token-1"},
		"a refresh with a refresh token": {first(), func() provider.TokenProvider { return new(singleUse) }, "token-1"},
	} {
		for _, waits := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, WaitForLogin %v", name, waits), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m, calls := new(storetest.Memory), 0
					logIn(t, newLogin(new(singleUse), m, "alice"), test.old)
					net := &network{Store: m}
					net.set(full)
					p := &shared.Login{Provider: reject(&calls), Store: net, Key: "alice", WaitForLogin: waits}
					wantToken(t, p, provider.Token{}, "token-0")
					time.Sleep(time.Hour)
					if test.another == nil {
						logIn(t, newLogin(new(singleUse), m, "alice"), bare(test.want))
					} else {
						wantToken(t, newLogin(test.another(), m, "alice"), test.old, test.want)
					}
					wantToken(t, p, test.old, test.want)
					if calls != 0 {
						t.Errorf("the provider was asked %d times", calls)
					}
				})
			})
		}
	}
}

// TestLoginWhileOneAsksAlone: what one is rejected with who asks alone is of no login that came
// meanwhile.
func TestLoginWhileOneAsksAlone(t *testing.T) {
	for name, own := range map[string]bool{"in this process": true, "in another": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, calls := new(storetest.Memory), 0
				net := &network{Store: m}
				p, other := newLogin(slowReject(10*time.Second, &calls), net, "alice"), newLogin(new(singleUse), m, "alice")
				logIn(t, other, bare("token-0"))
				net.set(readOnly)
				var wg sync.WaitGroup
				wg.Go(func() { wantToken(t, p, bare("token-0"), "new") })
				time.Sleep(8 * time.Second)
				if own {
					net.set(nil)
					logIn(t, p, bare("new"))
				} else {
					logIn(t, other, bare("new"))
				}
				time.Sleep(time.Second)
				wantToken(t, p, bare("token-0"), "new") // which began after that login
				wg.Wait()
				if calls != 1 {
					t.Errorf("the provider was asked %d times", calls)
				}
			})
		})
	}
}

// TestRejectedAloneAndTheStoreIsBack: one who has asked alone while the store was away is rejected, and
// the store is back. Others may have come further, so that is not for good.
func TestRejectedAloneAndTheStoreIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // another has got a token, with the same generation
		m := new(storetest.Memory)
		p, net, old := withItsOwn(t, m, down)
		wantToken(t, newLogin(answer(bare("fresh")), m, "alice"), bare("token-0"), "fresh")
		p.Provider = slowReject(10*time.Second, new(int))
		time.AfterFunc(5*time.Second, func() { net.set(nil) })
		wantToken(t, p, old, "fresh")
	})
	synctest.Test(t, func(t *testing.T) { // another is at work
		m := new(storetest.Memory)
		net := &network{Store: m}
		p := newLogin(slowReject(10*time.Second, new(int)), net, "alice")
		logIn(t, p, bare("token-0"))
		net.set(down)
		var wg sync.WaitGroup
		wg.Go(func() {
			wantToken(t, newLogin(slowAnswer{20 * time.Second, func() {}}, m, "alice"), bare("token-0"), "token-1")
		})
		time.Sleep(time.Second)
		time.AfterFunc(5*time.Second, func() { net.set(nil) })
		if _, err := p.Token(t.Context(), bare("token-0")); err == nil || provider.IsPermanent(err) {
			t.Errorf("Token: %v; want a temporary error", err)
		}
		wg.Wait()
		wantToken(t, p, bare("token-0"), "token-1")
	})
}

// TestAloneBesideOthersThatFail: a process whose writes hang gets a token of its own, however often
// others write that they have failed.
func TestAloneBesideOthersThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(storetest.Memory)
		logIn(t, newLogin(new(singleUse), m, "alice"), bare("token-0"))
		net := &network{Store: m}
		net.set(hangWrites)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			other := newLogin(slowFailure(0), m, "alice")
			for ctx.Err() == nil {
				_, _ = other.Token(ctx, bare("token-0"))
				time.Sleep(1900 * time.Millisecond) // not at work as the first gives up: that one would share the failure
			}
		})
		time.Sleep(time.Second)
		wantToken(t, newLogin(answer(bare("own")), net, "alice"), bare("token-0"), "own")
		cancel()
		wg.Wait()
	})
}

// TestSessionsBesideADeadHolder: a session was rejected, and then the store could not be written any
// more, with the claim of a dead process in it. That is no answer for the sessions after it.
func TestSessionsBesideADeadHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, calls := new(storetest.Memory), 0
		net, others := &network{Store: m}, &network{Store: m}
		p := newLogin(provider.Func(func(context.Context) (string, error) {
			if calls++; calls > 1 {
				return "own", nil
			}
			time.Sleep(25 * time.Second)
			net.set(nil)
			time.AfterFunc(time.Second, func() { net.set(full) })
			return "", provider.Permanent(errRevoked)
		}), net, "alice")
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := p.Token(t.Context(), provider.Token{}); err == nil {
				t.Error("the session that was rejected has a token")
			}
		})
		time.Sleep(time.Second)
		net.set(down)
		killed := newLogin(rejectCutOff(others, new(int)), others, "alice")
		wg.Go(func() { _, _ = killed.Token(t.Context(), provider.Token{}) })
		wg.Wait()
		time.Sleep(10 * time.Minute)
		wantToken(t, p, provider.Token{}, "own")
		if calls != 2 {
			t.Errorf("the provider was asked %d times", calls)
		}
	})
}

// TestLogoutWhileOneAsksAlone: the Provider and the record say that the login is over, and so does Token.
func TestLogoutWhileOneAsksAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(storetest.Memory)
		net := &network{Store: m}
		p, other := newLogin(slowReject(10*time.Second, new(int)), net, "alice"), newLogin(new(singleUse), m, "alice")
		logIn(t, other, bare("token-0"))
		net.set(readOnly)
		var wg sync.WaitGroup
		wg.Go(func() { wantEnded(t, p, bare("token-0")) })
		time.Sleep(8 * time.Second)
		logout.by(t, other)
		wg.Wait()
	})
}
