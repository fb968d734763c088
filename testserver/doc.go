// Package testserver is an API that logs its users out: it issues, expires and revokes tokens, inside
// your test or as a process, so that the whole login life of a client can be tested in milliseconds.
//
// There are two kinds. A [Guard] stands in front of any handler, asks for Bearer tokens, and is the
// OAuth 2.0 server and the backend that hand them out: it is what a client of most APIs wants to be
// tested with, and [Guard] says how. A [Server] is Stream's API, with its tokens, its users and its
// feeds; the rest of this comment is about that, and holds for a Guard where it says so.
//
// A [Server] is ready as its zero value, and so is a Guard. It is an [http.Handler], for
// [net/http/httptest] and for real ports:
//
//	srv := &testserver.Server{TTL: 2 * time.Second}
//	ts := httptest.NewServer(srv)
//
// and an [http.RoundTripper] without any port, whose connections live in memory. That one works
// inside a [testing/synctest] bubble, where an hour of expiries takes no time:
//
//	client := &http.Client{Transport: srv}
//	defer srv.Close()
//
// A bubble ends only when all of its goroutines have, and each open connection has some on both of
// its ends. So close the body of every response and every socket, and call [Server.Close] inside
// the bubble: a test that doesn't ends in synctest's "deadlock: all goroutines in bubble are
// blocked", which names neither.
//
// # Talking to it
//
// A request names the API key in the query, says how it is authenticated, and carries the bare
// token, without the word Bearer:
//
//	GET /api/v2/app?api_key=stayauth-key
//	Stream-Auth-Type: jwt
//	Authorization: eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9...
//
// A token that has expired or was revoked is refused with status 401 and code 40 in the JSON of the
// body. Other codes have the same status and are cured by no new token: 2 (API key or auth type), 5
// (no token at all, or one that makes no sense), 41 and 42 (a wrong clock), 43 (a wrong secret).
// The transport of this module needs to be told both:
//
//	t := &transport.Transport{
//		Provider:   p,
//		Base:       srv,
//		Authorize:  func(r *http.Request, tok provider.Token) { r.Header.Set("Authorization", tok.Value()) },
//		IsRejected: transport.BodyCode("code", 40),
//	}
//
// Tokens come from [Server.Issue], from the token endpoint POST /token, from POST /api/v2/guest, or
// from your own backend, which signs them with the same secret. They end by their exp claim, by
// [Server.Revoke] and by the API's own revocation calls, PATCH /api/v2/users and PATCH /api/v2/app.
// What goes wrong on the way is up to [Server.Fault].
//
// The server keeps a [Ledger] of what arrived. At the end of a test [Server.Check] names what must
// never happen: a request that took effect twice, a replay with the very token that was refused, a
// token at a server that must never see one. It tells a replay from a new request by the header
// [RequestID].
//
// # The API
//
// Paths, fields, error codes and messages are Stream's. POST /token apart, they begin with /api/v2:
//
//	POST, PATCH, GET /users                  UpdateUsers, UpdateUsersPartial, QueryUsers
//	PATCH, GET /app                          UpdateApp, GetApp
//	POST /guest                              CreateGuest
//	POST, DELETE /uploads/file, image        UploadFile, UploadImage, DeleteFile, DeleteImage
//	POST, PUT, DELETE {feed}                 GetOrCreateFeed, UpdateFeed, DeleteFeed
//	POST {feed}/change_visibility            ChangeFeedVisibility
//	DELETE {feed}/watch                      StopWatchingFeed
//	POST {feed}/activities/mark/batch        MarkActivity
//	POST, DELETE {feed}/activities/{id}/pin  PinActivity, UnpinActivity
//	POST {feed}/pinned_activities/query      QueryPinnedActivities
//	PATCH {feed}/members                     UpdateFeedMembers
//	POST {feed}/members/query                QueryFeedMembers
//	POST {feed}/members/accept, reject       AcceptFeedMemberInvite, RejectFeedMemberInvite
//	POST /feeds/feeds/query                  QueryFeeds
//	POST /feeds/feeds/batch, delete          CreateFeedsBatch, DeleteFeedsBatch
//	POST /feeds/feeds/own/batch              OwnBatch
//	POST /feeds/activities                   AddActivity
//	GET, PUT, PATCH, DELETE {activity}       GetActivity, UpdateActivity, UpdateActivityPartial, DeleteActivity
//	POST /feeds/activities/batch, delete     UpsertActivities, DeleteActivities
//	PATCH /feeds/activities/batch/partial    UpdateActivitiesPartialBatch
//	POST /feeds/activities/query             QueryActivities
//	POST {activity}/reactions                AddActivityReaction
//	POST {activity}/reactions/query          QueryActivityReactions
//	DELETE {activity}/reactions/{type}       DeleteActivityReaction
//	POST /feeds/activities/reactions/query   BatchQueryActivityReactions
//	POST /feeds/comments/reactions/query     BatchQueryCommentReactions
//	POST, GET /feeds/comments                AddComment, GetComments
//	POST /feeds/comments/batch, query        AddCommentsBatch, QueryComments
//	GET, PATCH, DELETE {comment}             GetComment, UpdateComment, DeleteComment
//	POST {comment}/partial                   UpdateCommentPartial
//	GET {comment}/replies                    GetCommentReplies
//	POST {comment}/reactions                 AddCommentReaction
//	POST {comment}/reactions/query           QueryCommentReactions
//	DELETE {comment}/reactions/{type}        DeleteCommentReaction
//	POST, PATCH, DELETE {activity}/bookmarks AddBookmark, UpdateBookmark, DeleteBookmark
//	POST, PATCH, DELETE {comment}/bookmarks  AddCommentBookmark, UpdateCommentBookmark, DeleteCommentBookmark
//	POST /feeds/bookmarks/query              QueryBookmarks
//	POST /feeds/bookmark_folders/query       QueryBookmarkFolders
//	PATCH, DELETE /feeds/bookmark_folders/.. UpdateBookmarkFolder, DeleteBookmarkFolder
//	POST, PATCH /feeds/follows               Follow, UpdateFollow
//	POST /feeds/follows/upsert               GetOrCreateFollow
//	POST /feeds/follows/batch, batch/upsert  FollowBatch, GetOrCreateFollows
//	POST /feeds/follows/accept, reject       AcceptFollow, RejectFollow
//	POST /feeds/follows/query                QueryFollows
//	DELETE /feeds/follows/{source}/{target}  Unfollow
//	POST /feeds/unfollow/upsert              GetOrCreateUnfollow
//	POST /feeds/unfollow/batch, batch/upsert UnfollowBatch, GetOrCreateUnfollows
//	GET /connect                             a WebSocket
//
// There {feed} is /feeds/feed_groups/{group}/feeds/{id}, {activity} is /feeds/activities/{id} and
// {comment} is /feeds/comments/{id}. A request for any other path is judged like the others and
// then answered with 404, code 16: polls, stories, collections, moderation and push are not served,
// nor are feed groups and views configured. The paths of Stream's older chat clients (/connect,
// /users, /app, /guest) are served as far as logging in, refreshing and revoking goes.
//
// A user may change what is theirs, and read and add to feeds as their visibility allows: visible,
// which feeds are unless they say otherwise, public, followers, members or private. Anything else
// is a 403 with code 17. A server token may do everything, and on reads a user_id decides whose
// own_reactions and the like are shown. Lists are filtered and sorted by what the API lists, and by
// nothing else.
//
// Uploaded files are handed out under /uploads/ to anyone who knows their address, without a key or a
// token, and these requests are in no ledger.
//
// The feeds of the group notification hold notifications: their activities are grouped by type and
// day, and marked as seen and read. They are private unless they say otherwise.
// create_notification_activity puts the activities there.
//
// A revocation through the API (revoke_tokens_issued_before) kills the user's tokens, or every
// user's, whose iat lies before it, and those without an iat for as long as it is set; setting it
// to null, or unsetting it, brings them back to life. Server tokens belong to no user and stay valid.
//
// # Sockets
//
// A client opens GET /api/v2/connect as a WebSocket, with the API key and stream-auth-type in the
// query, and sends its token in the first frame:
// {"token":"..","user_details":{"id":"alice",..},"products":["feeds"]}. It is judged as everywhere,
// and answered with connection.ok, or with connection.error and a close. A sign of life
// (health.check in an array or as an object, or a WebSocket ping) is answered with health.check.
// GetOrCreateFeed and QueryFeeds with watch set, and the connection_id in the query, have the
// feeds' events sent to the socket, to those who may see what they are about: feeds.activity.added,
// .updated, .deleted, .removed_from_feed, .pinned, .unpinned and .marked,
// feeds.activity.reaction.added, .updated and .deleted, feeds.comment.added, .updated and .deleted,
// feeds.comment.reaction.added, .updated and .deleted, feeds.feed.created, .updated and .deleted,
// feeds.feed_member.added, .updated and .removed, feeds.follow.created, .updated and .deleted, and
// feeds.notification_feed.updated. A user's own sockets hear of its bookmarks, whatever they watch:
// feeds.bookmark.added, .updated and .deleted, feeds.bookmark_folder.updated and .deleted.
//
// What may go wrong with a socket is in [Fault] and [SocketFault], [Server.CloseSockets] and
// [Server.PushExpiry].
//
// # Where no public source tells
//
// There the server does the simple thing. A user comes into being with its first token, and a feed
// with its first activity, but changing an unknown user is a 404, and so is following an unknown
// feed. Deleting is for good, with or without hard_delete; with a feed go the activities that are
// in no other. disable_auth_checks lifts the check of signatures and no other. A connection_id of
// no open socket is a 400 with code 46. A server token opens no socket. A socket that was told of
// its token's end is closed with 1008, because Stream's clients ignore what they are told and
// reconnect after the close.
//
// An activity that comes to a notification feed is both a feeds.activity.added and, after it, a
// feeds.notification_feed.updated, which holds the group that has changed. Who may not see the
// whole of an activity whose visibility is a tag gets no events of it, and a preview without text,
// attachments and custom data. Comments are voted on by reactions of the types upvote and downvote.
//
// # Limits
//
// Everything lives in memory and is bounded. A request's body may have 1 MiB, an uploaded file 16
// MiB. Of each kind of thing (users, feeds, activities, comments, follows, bookmark folders,
// uploads, logins, and in the ledger requests and tokens) the server keeps the newest 100,000, and
// no more than 64 MiB as counted by their JSON; of one thing's reactions and bookmarks the newest
// 1,000. What is older is forgotten: a forgotten login is over, and a forgotten user's revocations
// are undone. A feed has 1,000 members, 100 pinned activities and 100 marked groups, an activity is
// in 25 feeds, and a group of a notification feed shows its newest 15 activities. The ledger spells
// out the first 100 violations and counts the rest.
//
// 10,000 sockets can be open. Each may watch 1,000 feeds and has 10 s for its first frame. 1,000
// events wait for a client that is slow to read; one that is slower, or takes more than 10 s over
// an event, loses its connection.
package testserver
