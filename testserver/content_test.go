package testserver_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

const activities = "/api/v2/feeds/activities"

func TestUpdateActivity(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		alice := caller{rt: srv, token: srv.Issue("alice")}
		added := alice.do("POST", activities, `{"type":"post","feeds":["user:alice"],"id":"a1","text":"one","custom":{"n":1,"m":2},"search_data":{"s":1},
			"attachments":[{"type":"image"}],"filter_tags":["x"],"interest_tags":["y"],"mentioned_user_ids":["bob"]}`)
		wantStatus(t, added, 201)
		want := added.get("activity").(map[string]any)
		if got := want["mentioned_users"].([]any); len(got) != 1 || ids(got)[0] != "bob" {
			t.Errorf("mentioned_users %v, want bob", got)
		}
		want["current_feed"] = nil // it changes as well, and is compared elsewhere
		got := func() any {
			a := alice.do("GET", activities+"/a1", "").get("activity").(map[string]any)
			a["current_feed"] = nil
			return a
		}
		for _, tt := range []struct {
			method, body string
			changes      map[string]any
		}{
			{"PUT", `{"text":"two","custom":null,"expires_at":"2027-01-02T05:04:05.5+02:00"}`, map[string]any{ // a full update
				"text": "two", "custom": map[string]any{}, "attachments": []any{}, "filter_tags": []any{}, "interest_tags": []any{},
				"mentioned_users": []any{}, "search_data": map[string]any{}, "expires_at": 1798859045500000000.0}},
			{"PUT", `{"custom":{"k":3},"filter_tags":["z"],"attachments":[]}`, map[string]any{
				"text": nil, "custom": map[string]any{"k": 3.0}, "filter_tags": []any{"z"}, "expires_at": nil}},
			{"PATCH", `{"set":{"text":"three","custom.l":{"deep":true}},"unset":["custom.k","filter_tags"]}`, map[string]any{
				"text": "three", "custom": map[string]any{"l": map[string]any{"deep": true}}, "filter_tags": []any{}}},
			{"PATCH", `{"set":{"custom.l.more":[1],"custom.m.n":1}}`, map[string]any{
				"custom": map[string]any{"l": map[string]any{"deep": true, "more": []any{1.0}}, "m": map[string]any{"n": 1.0}}}},
			{"PATCH", `{"set":{"custom":{"n":1},"visibility":"private","text":""},"unset":["location"]}`, map[string]any{
				"text": nil, "custom": map[string]any{"n": 1.0}, "visibility": "private"}},
			{"PATCH", `{"set":{"visibility":"tag","visibility_tag":"premium","interest_tags":["a"]}}`, map[string]any{
				"visibility": "tag", "visibility_tag": "premium", "interest_tags": []any{"a"}}},
			{"PUT", `{"text":"again"}`, map[string]any{
				"text": "again", "visibility": "public", "visibility_tag": nil, "custom": map[string]any{}, "interest_tags": []any{}}},
			{"PATCH", `{"set":{"custom":{"n":1}}}`, map[string]any{"custom": map[string]any{"n": 1.0}}},
			{"PATCH", `{"set":null,"unset":null}`, nil},
		} {
			time.Sleep(time.Second)
			wantStatus(t, alice.do(tt.method, activities+"/a1", tt.body), map[string]int{"PUT": 201, "PATCH": 200}[tt.method])
			for name, value := range tt.changes {
				want[name] = value
				if value == nil {
					delete(want, name)
				}
			}
			want["updated_at"] = float64(time.Now().UnixNano())
			want["edited_at"] = want["updated_at"]
			if got := got(); !reflect.DeepEqual(got, any(want)) {
				t.Errorf("%s %s makes it\n%v, want\n%v", tt.method, tt.body, got, want)
			}
		}
		for _, body := range []string{`{"set":{"id":"a2"}}`, `{"set":{"text":1}}`, `{"unset":["user"]}`, `{"unset":["text"]}`, `{"unset":["visibility"]}`,
			`{"set":{"mentioned_user_ids":[""]}}`, `{"set":[]}`, `{"set":{"custom.n":2,"id":"a2"}}`, `{"set":{"visibility":"secret"}}`,
			`{"set":{"restrict_replies":"some"}}`, `{"set":{"expires_at":"tomorrow"}}`, `{"set":{"feeds":[]}}`, `{"set":{"feeds":["user"]}}`} {
			wantCode(t, alice.do("PATCH", activities+"/a1", body), 400, 4)
		}
		for _, body := range []string{`{"expires_at":"2027-01-02"}`, `{"visibility":"tag"}`, `{"visibility":"visible"}`, `{"text":1}`} {
			wantCode(t, alice.do("PUT", activities+"/a1", body), 400, 4)
		}
		if got := got(); !reflect.DeepEqual(got, any(want)) {
			t.Errorf("a change that is not allowed left\n%v, want\n%v", got, want)
		}
		feed := func() any {
			return alice.do("POST", "/api/v2/feeds/feed_groups/user/feeds/alice", "").get("feed", "activity_count")
		}
		if n := feed(); n != 1.0 {
			t.Errorf("activity_count %v, want 1", n)
		}
		wantStatus(t, alice.do("POST", "/api/v2/feeds/comments", `{"object_id":"a1","object_type":"activity","comment":"hi","id":"c1"}`), 201)
		wantStatus(t, alice.do("DELETE", activities+"/a1?hard_delete=true", "null"), 200)
		for _, path := range []string{activities + "/a1", "/api/v2/feeds/comments/c1"} {
			wantCode(t, alice.do("GET", path, ""), 404, 16)
		}
		if n := feed(); n != 0.0 {
			t.Errorf("activity_count %v after the deletion, want 0", n)
		}
	})
}

