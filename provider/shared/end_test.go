package shared_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

var errRevoked = errors.New("backend: the session was revoked")

// reject is a provider that rejects for good.
func reject(calls *int) provider.TokenProvider { return slowReject(0, calls) }

// slowReject is reject after some time.
func slowReject(after time.Duration, calls *int) provider.TokenProvider {
	return provider.Func(func(context.Context) (string, error) {
		*calls++
		time.Sleep(after)
		return "", provider.Permanent(errRevoked)
	})
}

// rejectCutOff is reject, and the network is gone by then.
func rejectCutOff(n *network, calls *int) provider.TokenProvider {
	return provider.Func(func(context.Context) (string, error) {
		*calls++
		n.set(down)
		return "", provider.Permanent(errRevoked)
	})
}

// rejectedCutOff returns a process that has asked with old, was rejected, and has lost its network with
// that.
func rejectedCutOff(t *testing.T, s shared.Store, old provider.Token, sent *int) (*shared.Login, *network) {
	t.Helper()
	endSaves(t)
	net := &network{Store: s}
	p := newLogin(rejectCutOff(net, sent), net, "alice")
	_, _ = p.Token(t.Context(), old)
	return p, net
}

// slowFailure fails for now after some time.
func slowFailure(after time.Duration) provider.TokenProvider {
	return provider.Func(func(context.Context) (string, error) {
		time.Sleep(after)
		return "", errors.New("503")
	})
}

// takenOver lets call begin and cuts its network off a second later; other takes over meanwhile. The
// network is back after so long. both waits for them.
func takenOver(net *network, away time.Duration, call, other func()) (both *sync.WaitGroup) {
	both = new(sync.WaitGroup)
	both.Go(call)
	time.Sleep(time.Second)
	net.set(down)
	both.Go(other)
	time.Sleep(away)
	net.set(nil)
	return both
}

func TestRejectedForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, calls := loggedIn(t), 0
		_, err := newLogin(reject(&calls), m, "alice").Token(t.Context(), first())
		if !provider.IsPermanent(err) || !errors.Is(err, errRevoked) || !errors.Is(err, shared.ErrEnded) {
			t.Errorf("Token: %v; want the provider's permanent error, and ErrEnded", err)
		}
		if record := raw(t, m); strings.Contains(record, "token-0") || strings.Contains(record, "secret-0") {
			t.Error("the dead record still holds secrets")
		}

		// The fleet stops asking, and learns why.
		other := newLogin(reject(&calls), m, "alice")
		_, err = other.Token(t.Context(), first())
		if !provider.IsPermanent(err) || !errors.Is(err, shared.ErrEnded) || !strings.Contains(err.Error(), errRevoked.Error()) {
			t.Errorf("Token of another: %v; want a permanent ErrEnded that says why", err)
		}
		waiting := &shared.Login{Provider: reject(&calls), Store: m, Key: "alice", WaitForLogin: true}
		for _, old := range []provider.Token{{}, first()} {
			_, err = waiting.Token(t.Context(), old)
			if delay, _ := provider.RetryDelay(err); provider.IsPermanent(err) || !errors.Is(err, shared.ErrEnded) || delay != 8*time.Second {
				t.Errorf("Token with WaitForLogin: %v, to be retried after %v; want a temporary ErrEnded, 8 s", err, delay)
			}
		}
		if calls != 1 {
			t.Errorf("the provider was asked %d times; want 1", calls)
		}

		// A new login revives it, for those who wait and for new sessions.
		if err := other.Login(t.Context(), provider.NewToken("new", time.Time{}).WithRefreshToken("new secret")); err != nil {
			t.Fatal(err)
		}
		wantToken(t, waiting, first(), "new")
		wantToken(t, newLogin(reject(&calls), m, "alice"), provider.Token{}, "new")
	})
}

