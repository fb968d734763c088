package testserver

import (
	"crypto/rand"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stayauth/stayauth/testserver/internal/login"
	"github.com/stayauth/stayauth/testserver/internal/memory"
)

// A Server is one app at Stream's API: its users and feeds, its tokens, and the ledger of the
// requests that reached it.
//
// The zero value is ready. Set the fields before the first use, and don't change them afterwards.
// All methods are safe for concurrent use. A Server must not be copied.
//
// # Operations
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
// Uploaded files are handed out under /uploads/ to anyone who knows their address, without a key or
// a token, and these requests are in no ledger.
//
// The feeds of the group notification hold notifications: their activities are grouped by type and
// day, and marked as seen and read. They are private unless they say otherwise.
// create_notification_activity puts the activities there.
//
// A revocation through the API (revoke_tokens_issued_before) kills the user's tokens, or every
// user's, whose iat lies before it, and those without an iat for as long as it is set; setting it
// to null, or unsetting it, brings them back to life. Server tokens belong to no user and stay
// valid.
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
// feeds.notification_feed.updated, which holds the group that has changed. A user who may not see
// the whole of an activity, because its visibility is a tag, gets no events of it, and a preview
// without text, attachments and custom data. Comments are voted on by reactions of the types upvote
// and downvote.
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
type Server struct {
	// Key is the API key that requests name in the query (api_key). Empty: DefaultKey.
	Key string

	// Secret signs the tokens (HS256). Empty: DefaultSecret.
	Secret string

	// TTL is how long the tokens live that this server mints. Their exp has whole seconds and is
	// rounded up, so they live up to a second longer. 0: DefaultTTL. Negative: for ever, without an
	// exp.
	TTL time.Duration

	// ClockOffset is the server's clock minus the real one. Everything that the server judges or
	// mints goes by its clock. Delays and the ledger's times do not. [Server.AdvanceClock] moves
	// the clock later.
	ClockOffset time.Duration

	// StrictRevocation compares the cutoffs of the API's revocation calls exactly. By default they
	// count in whole seconds, like a token's iat, and a token minted in the second of the
	// revocation lives. Under StrictRevocation that token is dead: until the next second begins,
	// every new one is dead on arrival.
	StrictRevocation bool

	// DisableAuthChecks is the app's setting of that name at the start; PATCH /api/v2/app changes
	// it. While it is on, no signature is checked and developer tokens are accepted. All else about
	// a token is judged as usual.
	DisableAuthChecks bool

	// PushExpiry tells an open socket when its token ends or is revoked: by connection.error with
	// code 40, and a close. By default the server keeps silent, the socket stays open, and its
	// client learns of it at its next request or connection. No public source says which of the two
	// Stream does.
	PushExpiry bool

	// RateLimit is how often each user, all servers together, and all anonymous callers together
	// may call each operation within a minute of the server's clock. What is more is answered with
	// 429, code 9 and Retry-After, and all answers say what is left, in x-ratelimit-limit,
	// -remaining and -reset. Rejected tokens, POST /token and sockets don't count. 0: no limit, no
	// headers.
	RateLimit int

	// Session is the session secret that a login at POST /token needs. Empty: any will do, and none
	// too.
	Session string

	// Rotation says what POST /token does with a refresh token that is used. The zero value is
	// SingleUse.
	Rotation Rotation

	// Foreign marks a server that no secret may ever reach: where a client is sent by a redirect,
	// say. It answers as usual, and every token, refresh token, session or client secret that
	// arrives is a violation; see [Server.Check].
	Foreign bool

	// Fault, if not nil, is asked once for each request, before anything else, and says what goes
	// wrong with it. It may read the request's method, URL, header and context, and must leave the
	// body alone. It is called by many goroutines at once, with no lock held, so it may call the
	// server's methods.
	Fault func(*http.Request) Fault

	once sync.Once
	mux  *http.ServeMux       // written by init, then only read
	done chan struct{}        // closed by Close: ends every delay
	pipe pipe                 // the connections in memory; it has its own lock
	page atomic.Pointer[Page] // nil: no one has asked for it

	mu        sync.Mutex // guards the fields below; never held across a wait or while an answer is written
	closed    bool
	authority login.Authority // tokens, refresh tokens and the ledger; its own fields are written by init, then only read
	app       app
	users     memory.Map[*user]
	feeds     memory.Map[*feed]
	acts      memory.Map[*activity]
	seq       int // the newest thing's

	comments memory.Map[*comment]
	follows  memory.Map[*follow]
	folders  memory.Map[*folder]
	uploads  memory.Map[*upload]

	minute time.Time       // that is being counted for RateLimit
	calls  memory.Map[int] // in it, by operation and caller

	sockets  map[string]*socket          // the open ones, by connection id
	watchers map[string]map[*socket]bool // by feed
	upgraded map[net.Conn]bool           // connections that net/http has given away
	sockWork sync.WaitGroup              // the goroutines that net/http gave to these; Add only while closed is false
}

// init makes the zero value ready. Every exported method that reads what it writes calls it first.
func (s *Server) init() {
	s.once.Do(func() {
		s.authority = login.Authority{
			Secret: s.secret(), Instance: rand.Text(), Claim: "user_id", TTL: s.ttl(), Rotation: login.Rotation(s.Rotation),
		}
		s.authority.Advance(s.ClockOffset)
		s.done = make(chan struct{})
		s.app.disableAuthChecks = s.DisableAuthChecks
		s.sockets = make(map[string]*socket)
		s.watchers = make(map[string]map[*socket]bool)
		s.upgraded = make(map[net.Conn]bool)
		s.mux = s.routes()
		s.pipe.start(s, s.done)
	})
}

// AdvanceClock moves the server's clock by d from now on, on top of ClockOffset. It plays what no
// test can do to the real clock: a machine that was suspended, a clock that was set, back (a
// negative d) or forth.
func (s *Server) AdvanceClock(d time.Duration) {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.authority.Advance(d)
	s.recheckSockets()
}

// now returns the time by the server's clock. s.mu is held.
func (s *Server) now() time.Time { return s.authority.Now() }

// Close ends the server: requests that wait for a [Fault] are cut off, sockets are broken, the
// connections of [Server.RoundTrip] are closed, and every later request is cut off too. A synctest
// bubble in which RoundTrip was used can end only after Close. The ledger can still be read. Close
// may be called more than once, and always returns nil.
func (s *Server) Close() error {
	s.init()
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.mu.Unlock()
	if first {
		close(s.done)
	}
	s.pipe.close()
	s.cutSockets()
	return nil
}
