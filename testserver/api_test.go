package testserver_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

// fields are what the answers must hold, because Stream's generated clients refuse an answer
// without one.
var fields = struct{ feed, activity, user []string }{
	strings.Fields(`id group_id feed name description created_at updated_at created_by activity_count follower_count
		following_count member_count pin_count`),
	strings.Fields(`id type feeds user created_at updated_at attachments comments comment_count reaction_count reaction_groups
		own_reactions latest_reactions own_bookmarks bookmark_count share_count popularity score visibility restrict_replies
		mentioned_users interest_tags filter_tags custom search_data collections hidden preview`),
	strings.Fields(`id role banned online language teams blocked_user_ids custom created_at updated_at`),
}

func wantFields(t *testing.T, v any, names []string) {
	t.Helper()
	m, ok := v.(map[string]any)
	if !ok {
		t.Fatalf("%v is no object", v)
	}
	for _, name := range names {
		if m[name] == nil {
			t.Errorf("%s is missing or null", name)
		}
	}
}

func TestAddAndGetActivity(t *testing.T) {
	srv := &testserver.Server{ClockOffset: time.Hour}
	bubble(t, srv, func(t *testing.T) {
		alice := caller{rt: srv, token: srv.Issue("alice")}
		a := alice.do("POST", "/api/v2/feeds/activities",
			`{"type":"post","feeds":["user:alice","news:all","user:alice"],"text":"Grüße","id":"a1","custom":{"n":1},"visibility":"private"}`)
		wantStatus(t, a, 201)
		act := a.get("activity")
		wantFields(t, act, fields.activity)
		wantFields(t, a.get("activity", "user"), fields.user)
		for name, want := range map[string]any{
			"id": "a1", "type": "post", "text": "Grüße", "visibility": "private",
			"feeds": []any{"news:all", "user:alice"}, "custom": map[string]any{"n": 1.0},
			"created_at": float64(time.Now().Add(time.Hour).UnixNano()),
		} {
			if got := a.get("activity", name); !reflect.DeepEqual(got, want) {
				t.Errorf("%s = %v, want %v", name, got, want)
			}
		}
		if d := a.text("duration"); !strings.HasSuffix(d, "ms") {
			t.Errorf("duration %q", d)
		}
		got := alice.do("GET", "/api/v2/feeds/activities/a1", "")
		wantStatus(t, got, 200)
		if !reflect.DeepEqual(got.get("activity"), act) {
			t.Errorf("GetActivity gives\n%v, want\n%v", got.get("activity"), act)
		}
		wantCode(t, alice.do("GET", "/api/v2/feeds/activities/a2", ""), 404, 16)

		server := caller{rt: srv, token: srv.ServerToken()}
		for _, body := range []string{
			`{"type":"post","feeds":["user:bob"],"user_id":"bob"}`,
			`{"type":"post","feeds":["user:bob"],"user":{"id":"bob","name":"Bob"}}`,
		} {
			if id := server.do("POST", "/api/v2/feeds/activities", body).get("activity", "user", "id"); id != "bob" {
				t.Errorf("%s by a server is %v's, want bob's", body, id)
			}
		}
		for _, body := range []string{
			``, `null`, `{}`, `[]`, `{"type":"post"}`, `{"feeds":["user:a"]}`, `{"type":"post","feeds":["user"]}`, `{"type":"post","feeds":[":a"]}`,
			`{"type":"post","feeds":["user:"]}`, `{"type":1,"feeds":["user:a"]}`, `{`,
		} {
			wantCode(t, alice.do("POST", "/api/v2/feeds/activities", body), 400, 4)
		}
		wantCode(t, server.do("POST", "/api/v2/feeds/activities", `{"type":"post","feeds":["user:a"]}`), 400, 4)
	})
}

