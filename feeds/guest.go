package feeds

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/stayauth/stayauth/provider"
)

// ConnectGuest makes a guest of the app: a user who has a token and no account. The API makes up
// the guest's id, from user.ID and something random; [Session.User] returns it.
//
// Its tokens come from the API itself, and so does the next one when one ends: the session asks for
// the guest by the id that it was given, and goes on as the same guest. If the API answers with
// another guest the session is over.
func (c *Client) ConnectGuest(ctx context.Context, user User) (*Session, error) {
	if user.ID == "" {
		return nil, errors.New("feeds: ConnectGuest: User.ID is empty: the guest's id is made from it")
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
			err = e.refusal // here the call is the caller's own
		}
		return nil, fmt.Errorf("feeds: connecting the guest %q: %w", user.ID, err)
	}
	s.user = g.user // it has its id now, and nobody writes it any more
	return connected(ctx, s, fmt.Sprintf("%q", s.user.ID))
}

// A guest is where a guest's tokens come from. A transport calls its token method, never twice at
// once.
type guest struct {
	asking *Session // anonymous
	user   User     // as the program describes it; its ID is written once, when the API has made one up
	known  bool     // user.ID is the API's
}

// token asks the API for a token of the guest, who comes into being if it isn't known yet.
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

// A guestError is the API's refusal to hand out a guest's token. It does not unwrap to that: a call
// of the guest's that needed the token would seem to have been refused itself.
type guestError struct{ refusal *Error }

func (e *guestError) Error() string { return e.refusal.Error() }

// marked says of an error of the API's whether to ask again. It would answer the same again to what
// it has understood and rejected, unless there was merely too much of it. An answer without a code
// is not the API's own: a proxy's, say. When to come back is believed as far as limits go, and not
// for years.
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
