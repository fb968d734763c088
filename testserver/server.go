// Package testserver is an API that logs its users out: it issues, expires and revokes tokens the way Stream does, inside
// your test or as a process, so that the whole login life of a client can be tested in milliseconds.
//
// A [Server] is ready as its zero value. It is an [http.Handler], for [net/http/httptest] and for real ports:
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
// Tokens come from [Server.Issue], from the token endpoint POST /token, from POST /api/v2/guest, or from your own backend,
// which signs them with the same secret. They end by their exp claim, by [Server.Revoke] and by the API's own revocation
// calls, PATCH /api/v2/users and PATCH /api/v2/app. What goes wrong on the way is up to [Server.Fault].
//
// The server keeps a [Ledger] of what arrived. At the end of a test [Server.Check] names what must never happen: a request
// that took effect twice, a replay with the very token that was refused, a token at a server that must never see one.
//
// # The API
//
// Paths, fields, error codes and messages are Stream's. POST /token apart, they begin with /api/v2:
//
//	POST, PATCH, GET /users                     UpdateUsers, UpdateUsersPartial, QueryUsers
//	PATCH, GET /app                             UpdateApp, GetApp
//	POST /guest                                 CreateGuest
//	POST /feeds/feed_groups/{group}/feeds/{id}  GetOrCreateFeed
//	POST /feeds/activities                      AddActivity
//	GET /feeds/activities/{id}                  GetActivity
//	POST /feeds/activities/query                QueryActivities
//
// A request for any other path is judged like the others and then answered with 404, code 16.
//
// A revocation through the API (revoke_tokens_issued_before) kills the user's tokens, or every user's, whose iat lies before
// it, and those without an iat for as long as it is set; setting it to null, or unsetting it, brings them back to life. Server
// tokens are nobody's and stay valid.
//
// Where no public source tells what Stream does, the server does the simple thing: a user comes into being with its first
// token and a feed with its first activity, but changing an unknown user is a 404; an activity id that is taken is bad input;
// disable_auth_checks lifts the check of signatures and no other; every user may write to every feed.
//
// # Limits
//
// Everything lives in memory and is bounded. A request's body may have 1 MiB. Of each kind of thing (users, feeds, activities,
// logins, and in the ledger requests and tokens) the server keeps the newest 100,000, and no more than 64 MiB as counted by
// their JSON. What is older is forgotten: a forgotten login is over, and a forgotten user's revocations are undone. The ledger
// spells out the first 100 violations and counts the rest.
package testserver

import (
	"crypto/rand"
	"net/http"
	"sync"
	"time"
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

	// Session is the session secret without which POST /token lets nobody log in. Empty: any will do, and none too.
	Session string

	// Rotation says what POST /token does with a refresh token that is used. The zero value is SingleUse.
	Rotation Rotation

	// Foreign marks a server that no secret may ever reach: where a client is sent by a redirect, say. It answers as usual,
	// and every token, session secret and refresh token that arrives is a violation; see [Server.Check].
	Foreign bool

	// Fault, if not nil, is asked once for each request, before anything else, and says what goes wrong with it. It may read
	// the request's method, URL, header and context, and must leave the body alone. It is called by many goroutines at once,
	// with no lock held, so it may call the server's methods.
	Fault func(*http.Request) Fault

	once     sync.Once
	mux      *http.ServeMux // written by init, then only read
	instance string         // marks the tokens that this server minted; written by init, then only read
	done     chan struct{}  // closed by Close: ends every delay
	pipe     pipe           // the connections in memory; it has its own lock

	mu     sync.Mutex // guards the fields below; never held across a wait or while an answer is written
	closed bool
	offset time.Duration // the clock's, see AdvanceClock
	serial uint64        // the newest token's; see token.serial
	app    app
	users  memory[*user]
	feeds  memory[*feed]
	acts   memory[*activity]
	actSeq int // the newest activity's
	logins memory[*login]
	ledger ledger
}

// init makes the zero value ready. Every exported method that reads what it writes calls it first.
func (s *Server) init() {
	s.once.Do(func() {
		s.instance = rand.Text()
		s.done = make(chan struct{})
		s.offset = s.ClockOffset
		s.app.disableAuthChecks = s.DisableAuthChecks
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
	s.offset += d
}

// now returns the time by the server's clock. s.mu is held.
func (s *Server) now() time.Time { return time.Now().Round(0).Add(s.offset) }

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

// Close ends the server: requests that wait for a [Fault] are cut off, the connections of [Server.RoundTrip] are closed, and
// every later request is cut off too. A synctest bubble in which RoundTrip was used can end only after Close. The ledger can
// still be read. Close may be called more than once, and always returns nil.
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
	return nil
}
