package testserver_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

func TestComments(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		alice := caller{rt: srv, token: srv.Issue("alice")}
		bob := caller{rt: srv, token: srv.Issue("bob")}
		wantStatus(t, alice.do("POST", activities, `{"type":"post","feeds":["user:alice"],"id":"a1"}`), 201)

		add := func(id, where string) {
			t.Helper()
			a := bob.do("POST", comments, `{"id":"`+id+`","comment":"text of `+id+`",`+where+`,"mentioned_user_ids":["alice"]}`)
			wantStatus(t, a, 201)
			time.Sleep(time.Second)
		}
		for i := range 5 {
			add(fmt.Sprintf("c%d", i), `"object_id":"a1","object_type":"activity"`)
		}
		add("r0", `"parent_id":"c1"`)
		add("r1", `"parent_id":"c1","object_id":"a1","object_type":"activity"`)
		add("rr", `"parent_id":"r1"`)

		tree := func(list any) string { return "" }
		tree = func(list any) (out string) {
			items, _ := list.([]any)
			for _, item := range items {
				m := answer{body: item.(map[string]any)}
				out += " " + m.text("id")
				if r := tree(m.body["replies"]); r != "" {
					out += fmt.Sprintf("(%v:%s)", m.body["reply_count"], r)
				}
			}
			return out
		}
		list := func(query string) answer {
			a := alice.do("GET", comments+"?object_type=activity&object_id=a1"+query, "")
			wantStatus(t, a, 200)
			return a
		}
		for query, want := range map[string]string{
			"":                    " c0 c1(2: r0 r1(1: rr)) c2 c3 c4",
			"&depth=1":            " c0 c1(2: r0 r1) c2 c3 c4",
			"&depth=0&sort=first": " c0 c1 c2 c3 c4",
			"&depth=0&sort=last":  " c4 c3 c2 c1 c0",
			"&depth=0&limit=2":    " c0 c1",
		} {
			if got := tree(list(query).body["comments"]); got != want {
				t.Errorf("%s gives%s, want%s", query, got, want)
			}
		}
		page := list("&depth=0&limit=2")
		page = list("&depth=0&limit=2&next=" + page.text("next"))
		if got := tree(page.body["comments"]); got != " c2 c3" {
			t.Errorf("the second page has%s, want c2 c3", got)
		}
		if got := tree(list("&depth=0&limit=2&prev=" + page.text("prev")).body["comments"]); got != " c0 c1" {
			t.Errorf("back from it is%s, want c0 c1", got)
		}
		one := alice.do("GET", comments+"/r1", "")
		if one.get("comment", "text") != "text of r1" || one.get("comment", "parent_id") != "c1" || one.get("comment", "object_id") != "a1" {
			t.Errorf("GetComment gives %v", one.body)
		}
		count := func() any { return alice.do("GET", activities+"/a1", "").get("activity", "comment_count") }
		if n := count(); n != 8.0 {
			t.Errorf("comment_count %v, want 8", n)
		}
		a := bob.do("DELETE", comments+"/c1?hard_delete=true", "null") // and the three answers under it
		wantStatus(t, a, 200)
		wantFields(t, a.get("activity"), fields.activity)
		if n := count(); n != 4.0 || a.get("activity", "comment_count") != 4.0 {
			t.Errorf("comment_count %v after the deletion, want 4", n)
		}
		wantCode(t, alice.do("GET", comments+"/rr", ""), 404, 16)

		for body, code := range map[string]int{
			`{"object_id":"a1","object_type":"activity"}`: 4,
			`{"comment":"x"}`:                                                           4,
			`{"comment":"x","object_id":"a1"}`:                                          4,
			`{"comment":"x","object_id":"a1","object_type":"feed"}`:                     4,
			`{"comment":"x","object_id":"a1","object_type":"activity","id":"c0"}`:       4,
			`{"comment":"x","object_id":"a2","object_type":"activity"}`:                 16,
			`{"comment":"x","parent_id":"none"}`:                                        16,
			`{"comment":"x","parent_id":"c0","object_id":"a2"}`:                         4,
			`{"comment":1,"object_id":"a1","object_type":"activity"}`:                   4,
			`{"comment":"x","object_id":"a1","object_type":"activity","user_id":"eve"}`: 17,
		} {
			wantCode(t, bob.do("POST", comments, body), map[int]int{4: 400, 16: 404, 17: 403}[code], code)
		}
		for query, code := range map[string]int{
			"":                                 4,
			"?object_id=a1":                    4,
			"?object_type=activity&object_id=": 16,
			"?object_type=activity&object_id=a1&sort=worst": 4,
			"?object_type=activity&object_id=a1&depth=9":    4,
			"?object_type=activity&object_id=a1&limit=x":    4,
			"?object_type=activity&object_id=a1&limit=101":  4,
			"?object_type=activity&object_id=a1&next=x":     4,
		} {
			wantCode(t, bob.do("GET", comments+query, ""), map[int]int{4: 400, 16: 404}[code], code)
		}
	})
}
