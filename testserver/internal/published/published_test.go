package published_test

import (
	"strings"
	"testing"

	"github.com/stayauth/stayauth/testserver/internal/published"
)

const (
	user     = `{"id":"a","role":"user","banned":false,"online":false,"language":"","teams":[],"blocked_user_ids":[],"custom":{},"created_at":1798761600000000000,"updated_at":1798761600000000000,"invisible":false,"shadow_banned":false}`
	reaction = `{"activity_id":"a1","type":"like","user":` + user + `,"created_at":1798761600000000000,"updated_at":1798761600000000000}`
)

// Each kind of mistake is found, and named with its place.
func TestAnswer(t *testing.T) {
	api := published.Load()
	const path = "/api/v2/feeds/activities/a1/reactions/query"
	good := `{"duration":"1ms","reactions":[` + reaction + `]}`
	for _, tt := range []struct{ name, method, path, body, want string }{
		{"right", "POST", path, good, ""},
		{"a null for what may be missing", "POST", path, strings.Replace(good, `"1ms"`, `"1ms","next":null`, 1), ""},
		{"missing", "POST", path, strings.Replace(good, `"type":"like",`, ``, 1), "reactions[0].type is missing or null in FeedsReactionResponse"},
		{"null", "POST", path, strings.Replace(good, `"teams":[]`, `"teams":null`, 1), "reactions[0].user.teams is missing or null in UserResponse"},
		{"unknown", "POST", path, strings.Replace(good, `"type"`, `"kind":1,"type"`, 1), "reactions[0].kind is no field of FeedsReactionResponse"},
		{"no string", "POST", path, strings.Replace(good, `"like"`, `7`, 1), "reactions[0].type is json.Number 7, want string"},
		{"no list", "POST", path, `{"duration":"1ms","reactions":{}}`, "reactions is map[string]interface {} map[], want list FeedsReactionResponse"},
		{"no object", "POST", path, `{"duration":"1ms","reactions":[7]}`, "reactions[0] is json.Number 7, want an object (FeedsReactionResponse)"},
		{"a date in seconds", "POST", path, strings.Replace(good, `1798761600000000000`, `1798761600`, 1), "want nanoseconds since 1970"},
		{"a date as text", "POST", path, strings.Replace(good, `1798761600000000000`, `"2027-01-01T00:00:00Z"`, 1), "want time"},
		{"a fraction", "POST", "/api/v2/feeds/feeds/query", `{"duration":"1ms","feeds":[{"activity_count":1.5}]}`, "feeds[0].activity_count is 1.5, want an integer"},
		{"no value of its list", "POST", "/api/v2/feeds/follows", `{"duration":"1ms","follow":{"status":"maybe"}}`, `follow.status is "maybe", want one of accepted|pending|rejected`},
		{"no JSON", "POST", path, `<html>`, "the whole is not JSON"},
		{"another operation", "GET", "/api/v2/feeds/activities", `{}`, "GET /api/v2/feeds/activities is answered, and no operation of the API"},
		{"a literal before a variable", "POST", "/api/v2/feeds/comments/query", `{"duration":"1ms","comments":[]}`, ""},
		{"what users are told of the app", "GET", "/api/v2/app", `{"duration":"1ms","app":{"id":1,"name":"","placement":"","async_url_enrich_enabled":false,` +
			`"auto_translation_enabled":false,"file_upload_config":{"size_limit":1},"image_upload_config":{"size_limit":1}}}`, ""},
		{"what servers are told of it", "GET", "/api/v2/app", `{"duration":"1ms","app":{"disable_auth_checks":false}}`, "app.webhook_url is missing"},
	} {
		status := map[string]int{"GET": 200, "POST": 201}[tt.method]
		check(t, tt.name, api.Answer(tt.method, tt.path, status, []byte(tt.body)), tt.want)
	}
	check(t, "status", api.Answer("POST", path, 200, []byte(good)), "is answered with status 200, want 201")
	check(t, "an error", api.Answer("POST", path, 400, []byte(good)), "StatusCode is missing or null in APIError")
	check(t, "an error", api.Answer("POST", path, 400, []byte(`{"StatusCode":400,"code":4,"message":"","duration":"","more_info":"","details":[]}`)), "")
}

func TestEvent(t *testing.T) {
	api := published.Load()
	check(t, "right", api.Event([]byte(`{"type":"feeds.feed.deleted","fid":"user:a","created_at":1798761600000000000,"custom":{}}`)), "")
	check(t, "missing", api.Event([]byte(`{"type":"feeds.feed.deleted","created_at":1798761600000000000,"custom":{}}`)), "fid is missing")
	check(t, "unknown", api.Event([]byte(`{"type":"feeds.feed.eaten"}`)), `the API has no event "feeds.feed.eaten"`)
}

func check(t *testing.T, name string, err error, want string) {
	t.Helper()
	if err == nil && want != "" || err != nil && (want == "" || !strings.Contains(err.Error(), want)) {
		t.Errorf("%s: %v; want %s", name, err, want)
	}
}
