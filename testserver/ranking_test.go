package testserver_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

const comments = "/api/v2/feeds/comments"

// Comments are ranked by their votes, at each level of a thread, and page by page.
func TestCommentOrders(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		server := caller{rt: srv, token: srv.ServerToken()}
		wantStatus(t, server.do("POST", activities, `{"type":"post","feeds":["user:x"],"id":"a1","user_id":"x"}`), 201)
		// Votes up and down of each comment. The best has few and good ones, the top one the most.
		votes := map[string][2]int{"few": {4, 0}, "many": {12, 4}, "split": {9, 9}, "bad": {0, 6}, "none": {0, 0}}
		for i, id := range []string{"none", "few", "bad", "split", "many"} {
			for _, reply := range []string{"", "r-"} {
				where := `"object_id":"a1","object_type":"activity"`
				if reply != "" {
					where = `"parent_id":"none"`
				}
				wantStatus(t, server.do("POST", comments, fmt.Sprintf(`{"comment":"oat %d","id":"%s%s","user_id":"u%d","custom":{"n":%[1]d},%[5]s}`, i, reply, id, i%2, where)), 201)
				for way, kind := range []string{"upvote", "downvote"} {
					for n := range votes[id][way] {
						wantStatus(t, server.do("POST", comments+"/"+reply+id+"/reactions", fmt.Sprintf(`{"type":%q,"user_id":"%s%d"}`, kind, kind, n)), 201)
					}
				}
			}
			time.Sleep(time.Second)
		}
		get := func(path string) answer {
			a := server.do("GET", path, ``)
			wantStatus(t, a, 200)
			return a
		}
		for sort, want := range map[string]string{
			"first": "none few bad split many", "last": "many split bad few none", "top": "many few split none bad",
			"best": "few many split bad none", "controversial": "split many bad few none", "": "none few bad split many",
		} {
			list := comments + "?object_type=activity&object_id=a1&sort=" + sort
			a := get(list)
			if got := strings.Join(ids(a.body["comments"]), " "); got != want || a.text("sort") != or(sort, "first") {
				t.Errorf("sorted by %s: %s; want %s", sort, got, want)
			}
			replies := "r-" + strings.ReplaceAll(want, " ", " r-")
			if got := strings.Join(ids(get(comments + "/none/replies?sort=" + sort).body["comments"]), " "); got != replies {
				t.Errorf("replies sorted by %s: %s; want %s", sort, got, replies)
			}
			for _, c := range a.body["comments"].([]any) {
				if c := c.(map[string]any); c["id"] == "none" {
					if got := strings.Join(ids(c["replies"]), " "); got != replies {
						t.Errorf("threaded replies sorted by %s: %s; want %s", sort, got, replies)
					}
				}
			}
			var paged []string
			for cursor := ""; ; {
				a := get(list + "&limit=2&next=" + cursor)
				paged = append(paged, ids(a.body["comments"])...)
				if cursor = a.text("next"); cursor == "" {
					break
				}
			}
			if got := strings.Join(paged, " "); got != want {
				t.Errorf("page by page, sorted by %s: %s; want %s", sort, got, want)
			}
		}
		// What is cut off is told, and where to go on.
		thread := func(query string) answer {
			for _, c := range get(comments + "?object_type=activity&object_id=a1" + query).body["comments"].([]any) {
				if c := c.(map[string]any); c["id"] == "none" {
					return answer{body: c}
				}
			}
			return answer{}
		}
		meta := func(c answer) string {
			return fmt.Sprintf("%v cut, %v more, %v left", c.get("meta", "depth_truncated"), c.get("meta", "has_more"), c.get("meta", "remaining"))
		}
		if got := meta(thread("&depth=0")); got != "true cut, true more, 5 left" {
			t.Errorf("without depth: %s", got)
		}
		if got := meta(thread("")); got != "false cut, false more, 0 left" {
			t.Errorf("with all: %s", got)
		}
		c := thread("&replies_limit=2")
		if got := meta(c); got != "false cut, true more, 3 left" {
			t.Errorf("with two: %s", got)
		}
		if got := strings.Join(ids(get(comments + "/none/replies?next=" + c.get("meta", "next_cursor").(string)).body["comments"]), " "); got != "r-bad r-split r-many" {
			t.Errorf("from there on come %s", got)
		}

		wantFound(t, server, comments+"/query", "comments", "id", map[string]string{
			`{"parent_id":"none"}`: "r-none r-few r-bad r-split r-many", `{"id":{"$in":["few","bad"]}}`: "few bad", `{"comment_text":{"$q":"OAT 3"}}`: "split r-split",
			`{"score":{"$gt":4}}`: "many r-many", `{"upvote_count":{"$gte":9,"$lt":12}}`: "split r-split", `{"downvote_count":{"$lte":0}}`: "none r-none few r-few",
			`{"reply_count":{"$gt":0}}`: "none", `{"confidence_score":{"$gt":0.65}}`: "few r-few", `{"controversy_score":{"$gt":10}}`: "split r-split", `{"custom.n":4}`: "many r-many",
			`{"user_id":"u1","object_id":"a1"}`: "few r-few split r-split", `{"object_type":{"$in":["activity"]},"status":"active","created_at":{"$gte":` + stamp(-time.Second) + `}}`: "many r-many",
		}, []string{`{"text":"x"}`, `{"score":5}`, `{"comment_text":"oat"}`, `{"reaction_count":{"$gt":1}}`})
		if got := found(t, server, comments+"/query", "comments", "id", `{"filter":{"parent_id":"none"},"sort":"top","limit":2}`); got != "r-many r-few" {
			t.Errorf("top two: %s", got)
		}
		for _, body := range []string{``, `{}`, `{"filter":{},"sort":"worst"}`, `{"filter":{},"sort":[]}`} {
			wantCode(t, server.do("POST", comments+"/query", body), 400, 4)
		}
		for _, query := range []string{"sort=worst", "depth=6", "replies_limit=101", "replies_limit=x", "limit=-1"} {
			wantCode(t, server.do("GET", comments+"/none/replies?"+query, ``), 400, 4)
		}
	})
}

