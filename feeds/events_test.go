package feeds_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
)

// A bot that answers what is posted to a feed: connected once, it outlives its tokens and its
// connections.
func ExampleSession_Events() {
	api := &testserver.Server{TTL: 2 * time.Second, PushExpiry: true} // in place of Stream
	listening := httptest.NewServer(api)
	defer listening.Close()
	defer api.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	client, err := feeds.NewClient(testserver.DefaultKey, "")
	if err != nil {
		log.Fatal(err)
	}
	client.BaseURL = listening.URL // leave it out for Stream itself
	session, err := client.ConnectUser(ctx, feeds.User{ID: "alice"}, provider.HTTP{
		URL: listening.URL + "/token", UserID: "alice", Session: provider.NewSecret("what your backend gave alice"),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()

	post := func(text string) {
		_, err := session.AddActivity(ctx, &feeds.AddActivityRequest{Type: "post", Feeds: []string{"user:alice"}, Text: text})
		if err != nil {
			log.Fatal(err)
		}
	}
	for event, err := range session.Events(ctx, "user:alice") {
		if err != nil {
			log.Fatal(err)
		}
		switch event.Type {
		case feeds.EventConnected:
			fmt.Println("watching")
			post("Hello")
		case feeds.EventActivityAdded:
			fmt.Println(event.Activity.User.ID, "says", event.Activity.Text)
			if event.Activity.Text == "Still here" {
				return // which closes the connection
			}
			api.Revoke("alice") // the token that the connection was opened with, and the next call goes out with
		case feeds.EventReconnected:
			fmt.Println("watching again")
			post("Still here")
		}
	}
	// Output:
	// watching
	// alice says Hello
	// watching again
	// alice says Still here
}

// A bot under tokens of 2 s whose connection breaks every 3 s for 60 s, at a server that knows
// nothing of this package: each activity is told once, no call fails, and the provider is called
// for expiries alone. So it is whether or not the server tells open connections that their token
// has expired.
func TestEventsAtTheTestServer(t *testing.T) {
	for _, push := range []bool{false, true} {
		t.Run(fmt.Sprint("push ", push), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := &testserver.Server{TTL: 2 * time.Second, PushExpiry: push}
				client := start(t, srv) // whose Base is the server's RoundTrip, so the upgrade goes through that
				p := &counter{srv: srv}
				s, err := client.ConnectUser(t.Context(), feeds.User{ID: "alice"}, p)
				if err != nil {
					t.Fatal(err)
				}
				l := listen(t.Context(), s, nil, "user:alice")
				synctest.Wait()
				var want []string
				for i := range 600 {
					if i%30 == 29 && srv.CloseSockets("alice", []int{1006, 1001, 1011}[i/30%3]) > 1 {
						t.Error("more than one connection")
					}
					text := fmt.Sprint(i)
					want = append(want, text)
					if _, err := s.AddActivity(t.Context(), &feeds.AddActivityRequest{Type: "post", Feeds: []string{"user:alice"}, Text: text}); err != nil {
						t.Fatal(err)
					}
					time.Sleep(100 * time.Millisecond)
				}
				time.Sleep(3 * time.Second)
				calls, life := p.calls.Load(), s.Stats()
				s.Close()
				<-l.done
				got, recovered, again := []string{}, 0, 0
				for _, ev := range l.events {
					switch {
					case ev.Type == feeds.EventActivityAdded:
						got = append(got, ev.Activity.Text)
						if ev.Recovered {
							recovered++
						}
					case ev.Type == feeds.EventReconnected:
						again++
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("told %q, want %q", got, want)
				}
				if again < 15 || recovered < 30 {
					t.Errorf("%d reconnections, %d recovered: the test proves nothing", again, recovered)
				}
				// The tokens of 2 s live for up to 3, and are renewed when at least half of that
				// has passed.
				if calls < 20 || calls > 60 || life.Refreshed != calls || life.Failed != 0 {
					t.Errorf("%d provider calls in 63 s, stats %+v", calls, life)
				}
			})
		})
	}
}

