package testserver

import (
	"context"
	"crypto/rand"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stayauth/stayauth/testserver/internal/login"
	"github.com/stayauth/stayauth/testserver/internal/memory"
)

// A Guard puts tokens in front of any handler. It lets through to Next what carries a good Bearer
// token (RFC 6750), rejects the rest with a challenge, and has the endpoints at which clients get
// their tokens by OAuth 2.0 or from a backend of your own kind:
//
//	guard := &testserver.Guard{Next: api, TTL: 2 * time.Second}
//	defer guard.Close()
//	client := &http.Client{Transport: &transport.Transport{Provider: ..., Base: guard}}
//
// A Guard is an [http.Handler], for [net/http/httptest] and for real ports, and an
// [http.RoundTripper] whose connections live in memory, for [testing/synctest]. What the package
// comment says of bubbles and of [Server.Close] holds for it too, and so do the faults, the ledger
// and its check.
//
// # Endpoints
//
// They are the guard's own, and Next never sees their paths. [Guard.Prefix] moves them out of its
// way.
//
//	POST /token                 RFC 6749 section 3.2: form-encoded, for OAuth 2.0's grants
//	POST /token                 with a JSON body: a backend, as provider.HTTP asks it; see below
//	POST /revoke                RFC 7009: ends a token, or a refresh token's login
//	GET  /authorize             RFC 6749 section 3.1, with PKCE (RFC 7636, S256 alone); needs ApproveAs
//	POST /device_authorization  RFC 8628, polled once a second; needs ApproveAs
//	GET  /.well-known/oauth-authorization-server
//	                            RFC 8414, where these are; needs ApproveAs, and Prefix comes after it
//
// The grants are refresh_token, client_credentials, authorization_code,
// urn:ietf:params:oauth:grant-type:device_code and those of [Guard.Grant]. A login, with refresh
// tokens, begins with an authorization code or a device code, with the JSON of a backend, or with
// [Guard.LogIn]. The token of client_credentials is the client's own: its user is the client's id,
// and there is no refresh token. A client names itself by Basic authentication, its id and secret
// form-encoded first (RFC 6749 section 2.3.1), or in the body. Errors are those of RFC 6749 section
// 5.2. A scope is taken as it comes, and stays with the login.
//
// The JSON is {"user_id": "alice", "session": "..."} to log in, {"refresh_token": "..."} to
// refresh, and the answer {"token": "...", "refresh_token": "...", "expires_in": 2}, as at the
// Server's POST /token.
//
// # Tokens
//
// They are JWTs signed with HS256, with the claims sub, iat, exp and jti. A backend with the same
// secret can mint them too, with user_id in place of sub, as provider.Signer does; one without a
// user is malformed. With Opaque they are random. They end by their exp, by
// [Guard.Revoke], at the endpoint /revoke, and with their login: a login ends by [Guard.LogOut], at
// the endpoint, and when one of its refresh tokens is used twice (RFC 9700 section 4.14.2).
//
// # Ledger
//
// A request counts as an effect, at the moment when Next begins to answer it, if its method is none
// of GET, HEAD, OPTIONS and TRACE and the status is below 400. So [Guard.Check] finds a POST that
// was let through twice under one [RequestID].
//
// The zero value is ready. Set the fields before the first use and leave them alone then. All
// methods are safe for concurrent use. A Guard must not be copied.
type Guard struct {
	// Next serves what is let through; [UserOf] tells it whose token came. The Authorization header
	// is still there. Nil answers 200 with the user as a line of text.
	Next http.Handler

	// TTL is how long tokens live. Ends have whole seconds and are rounded up, so tokens live up to
	// a second longer. 0: DefaultTTL. Negative: for ever, without an exp and an expires_in.
	TTL time.Duration

	// ClockOffset is the guard's clock minus the real one, as [Server.ClockOffset].
	ClockOffset time.Duration

	// Secret signs the tokens. Empty: DefaultSecret.
	Secret string

	// Opaque makes tokens that say nothing to a client: only expires_in tells when they end. The
	// guard knows the newest 100,000.
	Opaque bool

	// Clients are the secrets of the OAuth 2.0 clients, by client id. A public client's is empty.
	// Nil: any client will do, with any secret, and none too where the grant needs none.
	Clients map[string]string

	// ClientAuth is the way in which clients have to name themselves, by its name in RFC 7591
	// section 2: client_secret_basic or client_secret_post. Empty: either.
	ClientAuth string

	// Session is the session secret that a login at the JSON endpoint needs. Empty: any will do,
	// and none too.
	Session string

	// ApproveAs is the user who approves every login at /authorize, at once and without a question,
	// and at /device_authorization, after a second. Empty: there are no such endpoints, and their
	// paths are Next's.
	ApproveAs string

	// Rotation says what becomes of a refresh token that is used. The zero value is SingleUse.
	Rotation Rotation

	// Grace is for how long SingleUseWithGrace answers the refresh token that was used last. 0:
	// until its successor is used, which ends it in any case.
	Grace time.Duration

	// RotationRevokes ends a login's token as soon as its next one is issued, which then is the
	// only one that is good: what GitLab does, for one. By default the old one lives until its exp.
	RotationRevokes bool

	// Prefix is put in front of the paths of the endpoints: with "/oauth" the token endpoint is
	// /oauth/token.
	Prefix string

	// Token returns the token that a request carries, or "", for an API that wants it elsewhere: in
	// a header of its own, say. Nil: Authorization: Bearer (RFC 6750 section 2.1).
	Token func(*http.Request) string

	// Public reports whether a request needs no token, such as one for the login page that Reject
	// redirects to. A token that comes with it is not looked at. Nil: none is public.
	Public func(*http.Request) bool

	// Reject answers a request whose token is not good, in the words of the API that a client is to
	// be tested against: a bare 401, a 403 or 419 with a code, a redirect to a login page, a 200
	// with an error in its body. [Reason.Challenge] makes the WWW-Authenticate header. Nil: status
	// 401 with that header (RFC 6750 section 3), and the reason as text.
	Reject func(w http.ResponseWriter, r *http.Request, reason Reason)

	// Grant, if not nil, is asked about grants that the guard doesn't know by itself, such as token
	// exchange (RFC 8693) or JWT bearer (RFC 7523), and returns the user to issue a token for. ""
	// rejects the grant as invalid_grant. It is called with the client authenticated, by many
	// goroutines at once.
	Grant func(form url.Values) (userID string)

	// TokenAnswer, if not nil, may change what the token endpoint answers to a grant of OAuth 2.0
	// before it is sent: leave out expires_in or make it a string, say, or add an id_token. It is
	// called by many goroutines at once.
	TokenAnswer func(answer map[string]any)

	// Fault, if not nil, is asked once for each request, the endpoints' too, and says what goes
	// wrong with it: see [Server.Fault].
	Fault func(*http.Request) Fault

	once      sync.Once
	endpoints map[string]endpoint  // by path; written by init, then only read
	done      chan struct{}        // closed by Close: ends every delay
	closing   sync.Once            // the closing of done
	pipe      pipe                 // the connections in memory; it has its own lock
	page      atomic.Pointer[Page] // nil: no one has asked for it

	mu        sync.Mutex // guards the fields below; never held across a wait or a call of yours
	authority login.Authority
	codes     memory.Map[*code] // of /authorize and /device_authorization
}

