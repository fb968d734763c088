package testserver_test

import (
	"fmt"
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
