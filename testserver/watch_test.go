package testserver_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

// watch has a feed's events sent to the socket whose first event was hello. It makes the feed
// before, if need be, so that this is no event.
func (c caller) watch(t *testing.T, hello map[string]any, group, id string) {
	t.Helper()
	wantStatus(t, c.do("POST", fmt.Sprintf("/api/v2/feeds/feed_groups/%s/feeds/%s", group, id), ``), 201)
	wantStatus(t, c.do("POST", fmt.Sprintf("/api/v2/feeds/feed_groups/%s/feeds/%s?connection_id=%s", group, id, hello["connection_id"]), `{"watch":true}`), 201)
}

// wantNoEvent sends a sign of life, and fails unless the answer to it is the next event.
func (c *client) wantNoEvent() {
	c.t.Helper()
	c.send(`{"type":"health.check"}`)
	if event := c.event(); event["type"] != "health.check" {
		c.t.Errorf("got the event %v, want none", event)
	}
}

// Every change of what is seen in a watched feed is an event with what Stream's clients need of it.
func TestEvents(t *testing.T) {
	srv := &testserver.Server{ClockOffset: time.Hour}
	bubble(t, srv, func(t *testing.T) {
		alice := caller{rt: srv, token: srv.Issue("alice")}
		bob := caller{rt: srv, token: srv.Issue("bob")}
		c, hello := connect(t, srv, bob.token, `{}`)
		bob.watch(t, hello, "user", "alice") // made by bob, whose it is now
		server := caller{rt: srv, token: srv.ServerToken()}

		const activity = "/api/v2/feeds/activities"
		for _, tt := range []struct {
			by                 caller
			method, path, body string
			event, user        string
			with               []string // fields besides the activity
		}{
			{server, "POST", activity, `{"type":"post","feeds":["user:alice"],"id":"a1","text":"one","user_id":"alice"}`, "activity.added", "alice", nil},
			{alice, "PUT", activity + "/a1", `{"text":"two"}`, "activity.updated", "alice", nil},
			{alice, "PATCH", activity + "/a1", `{"set":{"text":"three"}}`, "activity.updated", "alice", nil},
			{bob, "POST", activity + "/a1/reactions", `{"type":"like","custom":{"n":1}}`, "activity.reaction.added", "bob", []string{"reaction"}},
			{bob, "POST", activity + "/a1/reactions", `{"type":"like"}`, "activity.reaction.updated", "bob", []string{"reaction"}},
			{bob, "DELETE", activity + "/a1/reactions/like", `null`, "activity.reaction.deleted", "bob", []string{"reaction"}},
			{bob, "POST", "/api/v2/feeds/comments", `{"object_id":"a1","object_type":"activity","comment":"hi","id":"c1"}`, "comment.added", "bob", []string{"comment"}},
			{bob, "PATCH", "/api/v2/feeds/comments/c1", `{"comment":"ho"}`, "comment.updated", "bob", []string{"comment"}},
			{bob, "DELETE", "/api/v2/feeds/comments/c1", ``, "comment.deleted", "bob", []string{"comment"}},
			{alice, "DELETE", activity + "/a1", ``, "activity.deleted", "alice", nil},
		} {
			if a := tt.by.do(tt.method, tt.path, tt.body); a.err != nil || a.status >= 300 {
				t.Fatalf("%s %s: %v, %v", tt.method, tt.path, a.err, a.body)
			}
			event := c.event()
			wantEvent(t, event, "feeds."+tt.event)
			if event["fid"] != "user:alice" || event["created_at"] != float64(time.Now().Add(time.Hour).UnixNano()) || event["custom"] == nil {
				t.Errorf("%s: %v", tt.event, event)
			}
			a := answer{body: event}
			about := a.get("activity", "id")
			if about == nil {
				about = a.get("comment", "object_id")
			}
			if about != "a1" || a.get("user", "id") != tt.user || event["feed_visibility"] != "visible" {
				t.Errorf("%s: is about activity %v by %v, want a1 by %s: %v", tt.event, about, a.get("user", "id"), tt.user, event)
			}
			for _, name := range tt.with {
				wantFields(t, event[name], []string{"user"})
			}
		}
		// What fails is no event.
		wantCode(t, alice.do("DELETE", activity+"/a1", ``), 404, 16)
		c.wantNoEvent()
	})
}

