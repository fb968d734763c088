package feeds_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/testserver"
)

// ids collects what an iterator yields, as far as it goes without an error.
func ids[T any](t *testing.T, seq iter.Seq2[T, error], id func(T) string) []string {
	t.Helper()
	var out []string
	for v, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, id(v))
	}
	return out
}

// An iterator goes through all pages in order, fetches each when it is needed, and begins anew with
// each loop.
func TestActivitiesOfAllPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &testserver.Server{}
		s, err := start(t, srv).ConnectUser(t.Context(), feeds.User{ID: "alice"}, issuer(srv, "alice"))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		const n = 25
		var want []string
		for i := range n {
			id := fmt.Sprintf("a%02d", n-1-i)
			want = append(want, fmt.Sprintf("a%02d", i))
			if _, err := s.AddActivity(t.Context(), &feeds.AddActivityRequest{ID: id, Type: "post", Feeds: []string{"user:alice"}}); err != nil {
				t.Fatal(err)
			}
		}
		arrived := func() int { return srv.Ledger().Arrived }
		id := func(a feeds.Activity) string { return a.ID }

		req := &feeds.QueryActivitiesRequest{Filter: map[string]any{"user_id": "alice"}, Limit: 10, Prev: "ignored"}
		before := arrived()
		seq := s.Activities(t.Context(), req)
		if arrived() != before {
			t.Error("a page was fetched before the loop")
		}
		for range 2 {
			before = arrived()
			if got := ids(t, seq, id); fmt.Sprint(got) != fmt.Sprint(want) || arrived() != before+3 {
				t.Errorf("%v after %d requests", got, arrived()-before)
			}
		}
		if req.Next != "" || req.Prev != "ignored" || req.Limit != 10 {
			t.Errorf("the caller's request was changed: %+v", req)
		}
		before = arrived()
		seen := 0
		for range seq {
			if seen++; seen == 10 {
				break
			}
		}
		if arrived() != before+1 {
			t.Errorf("10 of 10 took %d requests", arrived()-before)
		}

		if got := ids(t, s.FeedActivities(t.Context(), "user", "alice", &feeds.GetOrCreateFeedRequest{Limit: 10}), id); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("feed: %v", got)
		}
		page, err := s.QueryActivities(t.Context(), &feeds.QueryActivitiesRequest{Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		rest := &feeds.QueryActivitiesRequest{Limit: 10, Next: page.Next}
		if got := ids(t, s.Activities(t.Context(), rest), id); fmt.Sprint(got) != fmt.Sprint(want[10:]) {
			t.Errorf("from the second page on: %v", got)
		}
	})
}

