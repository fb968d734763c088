// Package testserver is an API that logs its users out: it issues, expires and revokes tokens, inside your test or as a process,
// so that the whole login life of a client can be tested in milliseconds.
//
// There are two kinds. A [Guard] stands in front of any handler, asks for Bearer tokens, and is the OAuth 2.0 server and the
// backend that hand them out: it is what a client of most APIs wants to be tested with, and [Guard] says how. A [Server] is
// Stream's API, with its tokens, its users and its feeds; the rest of this comment is about that, and holds for a Guard where it
// says so.
//
// A [Server] is ready as its zero value, and so is a Guard. It is an [http.Handler], for [net/http/httptest] and for real ports:
//
//	srv := &testserver.Server{TTL: 2 * time.Second}
//	ts := httptest.NewServer(srv)
//
// and an [http.RoundTripper] without any port, whose connections live in memory. That one works inside a [testing/synctest]
// bubble, where an hour of expiries takes no time:
//
//	client := &http.Client{Transport: srv}
//	defer srv.Close()
//
// A bubble ends only when all of its goroutines have, and each open connection has some on both of its ends. So close the body
// of every response and every socket, and call [Server.Close] inside the bubble: a test that doesn't ends in synctest's
// "deadlock: all goroutines in bubble are blocked", which names neither.
//
// # Talking to it
//
// A request names the API key in the query, says how it is authenticated, and carries the bare token, without the word Bearer:
//
//	GET /api/v2/app?api_key=stayauth-key
//	Stream-Auth-Type: jwt
//	Authorization: eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9...
//
// A token that has expired or was revoked is refused with status 401 and code 40 in the JSON of the body. Other codes have the
// same status and are cured by no new token: 2 (API key or auth type), 5 (no token at all, or one that makes no sense), 41 and
// 42 (a wrong clock), 43 (a wrong secret). The transport of this module needs to be told both:
//
//	t := &transport.Transport{
//		Provider:   p,
//		Base:       srv,
//		Authorize:  func(r *http.Request, tok provider.Token) { r.Header.Set("Authorization", tok.Value()) },
//		IsRejected: transport.BodyCode("code", 40),
//	}
//
// Tokens come from [Server.Issue], from the token endpoint POST /token, from POST /api/v2/guest, or from your own backend,
// which signs them with the same secret. They end by their exp claim, by [Server.Revoke] and by the API's own revocation
// calls, PATCH /api/v2/users and PATCH /api/v2/app. What goes wrong on the way is up to [Server.Fault].
//
// The server keeps a [Ledger] of what arrived. At the end of a test [Server.Check] names what must never happen: a request
// that took effect twice, a replay with the very token that was refused, a token at a server that must never see one. It tells
// a replay from a new request by the header [RequestID].
//
// # The API
//
// Paths, fields, error codes and messages are Stream's. POST /token apart, they begin with /api/v2:
//
//	POST, PATCH, GET /users                         UpdateUsers, UpdateUsersPartial, QueryUsers
//	PATCH, GET /app                                 UpdateApp, GetApp
//	POST /guest                                     CreateGuest
//	POST /feeds/feed_groups/{group}/feeds/{id}      GetOrCreateFeed
//	POST /feeds/feeds/query                         QueryFeeds
//	POST /feeds/activities                          AddActivity
//	GET, PUT /feeds/activities/{id}                 GetActivity, UpdateActivity
//	PATCH, DELETE /feeds/activities/{id}            UpdateActivityPartial, DeleteActivity
//	POST /feeds/activities/query                    QueryActivities
//	POST /feeds/activities/{id}/reactions           AddActivityReaction
//	DELETE /feeds/activities/{id}/reactions/{type}  DeleteActivityReaction
//	POST, GET /feeds/comments                       AddComment, GetComments
//	GET, PATCH, DELETE /feeds/comments/{id}         GetComment, UpdateComment, DeleteComment
//	POST /feeds/follows                             Follow
//	DELETE /feeds/follows/{source}/{target}         Unfollow
//	POST /feeds/follows/query                       QueryFollows
//	GET /connect                                    a WebSocket
//
// A request for any other path is judged like the others and then answered with 404, code 16. The paths of Stream's older chat
// clients (/connect, /users, /app, /guest) are served as far as logging in, refreshing and revoking goes.
//
// A user may change what is theirs, and add to feeds that are theirs or that come into being by it; anything else is a 403
// with code 17. A server token may do everything.
//
// A revocation through the API (revoke_tokens_issued_before) kills the user's tokens, or every user's, whose iat lies before
// it, and those without an iat for as long as it is set; setting it to null, or unsetting it, brings them back to life. Server
// tokens are nobody's and stay valid.
//
// # Sockets
//
// A client opens GET /api/v2/connect as a WebSocket, with the API key and stream-auth-type in the query, and sends its token in
// the first frame: {"token":"..","user_details":{"id":"alice",..},"products":["feeds"]}. It is judged as everywhere, and answered
// with connection.ok, or with connection.error and a close. A sign of life (health.check in an array or as an object, or a
// WebSocket ping) is answered with health.check. GetOrCreateFeed and QueryFeeds with watch set, and the connection_id in the
// query, have the feeds' events sent to the socket: feeds.activity.added, .updated and .deleted, feeds.activity.reaction.added,
// .updated and .deleted, feeds.comment.added, .updated and .deleted, feeds.follow.created and .deleted.
//
// What may go wrong with a socket is in [Fault] and [SocketFault], [Server.CloseSockets] and [Server.PushExpiry].
//
// # Where no public source tells
//
// There the server does the simple thing. A user comes into being with its first token, and a feed with its first activity, but
// changing an unknown user is a 404, and so is following an unknown feed. An activity id that is taken is bad input.
// Deleting is for good, with or without hard_delete. disable_auth_checks lifts the check of signatures and no other. A
// connection_id of no open socket is a 400 with code 46. A server token opens no socket. A socket that was told of its token's
// end is closed with 1008, because Stream's clients ignore what they are told and reconnect after the close.
//
// # Limits
//
// Everything lives in memory and is bounded. A request's body may have 1 MiB. Of each kind of thing (users, feeds, activities,
// comments, follows, logins, and in the ledger requests and tokens) the server keeps the newest 100,000, and no more than 64 MiB
// as counted by their JSON; of one activity's reactions the newest 1,000. What is older is forgotten: a forgotten login is
// over, and a forgotten user's revocations are undone. The ledger spells out the first 100 violations and counts the rest.
//
// 10,000 sockets can be open. Each may watch 1,000 feeds and has 10 s for its first frame. 1,000 events wait for a client that
// is slow to read; one that is slower, or takes more than 10 s over an event, loses its connection.
package testserver

