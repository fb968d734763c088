package feeds_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stayauth/stayauth/testserver"
)

// Only an activity that is newer than the start and was not told is news. So it is if activities
// were deleted or became visible late, and if more was told than is remembered.
func TestEventsKnowWhatIsNews(t *testing.T) {
	// ranged returns activities from the newest to the oldest; an activity's id is its time.
	ranged := func(newest, oldest int) []int {
		var out []int
		for i := newest; i >= oldest; i-- {
			out = append(out, i)
		}
		return out
	}
	tests := []struct {
		name          string
		first, second []int // what the feed shows when it is watched for the first and for the second time
		live          []int // what comes over the first connection
		want          []string
	}{
		{"the newest were deleted", ranged(200, 101), ranged(100, 1), nil, nil},
		{"all were deleted, and some added", ranged(200, 101), []int{201}, nil, []string{"+201"}},
		{"an empty feed gets its first", nil, []int{2, 1}, nil, []string{"+1", "+2"}},
		{"one became visible late", []int{10}, []int{40, 35, 30, 20, 10}, []int{20, 40}, []string{"20", "40", "+30", "+35"}},
		{"the order is that of time", []int{10}, []int{30, 40, 20}, nil, []string{"+20", "+30", "+40"}},
		{"told, forgotten, and shown again", []int{10}, []int{2120, 111, 110}, ranged(2110, 100), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPI(t, &testserver.Server{})
				activity := func(i int) map[string]any {
					return map[string]any{"id": fmt.Sprint(i), "text": fmt.Sprint(i), "created_at": i}
				}
				a.watch = func(n int, w http.ResponseWriter, r *http.Request) bool {
					out := []any{}
					for _, i := range [][]int{tt.first, tt.second}[n] {
						out = append(out, activity(i))
					}
					_ = json.NewEncoder(w).Encode(map[string]any{"activities": out})
					return true
				}
				s := alice(t, a, &counter{srv: a.Server})
				l := listen(t.Context(), s, nil, "user:alice")
				synctest.Wait()
				c := a.open(t)
				if len(tt.live) > 2 {
					slices.Reverse(tt.live)
				}
				for _, i := range tt.live {
					c.send(map[string]any{"type": "feeds.activity.added", "fid": "user:alice", "activity": activity(i)})
					synctest.Wait() // the loop keeps up
				}
				synctest.Wait()
				_ = c.CloseNow()
				reconnected()
				got := slices.DeleteFunc(l.seen(), func(s string) bool { return strings.HasSuffix(s, "connected") })
				if len(tt.live) > 2 {
					if len(got) != len(tt.live)+1 || got[len(got)-1] != "+2120" {
						t.Errorf("%d events, the last %q", len(got), got[max(0, len(got)-3):])
					}
					return
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("events %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// What the API says twice is told once in each feed.
func TestEventsSaidTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{})
		s := alice(t, a, &counter{srv: a.Server})
		l := listen(t.Context(), s, nil, "user:alice")
		synctest.Wait()
		c := a.open(t)
		for _, fid := range []string{"user:alice", "user:alice", "user:somebody", "user:somebody"} {
			c.send(map[string]any{"type": "feeds.activity.added", "fid": fid, "activity": map[string]any{"id": "1", "text": "one"}})
		}
		c.send(map[string]any{"type": "feeds.activity.updated", "fid": "user:alice", "activity": map[string]any{"id": "1", "text": "changed"}})
		synctest.Wait()
		// Of a feed that this loop does not watch nothing is known, and everything passed on.
		if got := l.seen(); !slices.Equal(got, []string{"connected", "one", "one", "one", "changed"}) {
			t.Errorf("events %q", got)
		}
	})
}

// The newest 2,000 activities of each feed are remembered. An older one that the API sends again is
// told again.
func TestEventsMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{})
		s := alice(t, a, &counter{srv: a.Server})
		l := listen(t.Context(), s, nil, "user:alice")
		synctest.Wait()
		c := a.open(t)
		say := func(id int) {
			c.send(map[string]any{"type": "feeds.activity.added", "fid": "user:alice", "activity": map[string]any{"id": fmt.Sprint(id), "text": fmt.Sprint(id)}})
		}
		for id := range 2001 {
			say(id)
			synctest.Wait() // the loop keeps up
		}
		say(1)
		say(0)
		synctest.Wait()
		if got := l.seen(); len(got) != 2003 || got[2002] != "0" {
			t.Errorf("%d events, the last %q", len(got), got[len(got)-1])
		}
	})
}

// Of activities of the same time the order is the feed's.
func TestEventsOfTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{})
		a.watch = func(n int, w http.ResponseWriter, r *http.Request) bool {
			page := `{"activities":[]}`
			if n == 1 {
				page = `{"activities":[{"id":"c","text":"c","created_at":7},{"id":"b","text":"b","created_at":7},{"id":"a","text":"a","created_at":7}]}`
			}
			_, _ = io.WriteString(w, page)
			return true
		}
		s := alice(t, a, &counter{srv: a.Server})
		l := listen(t.Context(), s, nil, "user:alice")
		synctest.Wait()
		_ = a.open(t).CloseNow()
		reconnected()
		if got := l.seen(); !slices.Equal(got, []string{"connected", "reconnected", "+a", "+b", "+c"}) {
			t.Errorf("events %q", got)
		}
	})
}
