package feeds_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/testserver"
)

// Each activity in a notification feed is told once, and each update with what the API says of it.
func TestEventsOfANotificationFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newGrouped(t, new(groupedFeed))
		s := alice(t, a, &counter{srv: a.Server})
		a.notify(notes, "like", "old")
		l := listen(t.Context(), s, nil, notes)
		synctest.Wait()
		a.notify(notes, "like", "0")
		a.notify(notes, "follow", "1")
		a.notify(notes, "like", "2")
		synctest.Wait()
		const updated = feeds.EventNotificationFeedUpdated
		want := []string{"connected", "0", updated, "1", updated, "2", updated}
		if got := l.seen(); !slices.Equal(got, want) {
			t.Fatalf("events %q, want %q", got, want)
		}
		added, update := l.events[5], l.events[6]
		if added.Type != feeds.EventActivityAdded || added.FID != notes || added.Recovered || added.CreatedAt.IsZero() || added.Activity.User.ID != "bob" || added.Raw == nil {
			t.Errorf("added %+v", added)
		}
		if g := update.AggregatedActivities; update.FID != notes || len(g) != 1 || g[0].Group != "like" || g[0].ActivityCount != 3 || len(g[0].Activities) != 3 ||
			g[0].Activities[0].Text != "2" || g[0].Score != 1.5 || update.NotificationStatus.Unread != 4 || !update.NotificationStatus.LastReadAt.IsZero() || update.Recovered {
			t.Errorf("update %+v", update)
		}

		_ = a.open(t).CloseNow()
		synctest.Wait()
		a.notify(notes, "like", "3")
		a.notify(notes, "comment", "4")
		reconnected()
		want = append(want, "reconnected", "+3", "+4", updated)
		if got := l.seen(); !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
		update = l.last(updated)
		if g := update.AggregatedActivities; !update.Recovered || len(g) != 2 || g[0].Group != "comment" || update.NotificationStatus.Unread != 6 || update.CreatedAt.IsZero() {
			t.Errorf("update %+v", update)
		}
		_ = a.open(t).CloseNow() // in vain
		time.Sleep(5 * time.Second)
		if got := l.seen(); !slices.Equal(got, append(want, "reconnected")) {
			t.Errorf("events %q", got)
		}
		a.mu.Lock()
		a.grouped[notes].unread = 0 // as another client's mark does
		conn := a.conns[0]
		a.mu.Unlock()
		_ = conn.CloseNow()
		time.Sleep(5 * time.Second)
		if update = l.last(updated); !update.Recovered || update.NotificationStatus.Unread != 0 || update.AggregatedActivities != nil {
			t.Errorf("update %+v", update)
		}
	})
}

