package feeds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// A User is the user of a session.
type User struct {
	ID     string         `json:"id"`
	Name   string         `json:"name,omitempty"`
	Image  string         `json:"image,omitempty"` // a URL
	Custom map[string]any `json:"custom,omitempty"`
}

// A Session is one login: that of a user ([Client.ConnectUser]), of a guest
// ([Client.ConnectGuest]), of no user ([Client.ConnectAnonymous]) or of your own backend
// ([Client.ConnectServer]). Its user never changes. To switch users, close it and connect again; so
// no request of one user goes out with another user's token. A Session is safe for concurrent use.
//
// A call that meets an expired or revoked token waits for the next token and is sent again with the
// same X-Client-Request-Id. An error for which [IsSessionOver] is true means that there is no next
// token. A call that exceeds a rate limit waits too, unless Client.NoRateLimitWait is set. Every
// other error of the API is an [*Error].
//
// A string of the form "group:id" names a feed. Where a call takes a pointer to a request, nil
// means the zero request.
type Session struct {
	client    *Client
	base      *url.URL // the client's; never changed
	user      User
	authType  string     // "jwt" or "anonymous", for the header Stream-Auth-Type
	returning *returning // the transport's token provider
	transport *transport.Transport

	close  sync.Once
	closed chan struct{} // closed by Close: ends what waits other than for a token
}

// ConnectUser logs user in: it asks p for the first token, checks that the token is the user's, and
// makes one authenticated call. So a wrong provider, key, secret, clock or user fails here, with an
// error that says which of them it is, and not at a later call.
//
// The session asks p for every later token, when it needs one. ctx is for connecting only; the
// session lives until [Session.Close]. When ctx ends, ConnectUser returns and p's call goes on. A
// program that then exits, and keeps its login in a store, first calls Wait of package shared's
// Login.
func (c *Client) ConnectUser(ctx context.Context, user User, p provider.TokenProvider) (*Session, error) {
	switch {
	case user.ID == "":
		return nil, errors.New("feeds: ConnectUser: User.ID is empty")
	case p == nil:
		return nil, errors.New("feeds: ConnectUser: the token provider is nil")
	}
	s, err := c.session(ownTokens{p, user.ID})
	if err != nil {
		return nil, err
	}
	s.user = user
	return connected(ctx, s, fmt.Sprintf("%q", user.ID))
}

// ConnectAnonymous returns a session without a user and without a token, to read what the app
// allows anyone to read. It makes one call, to check that it can reach the app. There is nothing to
// refresh. A call that needs a user fails with CodeNotAllowed.
func (c *Client) ConnectAnonymous(ctx context.Context) (*Session, error) {
	s, err := c.anonymous()
	if err != nil {
		return nil, err
	}
	return connected(ctx, s, "an anonymous user")
}

// ConnectServer returns a session of your own backend, which may do anything. It makes one call, to
// check the secret. The client needs the secret. A request that changes something says in its
// UserID for which user it acts; in this session that field is required:
//
//	backend.AddActivity(ctx, &feeds.AddActivityRequest{UserID: "alice", Type: "post", Feeds: []string{"user:alice"}})
//
// A session that acts for one user only is safer. In a backend it is
// client.ConnectUser(ctx, user, provider.Signer{Secret: secret}.For(user.ID)).
func (c *Client) ConnectServer(ctx context.Context) (*Session, error) {
	s, err := c.server("ConnectServer")
	if err != nil {
		return nil, err
	}
	return connected(ctx, s, "the server side")
}

// connected asks for the first token and makes a call that needs it and changes nothing. It returns
// s, or closes it and returns the error.
func connected(ctx context.Context, s *Session, who string) (*Session, error) {
	if _, err := s.transport.Token(ctx); err != nil {
		s.giveUp(ctx)
		if _, ok := errors.AsType[*transport.RefreshError](err); ok {
			who += ": the token provider"
		}
		return nil, fmt.Errorf("feeds: connecting %s: %w", who, err)
	}
	if err := s.check(ctx); err != nil {
		s.giveUp(ctx)
		return nil, fmt.Errorf("feeds: connecting %s: %w", who, err)
	}
	return s, nil
}

// giveUp closes a session that no caller has. Close may wait for the token provider, so that a
// rotated login is saved, and ctx may end sooner: the goroutine then ends with that wait.
func (s *Session) giveUp(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Close() // it can only say that the provider hangs
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// check makes an authenticated call that changes nothing. An answer that the user may not make that
// call shows that the login is good.
func (s *Session) check(ctx context.Context) error {
	var err error
	if s.user.ID == "" {
		err = s.do(ctx, call{method: http.MethodGet, path: apiPath("app")})
	} else {
		_, err = s.QueryUsers(ctx, &QueryUsersRequest{FilterConditions: map[string]any{"id": s.user.ID}, Limit: 1})
	}
	if e, ok := err.(*Error); ok && e.Code == CodeNotAllowed {
		return nil
	}
	return err
}

// session returns a session without a user, whose tokens come from p.
func (c *Client) session(p provider.TokenProvider) (*Session, error) {
	base, err := c.base()
	if err != nil {
		return nil, err
	}
	r := &returning{TokenProvider: p}
	return &Session{client: c, base: base, authType: "jwt", closed: make(chan struct{}), returning: r, transport: &transport.Transport{
		Provider:   r,
		Base:       c.Base,
		Origins:    []string{base.Scheme + "://" + base.Host},
		AllowHTTP:  c.AllowHTTP,
		Authorize:  authorize,
		IsRejected: transport.BodyCode("code", CodeTokenExpired),
		Trace:      c.Trace,
		Logger:     c.Logger,
	}}, nil
}

// anonymous returns a session that sends no token. Its transport holds a token that is never sent
// and never replaced, so that Close, and the rule for plain http, are the same for all sessions.
func (c *Client) anonymous() (*Session, error) {
	s, err := c.session(provider.Static("anonymous"))
	if err != nil {
		return nil, err
	}
	s.authType = "anonymous"
	s.transport.Authorize = func(req *http.Request, _ provider.Token) { req.Header.Del("Authorization") }
	s.transport.IsRejected = neverRejected
	s.transport.Trace, s.transport.Logger = nil, nil // they would tell of a token that does not exist
	return s, nil
}

// User returns the session's user. A guest's id is the one that the API gave it. An anonymous
// session and a server's session have the zero User.
func (s *Session) User() User { return s.user }

// Format implements [fmt.Formatter]: every verb prints what String returns.
func (s *Session) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// String names the session's user: feeds.Session{User: "alice"}.
func (s *Session) String() string {
	if s == nil {
		return "<nil>"
	}
	return fmt.Sprintf("feeds.Session{User: %q}", s.user.ID)
}

// LogValue implements [slog.LogValuer].
func (s *Session) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Stats returns what the session's transport has done so far, and how it stands.
func (s *Session) Stats() transport.Stats { return s.transport.Stats() }

// Close ends the session on this side: calls that wait, and all later calls, fail with
// [transport.ErrClosed], and so does every loop over [Session.Events]. If the token provider is
// being called, Close waits for it as [transport.Transport.Close] does, so that a rotated login is
// not lost. It may be called twice.
func (s *Session) Close() error {
	s.close.Do(func() { close(s.closed) })
	return s.transport.Close()
}

// authorize puts the token where Stream expects it: in Authorization, without the word Bearer.
func authorize(req *http.Request, tok provider.Token) { req.Header.Set("Authorization", tok.Value()) }

// neverRejected is for tokens that nothing can replace.
func neverRejected(*http.Response) bool { return false }
