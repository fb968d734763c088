package testserver_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

const follows = "/api/v2/feeds/follows"

// A follow of a followers' feed waits for its owner, and shows and counts nothing until it is
// accepted.
func TestFollowRequests(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		alice, bob := caller{rt: srv, token: srv.Issue("alice")}, caller{rt: srv, token: srv.Issue("bob")}
		server := caller{rt: srv, token: srv.ServerToken()}
		makeFeeds(t, server, "timeline:bob", "user:carol")
		wantStatus(t, alice.do("POST", feedGroups+"user/feeds/alice", `{"data":{"visibility":"followers"}}`), 201)
		wantStatus(t, alice.do("POST", activities, `{"type":"post","id":"a1","feeds":["user:alice"]}`), 201)
		c, hello := connect(t, srv, bob.token, `{}`)
		bob.watch(t, hello, "timeline", "bob")
		const pair = `"source":"timeline:bob","target":"user:alice"`
		sees := func(n int) {
			t.Helper()
			a := bob.do("POST", feedGroups+"timeline/feeds/bob", ``)
			if got := len(a.body["activities"].([]any)); got != n || a.get("feed", "following_count") != float64(n) || len(a.body["following"].([]any)) != n {
				t.Errorf("the timeline has %d activities, following_count %v; want %d each", got, a.get("feed", "following_count"), n)
			}
		}
		a := bob.do("POST", follows, `{`+pair+`}`)
		if a.get("follow", "status") != "pending" {
			t.Errorf("the follow is %v", a.body)
		}
		wantEvent(t, c.event(), "feeds.follow.created")
		sees(0)
		wantStatus(t, alice.do("PATCH", activities+"/a1", `{"set":{"text":"x"}}`), 200)
		c.wantNoEvent()
		for _, path := range []string{"/accept", "/reject"} {
			wantCode(t, bob.do("POST", follows+path, `{`+pair+`}`), 403, 17)
			wantCode(t, alice.do("POST", follows+path, `{"source":"user:carol","target":"user:alice"}`), 404, 16)
		}
		// It is known to the owners of its feeds, and to those who may read both.
		for name, want := range map[string]string{"alice": "pending", "bob": "pending", "carol": ""} {
			c := caller{rt: srv, token: srv.Issue(name)}
			if got := found(t, c, follows+"/query", "follows", "status", `{"filter":{"target_feed":"user:alice"}}`); got != want {
				t.Errorf("%s finds the follow %q, want %q", name, got, want)
			}
		}
		time.Sleep(time.Second)
		a = alice.do("POST", follows+"/accept", `{`+pair+`,"follower_role":"fan"}`)
		if a.get("follow", "status") != "accepted" || a.get("follow", "request_accepted_at") != float64(time.Now().UnixNano()) || a.get("follow", "follower_role") != "fan" {
			t.Errorf("accepted: %v", a.body)
		}
		wantEvent(t, c.event(), "feeds.follow.updated")
		sees(1)
		wantStatus(t, alice.do("POST", activities, `{"type":"post","id":"a2","feeds":["user:alice"]}`), 201)
		wantEvent(t, c.event(), "feeds.activity.added")
		wantStatus(t, alice.do("DELETE", activities+"/a2", ``), 200)
		c.event()
		a = alice.do("POST", follows+"/reject", `{`+pair+`}`)
		if a.get("follow", "status") != "rejected" || a.get("follow", "request_rejected_at") == nil {
			t.Errorf("rejected: %v", a.body)
		}
		wantEvent(t, c.event(), "feeds.follow.updated")
		sees(0)
		wantCode(t, bob.do("POST", follows, `{`+pair+`,"status":"accepted"}`), 403, 17)
		// A feed that becomes visible needs no waiting: what waits is accepted, or rejected if its
		// owner says so.
		for action, want := range map[string]string{"": "accepted", `,"pending_follows_action":"reject"`: "rejected"} {
			wantStatus(t, server.do("PATCH", follows, `{`+pair+`,"status":"pending"}`), 200)
			wantEvent(t, c.event(), "feeds.follow.updated")
			wantStatus(t, alice.do("POST", feedGroups+"user/feeds/alice/change_visibility", `{"visibility":"visible"`+action+`}`), 201)
			if ev := (answer{body: c.event()}); ev.get("follow", "status") != want {
				t.Errorf("change_visibility%s makes it %v, want %s", action, ev.get("follow", "status"), want)
			}
			wantStatus(t, alice.do("POST", feedGroups+"user/feeds/alice/change_visibility", `{"visibility":"followers"}`), 201)
		}
		c.wantNoEvent()
	})
}

