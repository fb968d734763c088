package testserver_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

// makeFeeds makes feeds for users as a server: "group:id" of the user id.
func makeFeeds(t *testing.T, server caller, fids ...string) {
	t.Helper()
	for _, fid := range fids {
		group, id, _ := strings.Cut(fid, ":")
		wantStatus(t, server.do("POST", feedGroups+group+"/feeds/"+id, fmt.Sprintf(`{"user_id":%q}`, id)), 201)
	}
}

func TestFeedAndFollowFilters(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		server := caller{rt: srv, token: srv.ServerToken()}
		wantStatus(t, server.do("POST", "/api/v2/users", `{"users":{"ann":{"name":"Ann Thompson"},"ben":{"name":"Ben"}}}`), 201)
		for _, one := range []string{
			`"feed_group_id":"user","feed_id":"ann","created_by_id":"ann","name":"Sports daily","description":"All of tech","filter_tags":["a","b"],
				"location":{"lat":52.5,"lng":13.4},"members":[{"user_id":"ben"},{"user_id":"cleo","invite":true}]`,
			`"feed_group_id":"user","feed_id":"ben","created_by_id":"ben","visibility":"public"`,
			`"feed_group_id":"timeline","feed_id":"ann","created_by_id":"ann"`,
		} {
			wantStatus(t, server.do("POST", "/api/v2/feeds/feeds/batch", `{"feeds":[{`+one+`}]}`), 201)
			time.Sleep(time.Second)
		}
		for _, target := range []string{"user:ann", "user:ben"} {
			wantStatus(t, server.do("POST", "/api/v2/feeds/follows", `{"source":"timeline:ann","target":"`+target+`"}`), 201)
			time.Sleep(time.Second)
		}
		wantStatus(t, server.do("POST", "/api/v2/feeds/follows", `{"source":"user:ann","target":"user:ben","status":"pending"}`), 201)
		wantStatus(t, server.do("POST", activities, `{"type":"post","feeds":["user:ben"],"user_id":"ben"}`), 201)

		wantFound(t, server, "/api/v2/feeds/feeds/query", "feeds", "feed", map[string]string{
			`{"name":{"$q":"sports"}}`:                                        "user:ann",
			`{"description":{"$autocomplete":"te"}}`:                          "user:ann",
			`{"created_by.name":{"$q":"Thompson"}}`:                           "timeline:ann user:ann",
			`{"created_by_id":"ben"}`:                                         "user:ben",
			`{"filter_tags":["b"]}`:                                           "user:ann",
			`{"activity_count":{"$gt":0}}`:                                    "user:ben",
			`{"member_count":1}`:                                              "user:ann",
			`{"follower_count":1}`:                                            "user:ben user:ann",
			`{"following_count":{"$gte":2}}`:                                  "timeline:ann",
			`{"following_feeds":{"$in":["user:ben"]}}`:                        "timeline:ann",
			`{"following_users":{"$in":["ann"]}}`:                             "timeline:ann",
			`{"members":{"$in":["cleo"]}}`:                                    "user:ann",
			`{"visibility":"public"}`:                                         "user:ben",
			`{"near":{"lat":52.4,"lng":13.1,"distance":30}}`:                  "user:ann",
			`{"within_bounds":{"ne_lat":1,"ne_lng":1,"sw_lat":0,"sw_lng":0}}`: "",
			`{"updated_at":{"$lt":` + stamp(-4*time.Second) + `}}`:            "user:ann",
		}, []string{`{"owner":"ann"}`, `{"members":"ben"}`, `{"following_feeds":{"$eq":"x"}}`, `{"name":{"$in":["x"]}}`, `{"custom.n":1}`, `{"pin_count":0}`})
		for sort, want := range map[string]string{
			`[{"field":"follower_count","direction":-1},{"field":"created_at","direction":1}]`: "user:ann user:ben timeline:ann",
			`[{"field":"member_count","direction":-1}]`:                                        "user:ann timeline:ann user:ben",
			`[{"field":"following_count","direction":-1}]`:                                     "timeline:ann user:ben user:ann",
			`[{"field":"updated_at","direction":1}]`:                                           "user:ann user:ben timeline:ann",
		} {
			if got := found(t, server, "/api/v2/feeds/feeds/query", "feeds", "feed", `{"sort":`+sort+`}`); got != want {
				t.Errorf("sort %s gives %s; want %s", sort, got, want)
			}
		}
		wantCode(t, server.do("POST", "/api/v2/feeds/feeds/query", `{"sort":[{"field":"name"}]}`), 400, 4)

		wantFound(t, server, "/api/v2/feeds/follows/query", "follows", "target_feed.feed", map[string]string{
			`{"status":"pending"}`:                                            "user:ben",
			`{"source_feed":"timeline:ann"}`:                                  "user:ben user:ann",
			`{"source_fid":{"$in":["timeline:ann"]},"target_fid":"user:ann"}`: "user:ann",
			`{"source_id":"ann"}`:                                             "user:ben user:ben user:ann",
			`{"target_id":"ann"}`:                                             "user:ann",
			`{"source_created_by_name":"Ann Thompson"}`:                       "user:ben user:ben user:ann",
			`{"target_created_by_name":{"$in":["Ben"]}}`:                      "user:ben user:ben",
			`{"created_at":{"$lt":` + stamp(-time.Second) + `}}`:              "user:ann",
		}, []string{`{"source":"x"}`, `{"push_preference":"all"}`, `{"status":{"$gt":"a"}}`})
		wantCode(t, server.do("POST", "/api/v2/feeds/follows/query", `{"sort":[{"field":"updated_at"}]}`), 400, 4)
	})
}

