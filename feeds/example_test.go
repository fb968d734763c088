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

// A user's program: connect once, then just work.
func Example() {
	api := &testserver.Server{TTL: 2 * time.Second} // in place of Stream
	listening := httptest.NewServer(api)
	defer listening.Close()
	defer api.Close()
	ctx := context.Background()

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

	added, err := session.AddActivity(ctx, &feeds.AddActivityRequest{Type: "post", Feeds: []string{"user:alice"}, Text: "Hello"})
	if err != nil {
		log.Fatal(err)
	}
	api.Revoke("alice") // nothing to worry about

	page, err := session.QueryActivities(ctx, &feeds.QueryActivitiesRequest{Filter: map[string]any{"id": added.Activity.ID}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(page.Activities[0].User.ID, "says", page.Activities[0].Text)
	// Output:
	// alice says Hello
}

// A backend: mint a user's token, and revoke what was minted before.
func ExampleClient_UpdateUsersPartial() {
	api := &testserver.Server{}
	listening := httptest.NewServer(api)
	defer listening.Close()
	defer api.Close()
	ctx := context.Background()

	client, err := feeds.NewClient(testserver.DefaultKey, testserver.DefaultSecret)
	if err != nil {
		log.Fatal(err)
	}
	client.BaseURL = listening.URL
	token, err := client.CreateToken("alice", feeds.WithExpiration(24*time.Hour))
	if err != nil {
		log.Fatal(err)
	}
	session, err := client.ConnectUser(ctx, feeds.User{ID: "alice"}, provider.Static(token))
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()

	_, err = client.UpdateUsersPartial(ctx, &feeds.UpdateUsersPartialRequest{Users: []feeds.UpdateUserPartialRequest{
		{ID: "alice", Set: map[string]any{"revoke_tokens_issued_before": time.Now().Add(time.Minute)}},
	}})
	if err != nil {
		log.Fatal(err)
	}
	_, err = session.QueryActivities(ctx, nil) // a hard-coded token has no successor
	fmt.Println("session over:", feeds.IsSessionOver(err))
	// Output:
	// session over: true
}