import (
	"crypto/rand"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/stayauth/stayauth/testserver/internal/login"
	"github.com/stayauth/stayauth/testserver/internal/memory"
)

// The API key and secret of a [Server] that names none. The secret is no secret: everybody knows it.
const (
	DefaultKey    = "stayauth-key"
	DefaultSecret = "stayauth-secret"
)

// DefaultTTL is how long a token lives when [Server.TTL] is 0. It is what Stream's own SDKs use.
const DefaultTTL = time.Hour

// A Server is one app at the API: its users and feeds, its tokens, and the ledger of the requests that reached it.
//
// The zero value is ready. Set the fields before the first use and leave them alone then. All methods are safe for
// concurrent use. A Server must not be copied.
type Server struct {
	// Key is the API key that requests name in the query (api_key). Empty: DefaultKey.
	Key string

	// Secret signs the tokens (HS256). Empty: DefaultSecret.
	Secret string

	// TTL is how long the tokens live that this server mints. Their exp has whole seconds and is rounded up, so they live up
	// to a second longer. 0: DefaultTTL. Negative: for ever, without an exp.
	TTL time.Duration

	// ClockOffset is the server's clock minus the real one. Everything that the server judges or mints goes by its clock.
	// Delays and the ledger's times do not. [Server.AdvanceClock] moves the clock later.
	ClockOffset time.Duration

	// StrictRevocation compares the cutoffs of the API's revocation calls exactly. By default they count in whole seconds,
	// like a token's iat, and a token minted in the second of the revocation lives. Under StrictRevocation that token is
	// dead: until the next second begins, every new one is dead on arrival.
	StrictRevocation bool

	// DisableAuthChecks is the app's setting of that name at the start; PATCH /api/v2/app changes it. While it is on, no
	// signature is checked and developer tokens are accepted. All else about a token is judged as usual.
	DisableAuthChecks bool

	// PushExpiry tells an open socket when its token ends or is revoked: by connection.error with code 40, and a close. By
	// default the server keeps silent, the socket stays open, and its client learns of it at its next request or connection.
	// Nobody has published which of the two Stream does.
	PushExpiry bool

	// RateLimit is how often each user, all servers together, and all anonymous callers together may call each operation within
	// a minute of the server's clock. What is more is answered with 429, code 9 and Retry-After, and all answers say what is left,
	// in x-ratelimit-limit, -remaining and -reset. Refused tokens, POST /token and sockets don't count. 0: no limit, no headers.
	RateLimit int

	// Session is the session secret without which POST /token lets nobody log in. Empty: any will do, and none too.
	Session string

	// Rotation says what POST /token does with a refresh token that is used. The zero value is SingleUse.
	Rotation Rotation

	// Foreign marks a server that no secret may ever reach: where a client is sent by a redirect,
	// say. It answers as usual, and every token, refresh token, session or client secret that
	// arrives is a violation; see [Server.Check].
	Foreign bool

	// Fault, if not nil, is asked once for each request, before anything else, and says what goes wrong with it. It may read
	// the request's method, URL, header and context, and must leave the body alone. It is called by many goroutines at once,
	// with no lock held, so it may call the server's methods.
	Fault func(*http.Request) Fault

	once sync.Once
	mux  *http.ServeMux // written by init, then only read
	done chan struct{}  // closed by Close: ends every delay
	pipe pipe           // the connections in memory; it has its own lock

	mu        sync.Mutex // guards the fields below; never held across a wait or while an answer is written
	closed    bool
	authority login.Authority // tokens, refresh tokens and the ledger; its own fields are written by init, then only read
	app       app
	users     memory.Map[*user]
	feeds     memory.Map[*feed]
	acts      memory.Map[*activity]
	seq       int // the newest activity's, feed's, comment's or follow's

	comments memory.Map[*comment]
	follows  memory.Map[*follow]

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

// AdvanceClock moves the server's clock by d from now on, on top of ClockOffset. It plays what no test can do to the real
// clock: a machine that was suspended, a clock that was set, back (a negative d) or forth.
func (s *Server) AdvanceClock(d time.Duration) {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.authority.Advance(d)
	s.recheckSockets()
}

// now returns the time by the server's clock. s.mu is held.
func (s *Server) now() time.Time { return s.authority.Now() }

func (s *Server) key() string {
	if s.Key == "" {
		return DefaultKey
	}
	return s.Key
}

func (s *Server) secret() []byte {
	if s.Secret == "" {
		return []byte(DefaultSecret)
	}
	return []byte(s.Secret)
}

func (s *Server) ttl() time.Duration {
	if s.TTL == 0 {
		return DefaultTTL
	}
	return s.TTL
}

// Close ends the server: requests that wait for a [Fault] are cut off, sockets are broken, the connections of
// [Server.RoundTrip] are closed, and every later request is cut off too. A synctest bubble in which RoundTrip was used can end
// only after Close. The ledger can still be read. Close may be called more than once, and always returns nil.
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
