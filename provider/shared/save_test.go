package shared_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

// slowAnswer is a provider whose backend has spent the refresh token, and whose answer is on its
// way for so long. It runs sent once the call has arrived.
type slowAnswer struct {
	work time.Duration
	sent func()
}

func (s slowAnswer) Token(context.Context, provider.Token) (provider.Token, error) {
	s.sent()
	time.Sleep(s.work)
	return provider.NewToken("token-1", time.Time{}).WithRefreshToken("secret-1"), nil
}

// TestSaveIsRetried: the store fails when the answer arrives, and works again before the lease is
// over.
func TestSaveIsRetried(t *testing.T) {
	for name, fault := range map[string]func(string) (bool, error){
		"down":          down,
		"read-only":     readOnly,
		"hangs":         hang,
		"lost answers":  func(string) (bool, error) { return true, errors.New("network: lost on the way back") },
		"full at times": func(op string) (bool, error) { return op == "load", errors.New("disk full") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := loggedIn(t)
				net := &network{Store: m}
				log := new(journal)
				p := &shared.Login{Provider: slowAnswer{time.Second, func() { net.set(fault) }}, Store: net, Key: "alice", Logger: log.logger()}
				time.AfterFunc(9*time.Second, func() { net.set(nil) })
				start := time.Now()
				wantToken(t, p, first(), "token-1")
				if after := time.Since(start); after > 12*time.Second {
					t.Errorf("Token returned after %v; want soon after the store works again, at 9 s", after)
				}
				if log.buf.Len() != 0 {
					t.Errorf("a token that was saved is reported: %s", log.buf.String())
				}
				wantToken(t, newLogin(new(singleUse), m, "alice"), first(), "token-1")
			})
		})
	}
}

// TestSuspendedWhileSaving: the process stands still for longer than its lease while a write is
// under way, which is lost. It has the time that it has missed, and saves.
func TestSuspendedWhileSaving(t *testing.T) {
	for _, op := range []string{"swap", "load"} {
		t.Run("in a "+op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				endSaves(t)
				m, log := loggedIn(t), new(journal)
				net := &network{Store: m}
				var stands atomic.Pointer[time.Time] // until when
				p := &shared.Login{Store: net, Key: "alice", Logger: log.logger()}
				p.Provider = slowAnswer{time.Second, func() {
					net.set(func(is string) (bool, error) {
						if until := time.Now().Add(40 * time.Second); is == op {
							stands.CompareAndSwap(nil, &until)
						}
						until := stands.Load()
						if until == nil {
							return down(is)
						}
						if left := time.Until(*until); left > 0 { // everything in the process stands still
							time.Sleep(left)
							return down(is)
						}
						return true, nil
					})
				}}
				wantToken(t, p, first(), "token-1")
				if stands.Load() == nil || !strings.Contains(raw(t, m), "token-1") {
					t.Errorf("the answer is not saved when Token returns: %s", raw(t, m))
				}
				if log.buf.Len() != 0 {
					t.Errorf("a token that was saved is reported: %s", log.buf.String())
				}
			})
		})
	}
}

// endSaves lets what is still tried in the background come to its end with the test.
func endSaves(t *testing.T) { t.Cleanup(func() { time.Sleep(11 * time.Minute) }) }

// TestSaveFails: the store fails until the lease is over and longer. This process alone uses the
// token, says so each time, does not ask for another, and saves it as soon as it is asked for a
// token and can.
func TestSaveFails(t *testing.T) {
	for name, fault := range map[string]func(string) (bool, error){"down": down, "read-only": readOnly} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				endSaves(t)
				m := loggedIn(t)
				net, log := &network{Store: m}, new(journal)
				backend := &singleUse{}
				p := &shared.Login{Provider: backend, Store: net, Key: "alice", Logger: log.logger()}
				p.Provider = slowAnswer{time.Second, func() { net.set(fault); _, _ = backend.begin(first()); backend.end() }}
				start := time.Now()
				unsaved := wantToken(t, p, first(), "token-1")
				if after := time.Since(start); after < 15*time.Second || after > 21*time.Second {
					t.Errorf("Token returned after %v; want the lease of 15 s to be used up, and at most one more operation", after)
				}
				p.Provider = backend

				wantToken(t, p, provider.Token{}, "token-1")
				wantToken(t, p, first(), "token-1")
				if n := log.count("could not be saved"); n != 3 {
					t.Errorf("it was said %d times that the token is not saved; want 3", n)
				}
				if _, err := p.Token(t.Context(), unsaved); err == nil || provider.IsPermanent(err) {
					t.Errorf("Token to replace the unsaved one: %v; want a temporary error", err)
				}
				backend.want(t, 1)

				net.set(nil)
				wantToken(t, p, first(), "token-1")
				wantToken(t, newLogin(backend, m, "alice"), first(), "token-1")
				wantToken(t, p, unsaved, "token-2")
				backend.want(t, 2)
				if n := log.count("could not be saved"); n != 3 {
					t.Errorf("it was said %d times that the token is not saved; want 3, as it is saved now", n)
				}
				if s := log.buf.String(); strings.Contains(s, "token-") || strings.Contains(s, "secret-") {
					t.Errorf("a secret was logged: %s", s)
				}
			})
		})
	}
}

