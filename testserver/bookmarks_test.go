package testserver_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

func TestBookmarks(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		alice, bob := caller{rt: srv, token: srv.Issue("alice")}, caller{rt: srv, token: srv.Issue("bob")}
		server := caller{rt: srv, token: srv.ServerToken()}
		wantStatus(t, alice.do("POST", activities, `{"type":"post","feeds":["user:alice"],"id":"a1"}`), 201)
		wantStatus(t, alice.do("POST", "/api/v2/feeds/comments", `{"object_id":"a1","object_type":"activity","comment":"x","id":"c1"}`), 201)
		c, _ := connect(t, srv, bob.token, `{}`) // which watches nothing
		other, _ := connect(t, srv, alice.token, `{}`)
		told := func(kind string) answer {
			t.Helper()
			event := c.event()
			wantEvent(t, event, "feeds."+kind)
			time.Sleep(time.Second)
			return answer{body: event}
		}
		const onActivity, onComment = activities + "/a1/bookmarks", "/api/v2/feeds/comments/c1/bookmarks"
		a := bob.do("POST", onActivity, `{"custom":{"n":1}}`)
		wantStatus(t, a, 201)
		if a.get("bookmark", "object_type") != "activity" || a.get("bookmark", "activity", "id") != "a1" || a.get("bookmark", "folder") != nil {
			t.Errorf("the bookmark is %v", a.body)
		}
		if ev := told("bookmark.added"); ev.get("bookmark", "custom", "n") != 1.0 || ev.get("user", "id") != "bob" {
			t.Errorf("told %v", ev.body)
		}
		a = bob.do("POST", onActivity, `{"new_folder":{"name":"Recipes","custom":{"icon":"x"}}}`) // in another place it is another one
		wantStatus(t, a, 201)
		told("bookmark.added")
		folder := a.get("bookmark", "folder", "id").(string)
		wantStatus(t, bob.do("POST", onComment, fmt.Sprintf(`{"folder_id":%q}`, folder)), 201)
		if ev := told("bookmark.added"); ev.get("bookmark", "object_type") != "comment" || ev.get("bookmark", "comment", "text") != "x" || ev.get("bookmark", "activity", "id") != "a1" {
			t.Errorf("told of a comment's bookmark %v", ev.body)
		}
		wantStatus(t, server.do("POST", onActivity, `{"user_id":"carol"}`), 201)
		count := func(c caller, path ...string) string {
			got := c.do("GET", activities+"/a1", ``)
			comment := c.do("GET", "/api/v2/feeds/comments/c1", ``)
			return fmt.Sprintf("%v, own %d, on the comment %v", got.get("activity", "bookmark_count"), len(got.get("activity", "own_bookmarks").([]any)), comment.get("comment", "bookmark_count"))
		}
		if got := count(bob); got != "3, own 2, on the comment 1" {
			t.Errorf("bob sees %s", got)
		}
		if got := count(alice); got != "3, own 0, on the comment 1" {
			t.Errorf("alice sees %s", got)
		}
		// The same place again is the same bookmark.
		wantStatus(t, bob.do("POST", onActivity, `{"custom":{"n":2}}`), 201)
		told("bookmark.added")
		wantStatus(t, bob.do("PATCH", onActivity, fmt.Sprintf(`{"folder_id":%q,"custom":{"n":3}}`, folder)), 200)
		told("bookmark.updated")
		wantFound(t, bob, "/api/v2/feeds/bookmarks/query", "bookmarks", "object_id", map[string]string{
			`{}`: "c1 a1 a1", `{"activity_id":"a1"}`: "c1 a1 a1", `{"object_type":"comment"}`: "c1", `{"object_id":{"$in":["a1"]}}`: "a1 a1", `{"folder_id":"` + folder + `"}`: "c1 a1",
			`{"folder_id":{"$exists":false}}`: "a1", `{"user_id":"carol"}`: "", `{"created_at":{"$lt":` + stamp(-4*time.Second) + `}}`: "a1", `{"updated_at":{"$gte":` + stamp(-time.Second) + `}}`: "a1",
		}, []string{`{"folder":"x"}`, `{"custom.n":1}`})
		if got := found(t, server, "/api/v2/feeds/bookmarks/query", "bookmarks", "user.id", `{}`); got != "carol bob bob bob" {
			t.Errorf("a server finds those of %s", got)
		}
		if got := found(t, server, "/api/v2/feeds/bookmarks/query", "bookmarks", "user.id", `{"user_id":"carol"}`); got != "carol" {
			t.Errorf("for carol a server finds those of %s", got)
		}

		wantStatus(t, bob.do("PATCH", "/api/v2/feeds/bookmark_folders/"+folder, `{"name":"Sweets"}`), 200)
		if ev := told("bookmark_folder.updated"); ev.get("bookmark_folder", "name") != "Sweets" || ev.get("bookmark_folder", "custom", "icon") != "x" {
			t.Errorf("told of the folder %v", ev.body)
		}
		wantFound(t, bob, "/api/v2/feeds/bookmark_folders/query", "bookmark_folders", "name", map[string]string{
			`{}`: "Sweets", `{"folder_name":{"$contains":"wee"}}`: "Sweets", `{"folder_name":"Recipes"}`: "", `{"user_id":"alice"}`: "", `{"custom.icon":"x"}`: "Sweets",
			`{"created_at":{"$lt":` + stamp(0) + `}}`: "Sweets", `{"updated_at":{"$gt":` + stamp(0) + `}}`: "",
		}, []string{`{"name":"Sweets"}`})
		if got := found(t, alice, "/api/v2/feeds/bookmark_folders/query", "bookmark_folders", "name", `{}`); got != "" {
			t.Errorf("alice finds %s", got)
		}
		// Moved to a folder that is new, taken out of it, and gone with its folder.
		a = bob.do("PATCH", onActivity, `{"new_folder":{"name":"Second"}}`)
		wantStatus(t, a, 200)
		told("bookmark.updated")
		wantCode(t, bob.do("DELETE", onActivity, ``), 404, 16) // it is not there any more
		wantStatus(t, bob.do("DELETE", onActivity+"?folder_id="+a.get("bookmark", "folder", "id").(string), ``), 200)
		told("bookmark.deleted")
		wantStatus(t, bob.do("DELETE", onComment+"?folder_id="+folder, ``), 200)
		told("bookmark.deleted")
		wantStatus(t, bob.do("DELETE", "/api/v2/feeds/bookmark_folders/"+folder, ``), 200)
		told("bookmark_folder.deleted")
		wantStatus(t, server.do("DELETE", onActivity+"?user_id=carol", ``), 200)
		if got := count(bob); got != "0, own 0, on the comment 0" {
			t.Errorf("in the end there are %s", got)
		}
		c.wantNoEvent()
		other.wantNoEvent() // it is bob's alone

		wantStatus(t, bob.do("POST", onActivity, `{"new_folder":{"name":"Third"}}`), 201)
		third := told("bookmark.added").get("bookmark", "folder", "id").(string)
		for _, tt := range []struct {
			by                 caller
			method, path, body string
			code               int
		}{
			{alice, "POST", onActivity, `{"folder_id":"` + third + `"}`, 16}, // another's
			{bob, "POST", onActivity, `{"folder_id":"none"}`, 16},
			{bob, "POST", onActivity, `{"new_folder":{}}`, 4},
			{bob, "POST", activities + "/none/bookmarks", ``, 16},
			{bob, "POST", "/api/v2/feeds/comments/none/bookmarks", ``, 16},
			{server, "POST", onActivity, ``, 4},
			{bob, "POST", onActivity, `{"user_id":"alice"}`, 17},
			{alice, "PATCH", onActivity, ``, 16},
			{alice, "PATCH", "/api/v2/feeds/bookmark_folders/" + third, `{"name":"x"}`, 17},
			{alice, "DELETE", "/api/v2/feeds/bookmark_folders/" + third, ``, 17},
			{alice, "DELETE", "/api/v2/feeds/bookmark_folders/none", ``, 16},
		} {
			wantCode(t, tt.by.do(tt.method, tt.path, tt.body), map[int]int{4: 400, 16: 404, 17: 403}[tt.code], tt.code)
		}
	})
}
