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
)

// TestNoRetryIsShared: what asking again can't cure, it can't cure for those who waited either.
func TestNoRetryIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := loggedIn(t)
		backend := &singleUse{work: 2 * time.Second, next: provider.NoRetry(errors.New("no such program"))}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if _, err := newLogin(backend, m, "alice").Token(t.Context(), first()); !provider.IsNoRetry(err) {
					t.Errorf("Token: %v, which is not marked by NoRetry", err)
				}
			})
		}
		wg.Wait()
		backend.want(t, 1)
	})
}

// TestPermanentErrorKeepsItsWords, and loses its mark for one who waits for a new login.
func TestPermanentErrorKeepsItsWords(t *testing.T) {
	cause := errors.New("invalid_client")
	for _, waits := range []bool{false, true} {
		p := newLogin(provider.Func(func(context.Context) (string, error) {
			return "", fmt.Errorf("asking as client 7: %w", provider.Permanent(cause))
		}), loggedIn(t), "alice")
		p.WaitForLogin = waits
		_, err := p.Token(t.Context(), first())
		if !errors.Is(err, cause) || !strings.Contains(fmt.Sprint(err), "ended: asking as client 7: invalid_client") || provider.IsPermanent(err) == waits {
			t.Errorf("WaitForLogin %t: %v, permanent: %t", waits, err, provider.IsPermanent(err))
		}
	}
}

// during runs something once, when a load was carried out and its answer is on its way.
type during struct {
	shared.Store
	f func()
}

func (d *during) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	r, v, err := d.Store.Load(ctx, key)
	if f := d.f; f != nil {
		d.f = nil
		f()
	}
	return r, v, err
}

// TestNoLossNoWarning: what was loaded before a login came is no loss.
func TestNoLossNoWarning(t *testing.T) {
	log, d := new(journal), &during{Store: loggedIn(t)}
	p := &shared.Login{Provider: new(singleUse), Store: d, Key: "alice", Logger: log.logger()}
	wantToken(t, p, provider.Token{}, "token-0")
	d.f = func() {
		if err := p.Login(t.Context(), provider.NewToken("new", time.Time{})); err != nil {
			t.Error(err)
		}
	}
	wantToken(t, p, provider.Token{}, "new")
	if n := log.count("lost"); n != 0 {
		t.Errorf("%d warnings of a loss that there was not", n)
	}
}

// TestNotText: a token that the record can't hold as it is does not get into it changed.
func TestNotText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, token := range map[string]provider.Token{
			"value":         provider.NewToken("\xff", time.Time{}),
			"refresh token": provider.NewToken("new", time.Time{}).WithRefreshToken("\xff\xfe"),
		} {
			m, log := loggedIn(t), new(journal)
			if err := newLogin(new(singleUse), m, "alice").Login(t.Context(), token); !errors.Is(err, shared.ErrUnwritable) || !strings.Contains(fmt.Sprint(err), "not UTF-8") {
				t.Errorf("%s: Login: %v; want an error that says what is wrong", name, err)
			}
			before := time.Now()
			p := &shared.Login{Provider: answer(token), Store: m, Key: "alice", Logger: log.logger()}
			got, err := p.Token(t.Context(), first())
			if err != nil || !got.Equal(token) || time.Since(before) != 0 || log.count("not UTF-8") != 1 {
				t.Errorf("%s: Token = %v, %v after %v; want the token, which only this process can use, at once, and a warning", name, got, err, time.Since(before))
			}
			wantToken(t, newLogin(new(singleUse), m, "bob"), provider.Token{}, "token-1")
			if r := raw(t, m); strings.Contains(r, "\ufffd") {
				t.Errorf("%s: the record has %s", name, r)
			}
		}
		time.Sleep(10 * time.Minute) // the saves in the background give up
	})
}

// TestSavedAtLast: whoever read that a token could not be saved reads that it was.
func TestSavedAtLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, log := &network{Store: loggedIn(t)}, new(journal)
		p := &shared.Login{Provider: slowAnswer{time.Second, func() { net.set(full) }}, Store: net, Key: "alice", Logger: log.logger()}
		start := time.Now()
		wantToken(t, p, first(), "token-1")
		if d := time.Since(start); d != time.Second {
			t.Errorf("Token returned after %v; want it at once, since a person has to mend the store", d)
		}
		if log.count("could not be saved") != 1 {
			t.Errorf("logged %s", &log.buf)
		}
		net.set(nil)
		if err := p.Wait(t.Context()); err != nil || log.count("is saved at last") != 1 {
			t.Errorf("Wait: %v; logged %s", err, &log.buf)
		}
	})
}
