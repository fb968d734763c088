package testserver_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stayauth/stayauth/testserver"
)

// Every operation of the part of the API that is known is served, is judged, and is closed to
// anonymous callers unless it only reads.
func TestOperations(t *testing.T) {
	srv := &testserver.Server{}
	server := caller{rt: direct{srv}, token: srv.ServerToken()}
	variable := regexp.MustCompile(`\{\w+\}`)
	var reads []string
	for _, op := range loadAPI().Operations() {
		method, path, _ := strings.Cut(op, " ")
		path = variable.ReplaceAllString(path, "none")
		if a := server.do(method, path, ""); a.err != nil || strings.Contains(a.text("message"), "does not serve") {
			t.Errorf("%s: %v, %v", op, a.err, a.text("message"))
		}
		if path == "/api/v2/guest" {
			continue // which needs no token
		}
		dead := caller{rt: direct{srv}, token: mint(map[string]any{"user_id": "alice", "exp": 1})}
		wantCode(t, dead.do(method, path, ""), 401, 40)
		a := caller{rt: direct{srv}, auth: "anonymous"}.do(method, path, "")
		if a.code() != 17 {
			reads = append(reads, op)
		}
	}
	want := strings.Split(strings.TrimSpace(`
GET /api/v2/app
POST /api/v2/feeds/activities/query
POST /api/v2/feeds/activities/{activity_id}/reactions/query
GET /api/v2/feeds/activities/{id}
GET /api/v2/feeds/comments
POST /api/v2/feeds/comments/query
GET /api/v2/feeds/comments/{id}
POST /api/v2/feeds/comments/{id}/reactions/query
GET /api/v2/feeds/comments/{id}/replies
POST /api/v2/feeds/feed_groups/{feed_group_id}/feeds/{feed_id}
POST /api/v2/feeds/feed_groups/{feed_group_id}/feeds/{feed_id}/members/query
POST /api/v2/feeds/feed_groups/{feed_group_id}/feeds/{feed_id}/pinned_activities/query
POST /api/v2/feeds/feeds/query
POST /api/v2/feeds/follows/query
GET /api/v2/users`), "\n")
	if !slices.Equal(reads, want) {
		t.Errorf("anonymous callers may\n%s\nwant\n%s", strings.Join(reads, "\n"), strings.Join(want, "\n"))
	}
}

// What is not served is judged like anything else, and says who doesn't serve it.
func TestUnserved(t *testing.T) {
	srv := &testserver.Server{}
	server := caller{rt: direct{srv}, token: srv.ServerToken()}
	for _, op := range []string{
		"POST /api/v2/polls", "GET /api/v2/feeds/feed_groups", "POST /api/v2/feeds/activities/a1/polls/p1/vote", "POST /api/v2/push_preferences",
		"DELETE /api/v2/feeds/activities", "GET /nowhere", "POST /api/v2/feeds/collections", "POST /api/v2/feeds/activities/a1/restore",
		"POST /api/v2/feeds/activities/a1/feedback", "POST /api/v2/feeds/comments/c1/restore", "GET /api/v2/feeds/feeds/rate_limits",
	} {
		method, path, _ := strings.Cut(op, " ")
		a := server.do(method, path, "")
		wantCode(t, a, 404, 16)
		if want := "github.com/stayauth/stayauth/testserver does not serve " + op; !strings.Contains(a.text("message"), want) {
			t.Errorf("%s: %s; want %q in it", op, a.text("message"), want)
		}
		wantCode(t, caller{rt: direct{srv}, token: "x"}.do(method, path, ""), 401, 5)
	}
}
