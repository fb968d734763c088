package shared_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
)

func TestCancelled(t *testing.T) {
	why := errors.New("the user pressed a key")
	tests := map[string]struct {
		cancelAt time.Duration
		waits    bool // for another process
		err      error
		calls    int
	}{
		"before":                      {0, false, why, 0},
		"while loading":               {10 * time.Millisecond, false, why, 0},
		"while claiming":              {50 * time.Millisecond, false, why, 0},
		"while the provider is asked": {time.Second, false, nil, 1},
		"while saving":                {10*time.Second + 90*time.Millisecond, false, nil, 1},
		"while waiting":               {5 * time.Second, true, why, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, backend := loggedIn(t), &singleUse{work: 10 * time.Second}
				var wg sync.WaitGroup
				if test.waits {
					wg.Go(func() { wantToken(t, newLogin(backend, m, "alice"), first(), "token-1") })
					synctest.Wait()
				}
				p := newLogin(backend, &network{Store: m, delay: 20 * time.Millisecond}, "alice")
				ctx, cancel := context.WithCancelCause(t.Context())
				if test.cancelAt == 0 {
					cancel(why)
				}
				timer := time.AfterFunc(test.cancelAt, func() { cancel(why) })
				defer timer.Stop()
				start := time.Now()
				token, err := p.Token(ctx, first())
				if !errors.Is(err, test.err) || (err == nil) != (token.Value() == "token-1") {
					t.Errorf("Token = %q, %v; want the error %v", token.Value(), err, test.err)
				}
				if left := time.Since(start) - test.cancelAt; err != nil && left != 0 {
					t.Errorf("Token returned %v after it was cancelled", left)
				}
				backend.want(t, test.calls)
				wg.Wait()
				// Whatever happened, the login is not lost, and only the claim that was cut off may
				// have to run out.
				wantToken(t, newLogin(backend, m, "alice"), first(), "token-1")
				backend.want(t, 1)
			})
		})
	}
}

// TestProviderDoesNotReturn: the lease does not stay behind.
func TestProviderDoesNotReturn(t *testing.T) {
	for name, fail := range map[string]func(){"panics": func() { panic("broken") }, "exits": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := loggedIn(t)
				broken := provider.Func(func(context.Context) (string, error) { fail(); return "", nil })
				p := newLogin(broken, m, "alice")
				ended := make(chan any)
				go func() { // ends as the provider does
					defer func() { ended <- recover() }()
					_, _ = p.Token(t.Context(), first())
				}()
				<-ended
				start := time.Now()
				p.Provider = new(singleUse)
				wantToken(t, newLogin(new(singleUse), m, "alice"), first(), "token-1")
				wantToken(t, p, first(), "token-1") // the same process: its turn is over
				if time.Since(start) != 0 {
					t.Errorf("the others waited %v for a lease whose holder is gone", time.Since(start))
				}
			})
		})
	}
}
