package shared_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

// TestPermanentAtTheTimeLimit: a Provider that ends with its context still has the last word: where
// its refresh token may be spent it says so, and is not asked again.
func TestPermanentAtTheTimeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		p := newLogin(provider.TokenFunc(func(ctx context.Context, _ provider.Token) (provider.Token, error) {
			sent++
			<-ctx.Done()
			return provider.Token{}, provider.Permanent(fmt.Errorf("no answer, the refresh token may be spent: %w", ctx.Err()))
		}), loggedIn(t), "alice")
		for range 2 {
			wantEnded(t, p, first())
		}
		_, err := p.Token(t.Context(), first())
		if sent != 1 || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "may be spent") {
			t.Errorf("asked %d times, and at last: %v; want once, with its words, and no context's error", sent, err)
		}
	})
}

// TestErrorsAroundPermanent: what is wrapped around a permanent error reaches the caller.
func TestErrorsAroundPermanent(t *testing.T) {
	for _, waits := range []bool{false, true} {
		p := newLogin(provider.Func(func(context.Context) (string, error) {
			return "", &coded{7, provider.Permanent(errRevoked)}
		}), loggedIn(t), "alice")
		p.WaitForLogin = waits
		_, err := p.Token(t.Context(), first())
		if e, ok := errors.AsType[*coded](err); !ok || e.code != 7 || !errors.Is(err, errRevoked) || provider.IsPermanent(err) == waits {
			t.Errorf("WaitForLogin %v: %v; want the Provider's error, permanent if that is not set", waits, err)
		}
	}
}

type coded struct {
	code int
	err  error
}

func (c *coded) Error() string { return fmt.Sprint(c.code, ": ", c.err) }
func (c *coded) Unwrap() error { return c.err }

// TestStoreErrorsThatMatchAContext: an error of the store may match the end of a context that is not
// the caller's, as net's time limits do. All else that it says is kept.
func TestStoreErrorsThatMatchAContext(t *testing.T) {
	for name, test := range map[string]struct {
		cause error
		kept  func(error) bool
	}{
		"unwritable":  {fmt.Errorf("vault is sealed: %w: %w", shared.ErrUnwritable, context.DeadlineExceeded), func(err error) bool { return errors.Is(err, shared.ErrUnwritable) }},
		"permanent":   {provider.Permanent(fmt.Errorf("there is no address: %w", context.Canceled)), provider.IsPermanent},
		"retry after": {provider.RetryAfter(fmt.Errorf("dial 10.0.0.1: %w", context.DeadlineExceeded), time.Minute), func(err error) bool { d, _ := provider.RetryDelay(err); return d == time.Minute }},
	} {
		net := &network{Store: loggedIn(t)}
		net.set(func(string) (bool, error) { return false, test.cause })
		_, err := newLogin(new(singleUse), net, "alice").Token(t.Context(), first())
		if !test.kept(err) || !strings.Contains(err.Error(), test.cause.Error()) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestStoreHangs: who reads the error learns that the store did not answer, and what it says itself.
func TestStoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &network{Store: loggedIn(t)}
		net.set(hang)
		_, err := newLogin(new(singleUse), net, "alice").Token(t.Context(), first())
		const want = `shared: loading the login "alice": the store did not answer within 5s: context deadline exceeded`
		if err == nil || err.Error() != want || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Token: %v; want %s", err, want)
		}
	})
}

// TestWaitSaysWhatIsLeft: why the newest token is not saved, also if there is no time to wait.
func TestWaitSaysWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		endSaves(t)
		net := &network{Store: loggedIn(t)}
		p := &shared.Login{Provider: slowAnswer{time.Second, func() { net.set(full) }}, Store: net, Key: "alice", Logger: new(journal).logger()}
		wantToken(t, p, first(), "token-1")
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := p.Wait(ctx); !errors.Is(err, shared.ErrUnwritable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait: %v; want it to say why the token is not saved, and that the time was over", err)
		}
	})
}

// TestWaitForNothing: without a refresh token nothing is lost, and a program may end.
func TestWaitForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		endSaves(t)
		net := &network{Store: new(storetest.Memory)}
		p := &shared.Login{Store: net, Key: "alice", Logger: new(journal).logger(), Provider: tokens(func() provider.Token {
			net.set(full)
			return provider.NewToken("own", time.Time{})
		})}
		wantToken(t, p, provider.Token{}, "own")
		start := time.Now()
		if err := p.Wait(t.Context()); err != nil || time.Since(start) > 0 {
			t.Errorf("Wait after %v: %v; want nil at once", time.Since(start), err)
		}
	})
}

// TestWaitSavesOnceMore: the store was away for longer than a save is tried, and works again when
// the program ends.
func TestWaitSavesOnceMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := loggedIn(t)
		net := &network{Store: m}
		p := &shared.Login{Provider: slowAnswer{time.Second, func() { net.set(down) }}, Store: net, Key: "alice", Logger: new(journal).logger()}
		wantToken(t, p, first(), "token-1")
		time.Sleep(11 * time.Minute)
		net.set(nil)
		if err := p.Wait(t.Context()); err != nil || !strings.Contains(raw(t, m), "token-1") {
			t.Errorf("Wait: %v, and the record is %s", err, raw(t, m))
		}
	})
}

// TestProviderCallsItsOwnLogin: it would wait for itself.
func TestProviderCallsItsOwnLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *shared.Login
		p = newLogin(provider.TokenFunc(func(ctx context.Context, old provider.Token) (provider.Token, error) { return p.Token(ctx, old) }), loggedIn(t), "alice")
		outer := newLogin(p, loggedIn(t), "bob") // another login is no trouble
		start := time.Now()
		_, err := outer.Token(t.Context(), first())
		if !provider.IsNoRetry(err) || !strings.Contains(err.Error(), "called the login's own Token") || time.Since(start) > 0 {
			t.Errorf("Token after %v: %v; want to be told at once", time.Since(start), err)
		}
	})
}
