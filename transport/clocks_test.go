package transport_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// Guarantee 8: an end that is 100 ms away, where the token does not say how long it was to live, is
// not believed.
func TestG08_AGuessedLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		s.mint = func(n int) (provider.Token, error) {
			return provider.NewToken(s.issue(fmt.Sprint("t", n)).Value(), time.Now().Add(100*time.Millisecond)), nil
		}
		tr := through(t, s)
		for range 1000 {
			mustGet(t, tr)
			time.Sleep(time.Second)
		}
		s.want(t, 1, 1000, 0)
	})
}

// Guarantee 8: clocks that are wrong and lives of every length. Whatever the client believes, a
// request is served, and each token costs at most one refresh that was not needed or one 401.
func TestG08_ClocksAndLives(t *testing.T) {
	lives := []time.Duration{40 * time.Millisecond, time.Second, 10 * time.Second, time.Hour, 24 * time.Hour, 100 * 365 * 24 * time.Hour}
	skews := []time.Duration{-time.Hour, -time.Hour + 100*time.Millisecond, -30 * time.Minute, -time.Second, 0, time.Second, 30 * time.Minute, time.Hour - 100*time.Millisecond, time.Hour}
	for _, life := range lives {
		for _, skew := range skews {
			for _, lifetimeKnown := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/%s/%t", life, skew, lifetimeKnown), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { clockTest(t, life, skew, lifetimeKnown) })
				})
			}
		}
	}
}

// clockTest uses tokens that live for life at an API whose clock is skew ahead of this machine's.
func clockTest(t *testing.T, life, skew time.Duration, lifetimeKnown bool) {
	s := &stub{life: life}
	s.mint = func(n int) (provider.Token, error) {
		value := fmt.Sprint("t", n)
		tok := s.issue(value)
		if lifetimeKnown {
			now := time.Now().Add(skew)
			jwt := jwtOf(n, now, now.Add(life))
			s.issue(jwt)
			return provider.ParseJWT(jwt)
		}
		return provider.NewToken(value, tok.Expiry().Add(skew)), nil
	}
	tr := through(t, s)
	began := time.Now()
	step := min(max(life/7, 10*time.Millisecond), 24*time.Hour)
	for range 1000 {
		mustGet(t, tr)
		time.Sleep(step)
	}
	calls, _, rejected := s.counts()
	// With a tenth of a token's life left it is believed to end by the clock, and replaced after
	// half of that: 20 calls in a life at the very most, and none of them more than once for a
	// token.
	most := 20*int(time.Since(began)/life) + 2
	if calls > most || rejected > calls {
		t.Errorf("%d calls and %d rejected in %s, want at most %d calls", calls, rejected, time.Since(began), most)
	}
	if lifetimeKnown && skew >= 0 && life >= 10*time.Second && rejected > 0 {
		t.Errorf("%d rejected, though the tokens say how long they live: a clock that is behind makes no life longer", rejected)
	}
}

// Guarantee 8: a token that already looks expired is used until it is rejected.
func TestG08_ExpiredOnArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		s.mint = func(n int) (provider.Token, error) {
			tok := s.issue(fmt.Sprint("t", n))
			return provider.NewToken(tok.Value(), time.Now().Add(-time.Hour)), nil
		}
		tr := through(t, s)
		for range 1000 {
			mustGet(t, tr)
			time.Sleep(time.Second)
		}
		s.want(t, 1, 1000, 0)
		s.revoke()
		mustGet(t, tr)
		s.want(t, 2, 1002, 1)
	})
}

// Guarantee 8: a machine that sleeps through a token's end wakes up knowing it.
func TestG08_WallClockExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{life: time.Hour}
		tr := through(t, s)
		mustGet(t, tr)
		time.Sleep(9 * time.Hour)
		mustGet(t, tr)
		s.want(t, 2, 2, 0)
	})
}

// Guarantee 8: a token out of a store, with less than a tenth of its life left, is replaced before
// its end; and a clock that is so far ahead that every token looks like that costs one call that
// was not needed.
func TestG08_ATokenNearItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{life: time.Hour}
		stored := provider.NewToken("stored", time.Now().Add(5*time.Minute)).WithLifetime(time.Hour)
		s.mint = func(n int) (provider.Token, error) {
			if n == 1 {
				s.good = map[string]time.Time{"stored": stored.Expiry()}
				return stored, nil
			}
			return provider.Token{}, nil
		}
		tr := through(t, s)
		for began := time.Now(); time.Since(began) < 40*time.Minute; time.Sleep(time.Second) {
			before := time.Now()
			mustGet(t, tr)
			if d := time.Since(before); d > 0 {
				t.Errorf("a request waited %s", d)
			}
		}
		s.want(t, 2, 2400, 0)
	})
	synctest.Test(t, func(t *testing.T) {
		s := &stub{life: time.Hour}
		s.mint = func(n int) (provider.Token, error) {
			tok := s.issue(fmt.Sprint("t", n))
			return provider.NewToken(tok.Value(), tok.Expiry().Add(-56*time.Minute)).WithLifetime(time.Hour), nil
		}
		tr := through(t, s)
		for began := time.Now(); time.Since(began) < 10*time.Hour; time.Sleep(time.Second) {
			mustGet(t, tr)
		}
		calls, _, rejected := s.counts()
		if calls > 12 || rejected > 10 {
			t.Errorf("%d calls and %d rejections in the lives of 10 tokens", calls, rejected)
		}
	})
}

// Guarantee 8: the early window is no longer than an hour and its jitter, however long a token
// lives, and one that lives for longer than a Duration can say is no different from one that never
// ends.
func TestG08_LongLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{life: 30 * 24 * time.Hour}
		tr := through(t, s)
		for began := time.Now(); time.Since(began) < 60*24*time.Hour; time.Sleep(10 * time.Minute) {
			mustGet(t, tr)
		}
		for i, at := range s.at[1:] {
			if d := at.Sub(s.at[i]); d < 30*24*time.Hour-75*time.Minute {
				t.Errorf("a token of 30 days was replaced after %s", d)
			}
		}
		if calls, _, rejected := s.counts(); calls != 3 || rejected != 0 {
			t.Errorf("%d calls, %d rejected", calls, rejected)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		s.mint = func(n int) (provider.Token, error) {
			s.issue("t")
			return provider.NewToken("t", time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)), nil
		}
		tr := through(t, s)
		tr.Stats() // its clock begins, and is past an early window when the token comes
		time.Sleep(3 * time.Hour)
		for range 100 {
			mustGet(t, tr)
			time.Sleep(30 * 24 * time.Hour)
		}
		s.want(t, 1, 100, 0)
	})
}

// Guarantee 8: a time without end is no time at all by mistake.
func TestG08_TimesWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, d := range []time.Duration{math.MaxInt64, math.MaxInt64 - time.Second, 250 * 365 * 24 * time.Hour} {
			busy := errors.New("busy")
			tr := &transport.Transport{Base: &stub{}, Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
				return provider.Token{}, provider.RetryAfter(busy, d)
			})}
			tr.Stats() // its clock begins
			time.Sleep(time.Hour)
			began := time.Now()
			if _, err := get(tr, t.Context()); !errors.Is(err, busy) || time.Since(began) != 0 {
				t.Errorf("RetryAfter %s: %v after %s", d, err, time.Since(began))
			}
			tr.Close()

			s := &stub{delay: time.Minute}
			long := &transport.Transport{Provider: s, Base: s, RefreshTimeout: d}
			long.Stats()
			time.Sleep(time.Hour)
			mustGet(t, long)
			long.Close()
		}
	})
}
