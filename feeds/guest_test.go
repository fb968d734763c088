package feeds_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/feeds"
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

// An API that has forgotten the guest creates another one. The session ends, and does not become
// that guest's.
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

// While a guest waits for a rate limit, no call is under way, and Close has nothing to wait for.
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