// A user may change what is theirs, a server everything: 403 with code 17, which no new token
// cures.
func TestOwnership(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		server := caller{rt: srv, token: srv.ServerToken()}
		for i, tt := range []struct{ method, path, body string }{
			{"POST", activities, `{"type":"post","feeds":["user:alice"],"user_id":"%s"}`},
			{"POST", activities, `{"type":"post","feeds":["user:%s","user:alice"],"user_id":"%[1]s"}`},
			{"PUT", activities + "/a1", `{"text":"mine"}`},
			{"PATCH", activities + "/a1", `{"set":{"text":"mine"}}`},
			{"PATCH", "/api/v2/feeds/comments/c1", `{"comment":"mine"}`},
			{"DELETE", "/api/v2/feeds/comments/c1", ``},
			{"POST", "/api/v2/feeds/follows", `{"source":"user:alice","target":"user:carol"}`},
			{"DELETE", "/api/v2/feeds/follows/user:alice/user:dave", ``},
			{"DELETE", activities + "/a1/reactions/like?user_id=alice", ``},
			{"POST", activities + "/a1/reactions", `{"type":"like","user_id":"alice"}`},
			{"POST", "/api/v2/feeds/comments", `{"object_id":"a1","object_type":"activity","comment":"x","user_id":"alice"}`},
			{"DELETE", activities + "/a1", ``},
		} {
			// All of it is made anew for each case.
			srv.Issue("alice")
			server.do("DELETE", activities+"/a1", ``)
			server.do("DELETE", "/api/v2/feeds/follows/user:alice/user:carol", ``)
			for _, id := range []string{"alice", "carol", "dave"} {
				wantStatus(t, server.do("POST", "/api/v2/feeds/feed_groups/user/feeds/"+id, fmt.Sprintf(`{"user_id":%q}`, id)), 201)
			}
			server.do("POST", "/api/v2/feeds/follows", `{"source":"user:alice","target":"user:dave"}`)
			wantStatus(t, server.do("POST", activities, `{"type":"post","feeds":["user:alice"],"id":"a1","user_id":"alice"}`), 201)
			wantStatus(t, server.do("POST", activities+"/a1/reactions", `{"type":"like","user_id":"alice"}`), 201)
			wantStatus(t, server.do("POST", "/api/v2/feeds/comments", `{"object_id":"a1","object_type":"activity","comment":"x","id":"c1","user_id":"alice"}`), 201)

			before := srv.Ledger().Effects
			for _, by := range []struct {
				name   string
				caller caller
				status int
			}{
				{"bob", caller{rt: srv, token: srv.Issue("bob")}, 403},
				{"no user", caller{rt: srv, auth: "anonymous"}, 403},
				{"alice", caller{rt: srv, token: srv.Issue("alice")}, 0},
			} {
				body := strings.ReplaceAll(tt.body, "%[1]s", by.name)
				body = strings.ReplaceAll(body, "%s", by.name)
				a := by.caller.do(tt.method, tt.path, body)
				if by.status != 0 {
					wantCode(t, a, 403, 17)
				} else if a.err != nil || a.status >= 300 {
					t.Errorf("%d: %s %s by alice: %v, %v", i, tt.method, tt.path, a.err, a.body)
				}
			}
			if n := srv.Ledger().Effects - before; n != 1 {
				t.Errorf("%d: %s %s had %d effects, want alice's alone", i, tt.method, tt.path, n)
			}
		}
		if n := srv.Ledger().Rejected; n != 0 {
			t.Errorf("%d tokens were rejected, want 0", n)
		}
	})
}

