package transport_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// Guarantee 6: a blip is retried and no request fails.
func TestG06_TemporaryFailuresAreRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{mint: func(n int) (provider.Token, error) {
			if n < 4 {
				return provider.Token{}, errors.New("blip")
			}
			return provider.Token{}, nil
		}}
		tr := through(t, s)
		mustGet(t, tr)
		s.want(t, 4, 1, 0)
	})
}

// Guarantee 6: after a failed refresh requests fail at once, for a pause that doubles from 100 ms
// to 30 s.
func TestG06_FailuresArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		up := false
		s.mint = func(n int) (provider.Token, error) {
			if up {
				return provider.Token{}, nil
			}
			return provider.Token{}, provider.RetryAfter(errors.New("down"), 0)
		}
		tr := through(t, s)
		tr.RefreshTimeout = 50 * time.Millisecond // one call for each refresh
		pause := 100 * time.Millisecond
		for range 12 {
			before, _, _ := s.counts()
			_, err := get(tr, t.Context())
			if calls, _, _ := s.counts(); calls != before+1 {
				t.Fatalf("%d calls in one refresh", calls-before)
			}
			ended := time.Now()
			time.Sleep(pause - 1)
			if _, err2 := get(tr, t.Context()); err2 != err || err == nil || !time.Now().Equal(ended.Add(pause-1)) {
				t.Fatalf("within the pause of %s: %v after %v", pause, err2, err)
			}
			time.Sleep(time.Nanosecond)
			pause = min(2*pause, 30*time.Second)
		}
		up = true
		mustGet(t, tr)
		s.revoke()
		up = false
		_, _ = get(tr, t.Context())
		time.Sleep(100 * time.Millisecond)
		up = true
		mustGet(t, tr) // the pauses start afresh after a success
	})
}

// Guarantee 6: the table of what a provider can say, and what it does to the session.
func TestG06_OutcomesOfTheProvider(t *testing.T) {
	boom := errors.New("boom")
	tests := []struct {
		name          string
		err           error
		permanent     bool
		second        int // provider calls after another request, a minute later
		sessionEnds   int // events
		failed, final int64
	}{
		{name: "temporary", err: boom, second: 2, failed: 1},
		{name: "permanent", err: provider.Permanent(boom), permanent: true, second: 1, sessionEnds: 1, final: 1},
		{name: "permanent, wrapped", err: fmt.Errorf("outer: %w", provider.Permanent(boom)), permanent: true, second: 1, sessionEnds: 1, final: 1},
	}
	for _, tt := range tests {
		for _, after401 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, after a 401: %t", tt.name, after401), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					fail := !after401
					s := &stub{}
					s.mint = func(int) (provider.Token, error) {
						if fail {
							fail = false
							return provider.Token{}, tt.err
						}
						return provider.Token{}, nil
					}
					tr := through(t, s)
					ended := 0
					tr.Trace = &transport.Trace{SessionEnded: func(*transport.RefreshError) { ended++ }}
					tr.RefreshTimeout = time.Millisecond // no retry
					base := 0
					if after401 {
						mustGet(t, tr)
						s.revoke()
						fail, base = true, 1
					}
					_, err := get(tr, t.Context())
					re, ok := errors.AsType[*transport.RefreshError](err)
					if !ok || re.Permanent != tt.permanent || !errors.Is(err, boom) {
						t.Fatalf("error %#v", err)
					}
					if after401 && (re.StatusCode != 401 || re.Message != "the token has expired") {
						t.Errorf("the rejected answer is told as %d %q", re.StatusCode, re.Message)
					}
					time.Sleep(time.Minute)
					_, err2 := get(tr, t.Context())
					if tt.permanent && err2 != err || !tt.permanent && err2 != nil {
						t.Errorf("the next request: %v", err2)
					}
					synctest.Wait() // for the events
					if calls, _, _ := s.counts(); calls != base+tt.second || ended != tt.sessionEnds {
						t.Errorf("%d calls, %d events; want %d, %d", calls-base, ended, tt.second, tt.sessionEnds)
					}
					if st := tr.Stats(); st.Failed != tt.failed || st.FailedPermanently != tt.final {
						t.Errorf("stats %+v", st)
					}
				})
			})
		}
	}
}

