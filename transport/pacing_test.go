package transport_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// Guarantee 7: the first four calls of the provider when every token is dead, to the millisecond,
// and what the caller gets.
func TestG07_DeadTokensArePaced(t *testing.T) {
	tests := []struct {
		name string
		mint func(n int) (provider.Token, error)
		sent int // requests that reach the API
	}{
		// Each new token is dead: sent, replayed three times, handed back.
		{"always another", func(n int) (provider.Token, error) {
			return provider.NewToken(fmt.Sprint("dead", n), time.Time{}), nil
		}, 4},
		// The rejected token again: sent once and never after.
		{"always the same", func(int) (provider.Token, error) { return provider.NewToken("dead", time.Time{}), nil }, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stub{mint: tt.mint}
				tr := through(t, s)
				began := time.Now()
				status, err := get(tr, t.Context())
				if status != 401 || err != nil {
					t.Fatalf("status %d, error %v; want the last 401", status, err)
				}
				s.want(t, 4, tt.sent, tt.sent)
				for i, at := range []time.Duration{0, 0, 250 * time.Millisecond, 1250 * time.Millisecond} {
					if d := s.at[i].Sub(began); d != at {
						t.Errorf("call %d after %s, want %s", i+1, d, at)
					}
				}
				if st := tr.Stats(); st.Strikes != 4 {
					t.Errorf("%d strikes, want 4", st.Strikes)
				}
				// No request waits any more: each goes out once, until the next call is due.
				before := time.Now()
				if status, err := get(tr, t.Context()); status != 401 || err != nil || time.Now() != before {
					t.Errorf("in the pause: %d, %v after %s", status, err, time.Since(before))
				}
				s.want(t, 4, tt.sent+1, tt.sent+1)
			})
		})
	}
}

// Guarantee 7: one endpoint that always answers 401, hammered for a minute, costs 7 provider calls,
// and the requests to other endpoints nothing once it is known.
func TestG07_AnEndpointThatAlwaysAnswers401(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{serve: func(req *http.Request) *http.Response {
			if req.URL.Path == "/broken" {
				return reject(req)
			}
			return nil
		}}
		tr := through(t, s)
		began := time.Now()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for time.Since(began) < time.Minute {
					req, _ := http.NewRequest("GET", "https://api.example.com/broken", nil)
					if status, err := send(tr, req); status != 401 || err != nil {
						t.Errorf("broken endpoint: %d, %v", status, err)
					}
					time.Sleep(10 * time.Millisecond)
				}
			})
		}
		var longest time.Duration
		wg.Go(func() {
			time.Sleep(2 * time.Second)
			for time.Since(began) < time.Minute {
				before := time.Now()
				mustGet(t, tr)
				longest = max(longest, time.Since(before))
				time.Sleep(10 * time.Millisecond)
			}
		})
		wg.Wait()
		if calls, _, _ := s.counts(); calls != 7 {
			t.Errorf("%d provider calls in a minute, want 7", calls)
		}
		if longest != 0 {
			t.Errorf("a good request waited %s", longest)
		}
	})
}

// Guarantee 7: a genuine revocation is cured at once, and so is the next, however soon; the strikes
// of an endpoint that always answers 401 don't change that.
func TestG07_RevocationsAreCuredAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		tr := through(t, s)
		began := time.Now()
		for range 10 {
			mustGet(t, tr)
			s.revoke()
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("10 revocations took %s", d)
		}
		s.want(t, 10, 19, 9)
	})
	synctest.Test(t, func(t *testing.T) {
		s := &stub{serve: func(req *http.Request) *http.Response {
			if req.URL.Path == "/broken" {
				return reject(req)
			}
			return nil
		}}
		tr := through(t, s)
		for range 100 {
			req, _ := http.NewRequest("GET", "https://api.example.com/broken", nil)
			_, _ = send(tr, req)
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		mustGet(t, tr)
		s.revoke()
		time.Sleep(time.Minute)
		before := time.Now()
		mustGet(t, tr)
		if d := time.Since(before); d != 0 {
			t.Errorf("the cure took %s", d)
		}
	})
}