// What the API does not show of a group is read, or a Gap names the feed. It is never lost in
// silence.
func TestEventsOfGroupsThatAreNotShownWhole(t *testing.T) {
	const updated = feeds.EventNotificationFeedUpdated
	tests := []struct {
		name       string
		feed       groupedFeed
		live, lost int // added while the connection stands, and while it doesn't
		want       []string
		incomplete bool
	}{
		{"one by one", groupedFeed{shows: 1, tells: 1}, 3, 0, []string{"0", updated, "1", updated, "2", updated}, false},
		{"as many as are shown were missed", groupedFeed{shows: 5, tells: 5}, 3, 5, []string{"0", updated, "1", updated, "2", updated, "reconnected", "+3", "+4", "+5", "+6", "+7", updated}, false},
		{"more than are shown were missed", groupedFeed{shows: 5, tells: 5}, 1, 7, []string{"0", updated, "reconnected", "+3", "+4", "+5", "+6", "+7", updated}, true},
		{"and the rest is listed", groupedFeed{shows: 5, tells: 5, listed: true}, 1, 7, []string{"0", updated, "reconnected", "+1", "+2", "+3", "+4", "+5", "+6", "+7", updated}, false},
		{"and the rest may not be listed", groupedFeed{shows: 5, tells: 5, denied: true}, 1, 7, []string{"0", updated, "reconnected", "+3", "+4", "+5", "+6", "+7", updated}, true},
		{"several pages of it", groupedFeed{shows: 5, tells: 5, listed: true}, 0, 950, append(append([]string{"reconnected"}, numbered("+", 0, 950)...), updated), false},
		{"more than is recovered", groupedFeed{shows: 5, tells: 5, listed: true}, 0, 1100, append(append([]string{"reconnected"}, numbered("+", 100, 1100)...), updated), true},
		{"updates say nothing", groupedFeed{silent: true}, 2, 0, []string{updated, "+0", updated, updated, "+1", updated}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newGrouped(t, &tt.feed)
				for i := range 20 {
					a.notify(notes, "like", fmt.Sprint("old", i))
				}
				s := alice(t, a, &counter{srv: a.Server})
				l := listen(t.Context(), s, nil, notes)
				synctest.Wait()
				for i := range tt.live {
					a.notify(notes, "like", fmt.Sprint(i))
					synctest.Wait()
				}
				if tt.lost > 0 {
					_ = a.open(t).CloseNow()
					synctest.Wait()
					for i := range tt.lost {
						a.notify(notes, "like", fmt.Sprint(tt.live+i))
					}
					reconnected()
				}
				if got := l.seen(); !slices.Equal(got, append([]string{"connected"}, tt.want...)) {
					t.Errorf("events %q, want %q", got, tt.want)
				}
				if gap := l.last(feeds.EventReconnected).Gap; tt.lost > 0 && slices.Equal(gap.Incomplete, []string{notes}) != tt.incomplete {
					t.Errorf("gap %+v", gap)
				}
			})
		})
	}
}

// After an update that stands for several activities and shows one of them, the feed is read. If
// the feed does not show all of them either, a Gap names it.
func TestEventsOfAnUpdateThatIsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &groupedFeed{}
		a := newGrouped(t, f)
		s := alice(t, a, &counter{srv: a.Server})
		l := listen(t.Context(), s, nil, notes)
		synctest.Wait()
		a.notify(notes, "like", "0")
		synctest.Wait()
		c := a.open(t)
		f.tells = 1
		// many adds activities of which all but the last are added in silence.
		many := func(texts ...string) {
			a.mu.Lock()
			c.feeds = nil
			a.mu.Unlock()
			for _, text := range texts[:len(texts)-1] {
				a.notify(notes, "like", text)
			}
			a.mu.Lock()
			c.feeds = []string{notes}
			a.mu.Unlock()
			a.notify(notes, "like", texts[len(texts)-1])
			synctest.Wait()
		}
		many("1", "2", "3")
		f.shows = 2
		many("4", "5", "6")
		const updated = feeds.EventNotificationFeedUpdated
		want := []string{"connected", "0", updated, updated, "+1", "+2", "+3", updated, updated, "dropped", "+5", "+6", updated}
		if got := l.seen(); !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
		if gap := l.last(feeds.EventDropped).Gap; gap == nil || !slices.Equal(gap.Incomplete, []string{notes}) || gap.Dropped != 0 || gap.Err != nil {
			t.Errorf("gap %+v", gap)
		}
	})
}

// If more was missed than is recovered, the newest activities of all groups are recovered.
func TestEventsRecoverTheNewestOfGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newGrouped(t, new(groupedFeed))
		s := alice(t, a, &counter{srv: a.Server})
		l := listen(t.Context(), s, nil, notes)
		synctest.Wait()
		_ = a.open(t).CloseNow()
		synctest.Wait()
		for i := range 1200 {
			a.notify(notes, []string{"like", "follow"}[i%2], fmt.Sprint(i))
		}
		reconnected()
		want := slices.Concat([]string{"connected", "reconnected"}, numbered("+", 200, 1200), []string{feeds.EventNotificationFeedUpdated})
		if got := l.seen(); !slices.Equal(got, want) {
			t.Errorf("%d events, the first of them %q", len(got), got[:min(len(got), 5)])
		}
		if gap := l.last(feeds.EventReconnected).Gap; !slices.Equal(gap.Incomplete, []string{notes}) {
			t.Errorf("gap %+v", gap)
		}
	})
}

