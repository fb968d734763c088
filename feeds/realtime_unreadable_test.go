package feeds_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/coder/websocket"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/testserver"
)

// One activity that can't be decoded is passed over with a word, and told of by an event of its
// own; its neighbours are told, and so is what comes later. So it is over the connection, after a
// gap, and in groups.
func TestEventsPassOverWhatTheyCantDecode(t *testing.T) {
	const (
		bad     = `{"id":"bad","created_at":15,"text":"bad","comment_count":"many"}`
		badTime = `{"id":"worse","created_at":"yesterday","text":"worse"}`
		noID    = `{"id":7,"created_at":16},{"id":7,"created_at":17}` // two of them
	)
	good := func(id, at string) string { return `{"id":"` + id + `","text":"` + id + `","created_at":` + at + `}` }
	reads := []string{ // of the feed, each over another connection; an activity without a time has none to be news by
		`{"activities":[` + good("old", "10") + `]}`,
		`{"activities":[` + good("two", "20") + `,` + noID + `,` + bad + `,` + badTime + `,` + good("one", "12") + `,` + good("old", "10") + `]}`,
		`{"activities":[` + good("three", "30") + `,` + good("two", "20") + `,` + noID + `,` + bad + `,` + badTime + `,` + good("one", "12") + `]}`,
		`{"activities":[],"aggregated_activities":[{"group":"g","activity_count":"two","activities":[` + good("five", "50") + `,` +
			strings.Replace(bad, "15", "45", 1) + `,` + strings.ReplaceAll(bad, "bad", "another") + `,7]}]}`,
	}
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{})
		a.watch = func(n int, w http.ResponseWriter, r *http.Request) bool {
			_, _ = io.WriteString(w, reads[n])
			return true
		}
		var log bytes.Buffer
		client := a.client()
		client.Logger = slog.New(slog.NewTextHandler(&log, nil))
		s, err := client.ConnectUser(t.Context(), feeds.User{ID: "alice"}, &counter{srv: a.Server})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		l := listen(t.Context(), s, nil, "user:alice")
		synctest.Wait()
		for n, want := range [][]string{
			{"reconnected", "+one", "unreadable", "unreadable", "unreadable", "+two"},
			{"reconnected", "+three"},
			{"reconnected", "unreadable", "+five"}, // of bad itself the loop has been told
		} {
			before := len(l.seen())
			_ = a.open(t).CloseNow()
			reconnected()
			if got := l.seen()[before:]; !slices.Equal(got, want) {
				t.Errorf("gap %d: events %q, want %q", n, got, want)
			}
		}
		ev := l.events[3]
		if ev.Type != feeds.EventUnreadable || ev.FID != "user:alice" || string(ev.Raw) != bad || ev.CreatedAt.UnixNano() != 15 || ev.Activity != nil {
			t.Errorf("%+v", ev)
		}

		before := len(l.seen())
		c := a.open(t)
		for _, frame := range []string{
			`{"type":"feeds.activity.added","fid":"user:alice","activity":` + strings.Replace(bad, `"bad"`, `"live"`, 1) + `}`,
			`{"type":"feeds.activity.added","fid":"user:alice"}`,
			`{"type":"feeds.activity.added","fid":"user:alice"}`,
			`{"type":"feeds.activity.added","fid":"user:alice","activity":` + good("six", "60") + `,"custom":7,"user":[]}`,
			`{"type":"feeds.activity.added","fid":7,"activity":` + good("nowhere", "61") + `}`,
			`{"type":"feeds.comment.added","fid":"user:alice","comment":{"id":1},"activity":{"id":"six"}}`,
			`{"type":"feeds.comment.added","fid":"user:alice","comment":{"id":"c"},"activity":{"id":6}}`,
			`{"type":"feeds.notification_feed.updated","fid":"user:alice","aggregated_activities":[{"group":"g","activity_count":"nine","score":"high","activities":[` +
				good("seven", "70") + `,` + good("five", "50") + `]}],"notification_status":{"unread":"none"}}`,
		} {
			if err := c.Write(t.Context(), websocket.MessageText, []byte(frame)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		want := []string{"unreadable", "unreadable", "unreadable", "six", "unreadable", "unreadable", "feeds.comment.added", "seven", "feeds.notification_feed.updated"}
		if got := l.seen()[before:]; !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
		if n := strings.Count(log.String(), "passed over what could not be decoded"); n != 9 {
			t.Errorf("%d words in the log:\n%s", n, &log)
		}
		if n := len(a.dialed()); n != 4 {
			t.Errorf("%d connections, want 4", n)
		}
	})
}

