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

// TestWait: a program that ends after its callers have given up waits until the answer of the
// refresh that goes on is saved.
func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(storetest.Memory)
		slow := tokens(func() provider.Token {
			time.Sleep(10 * time.Second)
			return provider.NewToken("first", time.Time{}).WithRefreshToken("r")
		})
		login := &shared.Login{Provider: slow, Store: store, Key: "alice"}
		if err := login.Wait(t.Context()); err != nil {
			t.Errorf("with nothing under way: %v", err)
		}
		began := time.Now()
		go func() { _, _ = login.Token(t.Context(), provider.Token{}) }()
		synctest.Wait()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := login.Wait(short); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if err := login.Wait(t.Context()); err != nil || time.Since(began) != 10*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if record, _, err := store.Load(t.Context(), "alice"); err != nil || len(record) == 0 {
			t.Errorf("%d bytes are saved, %v", len(record), err)
		}
	})
	if err := new(shared.Login).Wait(t.Context()); err != nil {
		t.Errorf("a Login that can't work: %v", err)
	}
}

// TestWaitForASave: an answer that could not be saved in time is waited for, too, and the program
// is told if it never is.
func TestWaitForASave(t *testing.T) {
	for name, test := range map[string]struct {
		back time.Duration // when the store works again
		says string
	}{
		"saved at last": {2 * time.Minute, ""},
		"never saved":   {time.Hour, "is not saved"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				endSaves(t)
				m := loggedIn(t)
				net := &network{Store: m}
				began := time.Now()
				l := &shared.Login{
					Provider: slowAnswer{time.Second, func() { net.set(down) }}, Store: net, Key: "alice", Logger: new(journal).logger(),
				}
				wantToken(t, l, first(), "token-1")
				time.AfterFunc(test.back-time.Since(began), func() { net.set(nil) })
				short, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if err := l.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Wait while there is something to save: %v", err)
				}
				err := l.Wait(t.Context())
				if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
					t.Errorf("Wait: %v; want %q", err, test.says)
				}
				if after := time.Since(began); after < 2*time.Minute || after > 11*time.Minute {
					t.Errorf("Wait returned after %v", after)
				}
				if saved := strings.Contains(raw(t, m), "token-1"); saved != (test.says == "") {
					t.Errorf("the answer is in the store: %v", saved)
				}
			})
		})
	}
}

// TestWaitEnds: it tells of its context's end, and of the cause.
func TestWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, why := newLogin(numbered(), new(storetest.Memory), "alice"), errors.New("shutting down")
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { wantToken(t, p, provider.Token{}, "own-1") }()
		synctest.Wait()
		cancel(why)
		if err := p.Wait(ctx); !errors.Is(err, context.Canceled) || !errors.Is(err, why) {
			t.Errorf("Wait: %v; want the context's error and its cause", err)
		}
		if _, err := p.Token(ctx, bare("own-1")); !errors.Is(err, context.Canceled) || !errors.Is(err, why) {
			t.Errorf("Token: %v; want the context's error and its cause", err)
		}
		if err := p.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestWaitForNothingInAStoreThatHangs: a token without a refresh token is not waited for.
func TestWaitForNothingInAStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		endSaves(t)
		net := &network{Store: new(storetest.Memory)}
		p := newLogin(tokens(func() provider.Token {
			net.set(hang)
			return bare("own")
		}), net, "alice")
		wantToken(t, p, provider.Token{}, "own")
		start := time.Now()
		if err := p.Wait(t.Context()); err != nil || time.Since(start) != 0 {
			t.Errorf("Wait: %v after %v", err, time.Since(start))
		}
	})
}

// TestWaitByTheProvider: a Provider that waits for its own login is told that it waits for itself.
func TestWaitByTheProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *shared.Login
		p = newLogin(provider.Func(func(ctx context.Context) (string, error) { return "", p.Wait(ctx) }), loggedIn(t), "alice")
		start := time.Now()
		if _, err := p.Token(t.Context(), first()); err == nil || !strings.Contains(err.Error(), "waits for the Provider") || time.Since(start) != 0 {
			t.Errorf("Token: %v after %v", err, time.Since(start))
		}
	})
}

