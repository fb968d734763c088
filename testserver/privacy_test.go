package testserver_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stayauth/stayauth/testserver"
)

// The documented table of who may read a feed, follow it and post to it, by its visibility.
func TestVisibility(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		server := caller{rt: srv, token: srv.ServerToken()}
		who := map[string]caller{
			"server": server, "anonymous": {rt: srv, auth: "anonymous"}, "owner": {rt: srv, token: srv.Issue("owner")},
			"member": {rt: srv, token: srv.Issue("member")}, "follower": {rt: srv, token: srv.Issue("follower")},
			"invited": {rt: srv, token: srv.Issue("invited")}, "pending": {rt: srv, token: srv.Issue("pending")}, "other": {rt: srv, token: srv.Issue("other")},
		}
		for name := range who {
			if name != "server" && name != "anonymous" {
				makeFeeds(t, server, "timeline:"+name)
			}
		}
		users := "follower invited member other owner pending"
		for _, tt := range []struct{ visibility, read, follow, post string }{
			{"visible", "anonymous server " + users, users, "member owner server"},
			{"public", "anonymous server " + users, users, "server " + users},
			{"followers", "follower member owner server", users, "member owner server"},
			{"members", "member owner server", "member owner", "member owner server"},
			{"private", "owner server", "owner", "owner server"},
		} {
			fid := "user:" + tt.visibility
			path := feedGroups + "user/feeds/" + tt.visibility
			wantStatus(t, server.do("POST", path, fmt.Sprintf(`{"user_id":"owner","data":{"visibility":%q,"members":[{"user_id":"member"},{"user_id":"invited","invite":true}]}}`, tt.visibility)), 201)
			for name, status := range map[string]string{"follower": "accepted", "pending": "pending"} {
				wantStatus(t, server.do("POST", "/api/v2/feeds/follows", fmt.Sprintf(`{"source":"timeline:%s","target":%q,"status":%q}`, name, fid, status)), 201)
			}
			wantStatus(t, server.do("POST", activities, fmt.Sprintf(`{"type":"post","feeds":[%q],"id":%q,"user_id":"owner"}`, fid, tt.visibility)), 201)
			wantStatus(t, server.do("POST", "/api/v2/feeds/comments", fmt.Sprintf(`{"object_id":%q,"object_type":"activity","comment":"x","id":%[1]q,"user_id":"owner"}`, tt.visibility)), 201)

			var read, follow, post []string
			for name, c := range who {
				a := c.do("POST", path, ``)
				if a.status == 201 {
					read = append(read, name)
				} else {
					wantCode(t, a, 403, 17)
				}
				// All that reads agrees.
				reads := a.status == 201
				for _, one := range []struct {
					method, path, body string
					list               string // that is empty for those who may not read
				}{
					{"GET", activities + "/" + tt.visibility, ``, ""},
					{"GET", "/api/v2/feeds/comments/" + tt.visibility, ``, ""},
					{"GET", "/api/v2/feeds/comments?object_type=activity&object_id=" + tt.visibility, ``, ""},
					{"GET", "/api/v2/feeds/comments/" + tt.visibility + "/replies", ``, ""},
					{"POST", activities + "/" + tt.visibility + "/reactions/query", ``, ""},
					{"POST", "/api/v2/feeds/comments/" + tt.visibility + "/reactions/query", ``, ""},
					{"POST", path + "/members/query", ``, ""},
					{"POST", path + "/pinned_activities/query", ``, ""},
					{"POST", activities + "/query", `{"filter":{"feed":"` + fid + `"}}`, "activities"},
					{"POST", "/api/v2/feeds/feeds/query", `{"filter":{"feed":"` + fid + `"}}`, "feeds"},
					{"POST", "/api/v2/feeds/comments/query", `{"filter":{"object_id":"` + tt.visibility + `"}}`, "comments"},
				} {
					a := c.do(one.method, one.path, one.body)
					if one.list != "" {
						wantStatus(t, a, 201)
						if n := len(a.body[one.list].([]any)); n > 0 != reads {
							t.Errorf("%s: %s finds %d at %s", tt.visibility, name, n, one.path)
						}
					} else if a.status < 300 != reads || !reads && a.code() != 17 {
						t.Errorf("%s: %s %s by %s: status %d, code %d", tt.visibility, one.method, one.path, name, a.status, a.code())
					}
				}
				capable := func(what string) bool { return false }
				if caps, ok := a.get("feed", "own_capabilities").([]any); ok {
					capable = func(what string) bool { return slices.Contains(caps, any(what)) }
				}
				if name != "anonymous" && name != "server" {
					a := c.do("POST", "/api/v2/feeds/follows/upsert", fmt.Sprintf(`{"source":"timeline:%s","target":%q}`, name, fid))
					if a.status == 201 {
						follow = append(follow, name)
					} else {
						wantCode(t, a, 403, 17)
					}
					if want := map[string]string{"followers": "pending"}[tt.visibility]; a.body["created"] == true && a.get("follow", "status") != or(want, "accepted") {
						t.Errorf("%s: a new follow by %s is %v", tt.visibility, name, a.get("follow", "status"))
					}
					if reads && capable("follow") != (a.status == 201) {
						t.Errorf("%s: %s may follow: %v, and own_capabilities don't agree", tt.visibility, name, a.status == 201)
					}
				}
				body := map[bool]string{true: `,"user_id":"owner"`}[name == "server"]
				posted := c.do("POST", activities, fmt.Sprintf(`{"type":"post","feeds":[%q]%s}`, fid, body))
				if posted.status == 201 {
					post = append(post, name)
				} else {
					wantCode(t, posted, 403, 17)
				}
				if reads && capable("add-activity") != (posted.status == 201) {
					t.Errorf("%s: %s may post: %v, and own_capabilities don't agree", tt.visibility, name, posted.status == 201)
				}
				if reads && name != "anonymous" && capable("update-feed") != (name == "owner" || name == "server") {
					t.Errorf("%s: %s may update: own_capabilities don't agree", tt.visibility, name)
				}
			}
			for _, may := range []struct {
				what, want string
				got        []string
			}{{"read", tt.read, read}, {"follow", tt.follow, follow}, {"post", tt.post, post}} {
				slices.Sort(may.got)
				want := strings.Fields(may.want)
				slices.Sort(want)
				if !slices.Equal(may.got, want) {
					t.Errorf("%s: %v may %s it; want %v", tt.visibility, may.got, may.what, want)
				}
			}
		}
	})
}

