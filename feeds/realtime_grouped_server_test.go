package feeds_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

// A groupedFeed is a notification feed as Stream has them: it shows its activities in groups, and
// tells its watchers that it was updated, not what was added.
type groupedFeed struct {
	shows  int  // activities of a group, the newest; 0: all
	tells  int  // likewise, in an update
	silent bool // updates don't show any group
	listed bool // its activities can be listed
	denied bool // the user may not list them

	activities []map[string]any // the oldest first; guarded by api.mu
	unread     int              // guarded by api.mu
}

// notify adds an activity to the feed's group, as a backend does, and tells the watchers.
func (a *api) notify(fid, group, text string) {
	time.Sleep(time.Nanosecond)
	a.mu.Lock()
	f := a.grouped[fid]
	f.activities = append(f.activities, map[string]any{"id": text, "type": group, "text": text, "created_at": time.Now().UnixNano(), "user": map[string]any{"id": "bob"}})
	f.unread++
	update := map[string]any{"type": "feeds.notification_feed.updated", "fid": fid, "created_at": time.Now().UnixNano(), "custom": map[string]any{},
		"notification_status": f.status()}
	if !f.silent {
		update["aggregated_activities"] = slices.DeleteFunc(f.groups(f.tells), func(g map[string]any) bool { return g["group"] != group })
	}
	conns := slices.Clone(a.conns)
	a.mu.Unlock()
	for _, c := range conns {
		a.mu.Lock()
		watches := slices.Contains(c.feeds, fid)
		a.mu.Unlock()
		if watches {
			c.send(update)
		}
	}
}

func (f *groupedFeed) status() map[string]any {
	return map[string]any{"unread": f.unread, "unseen": f.unread, "last_read_at": nil}
}

// groups returns the feed's groups, the one that was updated last first, with so many of their
// activities.
func (f *groupedFeed) groups(shows int) []map[string]any {
	var out []map[string]any
	for _, activity := range slices.Backward(f.activities) {
		name := activity["type"]
		i := slices.IndexFunc(out, func(g map[string]any) bool { return g["group"] == name })
		if i < 0 {
			i = len(out)
			out = append(out, map[string]any{"group": name, "activity_count": 0, "activities": []any{}, "updated_at": activity["created_at"], "user_count": 1, "score": 1.5})
		}
		g := out[i]
		g["activity_count"] = g["activity_count"].(int) + 1
		if shown := g["activities"].([]any); shows == 0 || len(shown) < shows {
			g["activities"] = append(shown, activity)
		}
	}
	return out
}

// answerRead answers the reading of a feed.
func (a *api) answerRead(w http.ResponseWriter, r *http.Request) {
	path := strings.Split(r.URL.Path, "/")
	a.mu.Lock()
	f := a.grouped[path[5]+":"+path[7]]
	if f == nil {
		a.mu.Unlock()
		a.Server.ServeHTTP(w, r)
		return
	}
	defer a.mu.Unlock()
	var in struct {
		Limit int
		Next  string
	}
	_ = json.NewDecoder(r.Body).Decode(&in)
	groups := f.groups(f.shows)
	from, _ := strconv.Atoi(in.Next)
	to := min(from+in.Limit, len(groups))
	out := map[string]any{"activities": []any{}, "aggregated_activities": groups[from:to], "notification_status": f.status()}
	if to < len(groups) {
		out["next"] = strconv.Itoa(to)
	}
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(out)
}

// list answers the query for a feed's activities, or leaves it to the test server.
func (a *api) list(w http.ResponseWriter, r *http.Request) bool {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	var in struct {
		Filter map[string]any
		Limit  int
		Next   string
	}
	_ = json.Unmarshal(body, &in)
	a.mu.Lock()
	defer a.mu.Unlock()
	fid, _ := in.Filter["feed"].(string)
	f := a.grouped[fid]
	switch {
	case f != nil && f.denied:
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"code":17,"message":"no","StatusCode":403}`)
		return true
	case f == nil || !f.listed:
		return false
	}
	all := slices.Clone(f.activities)
	slices.Reverse(all)
	from, _ := strconv.Atoi(in.Next)
	to := min(from+in.Limit, len(all))
	out := map[string]any{"activities": all[from:to]}
	if to < len(all) {
		out["next"] = strconv.Itoa(to)
	}
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(out)
	return true
}

const notes = "notification:alice"

// newGrouped returns an API with a notification feed.
func newGrouped(t *testing.T, f *groupedFeed) *api {
	a := newAPI(t, &testserver.Server{})
	a.grouped = map[string]*groupedFeed{notes: f}
	return a
}
