package feeds_test

import (
	"context"
	"fmt"
	"log"
	"time"

	getstream "github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/testserver"
)

// What Stream's documentation has for tokens and their revocation, under the name that its Go SDK
// has there.
func ExampleClient_UpdateApp() {
	api := &testserver.Server{}
	defer api.Close()
	ctx := context.Background()

	client, err := getstream.NewClient(testserver.DefaultKey, testserver.DefaultSecret)
	if err != nil {
		log.Fatal(err)
	}
	client.BaseURL, client.Base = "https://stream.test", api // leave them out for Stream itself

	_, err = client.UpdateUsers(ctx, &getstream.UpdateUsersRequest{
		Users: map[string]getstream.UserRequest{"john": {ID: "john"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	token, err := client.CreateToken("john", getstream.WithExpiration(24*time.Hour))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("a token:", token != "")

	// Of one user, and back.
	for _, at := range []any{time.Now(), nil} {
		_, err := client.UpdateUsersPartial(ctx, &getstream.UpdateUsersPartialRequest{
			Users: []getstream.UpdateUserPartialRequest{
				{ID: "john", Set: map[string]any{"revoke_tokens_issued_before": at}},
			},
		})
		if err != nil {
			log.Fatal(err)
		}
	}

	// Of all users, and back.
	revoked := func() bool {
		app, err := client.GetApp(ctx)
		if err != nil {
			log.Fatal(err)
		}
		return !app.App.RevokeTokensIssuedBefore.IsZero()
	}
	now := time.Now()
	err = client.UpdateApp(ctx, &getstream.UpdateAppRequest{RevokeTokensIssuedBefore: &now})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("all revoked:", revoked())
	err = client.UpdateApp(ctx, &getstream.UpdateAppRequest{Set: map[string]any{"revoke_tokens_issued_before": nil}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("all revoked:", revoked())
	// Output:
	// a token: true
	// all revoked: true
	// all revoked: false
}