func TestUpdateFeed(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		alice := caller{rt: srv, token: srv.Issue("alice")}
		bob := caller{rt: srv, token: srv.Issue("bob")}
		server := caller{rt: srv, token: srv.ServerToken()}
		const feed = feedGroups + "user/feeds/alice"
		c, hello := connect(t, srv, bob.token, `{}`)
		wantStatus(t, alice.do("POST", feed, `{"data":{"name":"N","description":"D","custom":{"n":1},"filter_tags":["a"],"location":{"lat":1,"lng":2}}}`), 201)
		bob.watch(t, hello, "user", "alice")
		time.Sleep(time.Second)
		show := func(a answer) string {
			wantStatus(t, a, 201)
			return fmt.Sprintf("%v%v %v %v %v %v %v", a.get("feed", "name"), a.get("feed", "description"), a.get("feed", "custom"), a.get("feed", "filter_tags"),
				a.get("feed", "location"), a.get("feed", "created_by", "id"), a.get("feed", "visibility"))
		}
		for _, tt := range []struct {
			by         caller
			path, body string
			want       string
		}{
			{alice, feed, `{"custom":{"n":2}}`, "ND map[n:2] [a] map[lat:1 lng:2] alice visible"},
			{alice, feed, `{"name":"","description":"E","filter_tags":[],"custom":null}`, "E map[n:2] [] map[lat:1 lng:2] alice visible"},
			{alice, feed, `{"clear_location":true}`, "E map[n:2] [] <nil> alice visible"},
			{alice, feed + "/change_visibility", `{"visibility":"public"}`, "E map[n:2] [] <nil> alice public"},
			{server, feed, `{"created_by_id":"bob"}`, "E map[n:2] [] <nil> bob public"},
		} {
			method := map[bool]string{true: "PUT", false: "POST"}[tt.path == feed]
			a := tt.by.do(method, tt.path, tt.body)
			if got := show(a); got != tt.want {
				t.Errorf("%s makes it %s; want %s", tt.body, got, tt.want)
			}
			event := c.event()
			wantEvent(t, event, "feeds.feed.updated")
			if got := (answer{body: event}); got.get("feed", "updated_at") != a.get("feed", "updated_at") || got.get("feed", "own_capabilities") != nil {
				t.Errorf("%s is told as %v", tt.body, event)
			}
		}
		wantCode(t, alice.do("PUT", feed, `{"name":"mine"}`), 403, 17) // it is bob's now
		wantCode(t, bob.do("PUT", feed, `{"created_by_id":"alice"}`), 403, 17)
		wantCode(t, bob.do("PUT", feed, `{"name":1}`), 400, 4)
		wantCode(t, bob.do("PUT", feedGroups+"user/feeds/none", `{}`), 404, 16)
		for _, body := range []string{`{}`, `{"visibility":"secret"}`, `{"visibility":"public","pending_follows_action":"x"}`} {
			wantCode(t, bob.do("POST", feed+"/change_visibility", body), 400, 4)
		}
		wantCode(t, bob.do("POST", feedGroups+"user/feeds/new", `{"data":{"visibility":"secret"}}`), 400, 4)
		c.wantNoEvent()
	})
}