// Activities that the API shows both by themselves and in groups are told once.
func TestEventsOfGroupsBesideActivities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{})
		var all []string
		for i := 599; i >= 0; i-- {
			all = append(all, fmt.Sprintf(`{"id":"%d","text":"%d","created_at":%d}`, i, i, i+1))
		}
		list := strings.Join(all, ",")
		a.watch = func(n int, w http.ResponseWriter, r *http.Request) bool {
			if n > 0 {
				fmt.Fprintf(w, `{"activities":[%s],"aggregated_activities":[{"group":"g","activity_count":600,"activities":[%s]}]}`, list, list)
			}
			return n > 0
		}
		s := alice(t, a, &counter{srv: a.Server})
		l := listen(t.Context(), s, nil, "timeline:alice")
		synctest.Wait()
		_ = a.open(t).CloseNow()
		reconnected()
		if got := l.seen(); !slices.Equal(got, append([]string{"connected", "reconnected"}, numbered("+", 0, 600)...)) {
			t.Errorf("%d events", len(got))
		}
		if gap := l.last(feeds.EventReconnected).Gap; gap.Incomplete != nil {
			t.Errorf("gap %+v", gap)
		}
	})
}

// Each of 1,500 activities in a notification feed is told once and in order, while the connection
// breaks every 300 ms, tokens live for 2 s, and revocations come in between.
func TestEventsOfANotificationFeedUnderFire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{TTL: 2 * time.Second})
		a.grouped = map[string]*groupedFeed{notes: {shows: 5, tells: 3, listed: true}}
		p := &counter{srv: a.Server}
		s := alice(t, a, p)
		l := listen(t.Context(), s, nil, notes)
		synctest.Wait()
		var want []string
		start, cut, revocations := time.Now(), time.Now(), 0
		for i := range 1500 {
			if time.Since(cut) > 300*time.Millisecond {
				if cut = time.Now(); i%7 == 0 {
					a.Revoke("alice")
					if revocations++; revocations%3 > 0 { // met by a call, or else by the socket
						if _, err := s.QueryActivities(t.Context(), nil); err != nil {
							t.Error(err)
						}
					}
				}
				a.mu.Lock()
				conns := slices.Clone(a.conns)
				a.mu.Unlock()
				for _, c := range conns {
					if i%2 == 0 {
						_ = c.CloseNow()
					} else {
						_ = c.Close(websocket.StatusServiceRestart, "restarting")
					}
				}
			}
			a.notify(notes, []string{"like", "follow", "comment"}[i%3], fmt.Sprint(i))
			want = append(want, fmt.Sprint(i))
			time.Sleep(20 * time.Millisecond)
		}
		took := time.Since(start)
		time.Sleep(30 * time.Second) // the longest pause
		s.Close()
		<-l.done
		var got []string
		recovered, again, unread := 0, 0, 0
		for _, ev := range l.events {
			switch ev.Type {
			case feeds.EventActivityAdded:
				got = append(got, ev.Activity.Text)
				if ev.Recovered {
					recovered++
				}
			case feeds.EventNotificationFeedUpdated:
				unread = ev.NotificationStatus.Unread
			case feeds.EventReconnected:
				again++
				if ev.Gap.Incomplete != nil {
					t.Errorf("gap %+v", ev.Gap)
				}
			}
		}
		if !slices.Equal(got, want) {
			i := 0
			for i < min(len(got), len(want)) && got[i] == want[i] {
				i++
			}
			t.Errorf("told %d, the first %d of them right", len(got), i)
		}
		if unread != 1500 {
			t.Errorf("%d unread at the end", unread)
		}
		if again < 5 || recovered < 100 || recovered > 1490 {
			t.Errorf("%d reconnections and %d recovered in %s: the test proves nothing", again, recovered, took)
		}
		if st := s.Stats(); st.Failed != 0 || st.Refreshed != p.calls.Load() || st.Rejected == 0 {
			t.Errorf("%d provider calls, stats %+v", p.calls.Load(), st)
		}
		t.Logf("%d told, %d of them recovered, over %d reconnections in %s; %d provider calls", len(got), recovered, again, took, p.calls.Load())
	})
}
