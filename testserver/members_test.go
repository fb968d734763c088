package testserver_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

// members returns who is in a list of members, and how.
func members(list any) string {
	var out []string
	items, _ := list.([]any)
	for _, item := range items {
		m := answer{body: item.(map[string]any)}
		out = append(out, fmt.Sprintf("%v:%v:%v", m.get("user", "id"), m.text("role"), m.text("status")))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestMembers(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		alice, bob := caller{rt: srv, token: srv.Issue("alice")}, caller{rt: srv, token: srv.Issue("bob")}
		server := caller{rt: srv, token: srv.ServerToken()}
		const feed = feedGroups + "team/feeds/t"
		wantStatus(t, alice.do("POST", feed, `{"data":{"members":[{"user_id":"ann","role":"moderator","custom":{"n":1}}]}}`), 201)
		c, hello := connect(t, srv, alice.token, `{}`)
		alice.watch(t, hello, "team", "t")
		update := func(body string) answer {
			t.Helper()
			time.Sleep(time.Second)
			a := alice.do("PATCH", feed+"/members", body)
			wantStatus(t, a, 200)
			return a
		}
		want := func(a answer, added, updated, removed string, events ...string) {
			t.Helper()
			if got := members(a.body["added"]); got != added {
				t.Errorf("added %s, want %s", got, added)
			}
			if got := members(a.body["updated"]); got != updated {
				t.Errorf("updated %s, want %s", got, updated)
			}
			if got := strings.Trim(fmt.Sprint(a.body["removed_ids"]), "[]"); got != removed {
				t.Errorf("removed %s, want %s", got, removed)
			}
			for _, kind := range events {
				wantEvent(t, c.event(), "feeds.feed_member."+kind)
			}
			c.wantNoEvent()
		}
		want(update(`{"operation":"upsert","members":[{"user_id":"bob","invite":true},{"user_id":"ann","role":"feed_member"}]}`),
			"bob:feed_member:pending", "ann:feed_member:member", "", "added", "updated")
		want(update(`{"operation":"set","members":[{"user_id":"bob"},{"user_id":"cleo"}]}`), "cleo:feed_member:member", "bob:feed_member:pending", "ann", "removed", "added", "updated")
		want(update(`{"operation":"remove","members":[{"user_id":"cleo"},{"user_id":"none"}]}`), "", "", "cleo", "removed")
		if n := alice.do("POST", feed, ``).get("feed", "member_count"); n != 0.0 {
			t.Errorf("member_count %v, want 0: an invitation is none", n)
		}
		// Who is invited accepts or rejects, once.
		wantCode(t, alice.do("POST", feed+"/members/accept", ``), 404, 16)
		a := bob.do("POST", feed+"/members/reject", ``)
		if members([]any{a.get("member")}) != "bob:feed_member:rejected" || a.get("member", "invite_rejected_at") == nil {
			t.Errorf("rejected: %v", a.body)
		}
		wantCode(t, bob.do("POST", feed+"/members/accept", ``), 404, 16)
		wantEvent(t, c.event(), "feeds.feed_member.updated")
		update(`{"operation":"remove","members":[{"user_id":"bob"}]}`)
		update(`{"operation":"upsert","members":[{"user_id":"bob","invite":true}]}`)
		wantStatus(t, server.do("POST", feed+"/members/accept", `{"user_id":"bob"}`), 201)
		if a := bob.do("POST", feed, ``); members([]any{a.get("feed", "own_membership")}) != "bob:feed_member:member" || a.get("feed", "member_count") != 1.0 {
			t.Errorf("bob is %v of %v", a.get("feed", "own_membership"), a.get("feed", "member_count"))
		}
		for i := range 3 {
			update(fmt.Sprintf(`{"operation":"upsert","members":[{"user_id":"u%d","role":"r%d"}]}`, i, i%2))
		}
		wantStatus(t, server.do("POST", "/api/v2/users", `{"users":{"u1":{"name":"Una"}}}`), 201)
		wantFound(t, bob, feed+"/members/query", "members", "user.id", map[string]string{
			`{}`: "u2 u1 u0 bob", `{"role":"r0"}`: "u2 u0", `{"user_id":{"$in":["u1","x"]}}`: "u1", `{"status":"member","fid":"team:t"}`: "u2 u1 u0 bob",
			`{"user_name":"Una"}`: "u1", `{"created_at":{"$gte":` + stamp(0) + `}}`: "u2", `{"updated_at":{"$lt":` + stamp(-2*time.Second) + `}}`: "bob",
		}, []string{`{"user.id":"u1"}`, `{"role":{"$gt":"a"}}`})
		a = alice.do("POST", feed, `{"member_pagination":{"limit":3}}`)
		if got := len(a.body["members"].([]any)); got != 3 || a.get("member_pagination", "next") == nil {
			t.Errorf("%d members on the first page, %v", got, a.body["member_pagination"])
		}

		for body, code := range map[string]int{`{}`: 4, `{"operation":"add"}`: 4, `{"operation":"set","members":[{}]}`: 4} {
			wantCode(t, alice.do("PATCH", feed+"/members", body), 400, code)
		}
		wantCode(t, bob.do("PATCH", feed+"/members", `{"operation":"remove","members":[]}`), 403, 17)
		wantCode(t, alice.do("PATCH", feedGroups+"team/feeds/none/members", `{"operation":"remove"}`), 404, 16)
		wantCode(t, alice.do("POST", feedGroups+"team/feeds/none/members/accept", ``), 404, 16)
		for i := range 10 {
			var b strings.Builder
			for j := range 100 {
				fmt.Fprintf(&b, `,{"user_id":"m%d-%d"}`, i, j)
			}
			want := 200
			if i == 9 { // with the four of before more than a thousand
				want = 400
			}
			wantStatus(t, alice.do("PATCH", feed+"/members", `{"operation":"upsert","members":[`+b.String()[1:]+`]}`), want)
		}
	})
}