// The other iterators page in the same way: three pages, the second of them empty.
func TestOtherIterators(t *testing.T) {
	ctx := t.Context()
	for _, tt := range []struct {
		name  string
		pages []string
		all   func(*testing.T, *feeds.Session) func() []string
		field string // where the cursor goes
	}{
		{"Feeds", []string{`{"feeds":[{"feed":"1"},{"feed":"2"}],"next":"n1"}`, `{"feeds":[],"next":"n2"}`, `{"feeds":[{"feed":"3"}]}`},
			func(t *testing.T, s *feeds.Session) func() []string {
				seq := s.Feeds(ctx, nil)
				return func() []string { return ids(t, seq, func(f feeds.Feed) string { return f.Feed }) }
			}, "body"},
		{"Follows", []string{`{"follows":[{"status":"1"},{"status":"2"}],"next":"n1"}`, `{"follows":null,"next":"n2"}`, `{"follows":[{"status":"3"}],"next":null}`},
			func(t *testing.T, s *feeds.Session) func() []string {
				seq := s.Follows(ctx, nil)
				return func() []string { return ids(t, seq, func(f feeds.Follow) string { return f.Status }) }
			}, "body"},
		{"Comments", []string{`{"comments":[{"id":"1"},{"id":"2"}],"next":"n1"}`, `{"next":"n2"}`, `{"comments":[{"id":"3"}],"next":""}`},
			func(t *testing.T, s *feeds.Session) func() []string {
				seq := s.Comments(ctx, &feeds.GetCommentsRequest{ObjectID: "a1"})
				return func() []string { return ids(t, seq, func(c feeds.Comment) string { return c.ID }) }
			}, "query"},
		{"Users", []string{`{"users":[{"id":"1"},{"id":"2"}]}`, `{"users":[{"id":"3"}]}`, `{"users":[]}`},
			func(t *testing.T, s *feeds.Session) func() []string {
				seq := s.Users(ctx, &feeds.QueryUsersRequest{Limit: 5, Offset: 4})
				return func() []string { return ids(t, seq, func(u feeds.UserResponse) string { return u.ID }) }
			}, "offset"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			api := &stub{answer: func(n int, _ *http.Request) (int, http.Header, string) { return 200, nil, tt.pages[(n-1)%3] }}
			all := tt.all(t, stubbed(t, api))
			for range 2 {
				if got := fmt.Sprint(all()); got != "[1 2 3]" {
					t.Errorf("%v", got)
				}
			}
			_, _, n := api.last()
			if n != 6 {
				t.Fatalf("%d requests", n)
			}
			for i, cursor := range []string{"", "n1", "n2", "", "n1", "n2"} {
				req, body := api.reqs[i+1], api.body[i+1]
				switch tt.field {
				case "body":
					if want := map[bool]string{true: `{}`, false: `{"next":"` + cursor + `"}`}[cursor == ""]; body != want {
						t.Errorf("request %d: %s", i, body)
					}
				case "query":
					if req.URL.Query().Get("next") != cursor || req.URL.Query().Get("object_id") != "a1" || req.URL.Query().Get("object_type") != "activity" {
						t.Errorf("request %d: %s", i, req.URL)
					}
				case "offset":
					if want := fmt.Sprintf(`{"filter_conditions":{},"limit":5,"offset":%d}`, 4+[]int{0, 2, 3}[i%3]); req.URL.Query().Get("payload") != want {
						t.Errorf("request %d: %s", i, req.URL.Query().Get("payload"))
					}
				}
			}
		})
	}
}