// TestRejectedWaiting: the process that is rejected waits, too, if it is to wait.
func TestRejectedWaiting(t *testing.T) {
	calls := 0
	p := &shared.Login{Provider: reject(&calls), Store: loggedIn(t), Key: "alice", WaitForLogin: true}
	for range 3 {
		_, err := p.Token(t.Context(), first())
		if delay, _ := provider.RetryDelay(err); provider.IsPermanent(err) || delay != 8*time.Second || !errors.Is(err, shared.ErrEnded) {
			t.Errorf("Token: %v, to be retried after %v; want a temporary ErrEnded, 8 s", err, delay)
		}
		if calls == 1 && !strings.Contains(err.Error(), errRevoked.Error()) {
			t.Errorf("Token: %v; want it to say %q", err, errRevoked)
		}
	}
	if calls != 1 {
		t.Errorf("the provider was asked %d times; want 1", calls)
	}
}

// TestNewSession: a login that ended does not keep a new session from logging in, where the
// provider can. Who waited for such an attempt shares its result.
func TestNewSession(t *testing.T) {
	start := func(t *testing.T, m *storetest.Memory, p provider.TokenProvider) (tokens int, errs []error) {
		var mu sync.Mutex // guards the results
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				token, err := newLogin(p, m, "alice").Token(t.Context(), provider.Token{})
				mu.Lock()
				defer mu.Unlock()
				if !token.IsZero() {
					tokens++
				} else {
					errs = append(errs, err)
				}
			})
		}
		wg.Wait()
		return tokens, errs
	}
	for name, end := range map[string]func(t *testing.T, m *storetest.Memory){
		"dead": func(t *testing.T, m *storetest.Memory) {
			calls := 0
			_, _ = newLogin(reject(&calls), m, "alice").Token(t.Context(), first())
		},
		"forgotten": func(t *testing.T, m *storetest.Memory) {
			if err := newLogin(new(singleUse), m, "alice").Forget(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
		"never logged in": func(_ *testing.T, m *storetest.Memory) { *m = storetest.Memory{} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := loggedIn(t)
				end(t, m)

				// The backend is down: all are told so at once, for now.
				backend := &singleUse{work: time.Second, next: errors.New("backend: 503")}
				tokens, errs := start(t, m, backend)
				for _, err := range errs {
					if provider.IsPermanent(err) || !strings.Contains(err.Error(), "503") {
						t.Errorf("Token: %v; want the temporary error of the attempt", err)
					}
				}
				if tokens != 0 || backend.calls != 1 {
					t.Errorf("%d tokens and %d calls; want 0 and 1", tokens, backend.calls)
				}

				// It rejects: all are told so, for good.
				backend = &singleUse{work: time.Second, next: provider.Permanent(errRevoked)}
				tokens, errs = start(t, m, backend)
				for _, err := range errs {
					if !provider.IsPermanent(err) || !strings.Contains(err.Error(), errRevoked.Error()) {
						t.Errorf("Token: %v; want the permanent error of the attempt", err)
					}
				}
				if tokens != 0 || backend.calls != 1 {
					t.Errorf("%d tokens and %d calls; want 0 and 1", tokens, backend.calls)
				}

				// It accepts.
				backend = &singleUse{work: time.Second}
				if tokens, errs = start(t, m, backend); tokens != 20 || backend.calls != 1 {
					t.Errorf("%d tokens, %d calls, errors %v; want 20 and 1", tokens, backend.calls, errs)
				}
				if !backend.given[0].IsZero() || backend.given[0].RefreshToken() != "" {
					t.Error("a new login was asked for with an old token")
				}
			})
		})
	}
}

func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := loggedIn(t)
		a, b := newLogin(new(singleUse), m, "alice"), newLogin(new(singleUse), m, "alice")
		wantToken(t, b, provider.Token{}, "token-0")
		_, before, _ := m.Load(t.Context(), "alice")
		if err := a.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		record, after, _ := m.Load(t.Context(), "alice")
		if after <= before || strings.Contains(string(record), "token-0") || strings.Contains(string(record), "secret-0") {
			t.Error("Forget left no tombstone in place of the secrets")
		}
		wantEnded(t, a, first())
		wantEnded(t, b, first())
		if err := b.Forget(t.Context()); err != nil {
			t.Errorf("Forget again: %v", err)
		}
		waiting := &shared.Login{Provider: new(singleUse), Store: m, Key: "alice", WaitForLogin: true}
		if _, err := waiting.Token(t.Context(), first()); provider.IsPermanent(err) || !errors.Is(err, shared.ErrEnded) {
			t.Errorf("Token with WaitForLogin: %v; want a temporary ErrEnded", err)
		}
	})
}