// An activity is an event in each watched feed that shows it, its followers' included, and nowhere
// else.
func TestWhoHears(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		alice := caller{rt: srv, token: srv.Issue("alice")}
		bob := caller{rt: srv, token: srv.Issue("bob")}
		c, hello := connect(t, srv, alice.token, `{}`)
		alice.watch(t, hello, "user", "alice")
		alice.watch(t, hello, "user", "alice") // twice is once
		alice.watch(t, hello, "timeline", "alice")
		other, _ := connect(t, srv, bob.token, `{}`)
		wantStatus(t, bob.do("POST", "/api/v2/feeds/feed_groups/user/feeds/bob", ``), 201)
		wantStatus(t, alice.do("POST", "/api/v2/feeds/follows", `{"source":"timeline:alice","target":"user:bob"}`), 201)
		wantEvent(t, c.event(), "feeds.follow.created")
		heard := func(n int) (fids []string) {
			for range n {
				event := c.event()
				wantEvent(t, event, "feeds.activity.added")
				fids = append(fids, event["fid"].(string))
			}
			c.wantNoEvent()
			slices.Sort(fids)
			return fids
		}
		bob.feed = "user:bob"
		wantStatus(t, bob.post("for the timeline"), 201)
		if got := heard(1); !slices.Equal(got, []string{"timeline:alice"}) {
			t.Errorf("bob's activity is heard in %v, want timeline:alice", got)
		}
		wantStatus(t, alice.do("POST", "/api/v2/feeds/activities", `{"type":"post","feeds":["user:alice","timeline:alice"]}`), 201)
		if got := heard(2); !slices.Equal(got, []string{"timeline:alice", "user:alice"}) {
			t.Errorf("alice's activity is heard in %v, want both feeds", got)
		}
		wantStatus(t, alice.do("POST", "/api/v2/feeds/follows", `{"source":"timeline:alice","target":"user:alice"}`), 201)
		wantEvent(t, c.event(), "feeds.follow.created") // in user:alice
		wantEvent(t, c.event(), "feeds.follow.created") // and in timeline:alice
		server := caller{rt: srv, token: srv.ServerToken()}
		wantStatus(t, server.do("POST", "/api/v2/feeds/activities", `{"type":"post","feeds":["user:alice","user:bob"],"user_id":"bob"}`), 201)
		if got := heard(2); !slices.Equal(got, []string{"timeline:alice", "user:alice"}) {
			t.Errorf("what the timeline has from two feeds is heard in %v, want each feed once", got)
		}
		wantStatus(t, alice.do("DELETE", "/api/v2/feeds/follows/timeline:alice/user:bob", ``), 200)
		wantEvent(t, c.event(), "feeds.follow.deleted")
		wantStatus(t, bob.post("unheard"), 201)
		c.wantNoEvent()
		wantStatus(t, server.do("POST", "/api/v2/feeds/follows", `{"source":"timeline:alice","target":"user:bob","status":"pending"}`), 201)
		wantEvent(t, c.event(), "feeds.follow.created") // which is not accepted yet
		wantStatus(t, bob.post("unheard"), 201)
		c.wantNoEvent()
		other.wantNoEvent()
	})
}

func TestWatchRejections(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		alice := caller{rt: srv, token: srv.Issue("alice")}
		bob := caller{rt: srv, token: srv.Issue("bob")}
		wantStatus(t, alice.post("hello"), 201)
		c, hello := connect(t, srv, alice.token, `{}`)
		id := hello["connection_id"].(string)
		nobody := dial(t, srv, socketURL, "stream-auth-type=anonymous&")
		go nobody.listen()
		nobody.send(`{}`)
		anonymous := nobody.event()
		const feed = "/api/v2/feeds/feed_groups/user/feeds/alice"
		for _, path := range []string{feed, "/api/v2/feeds/feeds/query"} {
			wantCode(t, alice.do("POST", path, `{"watch":true}`), 400, 4)
			wantCode(t, alice.do("POST", path+"?connection_id=x", `{"watch":true}`), 400, 46)
			wantCode(t, bob.do("POST", path+"?connection_id="+id, `{"watch":true}`), 403, 17)
			wantCode(t, caller{rt: srv, auth: "anonymous"}.do("POST", path+"?connection_id="+id, `{"watch":true}`), 403, 17)
			wantCode(t, caller{rt: srv, token: srv.ServerToken()}.do("POST", path+"?connection_id="+anonymous["connection_id"].(string), `{"watch":true}`), 403, 17)
			wantStatus(t, alice.do("POST", path+"?connection_id="+id, `{"watch":false}`), 201)
		}
		wantStatus(t, alice.post("unwatched"), 201)
		c.wantNoEvent()

		// The feeds that a query finds, and no other.
		wantStatus(t, alice.do("POST", "/api/v2/feeds/feed_groups/notes/feeds/alice", ``), 201)
		wantStatus(t, alice.do("POST", "/api/v2/feeds/feeds/query?connection_id="+id, `{"watch":true,"filter":{"group_id":"user"}}`), 201)
		alice.feed = "notes:alice"
		wantStatus(t, alice.post("unwatched"), 201)
		alice.feed = "user:alice"
		wantStatus(t, alice.post("watched"), 201)
		if event := c.event(); event["fid"] != "user:alice" {
			t.Errorf("got the event %v, want one of user:alice", event)
		}
		// A socket that has ended can't be watched with.
		c.ws.CloseNow()
		synctest.Wait()
		wantCode(t, alice.do("POST", feed+"?connection_id="+id, `{"watch":true}`), 400, 46)
	})
}

// A socket may watch a thousand feeds.
func TestWatchesAreBounded(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		alice := caller{rt: srv, token: srv.Issue("alice")}
		_, hello := connect(t, srv, alice.token, `{}`)
		for i := range 1000 {
			alice.watch(t, hello, "user", fmt.Sprint(i))
		}
		alice.watch(t, hello, "user", "0")
		wantCode(t, alice.do("POST", "/api/v2/feeds/feed_groups/user/feeds/more?connection_id="+hello["connection_id"].(string), `{"watch":true}`), 400, 4)
		if n := srv.Ledger().Effects; n != 1000 {
			t.Errorf("%d effects, want 1000: what is not allowed makes no feed", n)
		}
	})
}

// A user who makes a feed and watches it by the same call is told that it was made. One who finds
// it is not.
func TestFeedCreated(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		alice := caller{rt: srv, token: srv.Issue("alice")}
		c, hello := connect(t, srv, alice.token, `{}`)
		path := "/api/v2/feeds/feed_groups/user/feeds/alice?connection_id=" + hello["connection_id"].(string)
		for range 2 {
			wantStatus(t, alice.do("POST", path, `{"watch":true,"data":{"name":"N","members":[{"user_id":"bob"}]}}`), 201)
		}
		event := c.event()
		wantEvent(t, event, "feeds.feed.created")
		a := answer{body: event}
		if a.get("feed", "name") != "N" || a.get("user", "id") != "alice" || members(event["members"]) != "bob:feed_member:member" {
			t.Errorf("told %v", event)
		}
		c.wantNoEvent()
	})
}
