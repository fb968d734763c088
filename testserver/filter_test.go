package testserver_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

// found posts a query and returns what it finds, by the field that names each.
func found(t *testing.T, c caller, path, list, name, body string) string {
	t.Helper()
	a := c.do("POST", path, body)
	wantStatus(t, a, 201)
	var names []string
	for _, item := range a.body[list].([]any) {
		var v any = item
		for part := range strings.SplitSeq(name, ".") {
			v = v.(map[string]any)[part]
		}
		names = append(names, fmt.Sprint(v))
	}
	return strings.Join(names, " ")
}

// wantFound checks a table of filters and what they find, and one of filters that the API doesn't
// know.
func wantFound(t *testing.T, c caller, path, list, name string, finds map[string]string, unknown []string) {
	t.Helper()
	for filter, want := range finds {
		if got := found(t, c, path, list, name, `{"filter":`+filter+`}`); got != want {
			t.Errorf("%s finds %s; want %s", filter, got, want)
		}
	}
	for _, filter := range unknown {
		wantCode(t, c.do("POST", path, `{"filter":`+filter+`}`), 400, 4)
	}
}

func TestActivityFilters(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		server := caller{rt: srv, token: srv.ServerToken()}
		for i, content := range []string{
			`"text":"Apple pie, with cream","custom":{"n":1,"deep":{"colour":"red","list":["a","b"]}},"expires_at":` + stamp(time.Hour) + `,
				"search_data":{"campaign":{"id":"spring","mall":"yorkdale"}},"location":{"lat":52.52,"lng":13.40}`,
			`"text":"pineapple","custom":{"n":2,"word":"x"},"location":{"lat":48.86,"lng":2.35},"interest_tags":["a","b"]`,
			`"custom":{"n":2.5,"yes":true},"search_data":{"campaign":{"id":"autumn"}}`,
		} {
			wantStatus(t, server.do("POST", activities, fmt.Sprintf(`{"type":"t%d","id":"a%d","feeds":["user:%d","news:all"],"user_id":"u%d",%s}`, i%2, i, i, i, content)), 201)
			time.Sleep(time.Second)
		}
		for range 2 {
			wantStatus(t, server.do("POST", "/api/v2/feeds/comments", `{"object_id":"a1","object_type":"activity","comment":"x","user_id":"u"}`), 201)
		}
		wantStatus(t, server.do("POST", activities+"/a2/reactions", `{"type":"like","user_id":"u"}`), 201)

		wantFound(t, server, activities+"/query", "activities", "id", map[string]string{
			`{"activity_type":"t0"}`:                                            "a2 a0",
			`{"activity_type":{"$in":["t1","t2"]}}`:                             "a1",
			`{"user_id":"u1"}`:                                                  "a1",
			`{"feed":"user:2"}`:                                                 "a2",
			`{"feed":{"$in":["news:all","x:y"]}}`:                               "a2 a1 a0",
			`{"text":"pineapple"}`:                                              "a1",
			`{"text":{"$q":"apple"}}`:                                           "a0",
			`{"text":{"$q":"CREAM pie"}}`:                                       "a0",
			`{"text":{"$q":"pie bread"}}`:                                       "",
			`{"text":{"$q":""}}`:                                                "",
			`{"text":{"$autocomplete":"app cr"}}`:                               "a0",
			`{"text":{"$autocomplete":"pine"}}`:                                 "a1",
			`{"popularity":4}`:                                                  "a1",
			`{"popularity":{"$gte":1}}`:                                         "a2 a1",
			`{"popularity":{"$gt":1,"$lt":5}}`:                                  "a1",
			`{"popularity":{"$lte":0}}`:                                         "a0",
			`{"hidden":false}`:                                                  "a2 a1 a0",
			`{"hidden":true}`:                                                   "",
			`{"interest_tags":["b"]}`:                                           "a1",
			`{"interest_tags":{"$in":["b","c"]}}`:                               "a1",
			`{"expires_at":{"$exists":true}}`:                                   "a0",
			`{"expires_at":{"$exists":false}}`:                                  "a2 a1",
			`{"expires_at":{"$gt":` + stamp(0) + `}}`:                           "a0",
			`{"custom":{"$contains":{"deep":{"colour":"red"}}}}`:                "a0",
			`{"custom":{"$contains":{"deep":{"list":["b"]}}}}`:                  "a0",
			`{"custom":{"$contains":{"deep":{"list":"a"}}}}`:                    "a0",
			`{"custom":{"n":2,"word":"x"}}`:                                     "a1",
			`{"custom":{"n":2}}`:                                                "",
			`{"custom":{"$in":[{"n":2,"word":"x"},{"n":7}]}}`:                   "a1",
			`{"custom.n":2}`:                                                    "a1",
			`{"custom.n":{"$gt":1}}`:                                            "a2 a1",
			`{"custom.n":{"$gte":1,"$lt":2.5}}`:                                 "a1 a0",
			`{"custom.n":{"$in":[1,2.5]}}`:                                      "a2 a0",
			`{"custom.word":{"$lte":"y"}}`:                                      "a1",
			`{"custom.yes":true}`:                                               "a2",
			`{"custom.deep.colour":"red"}`:                                      "a0",
			`{"custom.deep.colour":{"$exists":true}}`:                           "a0",
			`{"custom.deep.list":{"$contains":"b"}}`:                            "a0",
			`{"custom.deep.list":{"$contains":["b","c"]}}`:                      "",
			`{"search_data":{"$contains":{"campaign":{"id":"spring"}}}}`:        "a0",
			`{"search_data":{"$path_exists":"campaign.mall"}}`:                  "a0",
			`{"search_data":{"$in":[{"campaign":{"id":"autumn"}}]}}`:            "a2",
			`{"near":{"lat":52.4,"lng":13.1,"distance":30}}`:                    "a0",
			`{"near":{"lat":52.4,"lng":13.1,"distance":5}}`:                     "",
			`{"near":{"lat":50,"lng":8,"distance":2000}}`:                       "a1 a0",
			`{"within_bounds":{"ne_lat":50,"ne_lng":5,"sw_lat":45,"sw_lng":0}}`: "a1",
			`{"created_at":{"$gte":"1999-12-31T22:30:01.5-01:30"}}`:             "a2 a1",
			`{"created_at":{"$lt":"2000-01-01T05:30:01.500000+05:30"}}`:         "a0",
			`{"created_at":"2000-01-01T00:00:00.500Z"}`:                         "a0",
		}, []string{
			`{"type":"t0"}`, `{"feeds":"user:1"}`, `{"colour":"red"}`, `{"custom":7,"x":1}`, `{"user.id":"u1"}`, `{"feed":{"$contains":"x"}}`,
			`{"activity_type":{"$gt":"a"}}`, `{"activity_type":null}`, `{"activity_type":["t0"]}`, `{"text":{"$in":["x"]}}`, `{"text":{"$q":7}}`,
			`{"popularity":"4"}`, `{"popularity":{"$in":[4]}}`, `{"hidden":"no"}`, `{"expires_at":{"$exists":1}}`, `{"search_data":{"campaign":1}}`,
			`{"search_data.campaign":{"$in":[1]}}`, `{"custom":{"$q":"x"}}`, `{"custom":{"$exists":"x"}}`, `{"near":7}`, `{"within_bounds":[]}`,
			`{"created_at":{"$gt":"2000-01-01"}}`, `{"created_at":{"$gt":"2000-01-01T00:00:00"}}`, `{"created_at":{"$gt":"2000-01-01T00:00:00,5Z"}}`,
			`{"created_at":{"$gt":"2000-01-01T0:00:00Z"}}`, `{"created_at":{"$gt":946684800}}`, `{"created_at":{"$in":["2000-01-01T00:00:00Z"]}}`,
			`{"id":{"$in":[null]}}`, `{"id":{"$ne":"a1"}}`,
		})
		for sort, want := range map[string]string{
			`[]`:                                     "a2 a1 a0",
			`[{"field":"created_at","direction":1}]`: "a0 a1 a2",
			`[{"field":"created_at"}]`:               "a0 a1 a2",
			`[{"field":"popularity","direction":-1}]`:                                      "a1 a2 a0",
			`[{"field":"popularity","direction":1},{"field":"created_at","direction":-1}]`: "a0 a2 a1",
		} {
			if got := found(t, server, activities+"/query", "activities", "id", `{"sort":`+sort+`}`); got != want {
				t.Errorf("sort %s gives %s; want %s", sort, got, want)
			}
		}
		for _, sort := range []string{`[{"field":"text"}]`, `[{"field":"score"}]`, `[{}]`, `[{"field":"created_at","direction":2}]`,
			`[` + strings.Repeat(`{"field":"created_at"},`, 5) + `{"field":"created_at"}]`} {
			wantCode(t, server.do("POST", activities+"/query", `{"sort":`+sort+`}`), 400, 4)
		}
		// What has expired is left out unless it is asked for.
		time.Sleep(time.Hour)
		for body, want := range map[string]string{`{}`: "a2 a1", `{"include_expired_activities":true}`: "a2 a1 a0"} {
			if got := found(t, server, activities+"/query", "activities", "id", body); got != want {
				t.Errorf("%s finds %s; want %s", body, got, want)
			}
		}
		// A cursor of one order is none of another.
		next := server.do("POST", activities+"/query", `{"limit":1}`).text("next")
		wantCode(t, server.do("POST", activities+"/query", `{"limit":1,"next":"`+next+`","sort":[{"field":"popularity"},{"field":"created_at"}]}`), 400, 4)
	})
}

