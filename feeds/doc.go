// Package feeds is a client for Stream's activity feeds that stays logged in. Names and fields are
// those of Stream's documentation.
//
// # Connect
//
// A program that acts for a user connects as that user and names a token provider, usually a call
// to your own backend:
//
//	client, err := feeds.NewClient("api-key", "")
//	session, err := client.ConnectUser(ctx, feeds.User{ID: "alice"}, provider.HTTP{
//		URL: "https://app.example.com/token", UserID: "alice", Session: sessionSecret,
//	})
//	defer session.Close()
//
// The [Session] then lives for as long as the provider goes on bringing tokens. Expiry and
// revocation are dealt with below it, by package transport: a call that met one has waited a
// little, and took effect once.
//
// For a first try [provider.Static] takes a token by hand, or a developer token. A guest needs no
// provider ([Client.ConnectGuest]), and who only reads what is public not even a token
// ([Client.ConnectAnonymous]).
//
// # Use
//
//	added, err := session.AddActivity(ctx, &feeds.AddActivityRequest{
//		Type: "post", Feeds: []string{"user:alice"}, Text: "Hello",
//	})
//	for activity, err := range session.FeedActivities(ctx, "timeline", "alice", nil) {
//		...
//	}
//
// There are calls for feeds, activities, reactions, comments, follows and users. Those that return
// pages have an iterator beside them, which goes through all pages and fetches one at a time:
// [Session.Activities] beside [Session.QueryActivities], and [Session.FeedActivities],
// [Session.Feeds], [Session.Comments], [Session.Follows] and [Session.Users].
//
// A notification feed shows groups of activities: [Session.FeedAggregatedActivities] goes through
// them, and [Session.MarkActivity] notes what its user has seen or read.
//
// [Session.Events] tells what happens in feeds as it happens. For calls that have no method here,
// uploads for one, [Session.HTTPClient] is an http.Client that is logged in.
//
// # When a call fails
//
// A refusal by the API is an [*Error]. It has Stream's code, and says what can be done about it.
// One with CodeNotAllowed is no trouble with the login: the user may not do that. A call that
// exceeds a rate limit waits until the limit ends, within the deadline of its context;
// Client.NoRateLimitWait turns that off.
//
// [IsSessionOver] tells the one kind of error after which the session is of no more use: the token
// provider failed permanently, or the session was closed. Then connect again. After any other error
// the session goes on.
//
// # Backends
//
// A backend has the API secret, gives it to [NewClient], which is the only way to, and uses the
// calls of the [Client] itself: CreateToken for the users' tokens, UpdateUsers to make users known,
// UpdateUsersPartial and UpdateApp, or RevokeUserToken and RevokeTokens for short, to revoke their
// tokens. [Client.ConnectServer] returns a session that may act for any user.
package feeds