func TestFollowUpserts(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		alice, bob := caller{rt: srv, token: srv.Issue("alice")}, caller{rt: srv, token: srv.Issue("bob")}
		server := caller{rt: srv, token: srv.ServerToken()}
		makeFeeds(t, server, "timeline:alice", "user:bob", "user:carol", "timeline:bob")
		to := func(target string) string { return `{"source":"timeline:alice","target":"` + target + `"}` }
		lists := func(a answer, names ...string) (out string) {
			t.Helper()
			wantStatus(t, a, 201)
			for _, name := range names {
				for _, f := range a.body[name].([]any) {
					out += fmt.Sprint((answer{body: f.(map[string]any)}).get("target_feed", "feed"), " ")
				}
				out += "/ "
			}
			return out
		}
		a := alice.do("POST", follows+"/upsert", to("user:bob"))
		if a.body["created"] != true || a.get("follow", "target_feed", "follower_count") != 1.0 {
			t.Errorf("a new follow is %v", a.body)
		}
		effects := srv.Ledger().Effects
		if a := alice.do("POST", follows+"/upsert", to("user:bob")); a.body["created"] != false || srv.Ledger().Effects != effects {
			t.Errorf("the second time: created %v", a.body["created"])
		}
		wantCode(t, alice.do("POST", follows, to("user:bob")), 400, 4)
		// A batch is made as a whole or not at all; an upsert doesn't mind what is there.
		both := `{"follows":[` + to("user:carol") + `,` + to("user:bob") + `]}`
		wantCode(t, alice.do("POST", follows+"/batch", both), 400, 4)
		if got := lists(alice.do("POST", follows+"/batch/upsert", both), "created", "follows"); got != "user:carol / user:carol user:bob / " {
			t.Errorf("batch/upsert: %s", got)
		}
		for body, code := range map[string]int{`{}`: 4, `{"follows":[{}]}`: 4, `{"follows":[` + to("user:none") + `]}`: 16, `{"follows":[{"source":"timeline:bob","target":"user:carol"}]}`: 17} {
			wantCode(t, alice.do("POST", follows+"/batch/upsert", body), map[int]int{4: 400, 16: 404, 17: 403}[code], code)
		}
		a = alice.do("PATCH", follows, `{"source":"timeline:alice","target":"user:bob","push_preference":"all","custom":{"n":1}}`)
		if a.get("follow", "push_preference") != "all" || a.get("follow", "custom", "n") != 1.0 || a.get("follow", "status") != "accepted" {
			t.Errorf("updated: %v", a.body)
		}
		wantCode(t, alice.do("PATCH", follows, `{"source":"timeline:alice","target":"user:bob","push_preference":"some"}`), 400, 4)
		wantCode(t, alice.do("PATCH", follows, `{"source":"timeline:alice","target":"user:bob","follower_role":"fan"}`), 403, 17)
		wantCode(t, bob.do("PATCH", follows, `{"source":"timeline:alice","target":"user:bob"}`), 403, 17)
		wantCode(t, alice.do("PATCH", follows, `{"source":"timeline:alice","target":"user:none"}`), 404, 16)
		wantStatus(t, server.do("PATCH", follows, `{"source":"timeline:alice","target":"user:bob","follower_role":"fan"}`), 200)

		const unfollow = "/api/v2/feeds/unfollow"
		wantCode(t, bob.do("POST", unfollow+"/upsert", to("user:bob")), 403, 17)
		for _, deleted := range []bool{true, false} {
			a := alice.do("POST", unfollow+"/upsert", to("user:bob"))
			if _, has := a.body["follow"]; a.body["deleted"] != deleted || has != deleted {
				t.Errorf("unfollow/upsert: %v, want deleted %v", a.body, deleted)
			}
		}
		wantCode(t, alice.do("POST", unfollow+"/upsert", `{"source":"x"}`), 400, 4)
		wantCode(t, alice.do("POST", unfollow+"/batch", both), 404, 16) // one of them is gone
		if got := lists(alice.do("POST", unfollow+"/batch/upsert", both), "follows"); got != "user:carol / " {
			t.Errorf("unfollow/batch/upsert: %s", got)
		}
		wantStatus(t, alice.do("POST", follows+"/batch", both), 201)
		wantCode(t, bob.do("POST", unfollow+"/batch", both), 403, 17)
		if got := lists(alice.do("POST", unfollow+"/batch", both), "follows"); got != "user:carol user:bob / " {
			t.Errorf("unfollow/batch: %s", got)
		}
		wantCode(t, alice.do("POST", unfollow+"/batch", `{}`), 400, 4)
	})
}