// An activity may be less visible than its feed.
func TestActivityVisibility(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		server := caller{rt: srv, token: srv.ServerToken()}
		alice, bob, carol := caller{rt: srv, token: srv.Issue("alice")}, caller{rt: srv, token: srv.Issue("bob")}, caller{rt: srv, token: srv.Issue("carol")}
		wantStatus(t, server.do("POST", feedGroups+"user/feeds/alice", `{"user_id":"alice","data":{"visibility":"public"}}`), 201)
		sockets := map[string]*client{}
		for name, c := range map[string]caller{"alice": alice, "bob": bob, "carol": carol} {
			socket, hello := connect(t, srv, c.token, `{}`)
			c.watch(t, hello, "user", "alice")
			sockets[name] = socket
		}
		wantStatus(t, bob.do("POST", activities, `{"type":"post","id":"p","feeds":["user:alice"],"visibility":"private"}`), 201)
		wantStatus(t, bob.do("POST", activities, `{"type":"post","id":"t","feeds":["user:alice"],"visibility":"tag","visibility_tag":"premium","text":"whole","custom":{"n":1}}`), 201)
		for name, want := range map[string]string{"alice": "p t", "bob": "p t", "carol": "t"} {
			c := map[string]caller{"alice": alice, "bob": bob, "carol": carol}[name]
			got := ids(c.do("POST", feedGroups+"user/feeds/alice", ``).body["activities"])
			slices.Sort(got)
			if strings.Join(got, " ") != want {
				t.Errorf("%s sees %v in the feed, want %s", name, got, want)
			}
			preview := c.do("GET", activities+"/t", ``)
			if hidden := name == "carol"; preview.get("activity", "preview") != hidden || (preview.get("activity", "text") == nil) != hidden {
				t.Errorf("%s sees of what is tagged %v", name, preview.body)
			}
			for range strings.Fields(map[string]string{"alice": "p t", "bob": "p t"}[name]) {
				wantEvent(t, sockets[name].event(), "feeds.activity.added")
			}
			sockets[name].wantNoEvent()
		}
		wantCode(t, carol.do("GET", activities+"/p", ``), 403, 17)
		wantCode(t, carol.do("POST", activities+"/p/reactions", `{"type":"like"}`), 403, 17)
		wantCode(t, carol.do("POST", activities+"/p/bookmarks", ``), 403, 17)
		// A server finds what is private only if it says so, and for a user what that user does.
		for body, want := range map[string]string{
			`{}`: "t", `{"include_private_activities":true}`: "t p", `{"user_id":"bob"}`: "t p", `{"user_id":"carol"}`: "t", `{"user":{"id":"alice"}}`: "t p",
		} {
			if got := found(t, server, activities+"/query", "activities", "id", body); got != want {
				t.Errorf("a server finds %s with %s, want %s", got, body, want)
			}
		}
		// Who shares it doesn't show it to others.
		wantStatus(t, bob.do("POST", activities, `{"type":"post","id":"s","feeds":["user:alice"],"parent_id":"p"}`), 201)
		if event := (answer{body: sockets["carol"].event()}); event.get("activity", "id") != "s" || event.get("activity", "parent") != nil {
			t.Errorf("carol is told of a share as %v", event.body)
		}
		if a := carol.do("GET", activities+"/s", ``); a.get("activity", "parent") != nil {
			t.Errorf("carol sees in the share %v", a.get("activity", "parent"))
		}
		if a := alice.do("GET", activities+"/s", ``); a.get("activity", "parent", "id") != "p" {
			t.Errorf("alice sees in the share %v", a.get("activity", "parent"))
		}
		// Made public, it is told to those who could not see it.
		wantStatus(t, bob.do("PATCH", activities+"/p", `{"set":{"visibility":"public"}}`), 200)
		wantEvent(t, sockets["carol"].event(), "feeds.activity.updated")
	})
}