// With a feed go its follows, and the activities that are in no other. Who watches it is told.
func TestDeleteFeed(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		alice := caller{rt: srv, token: srv.Issue("alice")}
		bob := caller{rt: srv, token: srv.Issue("bob")}
		server := caller{rt: srv, token: srv.ServerToken()}
		makeFeeds(t, server, "user:alice", "user:bob", "timeline:bob")
		wantStatus(t, server.do("POST", activities, `{"type":"post","id":"both","feeds":["user:alice","user:bob"],"user_id":"alice"}`), 201)
		wantStatus(t, server.do("POST", activities, `{"type":"post","id":"only","feeds":["user:alice"],"user_id":"alice"}`), 201)
		wantStatus(t, server.do("POST", "/api/v2/feeds/comments", `{"object_id":"only","object_type":"activity","comment":"x","id":"c1","user_id":"bob"}`), 201)
		wantStatus(t, bob.do("POST", "/api/v2/feeds/follows", `{"source":"timeline:bob","target":"user:alice"}`), 201)
		c, hello := connect(t, srv, bob.token, `{}`)
		bob.watch(t, hello, "user", "alice")
		const feed = feedGroups + "user/feeds/alice"
		wantCode(t, bob.do("DELETE", feed, ``), 403, 17)
		a := alice.do("DELETE", feed+"?hard_delete=true", ``)
		wantStatus(t, a, 200)
		if a.text("task_id") == "" {
			t.Errorf("the answer is %v, want a task_id", a.body)
		}
		for _, kind := range []string{"follow.deleted", "activity.deleted", "feed.deleted"} {
			wantEvent(t, c.event(), "feeds."+kind)
		}
		wantCode(t, alice.do("DELETE", feed, ``), 404, 16)
		wantCode(t, alice.do("GET", activities+"/only", ``), 404, 16)
		wantCode(t, alice.do("GET", "/api/v2/feeds/comments/c1", ``), 404, 16)
		if got := alice.do("GET", activities+"/both", ``).get("activity", "feeds"); fmt.Sprint(got) != "[user:bob]" {
			t.Errorf("what was in another feed as well is in %v", got)
		}
		if got := found(t, server, "/api/v2/feeds/follows/query", "follows", "status", `{}`); got != "" {
			t.Errorf("follows are left: %s", got)
		}
		if a := alice.do("POST", feed, ``); a.body["created"] != true || a.get("feed", "activity_count") != 0.0 {
			t.Errorf("the feed is made anew as %v", a.body)
		}
		// Many at once: all or none.
		wantCode(t, server.do("POST", "/api/v2/feeds/feeds/delete", `{"feeds":["user:bob","user:none"]}`), 404, 16)
		wantStatus(t, server.do("POST", "/api/v2/feeds/feeds/delete", `{"feeds":["user:bob","user:alice"]}`), 201)
		if got := found(t, server, "/api/v2/feeds/feeds/query", "feeds", "feed", `{}`); got != "timeline:bob" {
			t.Errorf("feeds are left: %s; want timeline:bob", got)
		}
		wantCode(t, alice.do("POST", "/api/v2/feeds/feeds/delete", `{"feeds":["timeline:bob"]}`), 403, 17)
	})
}