// Guarantee 6: what asking again can't cure is told at once, and is no end of the session.
func TestG06_NoRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		s := &stub{}
		tr := through(t, s)
		tr.Provider = tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
			if calls++; calls == 1 {
				return provider.Token{}, fmt.Errorf("reading the login: %w", provider.NoRetry(errors.New("the folder has mode 0755")))
			}
			return s.issue("t"), nil
		})
		began := time.Now()
		_, err := get(tr, t.Context())
		re, ok := errors.AsType[*transport.RefreshError](err)
		if !ok || re.Permanent || calls != 1 || time.Since(began) != 0 || !strings.Contains(err.Error(), "0755") {
			t.Errorf("%v after %s and %d calls", err, time.Since(began), calls)
		}
		time.Sleep(100 * time.Millisecond)
		mustGet(t, tr)
	})
}

// Guarantee 6: the refresh knows what the API said, although another request than the rejected one
// has begun it.
func TestG06_TheRefreshKnowsWhatTheAPISaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		s.serve = func(req *http.Request) *http.Response {
			if s.accepts(req) {
				return nil
			}
			resp := reject(req)
			resp.Body = slowly{resp.Body}
			return resp
		}
		tr := through(t, s)
		var messages []string
		tr.Trace = &transport.Trace{RefreshDone: func(e transport.RefreshDone) { messages = append(messages, e.Message) }}
		mustGet(t, tr)
		s.revoke()
		var wg sync.WaitGroup
		wg.Go(func() { mustGet(t, tr) })
		synctest.Wait() // it is rejected, and its answer is being read
		wg.Go(func() { mustGet(t, tr) })
		wg.Wait()
		synctest.Wait()
		if fmt.Sprint(messages) != "[ the token has expired]" {
			t.Errorf("messages %q", messages)
		}
	})
}

// The provider hears what the API said when it rejected the old token, and only then.
func TestTheProviderHearsWhatTheAPISaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{life: time.Minute}
		var heard []string
		tr := &transport.Transport{Base: roundTripper(func(req *http.Request) (*http.Response, error) {
			resp, err := s.RoundTrip(req)
			if resp.StatusCode == 401 {
				resp.Header.Set("WWW-Authenticate", `Bearer error="invalid_token", claims="eyJ9", scope="read"`)
			}
			return resp, err
		}), Provider: tokenFunc(func(ctx context.Context, old provider.Token) (provider.Token, error) {
			said, ok := provider.RejectionFrom(ctx)
			heard = append(heard, fmt.Sprint(ok, said.StatusCode, said.Param("Bearer", "claims"), said.Param("bearer", "scope")))
			return s.issue("t" + old.Value()), nil
		})}
		defer tr.Close()
		mustGet(t, tr)
		s.revoke()
		mustGet(t, tr)
		time.Sleep(2 * time.Minute)
		mustGet(t, tr)
		if got := fmt.Sprint(heard); got != "[false 0 true 401eyJ9read false 0]" {
			t.Error(got)
		}
	})
}

// What has no reason, or no moment, prints all the same; and what is told of a moment is the wall
// clock's.
func TestRefreshErrorPrints(t *testing.T) {
	if s := (&transport.RefreshError{}).Error(); !strings.Contains(s, "no token") {
		t.Error(s)
	}
	synctest.Test(t, func(t *testing.T) {
		s := &stub{mint: func(int) (provider.Token, error) { return provider.Token{}, nil }}
		tr := &transport.Transport{Base: s, Provider: returning("")}
		defer tr.Close()
		_, err := get(tr, t.Context())
		re, _ := errors.AsType[*transport.RefreshError](err)
		if re == nil || re.NextTry.IsZero() || re.NextTry != re.NextTry.Round(0) {
			t.Errorf("%v", err)
		}
	})
}
