package feeds_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/testserver"
	"github.com/stayauth/stayauth/transport"
)

const limitedJSON = `{"code":9,"message":"Too many requests","StatusCode":429,"duration":"0.00ms","more_info":"","details":[]}`

// limited is an API that answers the first n calls with a rate limit, with the given header.
func limited(n int, header func() http.Header) *stub {
	return &stub{answer: func(i int, _ *http.Request) (int, http.Header, string) {
		if i <= n {
			return 429, header(), limitedJSON
		}
		return 201, nil, `{"activity":{"id":"a1"}}`
	}}
}

// resetIn is a header that tells of a reset, by a clock that is ahead of this one.
func resetIn(d, ahead time.Duration) func() http.Header {
	return func() http.Header {
		theirs := time.Now().Add(ahead)
		return http.Header{"X-Ratelimit-Reset": {fmt.Sprint(theirs.Add(d).Unix())}, "Date": {theirs.UTC().Format(http.TimeFormat)}}
	}
}

func retryAfter(v string) func() http.Header {
	return func() http.Header { return http.Header{"Retry-After": {v}} }
}

// A call waits until the limit ends, in whichever header the API names the time and whatever the
// clocks say, and is then made again.
func TestRateLimitsAreWaitedFor(t *testing.T) {
	tests := []struct {
		name     string
		refusals int
		header   func() http.Header
		deadline time.Duration // 0: none
		wait     time.Duration // and up to a second more for each
		calls    int
	}{
		{"reset", 1, resetIn(40*time.Second, 0), 0, 40 * time.Second, 2},
		{"reset, clock ahead", 1, resetIn(40*time.Second, time.Hour), 0, 40 * time.Second, 2},
		{"reset, clock behind", 1, resetIn(40*time.Second, -time.Hour), 0, 40 * time.Second, 2},
		{"reset, no date", 1, func() http.Header {
			return http.Header{"X-Ratelimit-Reset": {fmt.Sprint(time.Now().Add(40 * time.Second).Unix())}}
		}, 0, 40 * time.Second, 2},
		{"reset in the past", 1, resetIn(-time.Minute, 0), 0, 0, 2},
		{"Retry-After", 1, retryAfter("7"), 0, 7 * time.Second, 2},
		{"Retry-After now", 1, retryAfter("0"), 0, 0, 2},
		{"Retry-After as a date", 1, func() http.Header {
			theirs := time.Now().Add(time.Hour).UTC()
			return http.Header{"Retry-After": {theirs.Add(7 * time.Second).Format(http.TimeFormat)}, "Date": {theirs.Format(http.TimeFormat)}}
		}, 0, 7 * time.Second, 2},
		{"Retry-After goes first", 1, func() http.Header {
			h := resetIn(40*time.Second, 0)()
			h.Set("Retry-After", "7")
			return h
		}, 0, 7 * time.Second, 2},
		{"three times", 3, retryAfter("10"), 0, 30 * time.Second, 4},
		{"within the deadline", 1, retryAfter("600"), 601 * time.Second, 600 * time.Second, 2},
		{"five minutes without a deadline", 1, retryAfter("299"), 0, 299 * time.Second, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := limited(tt.refusals, tt.header)
				var log bytes.Buffer
				s := stubbed(t, api, func(c *feeds.Client) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
				ctx := t.Context()
				if tt.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.deadline)
					defer cancel()
				}
				began := time.Now()
				out, err := s.AddActivity(ctx, &feeds.AddActivityRequest{Type: "post", Feeds: []string{"user:alice"}})
				if err != nil || out.Activity.ID != "a1" {
					t.Fatalf("%+v, %v", out, err)
				}
				spread := time.Duration(tt.calls-1) * time.Second
				if took := time.Since(began); took <= tt.wait || took >= tt.wait+spread {
					t.Errorf("took %v, want %v and up to %v more", took, tt.wait, spread)
				}
				if _, _, n := api.last(); n != tt.calls {
					t.Errorf("%d calls, want %d", n, tt.calls)
				}
				id := api.reqs[1].Header.Get("X-Client-Request-Id")
				for i := range tt.calls {
					if api.body[i+1] != api.body[1] || api.reqs[i+1].Header.Get("X-Client-Request-Id") != id || id == "" {
						t.Errorf("call %d differs from the first", i)
					}
				}
				if n := strings.Count(log.String(), "rate limited, will call again"); n != tt.calls-1 {
					t.Errorf("%d lines in the log:\n%s", n, &log)
				}
			})
		})
	}
}