// init makes the zero value ready. Every exported method that reads what it writes calls it first.
func (g *Guard) init() {
	g.once.Do(func() {
		secret, ttl := g.Secret, g.TTL
		if secret == "" {
			secret = DefaultSecret
		}
		if ttl == 0 {
			ttl = DefaultTTL
		}
		switch g.ClientAuth {
		case "", clientBasic, clientPost:
		default:
			panic("testserver: Guard.ClientAuth is none of client_secret_basic and client_secret_post")
		}
		g.authority = login.Authority{
			Secret: []byte(secret), Instance: rand.Text(), Claim: "sub", Other: "user_id", TTL: ttl, Opaque: g.Opaque,
			Rotation: login.Rotation(g.Rotation), Grace: g.Grace, Bound: true, RotationRevokes: g.RotationRevokes,
		}
		g.authority.Advance(g.ClockOffset)
		g.endpoints = g.routes()
		g.done = make(chan struct{})
		g.pipe.start(g, g.done)
	})
}

// Issue mints a token for the user, of no login: it ends by its exp or by [Guard.Revoke]. An empty
// userID panics.
func (g *Guard) Issue(userID string) string {
	if userID == "" {
		panic("testserver: Issue needs a user id")
	}
	g.init()
	g.mu.Lock()
	defer g.mu.Unlock()
	value, _ := g.authority.Issue(userID, false)
	return value
}

