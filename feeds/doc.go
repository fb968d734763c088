// Package feeds is a client for Stream's activity feeds that stays logged in. Names and fields are
// those of Stream's documentation.
//
// # Connect
//
// A program that acts for a user connects as that user and names a token provider, which is usually
// a call to your own backend:
//
//	client, err := feeds.NewClient("api-key", "")
//	session, err := client.ConnectUser(ctx, feeds.User{ID: "alice"}, provider.HTTP{
//		URL: "https://app.example.com/token", UserID: "alice",
//		Session: provider.NewSecret("what your backend gave alice"),
//	})
//	defer session.Close()
//
// The [Session] then lives for as long as the provider returns tokens. Package transport deals with
// expiry and revocation: a call that meets one waits a little for the next token, and takes effect
// once.
//
// For a first try, [provider.Static] takes a token by hand, or a developer token. A guest needs no
// provider ([Client.ConnectGuest]). A program that only reads what is public needs no token
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
// There are calls for feeds, activities, reactions, comments, follows and users. A call that
// returns pages has an iterator beside it, which goes through all pages and fetches one at a time:
// [Session.QueryActivities] has [Session.Activities], and there are [Session.FeedActivities],
// [Session.Feeds], [Session.Comments], [Session.Follows] and [Session.Users].
//
// A notification feed shows groups of activities. [Session.FeedAggregatedActivities] goes through
// the groups, and [Session.MarkActivity] marks them as seen or read.
//
// [Session.Events] tells what happens in feeds as it happens. For calls that have no method here,
// such as uploads, [Session.HTTPClient] returns an http.Client that is logged in.
//
// # When a call fails
//
// If the API answers a call with an error, the error is an [*Error]. It has Stream's code, and its
// text says what to do. CodeNotAllowed is no problem of the login: the user may not do that. A call
// that exceeds a rate limit waits until the limit ends, within the deadline of its context;
// Client.NoRateLimitWait turns that off.
//
// [IsSessionOver] reports the one kind of error after which the session is of no more use: the
// token provider has failed permanently, or the session was closed. Then connect again. After any
// other error the session goes on.
//
// # Backends
//
// A backend has the API secret and passes it to [NewClient]. It uses the calls of the [Client]
// itself: CreateToken makes the users' tokens, UpdateUsers makes users known, and
// UpdateUsersPartial and UpdateApp, or the shorter RevokeUserToken and RevokeTokens, revoke tokens.
// [Client.ConnectServer] returns a session that may act for any user.
package feeds
