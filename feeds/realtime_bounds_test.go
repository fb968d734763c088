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
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/testserver"
)

// What is recovered is bounded in bytes, over all feeds together. The gap names a feed for which
// there was no room.
func TestEventsRecoveryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("megabytes, and little else")
	}
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{})
		fids := users(5)
		big := strings.Repeat("x", 100<<10)
		page := func(n int) string { // 100 activities of 100 KiB: ten MB, of five feeds
			var b strings.Builder
			for i := 100; i > 0; i-- {
				fmt.Fprintf(&b, `{"id":"%d-%d","text":%q,"created_at":%d},`, n, i, big, i)
			}
			return `{"activities":[` + strings.TrimSuffix(b.String(), ",") + `]}`
		}
		a.watch = func(n int, w http.ResponseWriter, r *http.Request) bool {
			if n < len(fids) {
				_, _ = w.Write([]byte(`{"activities":[]}`))
			} else {
				_, _ = w.Write([]byte(page(n)))
			}
			return true
		}
		s := alice(t, a, &counter{srv: a.Server})
		l := listen(t.Context(), s, nil, fids...)
		synctest.Wait()
		_ = a.open(t).CloseNow()
		reconnected()
		told := 0
		for _, ev := range l.events {
			if ev.Recovered {
				told += len(ev.Activity.Text)
			}
		}
		gap := l.last(feeds.EventReconnected).Gap
		if told > 32<<20 || told < 30<<20 || len(gap.Incomplete) == 0 {
			t.Errorf("%d bytes were told, and %q is incomplete", told, gap.Incomplete)
		}
	})
}

// What was read for a connection that broke takes no room from what is read later.
func TestEventsRecoveryInVainTakesNoRoom(t *testing.T) {
	if testing.Short() {
		t.Skip("megabytes, and little else")
	}
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{})
		big := strings.Repeat("x", 100<<10)
		var b strings.Builder
		for i := 100; i > 0; i-- {
			fmt.Fprintf(&b, `{"id":"%d","text":%q,"created_at":%d},`, i, big, i)
		}
		page := `{"activities":[` + strings.TrimSuffix(b.String(), ",") + `]` // ten MB, of 32 MiB
		a.watch = func(n int, w http.ResponseWriter, r *http.Request) bool {
			switch {
			case n == 0:
				return false
			case n < 5:
				_, _ = io.WriteString(w, page+`,"next":"a page that the test server has never heard of"}`)
			default:
				_, _ = io.WriteString(w, page+`}`)
			}
			return true
		}
		s := alice(t, a, &counter{srv: a.Server})
		l := listen(t.Context(), s, nil, "user:alice")
		synctest.Wait()
		_ = a.open(t).CloseNow()
		time.Sleep(time.Minute)
		gap := l.last(feeds.EventReconnected).Gap
		if n := len(l.seen()); n != 2+100 || gap.Incomplete != nil || len(a.dialed()) != 6 {
			t.Errorf("%d events, gap %+v, %d connections", n, gap, len(a.dialed()))
		}
	})
}

// Pages that go in a circle are not read for ever.
func TestEventsRecoverFromPagesInACircle(t *testing.T) {
	for name, page := range map[string]string{
		"flat":   `{"activities":[{"id":"2","text":"2","created_at":2},{"id":"1","text":"1","created_at":1}],"next":"again"}`,
		"groups": `{"aggregated_activities":[{"group":"g","activity_count":2,"activities":[{"id":"2","text":"2","created_at":2},{"id":"1","text":"1","created_at":1}]}],"next":"again"}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPI(t, &testserver.Server{})
				client := a.client()
				reads := 0
				client.Base = roundTripper(func(req *http.Request) (*http.Response, error) {
					if !strings.Contains(req.URL.Path, "/feed_groups/") || len(a.dialed()) < 2 {
						return a.base.RoundTrip(req)
					}
					reads++
					req.Body.Close()
					return &http.Response{StatusCode: 201, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(page)), Request: req}, nil
				})
				s, err := client.ConnectUser(t.Context(), feeds.User{ID: "alice"}, &counter{srv: a.Server})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { s.Close() })
				l := listen(t.Context(), s, nil, "user:alice")
				synctest.Wait()
				_ = a.open(t).CloseNow()
				time.Sleep(time.Second)
				if got := l.seen(); !slices.Equal(got, []string{"connected", "reconnected", "+1", "+2"}) || reads != 2 {
					t.Errorf("events %q after %d reads", got, reads)
				}
				s.Close()
				<-l.done
			})
		})
	}
}

// A page that is longer than the longest answer is read in parts.
func TestEventsReadLongPagesInParts(t *testing.T) {
	if testing.Short() {
		t.Skip("megabytes, and little else")
	}
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{})
		big := strings.Repeat("x", 1<<20)
		var limits []int
		a.watch = func(n int, w http.ResponseWriter, r *http.Request) bool {
			if n == 0 {
				return false
			}
			var in struct{ Limit int }
			_ = json.NewDecoder(r.Body).Decode(&in)
			limits = append(limits, in.Limit)
			var all []string
			for i := range min(in.Limit, 20) {
				all = append(all, fmt.Sprintf(`{"id":"%d","text":%q,"created_at":%d}`, 20-i, big, 20-i))
			}
			fmt.Fprintf(w, `{"activities":[%s]}`, strings.Join(all, ","))
			return true
		}
		s := alice(t, a, &counter{srv: a.Server})
		l := listen(t.Context(), s, nil, "user:alice")
		synctest.Wait()
		_ = a.open(t).CloseNow()
		reconnected()
		if n := len(l.seen()); n != 2+6 || !slices.Equal(limits, []int{100, 25, 6}) {
			t.Errorf("%d events, of pages of %v", n, limits)
		}
	})
}
