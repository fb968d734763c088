package feeds_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
	"github.com/stayauth/stayauth/transport"
)

// isGuestCall reports whether req asks for a guest.
func isGuestCall(req *http.Request) bool { return req.URL.Path == "/api/v2/guest" }

// A guest outlives its tokens as a user does, and stays the same guest.
func TestAGuestStaysTheSameGuest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &testserver.Server{TTL: time.Minute}
		client := start(t, srv)
		var asked atomic.Int64
		client.Base = roundTripper(func(req *http.Request) (*http.Response, error) {
			if isGuestCall(req) {
				asked.Add(1)
				if req.Header.Get("Authorization") != "" {
					t.Error("the call for a guest carries a token")
				}
			}
			return srv.RoundTrip(req)
		})
		s, err := client.ConnectGuest(t.Context(), feeds.User{ID: "visitor", Name: "V", Custom: map[string]any{"a": 1.0}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		guest := s.User()
		if !strings.HasPrefix(guest.ID, "guest-") || !strings.HasSuffix(guest.ID, "-visitor") || guest.Name != "V" || guest.Custom["a"] != 1.0 {
			t.Errorf("user %+v", guest)
		}
		const rounds = 20
		post := func() {
			out, err := s.AddActivity(t.Context(), &feeds.AddActivityRequest{Type: "post", Feeds: []string{"user:visitors"}})
			if err != nil || out.Activity.User.ID != guest.ID {
				t.Fatalf("%+v, %v", out, err)
			}
		}
		for range rounds {
			post()
			srv.Revoke(guest.ID)
			post()
			time.Sleep(61 * time.Second) // the token's life
		}
		if st := s.Stats(); st.Rejected != rounds || st.Refreshed != 2*rounds || asked.Load() != 2*rounds {
			t.Errorf("asked %d times, stats %+v", asked.Load(), st)
		}
		guests := 0
		for u, err := range client.Users(t.Context(), &feeds.QueryUsersRequest{FilterConditions: map[string]any{"role": "guest"}}) {
			if guests++; err != nil || u.ID != guest.ID {
				t.Errorf("%+v, %v", u, err)
			}
		}
		if guests != 1 {
			t.Errorf("%d guests", guests)
		}
	})
}

// An API that has forgotten the guest makes another one, and the session doesn't become somebody
// else.
func TestAnotherGuestEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &testserver.Server{}
		client := start(t, srv)
		forget := false
		client.Base = roundTripper(func(req *http.Request) (*http.Response, error) {
			if isGuestCall(req) && forget {
				b, err := io.ReadAll(req.Body)
				if err != nil {
					return nil, err
				}
				b = bytes.Replace(b, []byte(`"id":"guest-`), []byte(`"id":"x-`), 1)
				req = req.Clone(req.Context())
				req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
			}
			return srv.RoundTrip(req)
		})
		s, err := client.ConnectGuest(t.Context(), feeds.User{ID: "visitor"})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		guest := s.User().ID
		forget = true
		srv.Revoke(guest)
		for range 2 {
			_, err = s.QueryActivities(t.Context(), nil)
			if !feeds.IsSessionOver(err) || !strings.Contains(err.Error(), "no longer knows the guest \""+guest) {
				t.Errorf("error %v", err)
			}
		}
		if st := s.Stats(); st.FailedPermanently != 1 || s.User().ID != guest {
			t.Errorf("user %v, stats %+v", s.User(), st)
		}
	})
}

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
		{"somebody's token", 201, nil, `{"access_token":"` + provider.DevToken("bob") + `","user":{"id":"GUEST"}}`, true, 1, 0, 0},
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

// While the API has a guest wait for a rate limit nothing is under way that Close would have to
// wait for.
func TestAGuestIsClosedDuringARateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limited := false
		srv := &testserver.Server{Fault: func(req *http.Request) testserver.Fault {
			if limited && isGuestCall(req) {
				return testserver.Fault{Status: 429, RetryAfter: 20 * time.Second}
			}
			return testserver.Fault{}
		}}
		s, err := start(t, srv).ConnectGuest(t.Context(), feeds.User{ID: "visitor"})
		if err != nil {
			t.Fatal(err)
		}
		limited = true
		srv.Revoke(s.User().ID)
		began := time.Now()
		done := make(chan error)
		go func() {
			_, err := s.QueryActivities(t.Context(), nil)
			done <- err
		}()
		time.Sleep(5 * time.Second)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, transport.ErrClosed) || time.Since(began) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestConnectGuestSaysWhatIsWrong(t *testing.T) {
	for _, tt := range []struct {
		name   string
		user   string
		change func(*feeds.Client)
		want   string
	}{
		{"no id", "", func(*feeds.Client) {}, "User.ID is empty"},
		{"wrong key", "visitor", func(c *feeds.Client) { c.Key = "nobody" }, "check Client.Key"},
		{"no key", "visitor", func(c *feeds.Client) { c.Key = "" }, "Client.Key is empty"},
		{"plain http", "visitor", func(c *feeds.Client) { c.BaseURL = "http://stream.test" }, "plain http"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := start(t, &testserver.Server{})
				tt.change(client)
				s, err := client.ConnectGuest(t.Context(), feeds.User{ID: tt.user})
				if s != nil || err == nil || !strings.HasPrefix(err.Error(), "feeds: ") || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

// What the API says to the call for a guest's token is not what it says to the call that needs one:
// it is not waited for a second time, and seems to be no refusal of that call. For ConnectGuest
// itself it is one.
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