// TestWaitForARejection: one that is worth nothing to the others is not waited for, nor one that
// another process is to find out, which has claimed the token since, and may have died.
func TestWaitForARejection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // there are no refresh tokens
		m := new(storetest.Memory)
		logIn(t, newLogin(new(singleUse), m, "alice"), bare("token-0"))
		p, _ := rejectedCutOff(t, m, bare("token-0"), new(int))
		start := time.Now()
		if err := p.Wait(t.Context()); err != nil || time.Since(start) != 0 {
			t.Errorf("Wait: %v after %v", err, time.Since(start))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		m := loggedIn(t)
		p, mine := rejectedCutOff(t, m, first(), new(int))
		abandonLease(t, m, 15*time.Second)
		mine.set(nil)
		start := time.Now()
		if err := p.Wait(t.Context()); err != nil || time.Since(start) > 2*time.Second {
			t.Errorf("Wait: %v after %v", err, time.Since(start))
		}
		wantEnded(t, p, first())
	})
	synctest.Test(t, func(t *testing.T) { // it says what is not saved
		p, _ := rejectedCutOff(t, loggedIn(t), first(), new(int))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Wait(ctx); err == nil || !strings.Contains(err.Error(), "has ended is not saved") {
			t.Errorf("Wait: %v", err)
		}
	})
}

// TestWaitForARejectionThatIsLeft: Wait leaves a rejection to another process that has claimed the
// token since, also where the store is away for a moment when it is called.
func TestWaitForARejectionThatIsLeft(t *testing.T) {
	wait := func(t *testing.T, p *shared.Login, mine *network) {
		time.AfterFunc(2*time.Second, func() { mine.set(nil) })
		start := time.Now()
		if err := p.Wait(t.Context()); err != nil || time.Since(start) > 10*time.Second {
			t.Errorf("Wait: %v after %v", err, time.Since(start))
		}
	}
	synctest.Test(t, func(t *testing.T) { // which has died
		m := loggedIn(t)
		p, mine := rejectedCutOff(t, m, first(), new(int))
		abandonLease(t, m, 15*time.Second)
		wait(t, p, mine)
	})
	synctest.Test(t, func(t *testing.T) { // which is at work
		m := loggedIn(t)
		p, mine := rejectedCutOff(t, m, first(), new(int))
		var wg sync.WaitGroup
		wg.Go(func() {
			wantToken(t, newLogin(slowAnswer{50 * time.Second, func() {}}, m, "alice"), first(), "token-1")
		})
		time.Sleep(20 * time.Second) // it has taken over
		wait(t, p, mine)
		wg.Wait()
	})
	synctest.Test(t, func(t *testing.T) { // which has failed since
		m := loggedIn(t)
		p, mine := rejectedCutOff(t, m, first(), new(int))
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = newLogin(slowFailure(20*time.Second), m, "alice").Token(t.Context(), first()) })
		time.Sleep(25 * time.Second) // it has taken over
		mine.set(nil)
		time.Sleep(3 * time.Second) // seen
		mine.set(down)
		wg.Wait()
		time.AfterFunc(5*time.Second, func() { mine.set(nil) })
		if err := p.Wait(t.Context()); err != nil || !strings.Contains(raw(t, m), "dead") {
			t.Errorf("Wait: %v; the record is %s", err, raw(t, m))
		}
	})
}

// TestWaitSaysWhatIsNotSaved: whenever it began, and whoever else tries to save.
func TestWaitSaysWhatIsNotSaved(t *testing.T) {
	for i := range 20 {
		synctest.Test(t, func(t *testing.T) {
			endSaves(t)
			net := &network{Store: loggedIn(t)}
			p := newLogin(slowAnswer{time.Second, func() { net.set(hang) }}, net, "alice")
			wantToken(t, p, first(), "token-1")
			time.Sleep(time.Duration(i) * 500 * time.Millisecond)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			if err := p.Wait(ctx); err == nil || !strings.Contains(err.Error(), "is not saved") || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Wait: %v; want what is not saved, and the deadline", err)
			}
		})
	}
}

// TestTokenGoesBeforeWait: those who wait until a token is saved keep no caller from it.
func TestTokenGoesBeforeWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		endSaves(t)
		net := &network{Store: loggedIn(t)}
		p := newLogin(slowAnswer{time.Second, func() { net.set(hang) }}, net, "alice")
		wantToken(t, p, first(), "token-1")
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { _ = p.Wait(ctx) })
		}
		time.Sleep(2 * time.Minute)
		for range 3 {
			start := time.Now()
			wantToken(t, p, first(), "token-1")
			if took := time.Since(start); took > 15*time.Second {
				t.Errorf("Token after %v", took)
			}
			time.Sleep(7 * time.Second)
		}
		cancel()
		wg.Wait()
	})
}