// A server that acts for a user sees what is that user's own; users see their own alone.
func TestActingFor(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		server := caller{rt: srv, token: srv.ServerToken()}
		makeFeeds(t, server, "user:alice", "timeline:bob", "user:bob", "timeline:alice")
		wantStatus(t, server.do("POST", activities, `{"type":"post","id":"a1","feeds":["user:alice"],"user_id":"alice"}`), 201)
		for _, path := range []string{activities + "/a1/reactions", activities + "/a1/bookmarks"} {
			wantStatus(t, server.do("POST", path, `{"type":"like","user_id":"bob"}`), 201)
		}
		wantStatus(t, server.do("POST", "/api/v2/feeds/comments", `{"object_id":"a1","object_type":"activity","comment":"x","id":"c1","user_id":"alice"}`), 201)
		wantStatus(t, server.do("POST", "/api/v2/feeds/comments/c1/reactions", `{"type":"like","user_id":"bob"}`), 201)
		wantStatus(t, server.do("POST", "/api/v2/feeds/follows", `{"source":"timeline:bob","target":"user:alice"}`), 201)
		wantStatus(t, server.do("POST", "/api/v2/feeds/follows", `{"source":"timeline:alice","target":"user:bob"}`), 201)
		count := func(v any) int { list, _ := v.([]any); return len(list) }
		first := func(a answer, list string) answer {
			wantStatus(t, a, map[bool]int{true: 200, false: 201}[a.status == 200])
			return answer{body: a.body[list].([]any)[0].(map[string]any)}
		}
		for _, tt := range []struct {
			user string
			own  int
		}{{"bob", 1}, {"alice", 0}, {"", 0}} {
			q, body := "?", `{}`
			if tt.user != "" {
				q, body = "?user_id="+tt.user+"&", `{"user_id":"`+tt.user+`"}`
			}
			for what, a := range map[string]answer{
				"GetActivity":     {body: server.do("GET", activities+"/a1"+q, ``).get("activity").(map[string]any)},
				"QueryActivities": first(server.do("POST", activities+"/query", body), "activities"),
				"GetOrCreateFeed": first(server.do("POST", feedGroups+"user/feeds/alice", body), "activities"),
			} {
				if a.text("id") != "a1" || count(a.body["own_reactions"]) != tt.own || count(a.body["own_bookmarks"]) != tt.own {
					t.Errorf("%s for %q has own_reactions %v and own_bookmarks %v; want %d each", what, tt.user, a.body["own_reactions"], a.body["own_bookmarks"], tt.own)
				}
			}
			for what, a := range map[string]answer{
				"GetComments":   first(server.do("GET", "/api/v2/feeds/comments"+q+"object_type=activity&object_id=a1", ``), "comments"),
				"GetComment":    {body: server.do("GET", "/api/v2/feeds/comments/c1"+q, ``).get("comment").(map[string]any)},
				"QueryComments": first(server.do("POST", "/api/v2/feeds/comments/query", strings.TrimSuffix(body, "}")+map[bool]string{true: `,`}[tt.user != ""]+`"filter":{}}`), "comments"),
			} {
				if count(a.body["own_reactions"]) != tt.own {
					t.Errorf("%s for %q has own_reactions %v; want %d", what, tt.user, a.body["own_reactions"], tt.own)
				}
			}
			feed := answer{body: server.do("POST", feedGroups+"user/feeds/alice", body).get("feed").(map[string]any)}
			if count(feed.body["own_follows"]) != tt.own || count(feed.body["own_followings"]) != tt.own {
				t.Errorf("for %q the feed has own_follows %v, own_followings %v", tt.user, feed.body["own_follows"], feed.body["own_followings"])
			}
			if caps := feed.body["own_capabilities"].([]any); slices.Contains(caps, any("update-feed")) != (tt.user != "bob") {
				t.Errorf("for %q the feed has own_capabilities %v", tt.user, caps)
			}
		}
		bob := caller{rt: srv, token: srv.Issue("bob")}
		wantCode(t, bob.do("GET", activities+"/a1?user_id=alice", ``), 403, 17)
		wantCode(t, bob.do("POST", activities+"/query", `{"user_id":"alice"}`), 403, 17)
		wantCode(t, server.do("POST", activities+"/query", `{"user_id":"`+strings.Repeat("x", 256)+`"}`), 400, 4)

		// enrich_own_fields puts them into the feeds of activities and follows; OwnBatch asks for
		// many at once.
		for _, enrich := range []bool{false, true} {
			body := fmt.Sprintf(`{"enrich_own_fields":%v}`, enrich)
			for what, feed := range map[string]any{
				"current_feed": first(bob.do("POST", activities+"/query", body), "activities").get("current_feed"),
				"QueryFeeds":   first(bob.do("POST", "/api/v2/feeds/feeds/query", body), "feeds").body,
			} {
				if _, has := feed.(map[string]any)["own_capabilities"]; has != enrich {
					t.Errorf("%s with %s has own_capabilities: %v", what, body, has)
				}
			}
		}
		a := bob.do("POST", "/api/v2/feeds/feeds/own/batch", `{"feeds":["user:alice","user:none"]}`)
		wantStatus(t, a, 201)
		if data := a.body["data"].(map[string]any); len(data) != 1 || count(a.get("data", "user:alice", "own_follows")) != 1 || count(a.get("data", "user:alice", "own_capabilities")) == 0 {
			t.Errorf("own/batch gives %v", data)
		}
		a = bob.do("POST", "/api/v2/feeds/feeds/own/batch", `{"feeds":["user:alice"],"fields":["own_follows"]}`)
		if data := a.get("data", "user:alice").(map[string]any); len(data) != 1 {
			t.Errorf("own/batch gives %v, want own_follows alone", data)
		}
		wantCode(t, bob.do("POST", "/api/v2/feeds/feeds/own/batch", `{}`), 400, 4)
	})
}

// What a user is told of the app is not how tokens are judged.
func TestGetApp(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		server := caller{rt: srv, token: srv.ServerToken()}
		alice := caller{rt: srv, token: srv.Issue("alice")}
		wantStatus(t, server.do("PATCH", "/api/v2/app", `{"revoke_tokens_issued_before":"1999-01-01T00:00:00+01:00","disable_auth_checks":true}`), 200)
		for _, c := range []caller{alice, {rt: srv, auth: "anonymous"}} {
			app := c.do("GET", "/api/v2/app", ``).get("app").(map[string]any)
			for _, name := range []string{"disable_auth_checks", "revoke_tokens_issued_before"} {
				if _, has := app[name]; has {
					t.Errorf("a user is told %s", name)
				}
			}
		}
		app := server.do("GET", "/api/v2/app", ``).get("app").(map[string]any)
		if app["disable_auth_checks"] != true || app["revoke_tokens_issued_before"] != 915145200e9 {
			t.Errorf("a server is told %v, %v", app["disable_auth_checks"], app["revoke_tokens_issued_before"])
		}
	})
}