func TestPins(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		alice, bob := caller{rt: srv, token: srv.Issue("alice")}, caller{rt: srv, token: srv.Issue("bob")}
		server := caller{rt: srv, token: srv.ServerToken()}
		const feed = feedGroups + "user/feeds/alice"
		for _, id := range []string{"a1", "a2", "a3"} {
			wantStatus(t, alice.do("POST", activities, `{"type":"post","feeds":["user:alice"],"id":"`+id+`"}`), 201)
		}
		makeFeeds(t, server, "user:bob")
		c, hello := connect(t, srv, bob.token, `{}`)
		bob.watch(t, hello, "user", "alice")
		pin := func(c caller, method, id, body string) answer {
			return c.do(method, feed+"/activities/"+id+"/pin", body)
		}
		for i, by := range []caller{alice, server, alice} {
			time.Sleep(time.Second)
			a := pin(by, "POST", fmt.Sprintf("a%d", i+1), map[bool]string{true: `{"user_id":"alice"}`}[i == 1])
			wantStatus(t, a, 201)
			if a.text("feed") != "user:alice" || a.text("user_id") != "alice" {
				t.Errorf("pinned %v", a.body)
			}
			wantEvent(t, c.event(), "feeds.activity.pinned")
		}
		a := alice.do("POST", feed, ``)
		if got := len(a.body["pinned_activities"].([]any)); got != 3 || a.get("feed", "pin_count") != 3.0 {
			t.Errorf("%d are pinned, pin_count %v", got, a.get("feed", "pin_count"))
		}
		wantFound(t, bob, feed+"/pinned_activities/query", "pinned_activities", "activity.id", map[string]string{
			`{}`: "a3 a2 a1", `{"activity_id":{"$in":["a1","a2"]}}`: "a2 a1", `{"user_id":"bob"}`: "", `{"fid":"user:alice","created_at":{"$gte":` + stamp(0) + `}}`: "a3",
			`{"updated_at":{"$lt":` + stamp(0) + `}}`: "a2 a1",
		}, []string{`{"activity.id":"a1"}`})
		again := pin(alice, "POST", "a1", ``)
		wantStatus(t, again, 201)
		wantEvent(t, c.event(), "feeds.activity.pinned")
		wantStatus(t, pin(alice, "DELETE", "a1", ``), 200)
		wantEvent(t, c.event(), "feeds.activity.unpinned")
		wantCode(t, pin(alice, "DELETE", "a1", ``), 404, 16)
		wantStatus(t, server.do("DELETE", feed+"/activities/a2/pin?user_id=alice", ``), 200)
		wantEvent(t, c.event(), "feeds.activity.unpinned")
		// An activity that goes takes its pin along.
		wantStatus(t, alice.do("DELETE", activities+"/a3", ``), 200)
		if a := alice.do("POST", feed, ``); len(a.body["pinned_activities"].([]any)) != 0 || a.get("feed", "pin_count") != 0.0 {
			t.Errorf("still pinned: %v", a.body["pinned_activities"])
		}
		wantCode(t, pin(bob, "POST", "a1", ``), 403, 17)
		wantCode(t, pin(server, "POST", "a1", ``), 400, 4)
		wantCode(t, bob.do("POST", feedGroups+"user/feeds/bob/activities/a1/pin", ``), 404, 16)
		wantCode(t, alice.do("POST", feedGroups+"user/feeds/none/activities/a1/pin", ``), 404, 16)
		for i := range 101 {
			id := fmt.Sprintf("p%d", i)
			wantStatus(t, alice.do("POST", activities, `{"type":"post","feeds":["user:alice"],"id":"`+id+`"}`), 201)
			wantStatus(t, pin(alice, "POST", id, ``), map[bool]int{false: 201, true: 400}[i == 100])
		}
	})
}

// A socket that has stopped watching a feed hears nothing more of it, and of others all the same.
func TestStopWatching(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		alice := caller{rt: srv, token: srv.Issue("alice")}
		bob := caller{rt: srv, token: srv.Issue("bob")}
		c, hello := connect(t, srv, alice.token, `{}`)
		other, hello2 := connect(t, srv, alice.token, `{}`)
		alice.watch(t, hello, "user", "alice")
		alice.watch(t, hello, "notes", "alice")
		alice.watch(t, hello2, "user", "alice")
		id := hello["connection_id"].(string)
		const watch = feedGroups + "user/feeds/alice/watch"
		wantCode(t, alice.do("DELETE", watch, ``), 400, 4)
		wantCode(t, alice.do("DELETE", watch+"?connection_id=x", ``), 400, 46)
		wantCode(t, bob.do("DELETE", watch+"?connection_id="+id, ``), 403, 17)
		for range 2 { // and once more changes nothing
			wantStatus(t, alice.do("DELETE", watch+"?connection_id="+id, ``), 200)
		}
		wantStatus(t, alice.do("POST", activities, `{"type":"post","feeds":["user:alice","notes:alice"]}`), 201)
		if event := c.event(); event["fid"] != "notes:alice" {
			t.Errorf("heard of %v, want notes:alice alone", event["fid"])
		}
		c.wantNoEvent()
		if event := other.event(); event["fid"] != "user:alice" {
			t.Errorf("the other socket heard of %v, want user:alice", event["fid"])
		}
		alice.watch(t, hello, "user", "alice")
		wantStatus(t, alice.post("again"), 201)
		if event := c.event(); event["fid"] != "user:alice" {
			t.Errorf("heard of %v, want user:alice again", event["fid"])
		}
	})
}
