package testserver_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

// POST with an id that is taken makes that activity this one: all that it says, its type and feeds.
func TestUpsertActivity(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		alice := caller{rt: srv, token: srv.Issue("alice")}
		bob := caller{rt: srv, token: srv.Issue("bob")}
		server := caller{rt: srv, token: srv.ServerToken()}
		makeFeeds(t, server, "user:alice", "notes:alice", "more:alice", "timeline:bob")
		wantStatus(t, bob.do("POST", "/api/v2/feeds/follows", `{"source":"timeline:bob","target":"user:alice"}`), 201)
		c, hello := connect(t, srv, alice.token, `{}`)
		for _, group := range []string{"user", "notes", "more"} {
			alice.watch(t, hello, group, "alice")
		}
		events := func(n int) (out string) {
			for range n {
				event := c.event()
				out += strings.TrimPrefix(event["type"].(string), "feeds.activity.") + " " + event["fid"].(string) + ", "
			}
			c.wantNoEvent()
			return out
		}
		first := alice.do("POST", activities, `{"type":"post","id":"a1","feeds":["user:alice","notes:alice"],"text":"one","custom":{"n":1},"filter_tags":["x"]}`)
		wantStatus(t, first, 201)
		if got := events(2); got != "added notes:alice, added user:alice, " {
			t.Errorf("a new activity: %s", got)
		}
		wantStatus(t, bob.do("POST", activities+"/a1/reactions", `{"type":"like"}`), 201)
		events(2)
		time.Sleep(time.Second)
		a := alice.do("POST", activities, `{"type":"note","id":"a1","feeds":["notes:alice","more:alice"],"text":"two"}`)
		wantStatus(t, a, 201)
		if got := events(3); got != "removed_from_feed user:alice, updated notes:alice, added more:alice, " {
			t.Errorf("the same id again: %s", got)
		}
		act := answer{body: a.get("activity").(map[string]any)}
		if act.text("type") != "note" || act.text("text") != "two" || fmt.Sprint(act.body["feeds"], act.body["custom"], act.body["filter_tags"]) != "[more:alice notes:alice] map[] []" ||
			act.body["reaction_count"] != 1.0 || act.body["created_at"] != first.get("activity", "created_at") || act.body["edited_at"] == act.body["created_at"] {
			t.Errorf("the same id again makes it %v", act.body)
		}
		for fid, want := range map[string]float64{"user": 0, "notes": 1, "more": 1} {
			if n := alice.do("POST", feedGroups+fid+"/feeds/alice", ``).get("feed", "activity_count"); n != want {
				t.Errorf("%s:alice counts %v activities, want %v", fid, n, want)
			}
		}
		wantCode(t, bob.do("POST", activities, `{"type":"post","id":"a1","feeds":["user:bob"]}`), 403, 17)
		// PUT and PATCH move it as well.
		wantStatus(t, alice.do("PUT", activities+"/a1", `{"text":"x","feeds":["user:alice"]}`), 201)
		if got := events(3); got != "removed_from_feed more:alice, removed_from_feed notes:alice, added user:alice, " {
			t.Errorf("PUT with other feeds: %s", got)
		}
		wantStatus(t, alice.do("PATCH", activities+"/a1", `{"set":{"feeds":["user:alice","more:alice"]}}`), 200)
		if got := events(2); got != "updated user:alice, added more:alice, " {
			t.Errorf("PATCH with other feeds: %s", got)
		}
		var many []string // of which one is named twice
		for i := range 25 {
			many = append(many, fmt.Sprintf(`"f:%d"`, i), `"f:0"`)
		}
		wantStatus(t, alice.do("POST", activities, `{"type":"post","feeds":[`+strings.Join(many, ",")+`]}`), 201)
		wantCode(t, alice.do("POST", activities, `{"type":"post","feeds":[`+strings.Join(append(many, `"f:25"`), ",")+`]}`), 400, 4)
	})
}