// If a wait is not allowed, could not end in time, or has no end that the API names, the caller
// gets the API's error at once, with the time at which to come back.
func TestRateLimitsThatAreNotWaitedFor(t *testing.T) {
	tests := []struct {
		name     string
		refusals int
		header   func() http.Header
		deadline time.Duration
		noWait   bool
		retryIn  time.Duration // 0: unknown
		calls    int
		took     time.Duration // and up to a second more for each call after the first
	}{
		{"told not to", 9, resetIn(40*time.Second, 0), 0, true, 40 * time.Second, 1, 0},
		{"past the deadline", 9, resetIn(40*time.Second, time.Hour), 39 * time.Second, false, 40 * time.Second, 1, 0},
		{"past five minutes", 9, retryAfter("301"), 0, false, 301 * time.Second, 1, 0},
		{"no reset", 9, func() http.Header { return nil }, 0, false, 0, 1, 0},
		{"nonsense", 9, func() http.Header { return http.Header{"Retry-After": {"soon"}, "X-Ratelimit-Reset": {"-5"}} }, 0, false, 0, 1, 0},
		{"a reset far beyond", 9, func() http.Header { return http.Header{"X-Ratelimit-Reset": {"9223372036854775807"}} }, 0, false, 0, 1, 0},
		{"limited four times", 9, retryAfter("10"), 0, false, 10 * time.Second, 4, 30 * time.Second},
		{"second wait past the deadline", 9, retryAfter("10"), 15 * time.Second, false, 10 * time.Second, 2, 10 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := limited(tt.refusals, tt.header)
				s := stubbed(t, api, func(c *feeds.Client) { c.NoRateLimitWait = tt.noWait })
				ctx := t.Context()
				if tt.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.deadline)
					defer cancel()
				}
				began := time.Now()
				_, err := s.QueryActivities(ctx, nil)
				took := time.Since(began)
				e, ok := err.(*feeds.Error)
				if !ok || e.Code != feeds.CodeRateLimited || e.StatusCode != 429 || feeds.IsSessionOver(err) {
					t.Fatalf("error %v", err)
				}
				if _, _, n := api.last(); n != tt.calls || took < tt.took || took > tt.took+time.Duration(n-1)*time.Second {
					t.Errorf("%d calls, after %v", n, took)
				}
				switch {
				case tt.retryIn == 0 && !e.RetryAt.IsZero(), tt.retryIn > 0 && !e.RetryAt.Equal(time.Now().Add(tt.retryIn)):
					t.Errorf("RetryAt %v at %v", e.RetryAt, time.Now())
				case tt.retryIn > 0 && !strings.Contains(err.Error(), "the API takes more at "+e.RetryAt.Format(time.RFC3339)):
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

// A caller that gives up while its call waits for a rate limit gets its context's error, and the
// reason for the wait. Closing the session ends the wait.
func TestARateLimitWaitCanBeLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := limited(9, retryAfter("60"))
		s := stubbed(t, api)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		began := time.Now()
		wg.Go(func() {
			_, err := s.QueryActivities(ctx, nil)
			if e, ok := errors.AsType[*feeds.Error](err); !ok || e.Code != feeds.CodeRateLimited || !errors.Is(err, context.Canceled) || time.Since(began) != 5*time.Second {
				t.Errorf("cancelled: %v after %v", err, time.Since(began))
			}
		})
		wg.Go(func() {
			_, err := s.QueryActivities(t.Context(), nil)
			if !errors.Is(err, transport.ErrClosed) || !feeds.IsSessionOver(err) || time.Since(began) != 10*time.Second {
				t.Errorf("closed: %v after %v", err, time.Since(began))
			}
		})
		time.Sleep(5 * time.Second)
		cancel()
		time.Sleep(5 * time.Second)
		s.Close()
		wg.Wait()
		if _, _, n := api.last(); n != 2 {
			t.Errorf("%d calls", n)
		}
	})
}

// Many callers that were told to come back at the same moment don't, and each call takes effect
// once.
func TestRateLimitedCallersSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reset := time.Now().Add(30 * time.Second)
		srv := &testserver.Server{Fault: func(req *http.Request) testserver.Fault {
			if left := time.Until(reset); left > 0 && req.Method == "POST" {
				return testserver.Fault{Status: 429, RetryAfter: left}
			}
			return testserver.Fault{}
		}}
		s, err := start(t, srv).ConnectUser(t.Context(), feeds.User{ID: "alice"}, issuer(srv, "alice"))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		const callers = 50
		var wg sync.WaitGroup
		var mu sync.Mutex
		moments := make(map[time.Time]bool)
		for range callers {
			wg.Go(func() {
				if _, err := s.AddActivity(t.Context(), &feeds.AddActivityRequest{Type: "post", Feeds: []string{"user:alice"}}); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				moments[time.Now()] = true
				if late := time.Since(reset); late < 0 || late >= time.Second {
					t.Errorf("%v after the reset", late)
				}
			})
		}
		wg.Wait()
		if len(moments) < callers*9/10 {
			t.Errorf("%d callers came back at %d moments", callers, len(moments))
		}
		if l := srv.Ledger(); l.Effects != callers {
			t.Errorf("%d effects", l.Effects)
		}
	})
}

// A rate limit is known by its status or by its code.
func TestWhatARateLimitIs(t *testing.T) {
	for _, tt := range []struct {
		status int
		body   string
		calls  int
	}{{429, limitedJSON, 2}, {429, "<html>", 2}, {400, limitedJSON, 2}, {503, `{"code":-1}`, 1}} {
		synctest.Test(t, func(t *testing.T) {
			api := &stub{answer: func(n int, _ *http.Request) (int, http.Header, string) {
				if n == 1 {
					return tt.status, http.Header{"Retry-After": {"3"}}, tt.body
				}
				return 201, nil, `{}`
			}}
			_, err := stubbed(t, api).QueryActivities(t.Context(), nil)
			if _, _, n := api.last(); n != tt.calls || (err == nil) != (tt.calls == 2) {
				t.Errorf("%d %s: %d calls, %v", tt.status, tt.body, n, err)
			}
		})
	}
}
