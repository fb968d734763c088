// Package feeds is a client for Stream's activity feeds that stays logged in.
//
// A program that acts for a user connects as that user and names a token provider, usually a call to your own backend:
//
//	client, err := feeds.NewClient("api-key", "")
//	session, err := client.ConnectUser(ctx, feeds.User{ID: "alice"}, provider.HTTP{
//		URL: "https://app.example.com/token", UserID: "alice", Session: sessionSecret,
//	})
//	defer session.Close()
//	activity, err := session.AddActivity(ctx, &feeds.AddActivityRequest{
//		Type: "post", Feeds: []string{"user:alice"}, Text: "Hello",
//	})
//
// The [Session] then lives for as long as the provider goes on bringing tokens. Expiry and revocation are dealt with below it,
// by package transport: a call that met one has waited a little, and took effect once.
//
// A backend has the API secret, gives it to [NewClient], and uses the calls of the [Client] itself: CreateToken for the users'
// tokens, UpdateUsersPartial and UpdateApp to revoke them. Names and fields are those of Stream's documentation.
package feeds