// While a loop sleeps for an hour its token is revoked, on which the server closes the connection.
// What was posted meanwhile is told when it wakes.
func TestEventsAtTheTestServerWhileBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &testserver.Server{PushExpiry: true}
		s, err := start(t, srv).ConnectUser(t.Context(), feeds.User{ID: "alice"}, issuer(srv, "alice"))
		if err != nil {
			t.Fatal(err)
		}
		l := listen(t.Context(), s, func(ev feeds.Event) bool {
			if ev.Type == feeds.EventConnected {
				time.Sleep(time.Hour)
			}
			return true
		}, "user:alice")
		synctest.Wait()
		for i := range 10 {
			time.Sleep(time.Minute)
			if _, err := s.AddActivity(t.Context(), &feeds.AddActivityRequest{Type: "post", Feeds: []string{"user:alice"}, Text: fmt.Sprint(i)}); err != nil {
				t.Fatal(err)
			}
			if i == 5 {
				srv.Revoke("alice")
			}
		}
		time.Sleep(51 * time.Minute)
		want := slices.Concat([]string{"connected", "feeds.feed.created"}, numbered("", 0, 6), []string{"reconnected"}, numbered("+", 6, 10))
		if got := l.seen(); !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
		s.Close()
		<-l.done
	})
}

// Of 1,500 activities in a notification feed at a server that knows nothing of this package each is
// told once and in order, while the connection breaks every 300 ms, tokens live for 2 s, and are
// revoked.
func TestEventsOfNotificationsAtTheTestServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &testserver.Server{TTL: 2 * time.Second}
		client := start(t, srv)
		server, err := client.ConnectServer(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		p := &counter{srv: srv}
		s, err := client.ConnectUser(t.Context(), feeds.User{ID: "alice"}, p)
		if err != nil {
			t.Fatal(err)
		}
		l := listen(t.Context(), s, nil, "notification:alice")
		synctest.Wait()
		cut, revocations := time.Now(), 0
		for i := range 1500 {
			if time.Since(cut) > 300*time.Millisecond {
				if cut = time.Now(); i%7 == 0 {
					srv.Revoke("alice")
					if revocations++; revocations%3 > 0 { // met by a call, or else by the socket
						if err := s.MarkActivity(t.Context(), "notification", "alice", &feeds.MarkActivityRequest{MarkAllSeen: true}); err != nil {
							t.Error(err)
						}
					}
				}
				srv.CloseSockets("alice", []int{1006, 1001, 1011}[i%3])
			}
			_, err := server.AddActivity(t.Context(), &feeds.AddActivityRequest{UserID: "bob", Type: []string{"like", "follow"}[i%2], Feeds: []string{"notification:alice"}, Text: fmt.Sprint(i)})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(30 * time.Second)
		s.Close()
		<-l.done
		var got []string
		recovered, again := 0, 0
		var status *feeds.NotificationStatus
		for _, ev := range l.events {
			switch ev.Type {
			case feeds.EventActivityAdded:
				got = append(got, ev.Activity.Text)
				if ev.Recovered {
					recovered++
				}
			case feeds.EventNotificationFeedUpdated:
				status = ev.NotificationStatus
			case feeds.EventReconnected:
				again++
				if ev.Gap.Incomplete != nil {
					t.Errorf("gap %+v", ev.Gap)
				}
			}
		}
		if !slices.Equal(got, numbered("", 0, 1500)) {
			i := 0
			for i < min(len(got), 1500) && got[i] == fmt.Sprint(i) {
				i++
			}
			t.Errorf("told %d, the first %d of them right", len(got), i)
		}
		if status.Unread != 2 || status.LastSeenAt.IsZero() {
			t.Errorf("at the end %+v", status)
		}
		if st := s.Stats(); again < 10 || recovered < 100 || revocations < 5 || st.Failed != 0 || st.Refreshed != p.calls.Load() {
			t.Errorf("%d reconnections, %d recovered, %d revocations, %d provider calls, stats %+v", again, recovered, revocations, p.calls.Load(), st)
		}
	})
}

// As long as the connection stands a notification feed costs no call, however large its groups
// become.
func TestEventsOfNotificationsCostNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &testserver.Server{}
		client := start(t, srv)
		server, err := client.ConnectServer(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		s, err := client.ConnectUser(t.Context(), feeds.User{ID: "alice"}, issuer(srv, "alice"))
		if err != nil {
			t.Fatal(err)
		}
		l := listen(t.Context(), s, nil, "notification:alice")
		synctest.Wait()
		before := srv.Ledger().Arrived
		const activities = 50 // of which a group shows 15
		for i := range activities {
			_, err := server.AddActivity(t.Context(), &feeds.AddActivityRequest{
				UserID: "bob", Type: "like", Feeds: []string{"notification:alice"}, Text: fmt.Sprint(i),
			})
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if n := srv.Ledger().Arrived - before; n != activities {
			t.Errorf("%d calls beside those that added something", n-activities)
		}
		s.Close()
		<-l.done
		told := slices.DeleteFunc(l.seen(), func(word string) bool { return strings.Contains(word, ".") || word == feeds.EventConnected })
		if !slices.Equal(told, numbered("", 0, activities)) {
			t.Errorf("told %q", told)
		}
	})
}
