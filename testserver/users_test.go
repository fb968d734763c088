package testserver_test

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stayauth/stayauth/testserver"
)

func TestUsers(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		server := caller{rt: srv, token: srv.ServerToken()}
		a := server.do("POST", "/api/v2/users", `{"users":{
			"alice":{"id":"alice","name":"Alice","role":"admin","teams":["red"],"custom":{"n":1},"language":"en","image":"i"},
			"bob":{"name":"Bob","teams":null,"custom":null}}}`)
		wantStatus(t, a, 201)
		wantFields(t, a.get("users", "alice"), fields.user)
		wantFields(t, a.get("users", "bob"), fields.user)
		if got := a.get("users", "alice", "role"); got != "admin" {
			t.Errorf("role %v, want admin", got)
		}

		a = server.do("PATCH", "/api/v2/users", `{"users":[{"id":"alice","set":{"name":"A.","colour":"red","teams":["blue"],"banner":null},"unset":["custom.n","role","image"]}]}`)
		wantStatus(t, a, 200)
		for name, want := range map[string]any{"name": "A.", "role": "user", "image": nil, "language": "en", "teams": []any{"blue"}} {
			if got := a.get("users", "alice", name); !reflect.DeepEqual(got, want) {
				t.Errorf("after the update %s = %v, want %v", name, got, want)
			}
		}
		if got, want := a.get("users", "alice", "custom"), (map[string]any{"colour": "red"}); !reflect.DeepEqual(got, want) {
			t.Errorf("custom = %v, want %v", got, want)
		}
		for _, body := range []string{
			`{"users":[{"id":"alice","set":{"name":1}}]}`, `{"users":[{"id":"alice","set":{"created_at":1}}]}`,
			`{"users":[{"id":"alice","set":{"name":"X"}},{"id":"bob","set":{"teams":"x"}}]}`, `{"users":{}}`, `{}`,
		} {
			wantCode(t, server.do("PATCH", "/api/v2/users", body), 400, 4)
		}
		for _, body := range []string{`{"users":{}}`, `{"users":[]}`, `{"users":{"":{}}}`, `{"users":{"a":{"id":"b"}}}`,
			`{"users":{"` + strings.Repeat("x", 256) + `":{}}}`, manyUsers(101)} {
			wantCode(t, server.do("POST", "/api/v2/users", body), 400, 4)
		}
		wantStatus(t, server.do("POST", "/api/v2/users", manyUsers(100)), 201)

		query := func(payload string) answer {
			return server.do("GET", "/api/v2/users?payload="+url.QueryEscape(payload), "")
		}
		for _, tt := range []struct{ payload, want string }{
			{`{"filter_conditions":{"id":"alice"}}`, "alice"},
			{`{"filter_conditions":{"id":{"$in":["bob","alice"]}}}`, "alice bob"},
			{`{"filter_conditions":{"name":"A."}}`, "alice"},
			{`{"filter_conditions":{"role":"admin"}}`, ""},
			{`{"filter_conditions":{},"limit":2}`, "alice bob"},
			{`{"filter_conditions":null,"limit":2,"offset":1}`, "bob u0"},
		} {
			a := query(tt.payload)
			wantStatus(t, a, 200)
			got := ids(a.body["users"])
			slices.Sort(got) // the order of those made by one call is by id
			if strings.Join(got, " ") != tt.want {
				t.Errorf("%s finds %v, want %s", tt.payload, got, tt.want)
			}
		}
		if n := len(ids(query(`{"filter_conditions":{}}`).body["users"])); n != 25 {
			t.Errorf("%d users without a limit, want 25", n)
		}
		for _, payload := range []string{``, `{}`, `{`, `[]`, `{"filter_conditions":{},"limit":101}`, `{"filter_conditions":{},"offset":-1}`, `{"filter_conditions":{},"offset":1001}`, `{"filter_conditions":{"x":1}}`} {
			wantCode(t, query(payload), 400, 4)
		}
	})
}

// manyUsers is a request for n users, u0 and so on.
func manyUsers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"u%d":{}`, i)
	}
	return `{"users":{` + b.String()[1:] + `}}`
}
