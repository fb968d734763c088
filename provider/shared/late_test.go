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
)

// The holder is cut off from the store, or suspended, for longer than its lease, and another takes
// over. This is the gap that no client can close; here is what is made of it.

// TestLateAnswer: the first answer comes while the other one, or after it, has been rejected with
// the spent refresh token.
func TestLateAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		work  time.Duration // of the holder's call
		other error         // what the one who takes over gets
	}{
		"while the other asks":         {17 * time.Second, nil},
		"after the other was rejected": {40 * time.Second, shared.ErrEnded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := loggedIn(t)
				net := &network{Store: m}
				var wg sync.WaitGroup
				wg.Go(func() {
					cutOff := slowAnswer{test.work, func() { net.set(down); time.AfterFunc(16500*time.Millisecond, func() { net.set(nil) }) }}
					wantToken(t, newLogin(cutOff, net, "alice"), first(), "token-1")
				})
				synctest.Wait()
				wg.Go(func() {
					backend := &singleUse{work: 10 * time.Second, next: provider.Permanent(errRevoked)}
					token, err := newLogin(backend, m, "alice").Token(t.Context(), first())
					if !errors.Is(err, test.other) || (err == nil && token.Value() != "token-1") {
						t.Errorf("Token of the one who took over = %q, %v; want token-1 or the error %v", token.Value(), err, test.other)
					}
				})
				wg.Wait()
				wantToken(t, newLogin(new(singleUse), m, "alice"), first(), "token-1")
			})
		})
	}
}

// TestLateRejection: the first one is rejected after another has got the next token, or while it is
// about to.
func TestLateRejection(t *testing.T) {
	for name, work := range map[string]time.Duration{"after the other's answer": 40 * time.Second, "before": 18 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := loggedIn(t)
				net := &network{Store: m}
				var wg sync.WaitGroup
				wg.Go(func() {
					cutOff := provider.Func(func(context.Context) (string, error) {
						net.set(down)
						time.AfterFunc(16500*time.Millisecond, func() { net.set(nil) })
						time.Sleep(work)
						return "", provider.Permanent(errRevoked)
					})
					wantToken(t, newLogin(cutOff, net, "alice"), first(), "token-1")
				})
				synctest.Wait()
				wg.Go(func() {
					wantToken(t, newLogin(&singleUse{work: 10 * time.Second}, m, "alice"), first(), "token-1")
				})
				wg.Wait()
			})
		})
	}
}

// TestRejectedWithoutTheStore: a rejection is not final while no process can tell whether another
// has the next token.
func TestRejectedWithoutTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		endSaves(t)
		net := &network{Store: loggedIn(t)}
		rejecting := rejectCutOff(net, new(int))
		_, err := newLogin(rejecting, net, "alice").Token(t.Context(), first())
		if provider.IsPermanent(err) || !errors.Is(err, errRevoked) || !strings.Contains(err.Error(), "no route to the store") {
			t.Errorf("Token: %v; want a temporary error that tells of the rejection and of the store", err)
		}
	})
}

// TestUncertainClaim: the answer to the claim is lost. The one who made it finds out that it holds
// the lease.
func TestUncertainClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, backend := loggedIn(t), new(singleUse)
		net := &network{Store: m}
		net.set(func(op string) (bool, error) {
			if op == "swap" {
				net.set(nil)
				return true, errors.New("network: lost on the way back")
			}
			return true, nil
		})
		start := time.Now()
		wantToken(t, newLogin(backend, net, "alice"), first(), "token-1")
		if time.Since(start) != 0 {
			t.Errorf("Token returned after %v; want at once", time.Since(start))
		}

		// It was not carried out: an error, and the provider was not asked.
		net.set(func(op string) (bool, error) {
			return op == "load", map[string]error{"swap": errors.New("disk full")}[op]
		})
		_, err := newLogin(backend, net, "alice").Token(t.Context(), provider.NewToken("token-1", time.Time{}))
		if err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Errorf("Token: %v; want the error of the store", err)
		}
		backend.want(t, 1)
	})
}

// TestLeavesAfterTheClaim: a caller that gives up at the last moment leaves no lease behind.
func TestLeavesAfterTheClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, backend := loggedIn(t), new(singleUse)
		ctx, cancel := context.WithCancel(t.Context())
		p := newLogin(backend, &witness{Store: m, after: func(int) { cancel() }}, "alice")
		if _, err := p.Token(ctx, first()); !errors.Is(err, context.Canceled) {
			t.Errorf("Token: %v; want the context's error", err)
		}
		backend.want(t, 0)
		start := time.Now()
		wantToken(t, newLogin(backend, m, "alice"), first(), "token-1")
		if time.Since(start) != 0 {
			t.Errorf("another had to wait %v", time.Since(start))
		}
	})
}

// TestSuspendedAfterTheClaim: a process that wakes up when its lease may be another's does not ask.
func TestSuspendedAfterTheClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, backend := loggedIn(t), &singleUse{work: time.Second}
		p := newLogin(backend, &witness{Store: m, after: func(write int) {
			if write == 1 {
				time.Sleep(15500 * time.Millisecond)
			}
		}}, "alice")
		var wg sync.WaitGroup
		wg.Go(func() { wantToken(t, p, first(), "token-1") })
		synctest.Wait()
		wg.Go(func() { wantToken(t, newLogin(backend, m, "alice"), first(), "token-1") })
		wg.Wait()
		backend.want(t, 1)
	})
}

// TestOwnLeaseIsTakenUp: a lease that this process could not release does not make it wait for
// itself.
func TestOwnLeaseIsTakenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &network{Store: loggedIn(t)}
		p := newLogin(provider.Func(func(context.Context) (string, error) { net.set(down); return "", errors.New("backend: 503") }), net, "alice")
		if _, err := p.Token(t.Context(), first()); err == nil {
			t.Fatal("Token succeeded")
		}
		net.set(nil)
		p.Provider = new(singleUse)
		start := time.Now()
		wantToken(t, p, first(), "token-1")
		if time.Since(start) != 0 {
			t.Errorf("Token returned after %v; want at once", time.Since(start))
		}
	})
}