func TestReactions(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		alice := caller{rt: srv, token: srv.Issue("alice")}
		bob := caller{rt: srv, token: srv.Issue("bob")}
		server := caller{rt: srv, token: srv.ServerToken()}
		wantStatus(t, alice.do("POST", activities, `{"type":"post","feeds":["user:alice"],"id":"a1"}`), 201)
		first := time.Now().UnixNano()
		a := alice.do("POST", activities+"/a1/reactions", `{"type":"like","custom":{"n":1}}`)
		wantStatus(t, a, 201)
		wantFields(t, a.get("activity"), fields.activity)
		wantFields(t, a.get("reaction"), []string{"user"})
		time.Sleep(time.Second)
		wantStatus(t, bob.do("POST", activities+"/a1/reactions", `{"type":"like"}`), 201)
		wantStatus(t, server.do("POST", activities+"/a1/reactions", `{"type":"wow","user_id":"carol"}`), 201)
		last := time.Now().UnixNano()

		a = bob.do("GET", activities+"/a1", "")
		groups := map[string]any{
			"like": map[string]any{"count": 2.0, "first_reaction_at": float64(first), "last_reaction_at": float64(last)},
			"wow":  map[string]any{"count": 1.0, "first_reaction_at": float64(last), "last_reaction_at": float64(last)},
		}
		if got := a.get("activity", "reaction_groups"); !reflect.DeepEqual(got, any(groups)) {
			t.Errorf("reaction_groups %v, want %v", got, groups)
		}
		kinds := func(name string) (out string) {
			for _, r := range a.get("activity", name).([]any) {
				m := answer{body: r.(map[string]any)}
				out += fmt.Sprintf("%s by %s, ", m.text("type"), m.get("user", "id"))
			}
			return out
		}
		if got, want := kinds("own_reactions"), "like by bob, "; got != want {
			t.Errorf("bob's own_reactions: %s, want %s", got, want)
		}
		if got, want := kinds("latest_reactions"), "wow by carol, like by bob, like by alice, "; got != want {
			t.Errorf("latest_reactions: %s, want %s", got, want)
		}
		// The same again replaces it; a unique one replaces all of the user's.
		wantStatus(t, alice.do("POST", activities+"/a1/reactions", `{"type":"like"}`), 201)
		wantStatus(t, alice.do("POST", activities+"/a1/reactions", `{"type":"wow"}`), 201)
		wantStatus(t, alice.do("POST", activities+"/a1/reactions", `{"type":"sad","enforce_unique":true}`), 201)
		a = alice.do("GET", activities+"/a1", "")
		if got, want := kinds("latest_reactions"), "sad by alice, wow by carol, like by bob, "; got != want || a.get("activity", "reaction_count") != 3.0 {
			t.Errorf("latest_reactions: %s, want %s", got, want)
		}
		wantStatus(t, server.do("DELETE", activities+"/a1/reactions/wow?user_id=carol", "null"), 200)
		wantCode(t, server.do("DELETE", activities+"/a1/reactions/wow?user_id=carol", "null"), 404, 16)
		wantCode(t, server.do("DELETE", activities+"/a1/reactions/like", "null"), 400, 4)
		wantCode(t, alice.do("DELETE", activities+"/a1/reactions/like", "null"), 404, 16) // there is one, and it is bob's
		for _, body := range []string{`{}`, `{"type":1}`, ``} {
			wantCode(t, alice.do("POST", activities+"/a1/reactions", body), 400, 4)
		}
		wantCode(t, alice.do("POST", activities+"/a2/reactions", `{"type":"like"}`), 404, 16)
	})
}

// Of one activity the newest thousand reactions are kept.
func TestReactionsAreBounded(t *testing.T) {
	srv := &testserver.Server{}
	server := caller{rt: direct{srv}, token: srv.ServerToken()}
	wantStatus(t, server.do("POST", activities, `{"type":"post","feeds":["user:alice"],"id":"a1","user_id":"alice"}`), 201)
	for i := range 1001 {
		wantStatus(t, server.do("POST", activities+"/a1/reactions", fmt.Sprintf(`{"type":"like","user_id":"u%d"}`, i)), 201)
	}
	if n := server.do("GET", activities+"/a1", "").get("activity", "reaction_count"); n != 1000.0 {
		t.Errorf("reaction_count %v, want 1000", n)
	}
	wantCode(t, server.do("DELETE", activities+"/a1/reactions/like?user_id=u0", ""), 404, 16)
	wantStatus(t, server.do("DELETE", activities+"/a1/reactions/like?user_id=u1", ""), 200)
}
