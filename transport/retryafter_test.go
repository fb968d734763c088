package transport_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// Guarantee 6: RetryAfter is obeyed; where it is longer than the refresh may take, everybody is
// told at once, and the provider is left in peace until then.
func TestG06_RetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait := 7 * time.Second
		s := &stub{}
		s.mint = func(n int) (provider.Token, error) {
			if n < 3 {
				return provider.Token{}, provider.RetryAfter(errors.New("busy"), wait)
			}
			return provider.Token{}, nil
		}
		tr := through(t, s)
		began := time.Now()
		mustGet(t, tr)
		if d := time.Since(began); d != 14*time.Second {
			t.Errorf("served after %s, want 14s", d)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		s.mint = func(n int) (provider.Token, error) {
			if n == 1 {
				return provider.Token{}, provider.RetryAfter(errors.New("busy"), 2*time.Minute)
			}
			return provider.Token{}, nil
		}
		tr := through(t, s)
		began := time.Now()
		_, err := get(tr, t.Context())
		if _, ok := errors.AsType[*transport.RefreshError](err); !ok || time.Since(began) != 0 {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		time.Sleep(2*time.Minute - 1)
		if _, err2 := get(tr, t.Context()); err2 != err {
			t.Errorf("before RetryAfter: %v", err2)
		}
		s.want(t, 1, 0, 0)
		time.Sleep(time.Nanosecond)
		mustGet(t, tr)
		s.want(t, 2, 1, 0)
	})
}

// Guarantee 6: a RetryAfter counts from when the provider said it, once, also if it comes late.
func TestG06_RetryAfterCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		tr := &transport.Transport{Base: &stub{}, Provider: tokenFunc(func(ctx context.Context, _ provider.Token) (provider.Token, error) {
			switch n++; n {
			case 1:
				return provider.Token{}, provider.RetryAfter(errors.New("busy"), 25*time.Second)
			case 2:
				<-ctx.Done()
				return provider.Token{}, ctx.Err()
			}
			return provider.NewToken("t", time.Time{}), nil
		})}
		defer tr.Close()
		if _, err := tr.Token(t.Context()); err == nil {
			t.Error("the first refresh succeeded")
		}
		time.Sleep(100 * time.Millisecond)
		if _, err := tr.Token(t.Context()); err != nil {
			t.Error(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		tr := &transport.Transport{Base: &stub{}, Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
			if calls.Add(1) == 1 {
				time.Sleep(31 * time.Second) // whatever the context says
				return provider.Token{}, provider.RetryAfter(errors.New("busy"), 10*time.Minute)
			}
			return provider.NewToken("t", time.Time{}), nil
		})}
		defer tr.Close()
		_, _ = tr.Token(t.Context())
		time.Sleep(10 * time.Minute)
		if _, err := tr.Token(t.Context()); err == nil || calls.Load() != 1 {
			t.Errorf("%v, %d calls before RetryAfter has passed", err, calls.Load())
		}
		time.Sleep(2 * time.Second)
		if _, err := tr.Token(t.Context()); err != nil || calls.Load() != 2 {
			t.Errorf("%v, %d calls", err, calls.Load())
		}
	})
}

// Guarantee 6: a RetryAfter at the very end of the refresh, or after it, is obeyed and told as
// well.
func TestG06_RetryAfterAtTheDeadline(t *testing.T) {
	for i := range 100 { // whether the return or the time limit is seen first is a matter of chance
		takes := 30*time.Second + time.Duration(i%2)*time.Second
		synctest.Test(t, func(t *testing.T) {
			var calls atomic.Int32
			tr := &transport.Transport{Base: &stub{}, Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
				if calls.Add(1) == 1 {
					time.Sleep(takes)
					return provider.Token{}, provider.RetryAfter(errors.New("busy"), 10*time.Minute)
				}
				return provider.NewToken("t", time.Time{}), nil
			})}
			defer tr.Close()
			_, _ = tr.Token(t.Context())
			time.Sleep(5 * time.Minute)
			_, err := tr.Token(t.Context())
			re, ok := errors.AsType[*transport.RefreshError](err)
			if !ok || calls.Load() != 1 {
				t.Fatalf("%v, %d calls before RetryAfter has passed", err, calls.Load())
			}
			if d := time.Until(re.NextTry); d < 4*time.Minute {
				t.Fatalf("next try in %s", d)
			}
			time.Sleep(time.Until(re.NextTry))
			if _, err := tr.Token(t.Context()); err != nil {
				t.Errorf("at the next try: %v", err)
			}
		})
	}
}

// Guarantee 6: a RetryAfter that was said while the token lived holds after its rejection, too. It
// is longer than a refresh lasts, so who needs a token is told at once.
func TestG06_ARetryAfterFromBeforeTheRejection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := errors.New("busy")
		s := &stub{life: time.Hour}
		s.mint = func(n int) (provider.Token, error) {
			if n == 2 {
				return provider.Token{}, provider.RetryAfter(busy, 10*time.Minute)
			}
			return provider.Token{}, nil
		}
		tr := through(t, s)
		mustGet(t, tr)
		time.Sleep(50 * time.Minute)
		mustGet(t, tr)
		synctest.Wait()
		s.revoke()
		said := time.Now()
		time.Sleep(time.Second)
		began := time.Now()
		_, err := get(tr, t.Context())
		re, ok := errors.AsType[*transport.RefreshError](err)
		if !ok || !errors.Is(err, busy) || time.Since(began) != 0 || re.NextTry.Sub(said) != 10*time.Minute {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}
