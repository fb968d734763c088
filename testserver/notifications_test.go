package testserver_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

const (
	feedGroups    = "/api/v2/feeds/feed_groups/"
	notifications = feedGroups + "notification/feeds/alice"
)

// groupNames returns the groups of an aggregated list, each with its count, and with what is
// marked.
func groupNames(list any) (out []string) {
	items, _ := list.([]any)
	for _, item := range items {
		g := answer{body: item.(map[string]any)}
		name := fmt.Sprintf("%s:%v", g.text("group"), g.body["activity_count"])
		for _, mark := range []string{"is_seen", "is_read"} {
			if g.body[mark] == true {
				name += " " + strings.TrimPrefix(mark, "is_")
			}
		}
		out = append(out, name)
	}
	return out
}

func TestNotificationFeed(t *testing.T) {
	srv := &testserver.Server{TTL: -1}
	bubble(t, srv, func(t *testing.T) { // which begins on 2000-01-01
		alice := caller{rt: srv, token: srv.Issue("alice")}
		bob := caller{rt: srv, token: srv.Issue("bob")}
		server := caller{rt: srv, token: srv.ServerToken()}
		a := alice.do("POST", notifications, ``)
		wantStatus(t, a, 201)
		if a.get("feed", "visibility") != "private" || a.get("notification_status", "unread") != 0.0 || len(a.body["activities"].([]any)) != 0 {
			t.Errorf("a new notification feed is %v", a.body)
		}
		for _, c := range []caller{bob, {rt: srv, auth: "anonymous"}} {
			wantCode(t, c.do("POST", notifications, ``), 403, 17)
		}
		wantCode(t, bob.do("POST", activities, `{"type":"x","feeds":["notification:alice"]}`), 403, 17)

		c, hello := connect(t, srv, alice.token, `{}`)
		alice.watch(t, hello, "notification", "alice")
		add := func(kind, user string) {
			t.Helper()
			wantStatus(t, server.do("POST", activities, fmt.Sprintf(`{"type":%q,"feeds":["notification:alice"],"user_id":%q}`, kind, user)), 201)
			added := c.event()
			wantEvent(t, added, "feeds.activity.added")
			updated := c.event()
			wantEvent(t, updated, "feeds.notification_feed.updated")
			in := answer{body: updated}.get("aggregated_activities").([]any)
			first := in[0].(map[string]any)["activities"].([]any)[0].(map[string]any)
			if len(in) != 1 || first["id"] != (answer{body: added}).get("activity", "id") || updated["fid"] != "notification:alice" {
				t.Errorf("after %s by %s: the group's newest is %v", kind, user, first)
			}
			time.Sleep(time.Second)
		}
		status := func(c answer) string {
			st := answer{body: c.get("notification_status").(map[string]any)}
			return fmt.Sprintf("%v unread, %v unseen, read %v, seen %v", st.body["unread"], st.body["unseen"], st.body["read_activities"], st.body["seen_activities"])
		}
		read := func() answer { return alice.do("POST", notifications, ``) }
		want := func(groups, marks string) {
			t.Helper()
			a := read()
			if got := strings.Join(groupNames(a.body["aggregated_activities"]), ", "); got != groups {
				t.Errorf("the groups are %s; want %s", got, groups)
			}
			if got := status(a); got != marks {
				t.Errorf("status: %s; want %s", got, marks)
			}
		}
		add("like", "bob")
		add("follow", "bob")
		add("like", "carol")
		add("like", "bob")
		want("like-2000-01-01:3, follow-2000-01-01:1", "2 unread, 2 unseen, read <nil>, seen <nil>")
		first := answer{body: read().body["aggregated_activities"].([]any)[0].(map[string]any)}
		if first.body["user_count"] != 2.0 || first.body["user_count_truncated"] != false || first.body["updated_at"].(float64)-first.body["created_at"].(float64) != 3e9 {
			t.Errorf("the group of likes is %v", first.body)
		}

		mark := func(body, event, marks string) {
			t.Helper()
			wantStatus(t, alice.do("POST", notifications+"/activities/mark/batch", body), 201)
			marked := c.event()
			wantEvent(t, marked, "feeds.activity.marked")
			got := ""
			for _, name := range []string{"mark_all_read", "mark_all_seen", "mark_read", "mark_seen", "mark_watched"} {
				if marked[name] != nil {
					got += fmt.Sprintf("%s %v ", name, marked[name])
				}
			}
			if strings.TrimSpace(got) != event {
				t.Errorf("%s is told as %s; want %s", body, got, event)
			}
			updated := c.event()
			wantEvent(t, updated, "feeds.notification_feed.updated")
			if got := status(answer{body: updated}); got != marks {
				t.Errorf("%s is told with %s; want %s", body, got, marks)
			}
			time.Sleep(time.Second)
		}
		// One by one, by a group's name or by the id of an activity in it. What is unknown is
		// ignored.
		follow := answer{body: read().body["aggregated_activities"].([]any)[1].(map[string]any)}.get("activities").([]any)[0].(map[string]any)["id"].(string)
		mark(`{"mark_seen":["like-2000-01-01","none"],"mark_read":["`+follow+`"]}`, "mark_read ["+follow+"] mark_seen [like-2000-01-01 none]",
			"1 unread, 1 unseen, read [follow-2000-01-01], seen [like-2000-01-01]")
		want("like-2000-01-01:3 seen, follow-2000-01-01:1 read", "1 unread, 1 unseen, read [follow-2000-01-01], seen [like-2000-01-01]")
		// What comes later is new again.
		add("like", "bob")
		want("like-2000-01-01:4, follow-2000-01-01:1 read", "1 unread, 2 unseen, read [follow-2000-01-01], seen <nil>")
		mark(`{"mark_all_seen":true,"mark_all_read":true,"mark_seen":null}`, "mark_all_read true mark_all_seen true", "0 unread, 0 unseen, read [follow-2000-01-01], seen <nil>")
		st := read().get("notification_status").(map[string]any)
		if at := float64(time.Now().Add(-time.Second).UnixNano()); st["last_read_at"] != at || st["last_seen_at"] != at {
			t.Errorf("the status is %v, want both dates %v", st, at)
		}
		add("mention", "bob")
		want("mention-2000-01-01:1, like-2000-01-01:4 seen read, follow-2000-01-01:1 seen read", "1 unread, 1 unseen, read [follow-2000-01-01], seen <nil>")

		// Page by page, a group at a time; another day is another group.
		time.Sleep(24 * time.Hour)
		add("like", "bob")
		var pages []string
		for cursor := ""; ; {
			a := alice.do("POST", notifications, `{"limit":3,"next":"`+cursor+`"}`)
			pages = append(pages, groupNames(a.body["aggregated_activities"])...)
			if cursor = a.text("next"); cursor == "" {
				break
			}
		}
		if got := strings.Join(pages, ", "); got != "like-2000-01-02:1, mention-2000-01-01:1, like-2000-01-01:4 seen read, follow-2000-01-01:1 seen read" {
			t.Errorf("page by page the groups are %s", got)
		}

		// Only its owner marks, or a server for somebody.
		for _, c := range []caller{bob, {rt: srv, auth: "anonymous"}} {
			wantCode(t, c.do("POST", notifications+"/activities/mark/batch", `{}`), 403, 17)
		}
		wantCode(t, server.do("POST", notifications+"/activities/mark/batch", `{}`), 400, 4)
		wantStatus(t, server.do("POST", notifications+"/activities/mark/batch", `{"user_id":"alice"}`), 201)
		wantCode(t, alice.do("POST", feedGroups+"notification/feeds/none/activities/mark/batch", `{}`), 404, 16)
		c.event()
		c.event()
		// An activity that goes takes its group along.
		before := len(groupNames(read().body["aggregated_activities"]))
		wantStatus(t, server.do("DELETE", activities+"/"+follow, ``), 200)
		wantEvent(t, c.event(), "feeds.activity.deleted")
		updated := c.event()
		wantEvent(t, updated, "feeds.notification_feed.updated")
		if n := len(groupNames(read().body["aggregated_activities"])); n != before-1 || updated["aggregated_activities"] != nil {
			t.Errorf("%d groups, and before the deletion %d; told with %v", n, before, updated)
		}
		c.wantNoEvent()
	})
}

