package transport_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// A cache is a source that returns the token that it has until it is about to end, as a metadata server does in its last five
// minutes, and x/oauth2's ReuseTokenSource in its last ten seconds. It takes 200 ms to get another.
type cache struct {
	*stub
	until time.Duration // how long before its end a token is replaced
	token provider.Token
	calls int
}

func (c *cache) Token(context.Context, provider.Token) (provider.Token, error) {
	c.calls++
	if c.token.IsZero() || time.Until(c.token.Expiry()) < c.until {
		time.Sleep(200 * time.Millisecond)
		c.token = c.issue(fmt.Sprint("t", c.calls))
	}
	return c.token, nil
}

// Guarantee 5: a source that caches stalls nobody, for a day.
func TestG05_CachesStallNobody(t *testing.T) {
	for _, until := range []time.Duration{30 * time.Minute, 5 * time.Minute, 2 * time.Minute, 30 * time.Second, 10 * time.Second} {
		t.Run(until.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &cache{stub: &stub{life: time.Hour}, until: until}
				tr := &transport.Transport{Provider: c, Base: c.stub}
				defer tr.Close()
				mustGet(t, tr)
				stalls := 0
				for began := time.Now(); time.Since(began) < 24*time.Hour; time.Sleep(time.Second) {
					before := time.Now()
					mustGet(t, tr)
					if time.Since(before) > 0 {
						stalls++
					}
				}
				st := tr.Stats()
				if stalls != 0 || st.Rejected != 0 {
					t.Errorf("%d stalls and %d rejections in a day", stalls, st.Rejected)
				}
				if most := 6 * int(st.Refreshed); c.calls > most {
					t.Errorf("%d calls for %d tokens", c.calls, st.Refreshed)
				}
			})
		})
	}
}

// Guarantee 8: a token out of a store, with less than a tenth of its life left, is replaced before its end; and a clock that is so far
// ahead that every token looks like that costs one call that was not needed.
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

// Guarantee 3: a provider that takes long is asked so much sooner.
func TestG03_ASlowProviderIsAskedSooner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{life: time.Minute, delay: 16 * time.Second}
		tr := through(t, s)
		mustGet(t, tr)
		for began := time.Now(); time.Since(began) < time.Hour; time.Sleep(time.Second) {
			before := time.Now()
			mustGet(t, tr)
			if d := time.Since(before); d > 0 {
				t.Fatalf("a request waited %s", d)
			}
		}
	})
}

// Guarantee 8: the early window is no longer than an hour and its jitter, however long a token lives, and one that lives for longer
// than a Duration can say is no different from one that never ends.
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

// Guarantee 5: the same token, brought again with an end that is later, is not about to end any more.
func TestG05_ATokenThatIsProlonged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		s.mint = func(int) (provider.Token, error) {
			s.issue("sliding")
			return provider.NewToken("sliding", time.Now().Add(time.Hour)), nil
		}
		tr := through(t, s)
		for began := time.Now(); time.Since(began) < 24*time.Hour; time.Sleep(time.Minute) {
			mustGet(t, tr)
			if st := tr.Stats(); !st.Expiry.After(time.Now()) {
				t.Fatalf("after %s it ends at %v", time.Since(began), st.Expiry)
			}
		}
		if calls, _, _ := s.counts(); calls > 24*60/45+2 {
			t.Errorf("%d calls in a day", calls)
		}
	})
}