// Through the pages of a list whose order is not that of time.
func TestPagingByPopularity(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		server := caller{rt: srv, token: srv.ServerToken()}
		for i := range 9 {
			wantStatus(t, server.do("POST", activities, fmt.Sprintf(`{"type":"post","feeds":["user:x"],"id":"a%d","user_id":"x"}`, i)), 201)
			for j := range i % 3 {
				wantStatus(t, server.do("POST", fmt.Sprintf("%s/a%d/reactions", activities, i), fmt.Sprintf(`{"type":"like","user_id":"u%d"}`, j)), 201)
			}
		}
		var got, back []string
		var last answer
		for cursor := ""; ; {
			last = server.do("POST", activities+"/query", `{"limit":2,"sort":[{"field":"popularity","direction":-1}],"next":"`+cursor+`"}`)
			got = append(got, ids(last.body["activities"])...)
			if cursor = last.text("next"); cursor == "" {
				break
			}
		}
		for cursor := last.text("prev"); cursor != ""; cursor = last.text("prev") {
			last = server.do("POST", activities+"/query", `{"limit":2,"sort":[{"field":"popularity","direction":-1}],"prev":"`+cursor+`"}`)
			back = append(ids(last.body["activities"]), back...)
		}
		const want = "a8 a5 a2 a7 a4 a1 a6 a3 a0"
		if strings.Join(got, " ") != want || strings.Join(back, " ") != want[:len(want)-3] {
			t.Errorf("forth %v, back %v; want %s", got, back, want)
		}
	})
}

