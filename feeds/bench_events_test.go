package feeds_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
)

// BenchmarkNotifications is a bot that watches its notification feed, on real sockets: 1,500
// activities are added to it (300 with -short), every 300 ms its connection is cut, its tokens live
// for 2 s, and every 2 s they are revoked. It fails unless each activity is told once and in order.
func BenchmarkNotifications(b *testing.B) {
	activities := 1500
	if testing.Short() {
		activities = 300
	}
	for b.Loop() {
		srv := &testserver.Server{TTL: 2 * time.Second}
		listening := httptest.NewServer(srv)
		client, err := feeds.NewClient(testserver.DefaultKey, testserver.DefaultSecret)
		if err != nil {
			b.Fatal(err)
		}
		client.BaseURL = listening.URL
		server, err := client.ConnectServer(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		var calls atomic.Int64
		s, err := client.ConnectUser(b.Context(), feeds.User{ID: "alice"}, provider.Func(func(context.Context) (string, error) {
			calls.Add(1)
			return srv.Issue("alice"), nil
		}))
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
		ready := make(chan struct{})
		var told []string // written by the listener
		var listener sync.WaitGroup
		recovered, again, incomplete := 0, 0, 0 // likewise
		listener.Go(func() {
			for ev, err := range s.Events(ctx, "notification:alice") {
				switch {
				case err != nil:
					b.Error(err)
				case ev.Type == feeds.EventConnected:
					close(ready)
				case ev.Type == feeds.EventReconnected:
					again++
					incomplete += len(ev.Gap.Incomplete)
				case ev.Type == feeds.EventActivityAdded:
					if ev.Recovered {
						recovered++
					}
					if told = append(told, ev.Activity.Text); len(told) == activities {
						return // and what would be told twice is told before
					}
				}
			}
		})
		<-ready
		began, cut, revoked, revocations := time.Now(), time.Now(), time.Now(), 0
		for i := range activities {
			if time.Since(revoked) > 2*time.Second {
				revoked = time.Now()
				revocations++
				srv.Revoke("alice")
				if err := s.MarkActivity(ctx, "notification", "alice", &feeds.MarkActivityRequest{MarkAllSeen: true}); err != nil {
					b.Error(err)
				}
			}
			if time.Since(cut) > 300*time.Millisecond {
				cut = time.Now()
				srv.CloseSockets("alice", 1006)
			}
			_, err := server.AddActivity(ctx, &feeds.AddActivityRequest{UserID: "bob", Type: []string{"like", "follow"}[i%2], Feeds: []string{"notification:alice"}, Text: fmt.Sprint(i)})
			if err != nil {
				b.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		posting := time.Since(began)
		listener.Wait()
		cancel()
		for i, text := range told {
			if text != fmt.Sprint(i) {
				b.Errorf("number %d is %s", i, text)
				break
			}
		}
		b.Logf("%d of %d told in order, %d of them recovered, over %d reconnections and %d revocations, in %s of posting and %s after it; %d provider calls",
			len(told), activities, recovered, again, revocations, posting.Round(time.Millisecond), (time.Since(began) - posting).Round(time.Millisecond), calls.Load())
		if st := s.Stats(); len(told) != activities || incomplete > 0 || st.Failed > 0 || st.Refreshed != calls.Load() || srv.Check() != nil {
			b.Errorf("%d told, %d gaps that were not closed, stats %+v, %v", len(told), incomplete, st, srv.Check())
		}
		s.Close()
		server.Close()
		listening.Close()
		srv.Close()
	}
}

// BenchmarkEventsOfManyFeeds is how long it takes until a loop is told that it is connected, and
// again after its connection was cut and something was added to each feed, as the feeds grow in
// number. A call takes 30 ms, on real sockets.
func BenchmarkEventsOfManyFeeds(b *testing.B) {
	for _, n := range []int{1, 10, 100, 450} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var calls atomic.Int64
			srv := &testserver.Server{Fault: func(r *http.Request) testserver.Fault {
				if strings.Contains(r.URL.Path, "/feed_groups/") {
					calls.Add(1)
					return testserver.Fault{Latency: 30 * time.Millisecond}
				}
				return testserver.Fault{}
			}}
			listening := httptest.NewServer(srv)
			defer srv.Close()
			defer listening.Close()
			client := &feeds.Client{Key: testserver.DefaultKey, BaseURL: listening.URL}
			s, err := client.ConnectUser(b.Context(), feeds.User{ID: "alice"}, provider.Signer{Secret: provider.NewSecret(testserver.DefaultSecret)}.For("alice"))
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			fids := users(n)
			var connecting, recovering time.Duration
			for b.Loop() {
				began, told := time.Now(), 0
				var cut time.Time
				for ev, err := range s.Events(b.Context(), fids...) {
					if err != nil {
						b.Fatal(err)
					}
					switch ev.Type {
					case feeds.EventConnected:
						connecting += time.Since(began)
						cut = time.Now()
						srv.CloseSockets("alice", 1006)
						for i := 0; i < n; i += 25 { // an activity is in 25 feeds at most
							if _, err := s.AddActivity(b.Context(), &feeds.AddActivityRequest{Type: "post", Feeds: fids[i:min(i+25, n)]}); err != nil {
								b.Fatal(err)
							}
						}
					case feeds.EventActivityAdded:
						if told++; told == n {
							recovering += time.Since(cut)
						}
					}
					if told == n {
						break
					}
				}
			}
			b.ReportMetric(connecting.Seconds()/float64(b.N), "s-to-connect")
			b.ReportMetric(recovering.Seconds()/float64(b.N), "s-to-recover")
			b.ReportMetric(float64(calls.Load())/float64(b.N), "calls")
		})
	}
}