// Guarantee 7: under a strict revocation a token minted in the same second is dead on arrival, for
// up to a second.
func TestG07_ASecondOfDeadTokensIsSurvived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var until time.Time
		s := &stub{}
		s.mint = func(n int) (provider.Token, error) {
			if time.Now().Before(until) {
				return provider.NewToken(fmt.Sprint("dead", n), time.Time{}), nil
			}
			return provider.Token{}, nil
		}
		tr := through(t, s)
		mustGet(t, tr)
		s.revoke()
		until = time.Now().Add(999 * time.Millisecond)
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() { mustGet(t, tr) })
		}
		wg.Wait()
		if calls, _, _ := s.counts(); calls != 4 {
			t.Errorf("%d calls, want the first, and at 0, 0.25 and 1.25 s", calls)
		}
		if st := tr.Stats(); st.Strikes != 0 {
			t.Errorf("%d strikes after an accepted replay", st.Strikes)
		}
	})
}

// Guarantee 7: a request is replayed three times at most, even if each of its rejections comes late
// and others' replays are accepted in between.
func TestG07_ThreeReplaysAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		s := &stub{}
		tr := through(t, s)
		s.serve = func(req *http.Request) *http.Response {
			if req.URL.Path != "/broken" {
				return nil
			}
			sent++
			s.revoke()
			mustGet(t, tr)
			return reject(req)
		}
		req, _ := http.NewRequest("GET", "https://api.example.com/broken", nil)
		if status, err := send(tr, req); status != 401 || err != nil || sent != 4 {
			t.Errorf("%d, %v, sent %d times", status, err, sent)
		}
	})
}

// Guarantee 7: where the API gives no sign that the token is to blame, a request is sent twice at
// most: a wrong password is not tried until the account is locked.
func TestG07_AWrongPasswordIsSentTwice(t *testing.T) {
	bare := func(req *http.Request) *http.Response { return respond(req, 401, "wrong password") }
	own := func(resp *http.Response) bool { return resp.StatusCode == 401 }
	code := func(req *http.Request) *http.Response { return respond(req, 401, `{"code":40}`) }
	tests := []struct {
		name       string
		isRejected func(*http.Response) bool
		answer     func(*http.Request) *http.Response
		sent       int
	}{
		{"Any401", transport.Any401, bare, 2},
		{"a function that looks at the status", own, bare, 2},
		{"Any401, and the answer has a challenge", transport.Any401, reject, 4},
		{"BodyCode", transport.BodyCode("code", 40), code, 4},
		{"Bearer", nil, reject, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var sent atomic.Int32
				s := &stub{serve: func(req *http.Request) *http.Response {
					if req.URL.Path != "/login" {
						return nil
					}
					sent.Add(1)
					return tt.answer(req)
				}}
				tr := through(t, s)
				tr.IsRejected = tt.isRejected
				mustGet(t, tr)
				req, _ := http.NewRequest("POST", "https://api.example.com/login", strings.NewReader("secret"))
				if status, err := send(tr, req); status != 401 || err != nil || int(sent.Load()) != tt.sent {
					t.Errorf("%d, %v, sent %d times, want %d", status, err, sent.Load(), tt.sent)
				}
			})
		})
	}
}

// Guarantee 7: Token never returns a token that is known to be rejected. Against an API that
// rejects everything for a minute, a client that dials as fast as it can makes a few dials, and is
// told when to try again.
func TestG07_TokenIsNeverRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		tr := through(t, s)
		known := map[string]bool{}
		dials := 0
		for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(5 * time.Millisecond) {
			tok, err := tr.Token(t.Context())
			if err != nil {
				re, ok := errors.AsType[*transport.RefreshError](err)
				if !ok || re.Permanent || !re.NextTry.After(time.Now()) || !strings.Contains(err.Error(), re.NextTry.Format(time.RFC3339)) {
					t.Fatalf("error %v", err)
				}
				continue
			}
			if known[tok.Value()] {
				t.Fatalf("%s was handed out after it had been rejected", tok.Value())
			}
			dials++
			known[tok.Value()] = true
			tr.Reject(tok)
		}
		if dials < 5 || dials > 24 {
			t.Errorf("%d dials", dials)
		}
		if calls, _, _ := s.counts(); calls != dials {
			t.Errorf("%d provider calls for %d dials", calls, dials)
		}
	})
}
