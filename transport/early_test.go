package transport_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// Guarantee 5: an early refresh that brings nothing harms no request.
func TestG05_AFailedEarlyRefreshChangesNothing(t *testing.T) {
	down := errors.New("down")
	tests := []struct {
		name  string
		err   error
		same  bool // brings the token already held
		calls int  // in the life of the first token
		ends  bool // the session, with the token
		total int  // provider calls at the end
	}{
		{name: "temporary", err: down, calls: 6, total: 7}, // a sixth early call would be due in the last 5 s
		{name: "permanent", err: provider.Permanent(down), calls: 2, ends: true, total: 2},
		{name: "the same token", same: true, calls: 6, total: 7},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stub{life: time.Hour}
				var first provider.Token
				s.mint = func(n int) (provider.Token, error) {
					switch {
					case n == 1:
						first = s.issue("t1")
						return first, nil
					case time.Until(first.Expiry()) <= 0:
						return provider.Token{}, nil // mint
					case tt.same:
						return first, nil
					}
					return provider.Token{}, tt.err
				}
				tr := through(t, s)
				var ended []*transport.RefreshError
				tr.Trace = &transport.Trace{SessionEnded: func(e *transport.RefreshError) { ended = append(ended, e) }}
				began := time.Now()
				for time.Since(began) < time.Hour {
					mustGet(t, tr)
					time.Sleep(10 * time.Second)
				}
				calls, _, rejected := s.counts()
				if calls != tt.calls || rejected != 0 {
					t.Fatalf("%d calls and %d rejected in the token's life, want %d and none", calls, rejected, tt.calls)
				}
				// The first is due in the last fifth, with up to a quarter of jitter; the second
				// half-way from there.
				if d := s.at[1].Sub(began); d < 45*time.Minute || d > 48*time.Minute+10*time.Second {
					t.Errorf("first early refresh after %s", d)
				}
				if len(s.at) > 2 {
					half := s.at[1].Add(began.Add(time.Hour).Sub(s.at[1]) / 2)
					if d := s.at[2].Sub(half); d < 0 || d > 10*time.Second {
						t.Errorf("second early refresh %s after half of the life that was left", d)
					}
				}
				status, err := get(tr, t.Context())
				_, err2 := get(tr, t.Context())
				synctest.Wait() // for the events
				if tt.ends {
					re, ok := errors.AsType[*transport.RefreshError](err)
					if !ok || !re.Permanent || err2 != err || len(ended) != 1 || ended[0] != re {
						t.Errorf("at the end: %v, then %v; %d events", err, err2, len(ended))
					}
				} else if status != 200 || err != nil || err2 != nil || ended != nil {
					t.Errorf("at the end: %d, %v, %v", status, err, err2)
				}
				if calls, _, _ := s.counts(); calls != tt.total {
					t.Errorf("%d calls in total, want %d", calls, tt.total)
				}
			})
		})
	}
}

// Guarantee 5: a live token that is revoked while a failed refresh is remembered is refreshed all
// the same, or ends the session if the failure was for good.
func TestG05_RevokedAfterAPermanentEarlyFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{life: time.Hour}
		s.mint = func(n int) (provider.Token, error) {
			if n > 1 {
				return provider.Token{}, provider.Permanent(errors.New("gone"))
			}
			return provider.Token{}, nil
		}
		tr := through(t, s)
		mustGet(t, tr)
		time.Sleep(50 * time.Minute)
		mustGet(t, tr)
		synctest.Wait()
		s.revoke()
		if _, err := get(tr, t.Context()); err == nil {
			t.Error("the session goes on without a token")
		}
		if calls, _, _ := s.counts(); calls != 2 {
			t.Errorf("%d calls, want 2: a permanent failure is not asked about again", calls)
		}
	})
}

// Guarantee 5: the same opaque token, its end computed anew from each answer in whole seconds, is
// not a new token each time.
func TestG05_AnEndThatWobbles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s := &stub{}
		s.mint = func(n int) (provider.Token, error) {
			s.issue("same")
			return provider.NewToken("same", began.Add(time.Hour+time.Duration(n)*time.Millisecond)), nil
		}
		tr := through(t, s)
		for time.Since(began) < time.Hour {
			mustGet(t, tr)
			time.Sleep(100 * time.Millisecond)
		}
		s.want(t, 7, 36000, 0) // the first call, and six early ones
		// One that is really prolonged is.
		time.Sleep(time.Second)
		began = time.Now()
		mustGet(t, tr)
		if st := tr.Stats(); !st.Expiry.After(time.Now().Add(50 * time.Minute)) {
			t.Errorf("it ends at %v, now is %v", st.Expiry, time.Now())
		}
	})
}

// Guarantee 5: a RetryAfter that comes late, while the token lives, puts the second early refresh
// off and does not spend it.
func TestG05_ALateRetryAfterWhileTheTokenLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		s := &stub{life: time.Hour}
		tr := &transport.Transport{Base: s, Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
			switch calls.Add(1) {
			case 1:
				return s.issue("t1"), nil
			case 2:
				time.Sleep(31 * time.Second)
				return provider.Token{}, provider.RetryAfter(errors.New("busy"), 450*time.Second)
			}
			time.Sleep(time.Second)
			return s.issue("t2"), nil
		})}
		defer tr.Close()
		for range 61 * 60 {
			before := time.Now()
			mustGet(t, tr)
			if d := time.Since(before); d > 0 {
				t.Fatalf("a request waited %s", d)
			}
			time.Sleep(time.Second)
		}
	})
}

// A cache is a source that returns the token that it has until it is about to end, as a metadata
// server does in its last five minutes, and x/oauth2's ReuseTokenSource in its last ten seconds. It
// takes 200 ms to get another.
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

// Guarantee 5: a source that caches stalls no request, for a day.
func TestG05_CachesStallNoRequest(t *testing.T) {
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

// Guarantee 5: the same token, brought again with an end that is later, is not about to end any
// more.
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