// TestForgetDuringRefresh: the answer that arrives after the logout does not bring the login back,
// also not in the process that was about to log in.
func TestForgetDuringRefresh(t *testing.T) {
	for name, old := range map[string]provider.Token{"refresh": first(), "login": {}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := loggedIn(t)
				if old.IsZero() {
					*m = storetest.Memory{}
				}
				backend := &singleUse{work: 10 * time.Second}
				refreshing, waiting := newLogin(backend, m, "alice"), newLogin(backend, m, "alice")
				var wg sync.WaitGroup
				wg.Go(func() { wantEnded(t, refreshing, old) })
				synctest.Wait()
				wg.Go(func() { wantEnded(t, waiting, old) })
				time.Sleep(3 * time.Second)
				if err := newLogin(backend, m, "alice").Forget(t.Context()); err != nil {
					t.Fatal(err)
				}
				wg.Wait()
				backend.want(t, 1)
				if record := raw(t, m); strings.Contains(record, "token-1") {
					t.Error("the answer was saved after the logout")
				}
			})
		})
	}
}

// TestForgetDuringRefreshWithoutTheStore: the store fails after the logout. The answer is void all
// the same, for the one who refreshes and for all in this process.
func TestForgetDuringRefreshWithoutTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &network{Store: loggedIn(t)}
		p := newLogin(&singleUse{work: 10 * time.Second}, net, "alice")
		var wg sync.WaitGroup
		wg.Go(func() {
			if token, err := p.Token(t.Context(), first()); err == nil {
				t.Errorf("Token after a logout = %q; want an error", token.Value())
			}
		})
		time.Sleep(5 * time.Second)
		if err := p.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		net.set(down)
		wg.Wait()
		if token, err := p.Token(t.Context(), provider.Token{}); err == nil {
			t.Errorf("Token after a logout = %q; want an error", token.Value())
		}
		net.set(nil)
		wantEnded(t, p, first())
	})
}

// TestForgetBeforeItIsKnownToBeSaved: the logout comes after the answer was saved, and before the
// one who saved it knows.
func TestForgetBeforeItIsKnownToBeSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &network{Store: loggedIn(t)}
		p := newLogin(new(singleUse), nil, "alice")
		p.Store = &witness{Store: net, after: func(write int) {
			if write == 2 { // the claim was the first
				if err := p.Forget(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}}
		wantToken(t, p, first(), "token-1") // it was saved: the logout came later
		net.set(down)
		if token, err := p.Token(t.Context(), provider.Token{}); err == nil {
			t.Errorf("Token after the logout = %q; want an error", token.Value())
		}
	})
}

// TestUncertainForget: the answer of the store is lost, and the logout done.
func TestUncertainForget(t *testing.T) {
	net := &network{Store: loggedIn(t)}
	p := newLogin(new(singleUse), net, "alice")
	net.set(func(op string) (bool, error) {
		if op == "swap" {
			return true, errors.New("network: lost on the way back")
		}
		return true, nil
	})
	if err := p.Forget(t.Context()); err != nil {
		t.Errorf("Forget: %v; want nil, as it was carried out", err)
	}
	if err := p.Login(t.Context(), first()); err != nil {
		t.Errorf("Login: %v; want nil, as it was carried out", err)
	}
	net.set(readOnly)
	if err := p.Forget(t.Context()); err == nil || !strings.Contains(err.Error(), "no route to the store") {
		t.Errorf("Forget: %v; want the error of the store", err)
	}
	wantToken(t, p, provider.Token{}, "token-0")
}

// TestLoginDuringRefresh: a new login wins over the refresh of the old one.
func TestLoginDuringRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, backend := loggedIn(t), &singleUse{work: 10 * time.Second}
		p := newLogin(backend, m, "alice")
		var wg sync.WaitGroup
		wg.Go(func() { wantToken(t, p, first(), "new") })
		time.Sleep(3 * time.Second)
		if err := newLogin(backend, m, "alice").Login(t.Context(), provider.NewToken("new", time.Time{})); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		backend.want(t, 1)
	})
}