// An error is yielded once and ends the loop, after what came before it. Each loop over the
// iterator tries again.
func TestAnErrorEndsTheLoop(t *testing.T) {
	for name, tt := range map[string]struct {
		second string
		status int
		want   string
	}{
		"an error": {`{"code":4,"message":"limit"}`, 400, "limit (status 400, code 4"},
		"loop":     {`{"activities":[{"id":"3"}],"next":"n1"}`, 201, "in a circle: the list has no end"},
	} {
		t.Run(name, func(t *testing.T) {
			api := &stub{answer: func(n int, _ *http.Request) (int, http.Header, string) {
				if n%2 == 1 {
					return 201, nil, `{"activities":[{"id":"1"},{"id":"2"}],"next":"n1"}`
				}
				return tt.status, nil, tt.second
			}}
			seq := stubbed(t, api).Activities(t.Context(), nil)
			for range 2 {
				var got []string
				var failed error
				for a, err := range seq {
					if failed != nil {
						t.Error("it goes on after an error")
					}
					if failed = err; err == nil {
						got = append(got, a.ID)
					} else if a.ID != "" {
						t.Errorf("an activity with an error: %+v", a)
					}
				}
				if failed == nil || !strings.Contains(failed.Error(), tt.want) || !strings.HasPrefix(fmt.Sprint(got), "[1 2") {
					t.Errorf("%v, %v", got, failed)
				}
			}
			if _, _, n := api.last(); n != 4 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// The end of its context ends an iterator, however much it has read.
func TestACancelledLoop(t *testing.T) {
	api := &stub{answer: func(n int, _ *http.Request) (int, http.Header, string) {
		return 201, nil, fmt.Sprintf(`{"activities":[{"id":"1"}],"next":"n%d"}`, n)
	}}
	s := stubbed(t, api)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := 0
	for _, err := range s.Activities(ctx, nil) {
		if seen++; seen == 3 {
			cancel()
		}
		if (err != nil) != (seen == 4) || err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("round %d: %v", seen, err)
		}
	}
	if seen != 4 {
		t.Errorf("%d rounds", seen)
	}
}

// A loop over pages always ends: with an error if the pages have no end.
func TestIteratorsEnd(t *testing.T) {
	numbered := func(n, from, to int) string {
		var ids []string
		for i := from; i < to; i++ {
			ids = append(ids, fmt.Sprintf(`{"id":"%d"}`, i))
		}
		return strings.Join(ids, ",")
	}
	activities := func(s *feeds.Session) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			for a, err := range s.Activities(t.Context(), nil) {
				if !yield(a.ID, err) {
					return
				}
			}
		}
	}
	users := func(s *feeds.Session) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			for u, err := range s.Users(t.Context(), &feeds.QueryUsersRequest{Limit: 2}) {
				if !yield(u.ID, err) {
					return
				}
			}
		}
	}
	for _, tt := range []struct {
		name   string
		list   func(*feeds.Session) iter.Seq2[string, error]
		answer func(n int) string // n counts from 1
		want   string
		ends   string
		calls  int
	}{
		{"a circle of three", activities, func(n int) string {
			return fmt.Sprintf(`{"activities":[%s],"next":"n%d"}`, numbered(n, n, n+1), n%3)
		}, "[1 2 3 4]", "in a circle", 4},
		{"back to the first page", activities, func(n int) string {
			return fmt.Sprintf(`{"activities":[%s],"next":"n%d"}`, numbered(n, n, n+1), min(n, 2)%2)
		}, "[1 2 3]", "in a circle", 3},
		{"empty for ever", activities, func(n int) string { return fmt.Sprintf(`{"activities":[],"next":"n%d"}`, n) }, "[]", "100 pages in a row", 100},
		{"long empty", activities, func(n int) string {
			if n == 100 {
				return `{"activities":[{"id":"1"}],"next":""}`
			}
			return fmt.Sprintf(`{"activities":[],"next":"n%d"}`, n)
		}, "[1]", "", 100},
		{"the offset is ignored", users, func(int) string { return `{"users":[{"id":"1"},{"id":"2"}]}` }, "[1 2]", "in a circle", 4},
		{"users in a circle", users, func(n int) string { return fmt.Sprintf(`{"users":[%s]}`, numbered(n, 2*(n%3), 2*(n%3)+2)) }, "[2 3 4 5 0 1]", "in a circle", 6},
		{"new users push", users, func(n int) string {
			return []string{`{"users":[{"id":"1"},{"id":"2"}]}`, `{"users":[{"id":"1"},{"id":"2"}]}`, `{"users":[{"id":"2"},{"id":"3"}]}`, `{"users":[]}`}[n-1]
		}, "[1 2 3]", "", 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			api := &stub{answer: func(n int, _ *http.Request) (int, http.Header, string) {
				if n > 1000 {
					return 500, nil, `{"code":-1,"message":"it does not end"}`
				}
				return 200, nil, tt.answer(n)
			}}
			got := []string{}
			var failed error
			for id, err := range tt.list(stubbed(t, api)) {
				if failed = err; err == nil {
					got = append(got, id)
				}
			}
			if _, _, n := api.last(); fmt.Sprint(got) != tt.want || n != tt.calls {
				t.Errorf("%v after %d calls", got, n)
			}
			if (failed == nil) != (tt.ends == "") || failed != nil && !strings.Contains(failed.Error(), tt.ends) {
				t.Errorf("error %v", failed)
			}
		})
	}
}
