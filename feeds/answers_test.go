package feeds_test

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
)

// Answers as Stream's SDKs have them in their fixtures and as older servers wrote them: null for
// lists, maps, objects and times, missing fields, unknown ones, times as text.
func TestAnswersAreReadRobustly(t *testing.T) {
	tests := []struct {
		name, answer string
		want         feeds.Activity
	}{
		{"nulls", `{"activity":{"id":"a1","type":null,"feeds":null,"text":null,"user":null,"visibility":null,"attachments":null,"mentioned_users":null,
			"filter_tags":null,"interest_tags":null,"custom":null,"comment_count":null,"reaction_count":null,"reaction_groups":null,"own_reactions":null,
			"latest_reactions":null,"created_at":null,"updated_at":null,"edited_at":null},"duration":null}`, feeds.Activity{ID: "a1"}},
		{"missing", `{"activity":{"id":"a1"}}`, feeds.Activity{ID: "a1"}},
		{"null group", `{"activity":{"id":"a1","reaction_groups":{"like":null}}}`, feeds.Activity{ID: "a1", ReactionGroups: map[string]feeds.ReactionGroup{"like": {}}}},
		{"text times", `{"activity":{"id":"a1","created_at":"2026-01-02T03:04:05.000006Z","updated_at":"2026-01-02T04:04:05.000006+01:00","user":{"id":"alice","created_at":"2026-01-02T03:04:05Z"}}}`,
			feeds.Activity{ID: "a1", CreatedAt: then, UpdatedAt: then, User: feeds.UserResponse{ID: "alice", CreatedAt: feeds.Timestamp{Time: then.Truncate(time.Second)}}}},
		{"unknown", `{"activity":{"id":"a1","new":{"a":[1]},"moderation":{"action":"keep"}},"metadata":{}}`, feeds.Activity{ID: "a1"}},
		{"null activity", `{"activity":null}`, feeds.Activity{}},
		{"nothing", `{}`, feeds.Activity{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			api := &stub{answer: func(int, *http.Request) (int, http.Header, string) { return 200, nil, tt.answer }}
			out, err := stubbed(t, api).GetActivity(t.Context(), "a1", nil)
			if err != nil {
				t.Fatal(err)
			}
			got := out.Activity
			if !got.CreatedAt.Equal(tt.want.CreatedAt.Time) || !got.UpdatedAt.Equal(tt.want.UpdatedAt.Time) || !got.User.CreatedAt.Equal(tt.want.User.CreatedAt.Time) {
				t.Errorf("times %v, %v, %v", got.CreatedAt, got.UpdatedAt, got.User.CreatedAt)
			}
			for _, a := range []*feeds.Activity{&got, &tt.want} { // time zones are compared above
				a.CreatedAt, a.UpdatedAt, a.User.CreatedAt = feeds.Timestamp{}, feeds.Timestamp{}, feeds.Timestamp{}
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%+v,\nwant %+v", got, tt.want)
			}
		})
	}
}

// An answer that can't be read is an error that says so. The caller never gets half an answer.
func TestAnswersThatAreNone(t *testing.T) {
	for name, tt := range map[string]struct {
		status  int
		body    string
		want    string
		isError bool
	}{
		"torn":      {200, `{"activity":{"id":"a1"`, "the answer is not what was expected", false},
		"HTML":      {200, `<html>Please sign in</html>`, "the answer is not what was expected", false},
		"a list":    {200, `[]`, "the answer is not what was expected", false},
		"wrong":     {200, `{"activity":{"id":1}}`, "the answer is not what was expected", false},
		"no time":   {200, `{"activity":{"created_at":"yesterday"}}`, "the answer is not what was expected", false},
		"redirect":  {302, ``, "Found (status 302, code 0", true},
		"bad proxy": {502, `<html>Bad gateway</html>`, "Bad Gateway (status 502, code 0", true},
		"too long":  {200, `{"activity":{"text":"` + strings.Repeat("a", 16<<20) + `"}}`, "has more than", false},
	} {
		t.Run(name, func(t *testing.T) {
			api := &stub{answer: func(int, *http.Request) (int, http.Header, string) { return tt.status, nil, tt.body }}
			out, err := stubbed(t, api).GetActivity(t.Context(), "a1", nil)
			if out != nil || err == nil || !strings.HasPrefix(err.Error(), "feeds: GET /api/v2/feeds/activities/a1: ") || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("%v, %v", out, err)
			}
			if _, ok := err.(*feeds.Error); ok != tt.isError {
				t.Errorf("error %T", err)
			}
		})
	}
}

// What a server says is bounded and printable in an error, and a token that it quotes is not
// repeated.
func TestRefusalsAreFitForALog(t *testing.T) {
	token, err := provider.Signer{Secret: provider.NewSecret("secret")}.UserToken("alice")
	if err != nil {
		t.Fatal(err)
	}
	quote := func(v string) string {
		b, err := json.Marshal(map[string]any{"code": 4, "message": v})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for name, tt := range map[string]struct{ body, want string }{
		"a token":           {quote("bad token " + token + ", sorry"), "bad token REDACTED, sorry"},
		"a developer token": {quote(`bad token "` + provider.DevToken("ab?>") + `"`), `bad token "REDACTED"`},
		"lines":             {quote("a\nb\x1b[31mc"), "a b [31mc"},
		"long":              {quote(strings.Repeat("é", 1000)), strings.Repeat("é", 250) + "..."},
		"longer than read":  {quote(strings.Repeat("a", 70<<10)), "Bad Request"},
		"no message":        {`{"code":4}`, "Bad Request"},
	} {
		t.Run(name, func(t *testing.T) {
			api := &stub{answer: func(int, *http.Request) (int, http.Header, string) { return 400, nil, tt.body }}
			_, err := stubbed(t, api).GetActivity(t.Context(), "a1", nil)
			e, ok := err.(*feeds.Error)
			if !ok || e.Message != tt.want || !strings.HasPrefix(err.Error(), "feeds: GET /api/v2/feeds/activities/a1: "+tt.want+" (status 400, code ") {
				t.Errorf("error %v", err)
			}
		})
	}
}