// Many feeds are made at once, or none of them.
func TestCreateFeeds(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		alice := caller{rt: srv, token: srv.Issue("alice")}
		server := caller{rt: srv, token: srv.ServerToken()}
		const batch, one = "/api/v2/feeds/feeds/batch", `{"feed_group_id":"user","feed_id":"1"`
		for body, code := range map[string]int{
			`{"feeds":[` + one + `},` + one + `}]}`: 4, `{"feeds":[` + one + `},{"feed_group_id":"user"}]}`: 4, `{"feeds":[]}`: 4,
			`{"feeds":[` + one + `,"visibility":"x"}]}`: 4, `{"feeds":[` + one + `,"created_by_id":"bob"}]}`: 17, `{"feeds":[` + one + `,"members":[{}]}]}`: 4,
		} {
			wantCode(t, alice.do("POST", batch, body), map[int]int{4: 400, 17: 403}[code], code)
		}
		if n := srv.Ledger().Effects; n != 0 {
			t.Errorf("%d effects of what is not allowed", n)
		}
		a := alice.do("POST", batch, `{"feeds":[`+one+`},{"feed_group_id":"user","feed_id":"2","members":[{"user_id":"bob"}]}]}`)
		wantStatus(t, a, 201)
		if list := a.body["feeds"].([]any); len(list) != 2 || (answer{body: list[1].(map[string]any)}).get("member_count") != 1.0 {
			t.Errorf("made %v", list)
		}
		wantCode(t, alice.do("POST", batch, `{"feeds":[`+one+`}]}`), 400, 4)
		wantCode(t, server.do("POST", batch, `{"feeds":[{"feed_group_id":"user","feed_id":"3"}]}`), 400, 4)
	})
}

func TestQueryFeeds(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		server := caller{rt: srv, token: srv.ServerToken()}
		for i, fid := range []string{"user:alice", "user:bob", "notes:alice"} {
			group, id, _ := strings.Cut(fid, ":")
			body := fmt.Sprintf(`{"user_id":%q,"data":{"name":"n%d","visibility":%q}}`, id, i, []string{"public", "private", ""}[i])
			wantStatus(t, server.do("POST", "/api/v2/feeds/feed_groups/"+group+"/feeds/"+id, body), 201)
			time.Sleep(time.Second)
		}
		for body, want := range map[string]string{
			``:                                     "notes:alice user:bob user:alice",
			`{"filter":{"created_by_id":"alice"}}`: "notes:alice user:alice",
			`{"filter":{"group_id":"user"},"sort":[{"field":"created_at","direction":1}]}`: "user:alice user:bob",
			`{"filter":{"id":"alice","group_id":"notes"}}`:                                 "notes:alice",
			`{"filter":{"feed":{"$in":["user:bob","x:y"]}}}`:                               "user:bob",
			`{"filter":{"fid":"user:bob"}}`:                                                "user:bob",
			`{"filter":{"name":"n2"}}`:                                                     "notes:alice",
			`{"filter":{"visibility":"public"}}`:                                           "user:alice",
			`{"filter":{"visibility":{"$in":["visible","private"]}}}`:                      "notes:alice user:bob",
			`{"limit":2}`: "notes:alice user:bob",
			`{"filter":{"created_at":{"$gt":` + stamp(-1500*time.Millisecond) + `}}}`: "notes:alice",
		} {
			a := server.do("POST", "/api/v2/feeds/feeds/query", body)
			wantStatus(t, a, 201)
			var got []string
			for _, f := range a.body["feeds"].([]any) {
				wantFields(t, f, fields.feed)
				got = append(got, f.(map[string]any)["feed"].(string))
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%s finds %v, want %s", body, got, want)
			}
		}
		wantCode(t, server.do("POST", "/api/v2/feeds/feeds/query", `{"filter":{"x":1}}`), 400, 4)
	})
}