func TestQueryActivities(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		server := caller{rt: srv, token: srv.ServerToken()}
		for i := range 6 { // a0 and a1 at one moment, then one a second; even ones are alice's
			if i > 1 {
				time.Sleep(time.Second)
			}
			wantStatus(t, server.do("POST", "/api/v2/feeds/activities", fmt.Sprintf(
				`{"type":%q,"feeds":["user:x"],"id":"a%d","user_id":%q}`, []string{"post", "note", "poll"}[i%3], i, []string{"alice", "bob"}[i%2])), 201)
		}
		at := func(d time.Duration) string { return stamp(d - 4*time.Second) } // relative to a0
		query := func(body string) []string {
			a := server.do("POST", "/api/v2/feeds/activities/query", body)
			wantStatus(t, a, 201)
			return ids(a.body["activities"])
		}
		for _, tt := range []struct{ filter, want string }{
			{`{}`, "a5 a4 a3 a2 a1 a0"},
			{`null`, "a5 a4 a3 a2 a1 a0"},
			{`{"id":"a3"}`, "a3"},
			{`{"id":{"$eq":"a3"}}`, "a3"},
			{`{"id":{"$in":["a1","a4","no"]}}`, "a4 a1"},
			{`{"id":{"$in":[]}}`, ""},
			{`{"activity_type":"post"}`, "a3 a0"},
			{`{"user_id":"alice"}`, "a4 a2 a0"},
			{`{"user_id":"alice","activity_type":"post"}`, "a0"},
			{`{"$or":[{"activity_type":"post"},{"id":"a1"}]}`, "a3 a1 a0"},
			{`{"$and":[{"activity_type":"post"},{"user_id":"bob"}]}`, "a3"},
			{`{"$or":[{"$and":[{"activity_type":"post"},{"user_id":"bob"}]},{"id":"a5"}],"user_id":"bob"}`, "a5 a3"},
			{`{"created_at":{"$gt":` + at(time.Second) + `}}`, "a5 a4 a3"},
			{`{"created_at":{"$gte":` + at(time.Second) + `,"$lt":` + at(3*time.Second) + `}}`, "a3 a2"},
			{`{"created_at":{"$lte":` + at(0) + `}}`, "a1 a0"},
		} {
			if got := strings.Join(query(`{"filter":`+tt.filter+`}`), " "); got != tt.want {
				t.Errorf("%s finds %s, want %s", tt.filter, got, tt.want)
			}
		}
		if got := query(`{"sort":[{"field":"created_at","direction":1}]}`); !slices.Equal(got, strings.Fields("a0 a1 a2 a3 a4 a5")) {
			t.Errorf("oldest first: %v", got)
		}
		for _, body := range []string{
			`{"filter":{"colour":"red"}}`, `{"filter":{"id":1}}`, `{"filter":{"id":null}}`, `{"filter":{"id":{"$near":"a"}}}`,
			`{"filter":{"id":{"$in":"a"}}}`, `{"filter":{"id":{"$in":[1]}}}`, `{"filter":{"$or":[]}}`, `{"filter":{"$or":[{"x":1}]}}`,
			`{"filter":{"created_at":{"$gt":"yesterday"}}}`, `{"filter":[]}`, `{"limit":101}`, `{"limit":-1}`, `{"next":"!"}`,
			`{"prev":"x"}`, `{"next":"e30","prev":"e30"}`, `{"sort":[{"field":"score"}]}`, `{"sort":[{"field":"created_at","direction":2}]}`,
		} {
			wantCode(t, server.do("POST", "/api/v2/feeds/activities/query", body), 400, 4)
		}
	})
}

func ids(list any) (out []string) {
	items, _ := list.([]any)
	for _, item := range items {
		m, _ := item.(map[string]any)
		id, _ := m["id"].(string)
		out = append(out, id)
	}
	return out
}

// Forth and back through the pages of a list that grows at its front meanwhile: nothing is missed
// and nothing comes twice.
func TestPaging(t *testing.T) {
	for _, direction := range []int{-1, 1} {
		t.Run(fmt.Sprint(direction), func(t *testing.T) {
			srv := &testserver.Server{}
			bubble(t, srv, func(t *testing.T) {
				alice := caller{rt: srv, token: srv.Issue("alice")}
				add := func(id string) {
					wantStatus(t, alice.do("POST", "/api/v2/feeds/activities", `{"type":"post","feeds":["user:alice"],"id":"`+id+`"}`), 201)
				}
				var want []string
				for i := range 7 { // all at one moment
					want = append(want, fmt.Sprintf("a%d", i))
					add(want[i])
				}
				if direction < 0 {
					slices.Reverse(want)
				}
				page := func(cursor string) answer {
					a := alice.do("POST", "/api/v2/feeds/activities/query",
						fmt.Sprintf(`{"limit":3,"sort":[{"field":"created_at","direction":%d}]%s}`, direction, cursor))
					wantStatus(t, a, 201)
					return a
				}
				cursor := func(name, value string) string {
					b, _ := json.Marshal(value)
					return fmt.Sprintf(`,%q:%s`, name, b)
				}
				first := page("")
				if first.text("prev") != "" {
					t.Error("the first page has a prev")
				}
				if direction < 0 {
					add("newer")
				}
				second := page(cursor("next", first.text("next")))
				third := page(cursor("next", second.text("next")))
				if third.text("next") != "" {
					t.Error("the last page has a next")
				}
				got := slices.Concat(ids(first.body["activities"]), ids(second.body["activities"]), ids(third.body["activities"]))
				if !slices.Equal(got, want) {
					t.Errorf("pages hold %v, want %v", got, want)
				}
				back := page(cursor("prev", third.text("prev")))
				if got := ids(back.body["activities"]); !slices.Equal(got, want[3:6]) {
					t.Errorf("back from the last page: %v, want %v", got, want[3:6])
				}
				if got := ids(page(cursor("next", back.text("next"))).body["activities"]); !slices.Equal(got, want[6:]) {
					t.Errorf("and forth again: %v, want %v", got, want[6:])
				}
			})
		})
	}
}

