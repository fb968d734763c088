package feeds

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

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

// A Session is one user's login. It belongs to that user from beginning to end: to switch users, close it and connect again,
// so that no request of the one can ever go out under a token of the other. It is safe for concurrent use.
//
// A call that meets an expired or revoked token waits for the next one and is sent again, under the same
// X-Client-Request-Id. An error for which [IsSessionOver] is true means that there will be no next one.
type Session struct {
	client    *Client
	user      User
	transport *transport.Transport
}

// ConnectUser logs user in: it asks p for the first token, checks that it is the user's, and makes one authenticated call. So
// a wrong provider, key, secret, clock or user fails here, with an error that says which, and not at some later call.
//
// All further tokens come from p as well, which is asked whenever one is needed. ctx is for connecting alone; the session
// lives until [Session.Close].
func (c *Client) ConnectUser(ctx context.Context, user User, p provider.TokenProvider) (*Session, error) {
	base, err := c.base()
	switch {
	case err != nil:
		return nil, err
	case user.ID == "":
		return nil, errors.New("feeds: ConnectUser: User.ID is empty")
	case p == nil:
		return nil, errors.New("feeds: ConnectUser: the token provider is nil")
	}
	s := &Session{client: c, user: user, transport: &transport.Transport{
		Provider:   ownTokens{p, user.ID},
		Base:       c.Base,
		Origins:    []string{base.Scheme + "://" + base.Host},
		Authorize:  authorize,
		IsRejected: transport.BodyCode("code", CodeTokenExpired),
		Trace:      c.Trace,
		Logger:     c.Logger,
	}}
	if _, err := s.transport.Token(ctx); err != nil {
		s.transport.Close()
		return nil, fmt.Errorf("feeds: connecting %q: the token provider: %w", user.ID, err)
	}
	if err := s.check(ctx); err != nil {
		s.transport.Close()
		return nil, fmt.Errorf("feeds: connecting %q: %w", user.ID, err)
	}
	return s, nil
}

// check makes an authenticated call that changes nothing.
func (s *Session) check(ctx context.Context) error {
	payload, err := json.Marshal(map[string]any{"filter_conditions": map[string]any{"id": s.user.ID}, "limit": 1})
	if err != nil {
		return err
	}
	return s.do(ctx, call{method: http.MethodGet, path: []string{"api", "v2", "users"}, query: url.Values{"payload": {string(payload)}}})
}

// User returns who the session is for.
func (s *Session) User() User { return s.user }

// Stats tells what the session's transport has done and is at.
func (s *Session) Stats() transport.Stats { return s.transport.Stats() }

// Close logs out on this side: calls that wait for a token and all later ones fail. If a token is just being fetched it waits
// for that, as [transport.Transport.Close] does, so that a rotated login is not lost.
func (s *Session) Close() error { return s.transport.Close() }

func (s *Session) do(ctx context.Context, call call) error {
	return s.client.do(ctx, s.transport, call)
}

// authorize puts the token where Stream wants it: bare, without the word Bearer.
func authorize(req *http.Request, tok provider.Token) { req.Header.Set("Authorization", tok.Value()) }

// ownTokens sees to it that a session gets tokens of its own user alone.
type ownTokens struct {
	provider.TokenProvider
	userID string
}

// Token passes on the provider's token, unless it is somebody else's.
func (o ownTokens) Token(ctx context.Context, old provider.Token) (provider.Token, error) {
	tok, err := o.TokenProvider.Token(ctx, old)
	if err != nil || tok.IsZero() {
		return tok, err
	}
	switch id, err := userOf(tok.Value()); {
	case err != nil:
		return provider.Token{}, provider.Permanent(fmt.Errorf("what it returned is no token of Stream's: %w", err))
	case id == "":
		return provider.Token{}, provider.Permanent(fmt.Errorf("the token has no user_id: it is a server token, which may do "+
			"everything; the session needs one that was minted for %q", o.userID))
	case id != o.userID:
		return provider.Token{}, provider.Permanent(fmt.Errorf("the token was minted for user %q, and the session belongs to %q", id, o.userID))
	}
	return tok, nil
}

// userOf returns the user_id that token claims. Nothing is verified: the API does that. A developer token's payload is in
// padded standard base64, which JWT parsers refuse.
func userOf(token string) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", errors.New("it has not three parts, as a JWT has")
	}
	enc := base64.RawURLEncoding
	if strings.ContainsAny(parts[1], "+/") {
		enc = base64.RawStdEncoding
	}
	payload, err := enc.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return "", errors.New("its payload is not base64")
	}
	var claims struct {
		UserID any `json:"user_id"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return "", errors.New("its payload is not JSON")
	}
	switch id := claims.UserID.(type) {
	case nil:
		return "", nil
	case string:
		return id, nil
	}
	return "", errors.New("its user_id is not a string")
}