// LogIn begins a login of the user, of any client, and returns its first refresh token: what a
// person would have after a login in a browser. An empty userID panics.
func (g *Guard) LogIn(userID string) (refreshToken string) {
	if userID == "" {
		panic("testserver: LogIn needs a user id")
	}
	g.init()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.authority.Begin(userID, "", "")
}

// LogOut ends all logins of the user: their refresh tokens are answered with invalid_grant, and
// their tokens are rejected. Tokens of [Guard.Issue] live on. There is no undo, and a later login
// is good.
func (g *Guard) LogOut(userID string) {
	g.init()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.authority.EndLogins(userID)
}

// Revoke kills the tokens that the user has at this moment, and none that is issued later. Refresh
// tokens stay good: the user's next refresh succeeds. For tokens that a backend of yours has minted
// see [Server.Revoke].
func (g *Guard) Revoke(userID string) {
	g.init()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.authority.Revoke(userID)
}

// AdvanceClock moves the guard's clock by d from now on, on top of ClockOffset: see
// [Server.AdvanceClock].
func (g *Guard) AdvanceClock(d time.Duration) {
	g.init()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.authority.Advance(d)
}

// now returns the time by the guard's clock.
func (g *Guard) now() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.authority.Now()
}

// Ledger returns what has arrived so far, as [Server.Ledger].
func (g *Guard) Ledger() Ledger {
	g.init()
	g.mu.Lock()
	defer g.mu.Unlock()
	return snapshot(&g.authority.Ledger, 0)
}

// Check returns nil if nothing has happened so far that never must, or else an error that names it:
// see [Server.Check]. For secrets that reach the wrong server, let that be a [Server] marked
// [Server.Foreign].
func (g *Guard) Check() error {
	g.init()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.authority.Ledger.Check()
}

// RoundTrip sends the request to the guard through connections in memory: see [Server.RoundTrip].
// Every URL leads to the guard.
func (g *Guard) RoundTrip(req *http.Request) (*http.Response, error) {
	g.init()
	return g.pipe.trans.RoundTrip(req)
}

// DialContext connects to the guard in memory: see [Server.DialContext].
func (g *Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	g.init()
	return g.pipe.dial(ctx, network, address)
}

// CloseIdleConnections closes the connections of [Guard.RoundTrip] that no request is using.
func (g *Guard) CloseIdleConnections() {
	g.init()
	g.pipe.trans.CloseIdleConnections()
}

// Close ends the guard: requests that wait for a [Fault] are cut off, the connections of
// [Guard.RoundTrip] are closed, and every later request is cut off too. A request that is with Next
// ends when Next does, or heeds its context; a connection that Next has taken over (a WebSocket) is
// Next's. The ledger can still be read. Close may be called more than once, and always returns nil.
func (g *Guard) Close() error {
	g.init()
	g.closing.Do(func() { close(g.done) })
	g.pipe.close()
	return nil
}