func TestCommentChanges(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		alice, bob := caller{rt: srv, token: srv.Issue("alice")}, caller{rt: srv, token: srv.Issue("bob")}
		wantStatus(t, alice.do("POST", activities, `{"type":"post","feeds":["user:alice"],"id":"a1"}`), 201)
		wantStatus(t, bob.do("POST", comments, `{"object_id":"a1","object_type":"activity","comment":"one","id":"c1","custom":{"n":1},"attachments":[{"type":"image"}],"mentioned_user_ids":["carol"]}`), 201)
		c, hello := connect(t, srv, alice.token, `{}`)
		alice.watch(t, hello, "user", "alice")
		for _, tt := range []struct{ method, path, body, want string }{
			{"PATCH", "", `{"comment":"two"}`, "two map[n:1] 1 [carol]"},
			{"PATCH", "", `{"custom":{"k":2},"attachments":[],"mentioned_user_ids":["dora"]}`, "two map[k:2] 0 [dora]"},
			{"POST", "/partial", `{"set":{"text":"three","custom.l":{"m":1}},"unset":["custom.k","mentioned_user_ids"]}`, "three map[l:map[m:1]] 0 []"},
			{"POST", "/partial", `{"unset":["custom"],"set":{"attachments":[{"type":"file"}]}}`, "three map[] 1 []"},
		} {
			time.Sleep(time.Second)
			a := bob.do(tt.method, comments+"/c1"+tt.path, tt.body)
			got := fmt.Sprintf("%v %v %d %v", a.get("comment", "text"), a.get("comment", "custom"), len(a.get("comment", "attachments").([]any)), ids(a.get("comment", "mentioned_users")))
			if got != tt.want || a.get("comment", "edited_at") != float64(time.Now().UnixNano()) {
				t.Errorf("%s makes it %s, edited at %v; want %s", tt.body, got, a.get("comment", "edited_at"), tt.want)
			}
			wantEvent(t, c.event(), "feeds.comment.updated")
		}
		for _, body := range []string{`{"set":{"id":"x"}}`, `{"set":{"text":1}}`, `{"unset":["text"]}`, `{"set":{"mentioned_user_ids":[""]}}`} {
			wantCode(t, bob.do("POST", comments+"/c1/partial", body), 400, 4)
		}
		wantCode(t, alice.do("POST", comments+"/c1/partial", `{}`), 403, 17)
		wantCode(t, bob.do("POST", comments+"/none/partial", `{}`), 404, 16)

		// Reactions to comments are as those to activities.
		react := func(kind, body string) answer {
			t.Helper()
			a := alice.do("POST", comments+"/c1/reactions", body)
			wantStatus(t, a, 201)
			wantEvent(t, c.event(), "feeds.comment.reaction."+kind)
			return a
		}
		react("added", `{"type":"like","custom":{"n":1}}`)
		react("updated", `{"type":"like"}`)
		react("added", `{"type":"wow"}`)
		wantStatus(t, bob.do("POST", comments+"/c1/reactions", `{"type":"wow"}`), 201)
		wantEvent(t, c.event(), "feeds.comment.reaction.added")
		a := react("updated", `{"type":"sad","enforce_unique":true}`)
		if a.get("comment", "reaction_count") != 2.0 || len(a.get("comment", "own_reactions").([]any)) != 1 || a.get("reaction", "comment_id") != "c1" || a.get("reaction", "activity_id") != "a1" {
			t.Errorf("in the end %v", a.body)
		}
		wantFound(t, bob, comments+"/c1/reactions/query", "reactions", "type", map[string]string{`{}`: "sad wow", `{"user_id":"bob"}`: "wow", `{"reaction_type":{"$in":["sad"]},"comment_id":"c1","activity_id":"a1"}`: "sad"},
			[]string{`{"type":"sad"}`})
		for range 2 {
			wantStatus(t, alice.do("POST", activities+"/a1/reactions", `{"type":"like"}`), 201)
			c.event()
		}
		wantFound(t, bob, activities+"/a1/reactions/query", "reactions", "user.id", map[string]string{`{"created_at":{"$exists":true}}`: "alice", `{"reaction_type":"wow"}`: ""}, []string{`{"custom.n":1}`})
		for list, path := range map[string]string{`{"activity_ids":["a1","none","a1"]}`: activities, `{"comment_ids":["c1","none"]}`: comments} {
			if got := found(t, alice, path+"/reactions/query", "reactions", "user.id", list); got != "alice" {
				t.Errorf("%s: alice's own are those of %s", list, got)
			}
		}
		wantCode(t, alice.do("POST", comments+"/reactions/query", `{"comment_ids":["c1"],"filter":{"user_id":"bob"}}`), 400, 4)
		wantCode(t, alice.do("POST", activities+"/reactions/query", `{}`), 400, 4)
		wantStatus(t, bob.do("DELETE", comments+"/c1/reactions/wow", ``), 200)
		wantEvent(t, c.event(), "feeds.comment.reaction.deleted")
		wantCode(t, bob.do("DELETE", comments+"/c1/reactions/wow", ``), 404, 16)
		wantCode(t, bob.do("POST", comments+"/c1/reactions", `{}`), 400, 4)
		wantCode(t, bob.do("POST", comments+"/none/reactions", `{"type":"x"}`), 404, 16)
		c.wantNoEvent()
	})
}

// restrict_replies says who may comment.
func TestRestrictReplies(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		server := caller{rt: srv, token: srv.ServerToken()}
		makeFeeds(t, server, "timeline:alice", "user:alice", "user:bob")
		wantStatus(t, server.do("POST", "/api/v2/feeds/follows", `{"source":"timeline:alice","target":"user:bob"}`), 201)
		for restrict, want := range map[string]string{"everyone": "alice bob carol", "people_i_follow": "alice bob", "nobody": "alice"} {
			wantStatus(t, server.do("POST", activities, fmt.Sprintf(`{"type":"post","feeds":["user:alice"],"id":%q,"user_id":"alice","restrict_replies":%[1]q}`, restrict)), 201)
			var may []string
			for _, user := range []string{"alice", "bob", "carol"} {
				a := caller{rt: srv, token: srv.Issue(user)}.do("POST", comments, fmt.Sprintf(`{"object_id":%q,"object_type":"activity","comment":"x"}`, restrict))
				if a.status == 201 {
					may = append(may, user)
				} else {
					wantCode(t, a, 403, 17)
				}
			}
			if got := strings.Join(may, " "); got != want {
				t.Errorf("%s: %s may comment, want %s", restrict, got, want)
			}
		}
	})
}