func TestUserFilters(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		server := caller{rt: srv, token: srv.ServerToken()}
		for _, user := range []string{
			`"ann":{"name":"Ann Lee","role":"admin","language":"en","teams":["red","blue"],"custom":{"n":1,"email":"ann@x.test"}}`,
			`"ben":{"name":"Ben","teams":["red"],"custom":{"n":2,"username":"benny"}}`, `"cleo":{}`,
		} {
			wantStatus(t, server.do("POST", "/api/v2/users", `{"users":{`+user+`}}`), 201)
			time.Sleep(time.Second)
		}
		query := func(payload string) answer {
			return server.do("GET", "/api/v2/users?payload="+url.QueryEscape(payload), "")
		}
		for filter, want := range map[string]string{
			`{}`: "ann ben cleo", `{"id":{"$ne":"ben"}}`: "ann cleo", `{"id":{"$nin":["ben","x"]}}`: "ann cleo", `{"id":{"$autocomplete":"cl"}}`: "cleo",
			`{"id":{"$gt":"ann","$lte":"ben"}}`: "ben", `{"name":{"$autocomplete":"le"}}`: "ann", `{"name":{"$exists":false}}`: "cleo", `{"role":"admin"}`: "ann",
			`{"role":{"$in":["user"]}}`: "ben cleo", `{"language":"en"}`: "ann", `{"email":"ann@x.test"}`: "ann", `{"username":{"$autocomplete":"ben"}}`: "ben",
			`{"teams":"red"}`: "ann ben", `{"teams":{"$in":["blue"]}}`: "ann", `{"teams":{"$contains":"blue"}}`: "ann", `{"custom.n":{"$gt":1}}`: "ben",
			`{"banned":false}`: "ann ben cleo", `{"banned":{"$ne":false}}`: "", `{"bypass_moderation":false}`: "ann ben cleo", `{"shadow_banned":{"$ne":false}}`: "", `{"last_active":{"$exists":true}}`: "", `{"created_at":{"$gte":` + stamp(-2*time.Second) + `}}`: "ben cleo",
			`{"updated_at":{"$lt":` + stamp(-2*time.Second) + `}}`: "ann", `{"$or":[{"id":"ann"},{"name":"Ben"}]}`: "ann ben",
		} {
			a := query(`{"filter_conditions":` + filter + `}`)
			wantStatus(t, a, 200)
			if got := strings.Join(ids(a.body["users"]), " "); got != want {
				t.Errorf("%s finds %s; want %s", filter, got, want)
			}
		}
		for sort, want := range map[string]string{`[{"field":"id","direction":-1}]`: "cleo ben ann", `[{"field":"name"},{"field":"id"}]`: "cleo ann ben", `[{"field":"created_at","direction":-1}]`: "cleo ben ann",
			`[{"field":"role","direction":-1},{"field":"id"}]`: "ben cleo ann", `[{"field":"updated_at","direction":-1}]`: "cleo ben ann"} {
			if got := strings.Join(ids(query(`{"filter_conditions":{},"sort":` + sort + `}`).body["users"]), " "); got != want {
				t.Errorf("sort %s gives %s; want %s", sort, got, want)
			}
		}
		for _, payload := range []string{`{"filter_conditions":{"colour":1}}`, `{"filter_conditions":{"language":{"$in":["en"]}}}`, `{"filter_conditions":{"image":"x"}}`, `{"filter_conditions":{},"sort":[{"field":"image"}]}`} {
			wantCode(t, query(payload), 400, 4)
		}
		wantCode(t, server.do("GET", "/api/v2/users", ""), 400, 4)
	})
}

