package recipes

import (
	"context"
	"errors"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
	"golang.org/x/oauth2"
)

// A TokenSource is an oauth2.TokenSource for a library that takes nothing else; what takes an
// http.Client is better off with one over the Transport itself. Any token provider becomes a source
// by way of a Transport:
//
//	TokenSource{&transport.Transport{Provider: p}}
//
// Don't put it into oauth2.NewClient or oauth2.ReuseTokenSource. They keep a token until its end,
// also one that was revoked; a Transport needs no cache in front of it. oauth2.Transport has none:
//
//	client := &http.Client{Transport: &oauth2.Transport{Source: source}}
//
// Nothing here sees what the API answers. Code that does, and finds the token rejected, tells the
// Transport by Reject; otherwise the token is used until it ends.
type TokenSource struct{ Transport *transport.Transport }

// Token returns the current token, or a new one. It takes a RefreshTimeout at most.
func (s TokenSource) Token() (*oauth2.Token, error) {
	t, err := s.Transport.Token(context.Background())
	if err != nil {
		return nil, err
	}
	return &oauth2.Token{AccessToken: t.Value(), TokenType: "Bearer", Expiry: t.Expiry()}, nil
}

// FromConfig returns the token provider of a person's login: config is what the login was made
// with, and login what config.Exchange or config.DeviceAccessToken returned.
//
// It takes over the settings and leaves the source of x/oauth2 alone, because that forgets whether
// a refresh token was spent: after a lost answer it sends it again, which a server with single-use
// refresh tokens takes for theft.
func FromConfig(config *oauth2.Config, login *oauth2.Token) provider.OAuth2 {
	return provider.OAuth2{
		TokenURL:     config.Endpoint.TokenURL,
		ClientID:     config.ClientID,
		ClientSecret: provider.NewSecret(config.ClientSecret),
		SecretInBody: config.Endpoint.AuthStyle == oauth2.AuthStyleInParams, // it isn't tried out, as x/oauth2 does
		RefreshToken: provider.NewSecret(login.RefreshToken),
	}
}

// A FromSource is a token provider of a function that makes a new source for each call: of
// clientcredentials.Config, of jwt.Config, of google's credentials.
//
//	FromSource(config.TokenSource)
//
// A new one, because nearly all sources of x/oauth2 are a ReuseTokenSource: when a token is revoked
// they bring that very token again until its own end, and nothing works until then.
//
// It is not for refresh tokens: see FromConfig.
type FromSource func(context.Context) oauth2.TokenSource

// Token implements provider.TokenProvider.
func (f FromSource) Token(ctx context.Context, _ provider.Token) (provider.Token, error) {
	t, err := f(ctx).Token()
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		switch e.ErrorCode { // RFC 6749 section 5.2: these will be said again next time
		case "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope":
			return provider.Token{}, provider.Permanent(err)
		}
	}
	if err != nil {
		return provider.Token{}, err
	}
	return provider.NewToken(t.AccessToken, t.Expiry), nil
}
