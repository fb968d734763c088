package feeds

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/stayauth/stayauth/provider"
)

// ConnectGuest creates a guest of the app and returns its session. A guest is a user with a token
// and without an account. The API makes the guest's id from user.ID, which must not be empty, and
// something random; [Session.User] returns it.
//
// The guest's tokens come from the API itself. When a token ends, the session asks the API for the
// guest by that id, and goes on as the same guest. If the API answers with another guest, the
// session is over.
func (c *Client) ConnectGuest(ctx context.Context, user User) (*Session, error) {
	if user.ID == "" {
		return nil, errors.New("feeds: ConnectGuest: User.ID is empty: the API makes the guest's id from it")
	}
	asker := *c
	asker.NoRateLimitWait = true // the transport paces what it asks for
	asking, err := asker.anonymous()
	if err != nil {
		return nil, err
	}
	g := &guest{asking: asking, user: user}
	s, err := c.session(provider.Func(g.token))
	if err != nil {
		return nil, err
	}
	if _, err := s.transport.Token(ctx); err != nil {
		s.giveUp(ctx)
		if e, ok := errors.AsType[*guestError](err); ok {
			err = e.refusal // this call is the caller's own
		}
		return nil, fmt.Errorf("feeds: connecting the guest %q: %w", user.ID, err)
	}
	s.user = g.user // its ID is written by now, and is not written again
	return connected(ctx, s, fmt.Sprintf("%q", s.user.ID))
}

// A guest gets a guest's tokens. A transport calls its token method, and never twice at once.
type guest struct {
	asking *Session // anonymous
	user   User     // as the program describes it; its ID is written once, when the API has made one
	known  bool     // user.ID is the one that the API made
}

// token asks the API for a token of the guest. The first call creates the guest.
func (g *guest) token(ctx context.Context) (string, error) {
	in := map[string]User{"user": g.user}
	out, err := ask[struct {
		AccessToken string `json:"access_token"`
		User        User   `json:"user"`
	}](ctx, g.asking, call{method: http.MethodPost, path: apiPath("guest"), in: in})
	switch {
	case err != nil:
		return "", marked(err)
	case out.AccessToken == "" || out.User.ID == "":
		return "", errors.New("feeds: the API's answer has no token for the guest, or no id")
	case g.known && out.User.ID != g.user.ID:
		return "", provider.Permanent(fmt.Errorf("feeds: the API no longer knows the guest %q, and made another, %q", g.user.ID, out.User.ID))
	}
	if err := belongs(out.AccessToken, out.User.ID); err != nil {
		return "", provider.Permanent(fmt.Errorf("feeds: the API's answer for the guest: %w", err))
	}
	if !g.known {
		g.user.ID, g.known = out.User.ID, true
	}
	return out.AccessToken, nil
}

// A guestError is the API's error for the call that asks for a guest's token. It does not unwrap to
// the *Error: that would look like the error of the call that needed the token.
type guestError struct{ refusal *Error }

func (e *guestError) Error() string { return e.refusal.Error() }

// marked adds to an error of the API whether the transport is to ask again. After a 4xx it is not,
// because the API would answer the same, unless the call exceeded a rate limit. An answer without a
// code is not the API's own, but perhaps a proxy's. A time to come back is used up to
// maxRateLimitWait: limits do not last for years.
func marked(err error) error {
	refusal, ok := err.(*Error)
	if !ok {
		return err
	}
	err = &guestError{refusal}
	switch {
	case refusal.rateLimited() && !refusal.RetryAt.IsZero():
		return provider.RetryAfter(err, min(time.Until(refusal.RetryAt), maxRateLimitWait))
	case !refusal.rateLimited() && refusal.StatusCode/100 == 4 && refusal.Code > 0:
		return provider.Permanent(err)
	}
	return err
}