func TestFollows(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		server := caller{rt: srv, token: srv.ServerToken()}
		alice := caller{rt: srv, token: srv.Issue("alice")}
		const feeds, follows = "/api/v2/feeds/feed_groups/", "/api/v2/feeds/follows"
		for _, fid := range []string{"user/feeds/bob", "user/feeds/carol", "timeline/feeds/alice"} {
			id := fid[strings.LastIndex(fid, "/")+1:]
			wantStatus(t, server.do("POST", feeds+fid, fmt.Sprintf(`{"user_id":%q}`, id)), 201)
			wantStatus(t, server.do("POST", activities, fmt.Sprintf(`{"type":"post","id":"by-%s","feeds":[%q],"user_id":%q}`, id, strings.Replace(fid, "/feeds/", ":", 1), id)), 201)
			time.Sleep(time.Second)
		}
		timeline := func() []string {
			return ids(alice.do("POST", feeds+"timeline/feeds/alice", "").body["activities"])
		}
		if got := timeline(); len(got) != 1 {
			t.Errorf("the timeline shows %v", got)
		}
		for _, id := range []string{"bob", "carol"} {
			a := alice.do("POST", follows, fmt.Sprintf(`{"source":"timeline:alice","target":"user:%s","custom":{"n":1}}`, id))
			wantStatus(t, a, 201)
			wantFields(t, a.get("follow"), strings.Fields(`source_feed target_feed status push_preference follower_role created_at updated_at`))
			wantFields(t, a.get("follow", "source_feed"), fields.feed)
			if got := a.get("follow", "target_feed", "feed"); got != "user:"+id || a.get("follow", "status") != "accepted" {
				t.Errorf("the follow is %v", a.body)
			}
			time.Sleep(time.Second)
		}
		if got := strings.Join(timeline(), " "); got != "by-alice by-carol by-bob" {
			t.Errorf("the timeline shows %v, want what it follows, too", got)
		}
		a := alice.do("POST", feeds+"timeline/feeds/alice", "")
		if n := len(a.body["following"].([]any)); n != 2 || a.get("feed", "following_count") != 2.0 || len(a.body["followers"].([]any)) != 0 {
			t.Errorf("the timeline follows %d, following_count %v", n, a.get("feed", "following_count"))
		}
		a = alice.do("POST", feeds+"user/feeds/bob", "")
		if n := len(a.body["followers"].([]any)); n != 1 || a.get("feed", "follower_count") != 1.0 {
			t.Errorf("bob has %d followers, follower_count %v", n, a.get("feed", "follower_count"))
		}
		query := func(body string) (out string) {
			a := alice.do("POST", follows+"/query", body)
			wantStatus(t, a, 201)
			for _, f := range a.body["follows"].([]any) {
				out += " " + answer{body: f.(map[string]any)}.get("target_feed", "feed").(string)
			}
			if next := a.text("next"); next != "" {
				out += " ..."
			}
			return out
		}
		for body, want := range map[string]string{
			`{}`: " user:carol user:bob",
			`{"filter":{"source_feed":"timeline:alice"},"sort":[{"field":"created_at","direction":1}]}`: " user:bob user:carol",
			`{"filter":{"target_feed":{"$in":["user:bob"]}}}`:                                           " user:bob",
			`{"filter":{"status":"accepted"},"limit":1}`:                                                " user:carol ...",
			`{"filter":{"source_feed":"timeline:bob"}}`:                                                 "",
		} {
			if got := query(body); got != want {
				t.Errorf("%s finds%s, want%s", body, got, want)
			}
		}
		wantStatus(t, alice.do("DELETE", follows+"/timeline%3Aalice/user%3Abob", "null"), 200) // escaped as the Go SDK does
		if got := strings.Join(timeline(), " "); got != "by-alice by-carol" {
			t.Errorf("after unfollowing bob the timeline shows %v", got)
		}
		wantCode(t, alice.do("DELETE", follows+"/timeline:alice/user:bob", ""), 404, 16)
		for body, code := range map[string]int{
			`{"source":"timeline:alice","target":"user:carol"}`:     4,
			`{"source":"timeline:alice","target":"timeline:alice"}`: 4,
			`{"source":"timeline:alice"}`:                           4,
			`{"source":"x","target":"user:bob"}`:                    4,
			`{"source":"timeline:alice","target":"user:none"}`:      16,
			`{"source":"timeline:none","target":"user:bob"}`:        16,
		} {
			wantCode(t, alice.do("POST", follows, body), map[int]int{4: 400, 16: 404}[code], code)
		}
	})
}