// A group shows its newest 15 activities, and counts them all. The rest can be had by a query.
func TestNotificationGroupsAreBounded(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		alice := caller{rt: srv, token: srv.Issue("alice"), feed: "notification:alice"}
		var want []string
		for range 120 {
			want = append(want, alice.post("x").get("activity", "id").(string))
		}
		slices.Reverse(want)
		g := answer{body: alice.do("POST", notifications, ``).body["aggregated_activities"].([]any)[0].(map[string]any)}
		if got := ids(g.body["activities"]); !slices.Equal(got, want[:15]) || g.body["activity_count"] != 120.0 {
			t.Errorf("the group shows %d activities of %v, want the newest 15 of 120", len(got), g.body["activity_count"])
		}
		if got := ids(alice.do("POST", activities+"/query", `{"filter":{"feed":"notification:alice"},"limit":100}`).body["activities"]); !slices.Equal(got, want[:100]) {
			t.Errorf("a query finds %d activities, want the newest 100", len(got))
		}
		// Of what is marked one by one the newest hundred are kept.
		kinds := ""
		for i := range 101 {
			wantStatus(t, alice.do("POST", activities, fmt.Sprintf(`{"type":"t%d","feeds":["notification:alice"]}`, i)), 201)
			kinds += fmt.Sprintf(`,"t%d-2000-01-01"`, i)
		}
		wantStatus(t, alice.do("POST", notifications+"/activities/mark/batch", `{"mark_read":[`+kinds[1:]+`]}`), 201)
		st := answer{body: alice.do("POST", notifications, ``).get("notification_status").(map[string]any)}
		if n := len(st.get("read_activities").([]any)); n != 100 || st.body["unread"] != 2.0 {
			t.Errorf("%d groups are read, %v unread; want 100, and 2 with that of before", n, st.body["unread"])
		}
	})
}