// TestUnsavedIsOvertaken: while this process could not save, the login ended or began anew. What it
// holds is void then.
func TestUnsavedIsOvertaken(t *testing.T) {
	unsaved := func(t *testing.T) (m *storetest.Memory, net *network, p *shared.Login) {
		endSaves(t)
		m = loggedIn(t)
		net = &network{Store: m}
		p = &shared.Login{Store: net, Key: "alice", Logger: new(journal).logger()}
		p.Provider = slowAnswer{time.Second, func() { net.set(down) }}
		wantToken(t, p, first(), "token-1")
		net.set(nil)
		return m, net, p
	}
	t.Run("by a logout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, _, p := unsaved(t)
			if err := newLogin(new(singleUse), m, "alice").Forget(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantEnded(t, p, first())
		})
	})
	t.Run("by its own logout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, net, p := unsaved(t)
			if err := p.Forget(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantEnded(t, p, first())
			net.set(down)
			if token, err := p.Token(t.Context(), provider.Token{}); err == nil {
				t.Errorf("Token after the logout = %q; want an error", token.Value())
			}
		})
	})
	t.Run("by a login", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, _, p := unsaved(t)
			if err := newLogin(new(singleUse), m, "alice").Login(t.Context(), provider.NewToken("new", time.Time{})); err != nil {
				t.Fatal(err)
			}
			wantToken(t, p, first(), "new")
		})
	})
	// The others found the lease abandoned and were rejected with the spent refresh token: the
	// login looks dead, and is not.
	t.Run("by a rejection", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, net, p := unsaved(t)
			net.set(down)
			calls := 0
			if _, err := newLogin(reject(&calls), m, "alice").Token(t.Context(), first()); !errors.Is(err, errRevoked) {
				t.Fatal(err)
			}
			net.set(nil)
			wantToken(t, p, first(), "token-1")
			wantToken(t, newLogin(new(singleUse), m, "alice"), first(), "token-1")
		})
	})
}

// TestServesFromMemory: a store that can't be read does not keep a token from those who don't have
// it yet.
func TestServesFromMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, backend := &network{Store: loggedIn(t)}, new(singleUse)
		p := newLogin(backend, net, "alice")
		token := wantToken(t, p, first(), "token-1")
		net.set(down)
		wantToken(t, p, first(), "token-1")
		if _, err := p.Token(t.Context(), token); err == nil || !strings.Contains(err.Error(), "no route to the store") || provider.IsPermanent(err) {
			t.Errorf("Token to replace what is in memory: %v; want the temporary error of the store", err)
		}
		net.set(hang)
		_, err := p.Token(t.Context(), token)
		if errors.Is(err, context.DeadlineExceeded) || err == nil {
			t.Errorf("Token with a store that hangs: %v; want an error that is no context's", err)
		}
		backend.want(t, 1)
	})
}

// TestLostWrites: a store that failed over to an older copy, or lost its memory, gets the newest
// token back.
func TestLostWrites(t *testing.T) {
	for name, test := range map[string]struct {
		lose func(t *testing.T, m *storetest.Memory, older []byte)
		want string
	}{
		"the last one": {func(t *testing.T, m *storetest.Memory, older []byte) { put(t, m, older) }, "token-1"},
		"all":          {func(_ *testing.T, m *storetest.Memory, _ []byte) { m.Lose() }, "token-1"},
		"all, and there was a new login": {func(t *testing.T, m *storetest.Memory, _ []byte) {
			m.Lose()
			if err := newLogin(new(singleUse), m, "alice").Login(t.Context(), provider.NewToken("new", time.Time{})); err != nil {
				t.Fatal(err)
			}
		}, "new"},
	} {
		t.Run(name, func(t *testing.T) {
			m, backend, log := loggedIn(t), new(singleUse), new(journal)
			older := []byte(raw(t, m))
			p := &shared.Login{Provider: backend, Store: m, Key: "alice", Logger: log.logger()}
			wantToken(t, p, first(), "token-1")
			test.lose(t, m, older)
			wantToken(t, p, first(), test.want)
			wantToken(t, newLogin(backend, m, "alice"), first(), test.want)
			backend.want(t, 1)
			if n := log.count("it was written back"); (n == 1) != (test.want == "token-1") {
				t.Errorf("it was said %d times that a token is written back", n)
			}
		})
	}
}

// put makes record the stored one.
func put(t *testing.T, m *storetest.Memory, record []byte) {
	t.Helper()
	_, version, _ := m.Load(t.Context(), "alice")
	if _, err := m.CompareAndSwap(t.Context(), "alice", record, version); err != nil {
		t.Fatal(err)
	}
}
