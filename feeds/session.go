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

// A User is who a session is for.
type User struct {
	ID     string         `json:"id"`
	Name   string         `json:"name,omitempty"`
	Image  string         `json:"image,omitempty"` // a URL
	Custom map[string]any `json:"custom,omitempty"`
}

// A Session is one login: a user's ([Client.ConnectUser]), a guest's ([Client.ConnectGuest]),
// nobody's ([Client.ConnectAnonymous]) or that of your own backend ([Client.ConnectServer]). It is
// the same one's from beginning to end: to switch users, close it and connect again, so that no
// request of the one can ever go out under a token of the other. It is safe for concurrent use.
//
// A call that meets an expired or revoked token waits for the next one and is sent again, under the
// same X-Client-Request-Id. An error for which [IsSessionOver] is true means that there will be no
// next one. A call that exceeds a rate limit waits as well, unless Client.NoRateLimitWait says
// otherwise. All other refusals are an [*Error].
//
// Strings of the form "group:id" name feeds. Where a call takes a pointer to a request, nil does
// for the zero request.
type Session struct {
	client    *Client
	base      *url.URL // the client's; never changed
	user      User
	authType  string // "jwt" or "anonymous", for the header Stream-Auth-Type
	transport *transport.Transport

	close  sync.Once
	closed chan struct{} // closed by Close: ends what waits other than for a token
}

// ConnectUser logs user in: it asks p for the first token, checks that it is the user's, and makes
// one authenticated call. So a wrong provider, key, secret, clock or user fails here, with an error
// that says which, and not at some later call.
//
// All further tokens come from p as well, which is asked whenever one is needed. ctx is for
// connecting alone; the session lives until [Session.Close]. ConnectUser leaves when ctx ends. What
// p is doing then goes on; a program that ends itself, and whose login is kept in a store, waits for
// that with Wait of package shared's Login.
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

// ConnectAnonymous makes a session without any user or token, to read what the app lets everybody
// read. It makes one call, to check that the app can be reached. There is nothing to refresh. What
// needs a user is refused with CodeNotAllowed.
func (c *Client) ConnectAnonymous(ctx context.Context) (*Session, error) {
	s, err := c.anonymous()
	if err != nil {
		return nil, err
	}
	return connected(ctx, s, "an anonymous user")
}

// ConnectServer makes a session of your own backend, which may do anything, and makes one call to
// check the secret. The client needs the secret. The requests that have a UserID say by it for whom
// they act; for this session it is required:
//
//	backend.AddActivity(ctx, &feeds.AddActivityRequest{UserID: "alice", Type: "post", Feeds: []string{"user:alice"}})
//
// A session that acts for one user alone is a safer thing to hold. In a backend it is
// client.ConnectUser(ctx, user, provider.Signer{Secret: secret}.For(user.ID)).
func (c *Client) ConnectServer(ctx context.Context) (*Session, error) {
	s, err := c.server("ConnectServer")
	if err != nil {
		return nil, err
	}
	return connected(ctx, s, "the server side")
}

// connected asks for the first token and makes a call that needs it and changes nothing. It returns
// s, or closes it.
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

// giveUp closes a session that nobody has seen. Close may wait for the token provider, so that a
// rotated login is saved, and ctx may end before: the goroutine then ends with that wait.
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

// check makes an authenticated call that changes nothing. That it is not permitted is no trouble
// with the login.
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
	return &Session{client: c, base: base, authType: "jwt", closed: make(chan struct{}), transport: &transport.Transport{
		Provider:   p,
		Base:       c.Base,
		Origins:    []string{base.Scheme + "://" + base.Host},
		AllowHTTP:  c.AllowHTTP,
		Authorize:  authorize,
		IsRejected: transport.BodyCode("code", CodeTokenExpired),
		Trace:      c.Trace,
		Logger:     c.Logger,
	}}, nil
}

// anonymous returns a session that sends no token. Its transport holds one all the same, which goes
// nowhere and is never replaced: so that Close, and what is allowed over plain http, are the same
// for all sessions.
func (c *Client) anonymous() (*Session, error) {
	s, err := c.session(provider.Static("anonymous"))
	if err != nil {
		return nil, err
	}
	s.authType = "anonymous"
	s.transport.Authorize = func(req *http.Request, _ provider.Token) { req.Header.Del("Authorization") }
	s.transport.IsRejected = neverRejected
	s.transport.Trace, s.transport.Logger = nil, nil // they would tell of a token that there isn't
	return s, nil
}

// User returns who the session is for. A guest's id is the one that the API gave it. The zero User
// stands for nobody: the session is anonymous, or the server side's.
func (s *Session) User() User { return s.user }

// Format implements [fmt.Formatter]: a Session prints as whose it is.
func (s *Session) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// String says whose session s is.
func (s *Session) String() string {
	if s == nil {
		return "<nil>"
	}
	return fmt.Sprintf("feeds.Session{User: %q}", s.user.ID)
}

// LogValue implements [slog.LogValuer].
func (s *Session) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Stats tells what the session's transport has done and is at.
func (s *Session) Stats() transport.Stats { return s.transport.Stats() }

// Close logs out on this side: calls that wait and all later ones fail, with [transport.ErrClosed].
// If a token is just being fetched it waits for that, as [transport.Transport.Close] does, so that
// a rotated login is not lost.
func (s *Session) Close() error {
	s.close.Do(func() { close(s.closed) })
	return s.transport.Close()
}

// authorize puts the token where Stream wants it: bare, without the word Bearer.
func authorize(req *http.Request, tok provider.Token) { req.Header.Set("Authorization", tok.Value()) }

// neverRejected is for tokens that have no successor.
func neverRejected(*http.Response) bool { return false }
