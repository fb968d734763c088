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
