package feeds_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
	"github.com/stayauth/stayauth/transport"
)

// start returns a test server in memory and a client of it, for a synctest bubble.
func start(t *testing.T, srv *testserver.Server) *feeds.Client {
	t.Helper()
	t.Cleanup(func() {
		if err := srv.Check(); err != nil {
			t.Error(err)
		}
		srv.Close()
	})
	return backend(testserver.DefaultKey, testserver.DefaultSecret, srv)
}

// backend returns a client that has a secret.
func backend(key, secret string, base http.RoundTripper) *feeds.Client {
	c, err := feeds.NewClient(key, secret)
	if err != nil {
		panic(err) // the key is empty
	}
	c.BaseURL, c.Base = "https://stream.test", base
	return c
}

// issuer is a token provider that asks the server directly.
func issuer(srv *testserver.Server, userID string) provider.TokenProvider {
	return provider.Func(func(context.Context) (string, error) { return srv.Issue(userID), nil })
}

// A session outlives its tokens: an hour of expiries and revocations, and every call takes effect
// once.
func TestASessionOutlivesItsTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &testserver.Server{TTL: time.Minute}
		client := start(t, srv)
		s, err := client.ConnectUser(t.Context(), feeds.User{ID: "alice", Name: "Alice"}, issuer(srv, "alice"))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		const posters, rounds = 10, 60
		for round := range rounds {
			if round%7 == 0 {
				srv.Revoke("alice")
			}
			var wg sync.WaitGroup
			for i := range posters {
				wg.Go(func() {
					out, err := s.AddActivity(t.Context(), &feeds.AddActivityRequest{Type: "post", Feeds: []string{"user:alice"}, Text: fmt.Sprint(round, i)})
					if err != nil || out.Activity.Text != fmt.Sprint(round, i) || out.Activity.User.ID != "alice" || out.Activity.CreatedAt.IsZero() {
						t.Errorf("%+v, %v", out, err)
					}
				})
			}
			wg.Wait()
			time.Sleep(time.Minute)
		}
		n := 0
		for req := new(feeds.QueryActivitiesRequest); ; {
			req.Filter, req.Limit = map[string]any{"user_id": "alice"}, 100
			page, err := s.QueryActivities(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			n += len(page.Activities)
			if req.Next = page.Next; req.Next == "" {
				break
			}
		}
		if n != posters*rounds {
			t.Errorf("%d activities, want %d", n, posters*rounds)
		}
		feed, err := s.GetOrCreateFeed(t.Context(), "user", "alice", nil)
		if err != nil || feed.Created || feed.Feed.Feed != "user:alice" || len(feed.Activities) == 0 {
			t.Errorf("%+v, %v", feed, err)
		}
		l := srv.Ledger()
		if st := s.Stats(); st.Refreshed != int64(l.Issued) || st.NotReplayable != 0 {
			t.Errorf("%d tokens issued, stats %+v", l.Issued, st)
		}
	})
}

// A session never takes another user's token, whenever the provider brings one.
func TestATokenOfAnotherUserEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &testserver.Server{}
		client := start(t, srv)
		user := "alice"
		s, err := client.ConnectUser(t.Context(), feeds.User{ID: "alice"}, provider.Func(func(context.Context) (string, error) { return srv.Issue(user), nil }))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		user = "bob"
		srv.Revoke("alice")
		_, err = s.QueryActivities(t.Context(), nil)
		if !feeds.IsSessionOver(err) || !strings.Contains(err.Error(), `user "bob"`) {
			t.Errorf("error %v", err)
		}
	})
}

// Only code 40 refreshes: a permission error, another 401 and a rate limit are the call's own.
func TestOtherRefusalsAreTheCallsOwn(t *testing.T) {
	for _, f := range []testserver.Fault{{Status: 403, Code: 17}, {Status: 401, Code: 43}, {Status: 401, Code: 42}, {Status: 429, Code: 9}, {Status: 500}} {
		t.Run(fmt.Sprint(f.Status, f.Code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				broken := false
				srv := &testserver.Server{Fault: func(*http.Request) testserver.Fault {
					if broken {
						return f
					}
					return testserver.Fault{}
				}}
				client := start(t, srv)
				s, err := client.ConnectUser(t.Context(), feeds.User{ID: "alice"}, issuer(srv, "alice"))
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				broken = true
				_, err = s.QueryActivities(t.Context(), nil)
				if e, ok := errors.AsType[*feeds.Error](err); !ok || e.StatusCode != f.Status || feeds.IsSessionOver(err) ||
					e.Operation != "POST /api/v2/feeds/activities/query" {
					t.Errorf("error %v", err)
				}
				if st := s.Stats(); st.Refreshed != 1 || st.Rejected != 0 {
					t.Errorf("stats %+v", st)
				}
			})
		})
	}
}

func TestCloseEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &testserver.Server{}
		s, err := start(t, srv).ConnectUser(t.Context(), feeds.User{ID: "alice"}, issuer(srv, "alice"))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		_, err = s.AddActivity(t.Context(), &feeds.AddActivityRequest{Type: "post", Feeds: []string{"user:alice"}})
		if !errors.Is(err, transport.ErrClosed) || !feeds.IsSessionOver(err) {
			t.Errorf("error %v", err)
		}
	})
}

// A keeping is a token provider that may have something left to save.
type keeping struct {
	provider.TokenProvider
	err error
}

func (k keeping) Wait(context.Context) error { return k.err }

// Close waits for the session's token provider, as that of a transport does.
func TestCloseWaitsForTheProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &testserver.Server{}
		want := errors.New("not saved")
		s, err := start(t, srv).ConnectUser(t.Context(), feeds.User{ID: "alice"}, keeping{issuer(srv, "alice"), want})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); !errors.Is(err, want) {
			t.Errorf("Close: %v, want %v", err, want)
		}
	})
}

// Path segments arrive as they were given, whatever is in them.
func TestPathsAreEscaped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &testserver.Server{}
		s, err := start(t, srv).ConnectUser(t.Context(), feeds.User{ID: "alice"}, issuer(srv, "alice"))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for _, id := range []string{"alice", "a b", "a/b", "a%2Fb", "ä", "..", ".", "a?b#c"} {
			out, err := s.GetOrCreateFeed(t.Context(), "user", id, nil)
			if err != nil || out.Feed.ID != id {
				t.Errorf("%q: %v, %v", id, out, err)
			}
		}
	})
}

func TestTimestamp(t *testing.T) {
	want := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	for in, zero := range map[string]bool{fmt.Sprint(want.UnixNano()): false, `"2026-01-02T03:04:05.000006Z"`: false, "null": true} {
		var got feeds.Timestamp
		if err := json.Unmarshal([]byte(in), &got); err != nil || zero != got.IsZero() || !zero && !got.Equal(want) {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{`"yesterday"`, `1.5`, `{}`, `true`} {
		var got feeds.Timestamp
		if err := json.Unmarshal([]byte(in), &got); err == nil {
			t.Errorf("%s: %v", in, got)
		}
	}
}
