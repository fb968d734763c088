package feeds_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
)

// Which answers to the call for a guest's token end the session, and which are waited out.
func TestAGuestsRefreshFails(t *testing.T) {
	tests := []struct {
		name   string
		status int
		header http.Header
		body   string
		over   bool
		calls  int // for the refresh, when the second one succeeds
		atLeast,
		atMost time.Duration
	}{
		{"not allowed", 403, nil, `{"code":17,"message":"guests are off"}`, true, 1, 0, 0},
		{"wrong key", 401, nil, `{"code":2,"message":"api_key is invalid"}`, true, 1, 0, 0},
		{"a proxy's", 403, nil, `<html>`, false, 2, 1, 5 * time.Second},
		{"internal", 500, nil, `{"code":-1,"message":"internal"}`, false, 2, 1, 5 * time.Second},
		{"no token", 201, nil, `{"user":{"id":"x"}}`, false, 2, 1, 5 * time.Second},
		{"another user's token", 201, nil, `{"access_token":"` + provider.DevToken("bob") + `","user":{"id":"GUEST"}}`, true, 1, 0, 0},
		{"rate limit", 429, http.Header{"Retry-After": {"7"}}, `{"code":9,"message":"Too many requests"}`, false, 2, 7 * time.Second, 9 * time.Second},
		{"rate limit for long", 429, http.Header{"Retry-After": {"600"}}, `{"code":9,"message":"Too many requests"}`, false, 1, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := &testserver.Server{}
				client := start(t, srv)
				connected, calls, guest := false, 0, ""
				client.Base = roundTripper(func(req *http.Request) (*http.Response, error) {
					if isGuestCall(req) && connected {
						if calls++; calls == 1 {
							req.Body.Close()
							h := tt.header
							if h == nil {
								h = http.Header{}
							}
							return &http.Response{StatusCode: tt.status, Header: h, Body: io.NopCloser(strings.NewReader(strings.Replace(tt.body, "GUEST", guest, 1)))}, nil
						}
					}
					return srv.RoundTrip(req)
				})
				s, err := client.ConnectGuest(t.Context(), feeds.User{ID: "visitor"})
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				connected, guest = true, s.User().ID
				srv.Revoke(guest)
				began := time.Now()
				_, err = s.QueryActivities(t.Context(), nil)
				if took := time.Since(began); calls != tt.calls || took < tt.atLeast || took > tt.atMost {
					t.Errorf("%d calls, after %v", calls, took)
				}
				if feeds.IsSessionOver(err) != tt.over || (err == nil) != (tt.calls == 2) {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

// The API's error for the call that asks for a guest's token is not the error of the call that
// needs the token: that call does not wait for it a second time, and its error is no *Error. For
// ConnectGuest itself it is an *Error.
func TestAGuestsRefusalIsNotTheCallsOwn(t *testing.T) {
	for name, tt := range map[string]struct {
		fault testserver.Fault
		over  bool
		asked int
	}{
		"rate limit": {testserver.Fault{Status: 429, RetryAfter: 50 * time.Second}, false, 1},
		"permission": {testserver.Fault{Status: 403, Code: feeds.CodeNotAllowed}, true, 1},
		"not found":  {testserver.Fault{Status: 404, Code: feeds.CodeNotFound}, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				faulty, asked := false, 0
				srv := &testserver.Server{}
				client := start(t, srv)
				srv.Fault = func(req *http.Request) testserver.Fault {
					if !faulty || !isGuestCall(req) {
						return testserver.Fault{}
					}
					asked++
					return tt.fault
				}
				s, err := client.ConnectGuest(t.Context(), feeds.User{ID: "visitor"})
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				faulty = true
				srv.Revoke(s.User().ID)
				_, err = s.QueryActivities(t.Context(), nil)
				if e, ok := errors.AsType[*feeds.Error](err); ok || err == nil || feeds.IsSessionOver(err) != tt.over {
					t.Errorf("%v is taken for %v", err, e)
				}
				if asked != tt.asked {
					t.Errorf("asked %d times", asked)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				for _, err := range s.Events(ctx, "user:a") {
					if e, ok := errors.AsType[*feeds.Error](err); ok || feeds.IsSessionOver(err) != tt.over || errors.Is(err, context.DeadlineExceeded) == tt.over {
						t.Errorf("Events: %v is taken for %v", err, e)
					}
				}
				if _, err := client.ConnectGuest(t.Context(), feeds.User{ID: "another"}); err == nil {
					t.Error("connected")
				} else if e, ok := errors.AsType[*feeds.Error](err); !ok || e.StatusCode != tt.fault.Status {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

// An API that says to come back in years is asked after five minutes.
func TestAGuestsRetryAfterIsCapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &testserver.Server{}
		client := start(t, srv)
		var asked []time.Time
		connected := false
		client.Base = roundTripper(func(req *http.Request) (*http.Response, error) {
			if !isGuestCall(req) || !connected {
				return srv.RoundTrip(req)
			}
			if asked = append(asked, time.Now()); len(asked) > 1 {
				return srv.RoundTrip(req)
			}
			req.Body.Close()
			return &http.Response{StatusCode: 429, Header: http.Header{"Retry-After": {"999999999"}}, Body: io.NopCloser(strings.NewReader(`{"code":9,"message":"too many"}`))}, nil
		})
		s, err := client.ConnectGuest(t.Context(), feeds.User{ID: "visitor"})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		connected = true
		srv.Revoke(s.User().ID)
		for time.Sleep(time.Second); len(asked) < 2; time.Sleep(time.Second) {
			if _, err := s.QueryActivities(t.Context(), nil); err == nil {
				break
			}
			if len(asked) > 0 && time.Since(asked[0]) > time.Hour {
				t.Fatal("not asked again within an hour")
			}
		}
		if len(asked) != 2 || asked[1].Sub(asked[0]) < 5*time.Minute || asked[1].Sub(asked[0]) > 5*time.Minute+10*time.Second {
			t.Errorf("asked at %v", asked)
		}
	})
}