// What a list contains can be asked, and not how it compares.
func TestFilterLists(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		alice := caller{rt: srv, token: srv.Issue("alice")}
		for i, tags := range []string{`["x","y"]`, `["y"]`, `[]`} {
			wantStatus(t, alice.do("POST", activities, fmt.Sprintf(`{"type":"post","id":"a%d","feeds":["user:alice","user:%d"],"filter_tags":%s}`, i, i, tags)), 201)
		}
		for filter, want := range map[string]string{
			`{"feed":"user:1"}`:                           "a1",
			`{"feed":{"$in":["user:1","user:2"]}}`:        "a2 a1",
			`{"filter_tags":{"$contains":"y"}}`:           "a1 a0",
			`{"filter_tags":{"$contains":["y","x"]}}`:     "a0",
			`{"filter_tags":{"$in":["x","z"]}}`:           "a0",
			`{"filter_tags":["x"],"feed":"user:alice"}`:   "a0",
			`{"filter_tags":["y","x"]}`:                   "a0",
			`{"$or":[{"filter_tags":["x"]},{"id":"a2"}]}`: "a2 a0",
		} {
			if got := ids(alice.do("POST", activities+"/query", `{"filter":`+filter+`}`).body["activities"]); strings.Join(got, " ") != want {
				t.Errorf("%s finds %v, want %s", filter, got, want)
			}
		}
		for _, filter := range []string{`{"feeds":"user:1"}`, `{"feed":1}`, `{"filter_tags":"x"}`, `{"filter_tags":{"$gt":"a"}}`, `{"filter_tags":{"$in":"x"}}`} {
			wantCode(t, alice.do("POST", activities+"/query", `{"filter":`+filter+`}`), 400, 4)
		}
	})
}