func TestGetOrCreateFeed(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		alice := caller{rt: srv, token: srv.Issue("alice")}
		path := "/api/v2/feeds/feed_groups/user/feeds/"
		a := alice.do("POST", path+"alice", `{"data":{"name":"Mine","description":"d","visibility":"private","custom":{"n":1}},"limit":2}`)
		wantStatus(t, a, 201)
		wantFields(t, a.get("feed"), fields.feed)
		wantFields(t, a.get("feed", "created_by"), fields.user)
		wantFields(t, a.body, strings.Fields("created feed activities followers following members duration"))
		for name, want := range map[string]any{"id": "alice", "group_id": "user", "feed": "user:alice", "name": "Mine", "visibility": "private", "activity_count": 0.0} {
			if got := a.get("feed", name); got != want {
				t.Errorf("%s = %v, want %v", name, got, want)
			}
		}
		if a.body["created"] != true {
			t.Error("a new feed is not created")
		}
		for i := range 3 {
			wantStatus(t, alice.post(fmt.Sprint(i)), 201)
			time.Sleep(time.Second)
		}
		caller{rt: srv, token: srv.Issue("bob")}.do("POST", "/api/v2/feeds/activities", `{"type":"post","feeds":["user:bob"]}`)

		a = alice.do("POST", path+"alice", `{"data":{"name":"Other"},"limit":2}`)
		if a.body["created"] != false || a.get("feed", "name") != "Mine" {
			t.Errorf("the second time: created %v, name %v", a.body["created"], a.get("feed", "name"))
		}
		if n := a.get("feed", "activity_count"); n != 3.0 {
			t.Errorf("activity_count %v, want 3", n)
		}
		if n := len(ids(a.body["activities"])); n != 2 {
			t.Errorf("%d activities on the first page, want 2", n)
		}
		b, _ := json.Marshal(map[string]any{"limit": 2, "next": a.text("next")})
		rest := alice.do("POST", path+"alice", string(b))
		if n := len(ids(rest.body["activities"])); n != 1 || rest.text("next") != "" {
			t.Errorf("%d activities on the last page, next %q; want 1 and none", n, rest.text("next"))
		}
		// An escaped id, as the Go SDK sends it.
		if got := alice.do("POST", path+"a%3Ab", "null").get("feed", "id"); got != "a:b" {
			t.Errorf("an escaped id arrives as %v, want a:b", got)
		}
		server := caller{rt: srv, token: srv.ServerToken()}
		if got := server.do("POST", path+"carol", `{"user_id":"carol"}`).get("feed", "created_by", "id"); got != "carol" {
			t.Errorf("a server's feed was created by %v, want carol", got)
		}
		wantCode(t, server.do("POST", path+"dave", `{}`), 400, 4)
	})
}

func TestBodyLimit(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		alice := caller{rt: srv, token: srv.Issue("alice")}
		const envelope = `{"type":"post","feeds":["user:alice"],"text":""}`
		body := func(n int) string {
			return strings.Replace(envelope, `""`, `"`+strings.Repeat("x", n-len(envelope))+`"`, 1)
		}
		wantStatus(t, alice.do("POST", "/api/v2/feeds/activities", body(1<<20)), 201)
		wantCode(t, alice.do("POST", "/api/v2/feeds/activities", body(1<<20+1)), 413, 4)
		wantCode(t, alice.do("POST", "/api/v2/feeds/activities", body(5<<20)), 413, 4) // and the connection ends with the bubble
		// A dead token comes first.
		srv.Revoke("alice")
		wantCode(t, alice.do("POST", "/api/v2/feeds/activities", body(1<<20+1)), 401, 40)
	})
}