// A batch takes effect as a whole, or not at all.
func TestBatches(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		alice := caller{rt: srv, token: srv.Issue("alice")}
		server := caller{rt: srv, token: srv.ServerToken()}
		makeFeeds(t, server, "user:alice", "user:bob")
		const one = `{"type":"post","feeds":["user:alice"]`
		before := srv.Ledger().Effects
		for body, code := range map[string]int{
			`{"activities":[]}`: 4, `{}`: 4, `{"activities":[null]}`: 4, `{"activities":[` + one + `},{"type":"post"}]}`: 4,
			`{"activities":[` + one + `},{"type":"post","feeds":["user:bob"]}]}`: 17, `{"activities":[` + one + `,"parent_id":"none"}]}`: 16,
			`{"activities":[` + strings.Repeat(one+`},`, 100) + one + `}]}`: 4, `{"activities":[` + one + `,"user_id":"bob"}]}`: 17,
		} {
			wantCode(t, alice.do("POST", activities+"/batch", body), map[int]int{4: 400, 16: 404, 17: 403}[code], code)
		}
		if n := srv.Ledger().Effects - before; n != 0 || found(t, alice, activities+"/query", "activities", "id", `{}`) != "" {
			t.Errorf("%d effects of what is not allowed", n)
		}
		a := alice.do("POST", activities+"/batch", `{"activities":[`+one+`,"id":"1"},`+one+`,"id":"2"},`+one+`,"id":"1","text":"again"}]}`)
		wantStatus(t, a, 201)
		if got := strings.Join(ids(a.body["activities"]), " "); got != "1 2 1" || srv.Ledger().Effects-before != 1 {
			t.Errorf("made %s with %d effects", got, srv.Ledger().Effects-before)
		}
		if got := found(t, alice, activities+"/query", "activities", "id", `{}`); got != "2 1" {
			t.Errorf("there are %s", got)
		}
		wantStatus(t, server.do("POST", activities+"/batch", `{"activities":[`+one+`,"id":"3","user_id":"bob"}]}`), 201)
		wantCode(t, server.do("POST", activities+"/batch", `{"activities":[`+one+`}]}`), 400, 4)

		// Partial updates of many are for servers.
		const partial = activities + "/batch/partial"
		wantCode(t, alice.do("PATCH", partial, `{"changes":[{"activity_id":"1","set":{"text":"x"}}]}`), 403, 17)
		for body, code := range map[string]int{
			`{}`: 4, `{"changes":[{"activity_id":"1","set":{"text":"x"}},{"activity_id":"none"}]}`: 16,
			`{"changes":[{"activity_id":"1","set":{"text":"x"}},{"activity_id":"2","set":{"id":"x"}}]}`: 4,
			`{"changes":[{"activity_id":"1"},{"activity_id":"1"}]}`:                                     4,
		} {
			wantCode(t, server.do("PATCH", partial, body), map[int]int{4: 400, 16: 404}[code], code)
		}
		wantStatus(t, server.do("PATCH", partial, `{"changes":[{"activity_id":"1","set":{"text":"x","custom.n":1}},{"activity_id":"2","unset":["custom"]}]}`), 200)
		if a := alice.do("GET", activities+"/1", ``); a.get("activity", "text") != "x" || a.get("activity", "custom", "n") != 1.0 {
			t.Errorf("after the partial update it is %v", a.body)
		}
		// Only what is there and one's own is deleted.
		a = alice.do("POST", activities+"/delete", `{"ids":["1","3","none","2"]}`)
		wantStatus(t, a, 201)
		if got := fmt.Sprint(a.body["deleted_ids"]); got != "[1 2]" {
			t.Errorf("deleted %s, want [1 2]", got)
		}
		wantCode(t, alice.do("POST", activities+"/delete", `{"ids":[]}`), 400, 4)
		if n := alice.do("POST", feedGroups+"user/feeds/alice", ``).get("feed", "activity_count"); n != 1.0 {
			t.Errorf("the feed counts %v activities, want 1", n)
		}
		// Comments too.
		const comments = "/api/v2/feeds/comments/batch"
		on := `{"object_id":"3","object_type":"activity","comment":"x"`
		wantCode(t, alice.do("POST", comments, `{"comments":[`+on+`},{"comment":"x"}]}`), 400, 4)
		wantCode(t, alice.do("POST", comments, `{"comments":[null]}`), 400, 4)
		a = alice.do("POST", comments, `{"comments":[`+on+`,"id":"c1"},`+on+`,"id":"c2"}]}`)
		wantStatus(t, a, 201)
		if got := strings.Join(ids(a.body["comments"]), " "); got != "c1 c2" || alice.do("GET", activities+"/3", ``).get("activity", "comment_count") != 2.0 {
			t.Errorf("comments %s", got)
		}
	})
}

// An activity that shares another one has it with it, and counts there.
func TestShares(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		alice := caller{rt: srv, token: srv.Issue("alice")}
		wantStatus(t, alice.do("POST", activities, `{"type":"post","id":"a1","feeds":["user:alice"],"text":"one"}`), 201)
		a := alice.do("POST", activities, `{"type":"post","id":"a2","feeds":["user:alice"],"parent_id":"a1"}`)
		if a.get("activity", "parent", "text") != "one" {
			t.Errorf("the share is %v", a.body)
		}
		wantShares := func(n float64) {
			t.Helper()
			a := alice.do("GET", activities+"/a1", ``)
			if a.get("activity", "share_count") != n || a.get("activity", "popularity") != 3*n {
				t.Errorf("share_count %v, popularity %v; want %v and %v", a.get("activity", "share_count"), a.get("activity", "popularity"), n, 3*n)
			}
		}
		wantShares(1)
		wantStatus(t, alice.do("DELETE", activities+"/a2", ``), 200)
		wantShares(0)
		wantCode(t, alice.do("POST", activities, `{"type":"post","feeds":["user:alice"],"parent_id":"none"}`), 404, 16)
	})
}