// What users do to each other's things comes to their notification feeds, if they say so.
func TestCreatedNotifications(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		alice := caller{rt: srv, token: srv.Issue("alice")}
		bob := caller{rt: srv, token: srv.Issue("bob")}
		server := caller{rt: srv, token: srv.ServerToken()}
		wantStatus(t, server.do("POST", "/api/v2/users", `{"users":{"alice":{"name":"Alice"}}}`), 201)
		wantStatus(t, bob.do("POST", feedGroups+"timeline/feeds/bob", ``), 201)
		wantStatus(t, alice.do("POST", activities, `{"type":"post","id":"a1","feeds":["user:alice"],"text":"Hello","attachments":[{"type":"image"}]}`), 201)
		wantStatus(t, alice.do("POST", "/api/v2/feeds/comments", `{"object_id":"a1","object_type":"activity","comment":"mine","id":"c1"}`), 201)
		const create = `"create_notification_activity":true`
		for _, tt := range []struct {
			path, body    string
			kind, told    string // the notification's type, and what it is about
			flag          string // in the answer
			byAliceNobody bool   // no user notifies itself
		}{
			{"/api/v2/feeds/follows", `{"source":"timeline:bob","target":"user:alice",`, "follow", "user alice Alice", "notification_created", false},
			{activities + "/a1/reactions", `{"type":"like",`, "reaction", "post a1 Hello", "notification_created", true},
			{"/api/v2/feeds/comments", `{"object_id":"a1","object_type":"activity","comment":"hi",`, "comment", "post a1 Hello, said hi", "notification_created", true},
			{"/api/v2/feeds/comments", `{"parent_id":"c1","comment":"ho",`, "comment_reply", "post a1 Hello, said ho, to mine", "notification_created", true},
			{"/api/v2/feeds/comments/c1/reactions", `{"type":"like",`, "comment_reaction", "post a1 Hello, to mine", "notification_created", true},
			{activities, `{"type":"post","id":"a2","feeds":["user:bob"],"mentioned_user_ids":["alice"],`, "mention", "post a2", "mention_notifications_created", false},
		} {
			time.Sleep(time.Second)
			before := len(read(t, alice))
			if tt.byAliceNobody {
				a := alice.do("POST", tt.path, tt.body+create+`}`)
				wantStatus(t, a, 201)
				if n := len(read(t, alice)); n != before || a.body[tt.flag] != false {
					t.Errorf("%s: alice has notified herself: %v", tt.kind, a.body)
				}
			}
			if tt.kind == "reaction" { // without the flag no one is told
				wantStatus(t, bob.do("POST", tt.path, tt.body[:len(tt.body)-1]+`}`), 201)
			}
			a := bob.do("POST", tt.path, tt.body+create+`}`)
			wantStatus(t, a, 201)
			if flag := a.body[tt.flag]; flag != true && flag != 1.0 {
				t.Errorf("%s: %s is %v", tt.kind, tt.flag, flag)
			}
			groups := read(t, alice)
			newest := answer{body: groups[0].(map[string]any)["activities"].([]any)[0].(map[string]any)}
			context := answer{body: newest.get("notification_context").(map[string]any)}
			told := fmt.Sprintf("%v %v", context.get("target", "type"), context.get("target", "id"))
			for _, name := range []string{"text", "name"} {
				if v := context.get("target", name); v != nil {
					told += fmt.Sprint(" ", v)
				}
			}
			if v := context.get("trigger", "comment", "comment"); v != nil {
				told += fmt.Sprint(", said ", v)
			}
			if v := context.get("target", "comment", "comment"); v != nil {
				told += fmt.Sprint(", to ", v)
			}
			if len(groups) != before+1 || newest.text("type") != tt.kind || newest.get("user", "id") != "bob" || context.get("trigger", "type") != tt.kind || told != tt.told {
				t.Errorf("%s: %d groups, the newest a %v by %v about %s; want a %s about %s", tt.kind, len(groups), newest.body["type"], newest.get("user", "id"), told, tt.kind, tt.told)
			}
		}
	})
}

// read returns the groups of alice's notification feed.
func read(t *testing.T, alice caller) []any {
	t.Helper()
	a := alice.do("POST", notifications, ``)
	wantStatus(t, a, 201)
	return a.body["aggregated_activities"].([]any)
}
