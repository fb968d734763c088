package feeds_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
)

// A notification feed shows groups. What is new in them is told one by one all the same.
func ExampleSession_MarkActivity() {
	api := &testserver.Server{} // in place of Stream
	listening := httptest.NewServer(api)
	defer listening.Close()
	defer api.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	client, err := feeds.NewClient(testserver.DefaultKey, testserver.DefaultSecret)
	if err != nil {
		log.Fatal(err)
	}
	client.BaseURL = listening.URL // leave it out for Stream itself
	alice := provider.Signer{Secret: provider.NewSecret(testserver.DefaultSecret)}.For("alice")
	session, err := client.ConnectUser(ctx, feeds.User{ID: "alice"}, alice)
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	backend, err := client.ConnectServer(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer backend.Close()

	told := 0
	for event, err := range session.Events(ctx, "notification:alice") {
		if err != nil {
			log.Fatal(err)
		}
		switch event.Type {
		case feeds.EventConnected:
			for _, user := range []string{"bob", "carol"} {
				_, err := backend.AddActivity(ctx, &feeds.AddActivityRequest{
					UserID: user, Type: "like", Feeds: []string{"notification:alice"}, Text: "likes your post",
				})
				if err != nil {
					log.Fatal(err)
				}
			}
		case feeds.EventActivityAdded:
			fmt.Println(event.Activity.User.ID, event.Activity.Text)
		case feeds.EventNotificationFeedUpdated:
			told++
		}
		if told == 2 {
			fmt.Println("unread groups:", event.NotificationStatus.Unread)
			break
		}
	}

	err = session.MarkActivity(ctx, "notification", "alice", &feeds.MarkActivityRequest{MarkAllRead: true})
	if err != nil {
		log.Fatal(err)
	}
	for group, err := range session.FeedAggregatedActivities(ctx, "notification", "alice", nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("likes by", group.UserCount, "people, read:", group.IsRead)
	}
	// Output:
	// bob likes your post
	// carol likes your post
	// unread groups: 1
	// likes by 2 people, read: true
}