// Every event has what its type promises, in a form that needs no decoding.
func TestEventsAreTyped(t *testing.T) {
	comment := `"comment":` + commentJSON
	reaction := `"reaction":` + reactionJSON
	act := `"activity":` + activityJSON
	tests := []struct {
		types []string
		body  string
		check func(feeds.Event) bool
	}{
		{[]string{feeds.EventActivityAdded, feeds.EventActivityUpdated, feeds.EventActivityDeleted, feeds.EventActivityRestored, feeds.EventActivityRemovedFromFeed}, act,
			func(ev feeds.Event) bool { return ev.Activity != nil && ev.Activity.Text == "Hello" }},
		{[]string{feeds.EventActivityReactionAdded, feeds.EventActivityReactionUpdated, feeds.EventActivityReactionDeleted}, act + `,` + reaction,
			func(ev feeds.Event) bool { return ev.Reaction.Type == "like" && ev.Activity.ID == "a1" }},
		{[]string{feeds.EventCommentAdded}, act + `,` + comment, func(ev feeds.Event) bool { return ev.Comment.Text == "Well said" && ev.Activity.ID == "a1" }},
		{[]string{feeds.EventCommentUpdated, feeds.EventCommentDeleted, feeds.EventCommentRestored}, comment, func(ev feeds.Event) bool { return ev.Comment.ID == "c1" }},
		{[]string{feeds.EventCommentReactionAdded, feeds.EventCommentReactionUpdated, feeds.EventCommentReactionDeleted}, comment + `,` + strings.Replace(reaction, `"activity_id"`, `"comment_id":"c1","activity_id"`, 1),
			func(ev feeds.Event) bool { return ev.Reaction.CommentID == "c1" && ev.Comment.ID == "c1" }},
		{[]string{feeds.EventFollowCreated, feeds.EventFollowUpdated, feeds.EventFollowDeleted}, `"follow":` + followJSON,
			func(ev feeds.Event) bool { return ev.Follow.TargetFeed.Feed == "user:alice" }},
		{[]string{feeds.EventFeedCreated, feeds.EventFeedUpdated}, `"feed":` + feedJSON, func(ev feeds.Event) bool { return ev.Feed.Feed == "user:alice" }},
		{[]string{feeds.EventFeedDeleted, feeds.EventActivityMarked, feeds.EventBookmarkAdded, feeds.EventFeedMemberAdded, feeds.EventAppUpdated}, `"mark_all_read":true`,
			func(ev feeds.Event) bool { return strings.Contains(string(ev.Raw), `"mark_all_read":true`) }},
	}
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{})
		s := alice(t, a, &counter{srv: a.Server})
		l := listen(t.Context(), s, nil)
		synctest.Wait()
		send := func(typ, body string) feeds.Event {
			frame := `{"type":"` + typ + `","fid":"user:alice","created_at":1767323045000006000,"user":` + userJSON + `,` + body + `}`
			if err := a.open(t).Write(t.Context(), websocket.MessageText, []byte(frame)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.events[len(l.events)-1]
		}
		for _, tt := range tests {
			for i, typ := range tt.types {
				ev := send(typ, tt.body)
				if ev.Type != typ || !tt.check(ev) || ev.User.Name != "Alice" || !ev.CreatedAt.Equal(then.Time) {
					t.Errorf("%s: %+v", typ, ev)
				}
				if i > 0 || tt.types[0] == feeds.EventFeedDeleted {
					continue
				}
				if ev := send(typ, `"custom":{}`); ev.Type != feeds.EventUnreadable || ev.FID != "user:alice" || !strings.Contains(string(ev.Raw), typ) {
					t.Errorf("%s without what it is about: %+v", typ, ev)
				}
			}
		}
	})
}
