package provider

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// OAuth2 is the TokenProvider for an OAuth 2.0 server (RFC 6749): it asks the token endpoint, with
// a refresh token or by a login of the client's own. How to come by the first refresh token, by a
// browser or a device code, is not its business; keep what you got with Login of package shared, or
// put it into RefreshToken.
//
//	provider.OAuth2{
//		TokenURL:     "https://auth.example.com/token",
//		ClientID:     "my-tool",
//		ClientSecret: provider.NewSecret("..."),
//		RefreshToken: provider.NewSecret("..."),
//	}
//
// Each call of Token is one POST of a form to TokenURL; pacing is for the caller. The refresh token
// that is spent is the one of the token to replace; if that has none it is RefreshToken; and where
// there is none at all, it is a login by Grant. So whatever a store has kept is newer than what is
// written here, and wins. After a login has ended there is nothing left in the store, and the next
// session begins with RefreshToken again: a person who logs in anew only has to put the new one
// there. Until then each new session, such as a start of the program, sends the old one once and
// ends with the server's invalid_grant. A program that would be started again and again should exit
// with a status that stops this.
//
// If Grant is set, a refresh token that has come to its end doesn't end the login: Token asks once
// more, by Grant. The new token has nothing of the old one then. If the refresh token may be spent,
// it keeps asking for half a minute, because the next call of Token would begin with the refresh
// token again.
//
// The answer is that of RFC 6749 section 5.1. What it holds beside the token, such as scope,
// id_token or instance_url, is within reach by [Token.Extra].
//
// What becomes of a call that fails is in the table at [HTTP], except that any error code counts
// with status 400 and 2xx, not only those of RFC 6749: other specifications and servers have their
// own, and GitHub and Slack send theirs with status 200. The error says what the server said: its
// code, such as invalid_grant, and its sentence. invalid_client means that ClientID or ClientSecret
// is wrong, and is permanent whatever else there is to try.
//
// An OAuth2 is a plain value, used as it is or through a pointer, and safe for concurrent use as
// long as it is not changed. It prints, logs and marshals as REDACTED as an [HTTP] does, and its
// errors hold no secret.
type OAuth2 struct {
	// TokenURL is the token endpoint. Required. Plain http is an error before anything is sent,
	// except to this machine's own loopback.
	TokenURL string

	// AllowHTTP permits plain http to any host. Secrets and tokens then cross the network for all
	// to read.
	AllowHTTP bool

	// ClientID names this program to the server.
	ClientID string

	// ClientSecret proves it. Both go into an Authorization header of the scheme Basic,
	// form-encoded as RFC 6749 section 2.3.1 has it. Without a secret the client is a public one,
	// and its id goes into the form.
	ClientSecret Secret

	// SecretInBody puts id and secret into the form, for a server that doesn't know Basic.
	SecretInBody bool

	// RefreshToken is what to begin with, while there is no newer one.
	RefreshToken Secret

	// Grant is the grant type by which the client logs in without a refresh token:
	// "client_credentials" (RFC 6749 section 4.4) or that of an extension, such as
	// "urn:ietf:params:oauth:grant-type:token-exchange" (RFC 8693) or
	// "urn:ietf:params:oauth:grant-type:jwt-bearer" (RFC 7523), whose parameters are in Params or
	// come from Prepare.
	//
	// Empty means that a refresh token is all there is. Nothing else is ever tried by itself,
	// because the token would be another one's: the program's in place of the person's.
	Grant string

	// Scopes is what to ask for when logging in by Grant. A refresh doesn't mention them, and thus
	// keeps what was granted.
	Scopes []string

	// Params are more parameters of every request, such as "audience" or "resource". What is secret
	// among them belongs in Prepare: fmt prints Params where an OAuth2 stands in an unexported
	// field.
	Params url.Values

	// Prepare, if set, completes each request's form before it is sent: with an assertion that is
	// good for a minute, a token that is read from a file, or the claims that the API demands (see
	// [RejectionFrom]). It may tell by the form's grant_type what the request is for. ctx is
	// Token's. Its error is temporary unless it is marked Permanent.
	Prepare func(ctx context.Context, form url.Values) error

	// RefreshTokenReusable says that the server bears being asked twice with the same refresh
	// token: it never changes them, or an old one stays good for a while. A lost answer is then a
	// temporary failure.
	RefreshTokenReusable bool

	// Client makes the call, as in [HTTP].
	Client *http.Client

	// Decode and DecodeError read answers of other forms, as in [HTTP].
	Decode      func(body []byte) (Token, error)
	DecodeError func(status int, body []byte) error
}

// Token asks the server for a token in place of old. It implements [TokenProvider].
func (o OAuth2) Token(ctx context.Context, old Token) (Token, error) {
	if err := o.check(); err != nil {
		return Token{}, Permanent(err)
	}
	refreshToken := old.RefreshToken()
	if refreshToken == "" {
		refreshToken = o.RefreshToken.Value()
	}
	refresh := grant{refreshToken: refreshToken, fill: o.fill(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}})}
	login := grant{fill: o.fill(url.Values{"grant_type": {o.Grant}})}
	switch {
	case refreshToken == "" && o.Grant == "":
		return Token{}, Permanent(errors.New("provider: OAuth2 has no refresh token: log in and set RefreshToken, or set Grant if " +
			"the client can log in by itself"))
	case refreshToken == "":
		return o.endpoint().token(ctx, old, login, nil)
	case o.Grant == "":
		return o.endpoint().token(ctx, old, refresh, nil)
	}
	return o.endpoint().token(ctx, old, refresh, &login)
}

func (o OAuth2) endpoint() endpoint {
	return endpoint{
		owner: "OAuth2", field: "TokenURL",
		advice:       "what was sent for a token is wrong, has expired or was revoked",
		clientAdvice: "OAuth2.ClientID or ClientSecret is wrong, or the server wants the secret in another place: see SecretInBody",
		url:          o.TokenURL, allowHTTP: o.AllowHTTP, reusable: o.RefreshTokenReusable, client: o.Client,
		decode: o.Decode, decodeError: o.DecodeError, tokenNames: []string{"access_token"}, isFinal: isErrorCode,
	}
}

// ownParams are the parameters that have fields of their own.
var ownParams = [...]string{"grant_type", "refresh_token", "client_id", "client_secret"}

// check says what is wrong with o, except for its URL.
func (o OAuth2) check() error {
	for _, name := range ownParams {
		if o.Params.Has(name) {
			return fmt.Errorf("provider: OAuth2.Params can't hold %s, for which there is a field", name)
		}
	}
	switch {
	case o.ClientID == "" && !o.ClientSecret.IsZero():
		return errors.New("provider: OAuth2.ClientSecret is set without ClientID")
	case o.Grant == "refresh_token":
		return errors.New("provider: OAuth2.Grant is refresh_token, which is what happens by itself: Grant is for logging in without one")
	}
	return nil
}

// fill returns what fills a request whose form begins as the given one.
func (o OAuth2) fill(begin url.Values) func(context.Context, *http.Request) (body []byte, secrets []string, err error) {
	return func(ctx context.Context, req *http.Request) ([]byte, []string, error) {
		form := maps.Clone(begin)
		if len(o.Scopes) > 0 && !form.Has("refresh_token") {
			form.Set("scope", strings.Join(o.Scopes, " "))
		}
		for name, values := range o.Params {
			form[name] = slices.Clone(values)
		}
		if o.Prepare != nil {
			if err := o.Prepare(ctx, form); err != nil {
				return nil, nil, fmt.Errorf("provider: OAuth2.Prepare: %w", err)
			}
		}
		secrets := secretsOf(form)
		id, secret := url.QueryEscape(o.ClientID), url.QueryEscape(o.ClientSecret.Value())
		switch {
		case !o.ClientSecret.IsZero() && !o.SecretInBody:
			req.SetBasicAuth(id, secret)
			secrets = append(secrets, base64.StdEncoding.EncodeToString([]byte(id+":"+secret)))
		case !o.ClientSecret.IsZero():
			form.Set("client_secret", o.ClientSecret.Value())
			fallthrough
		case o.ClientID != "":
			form.Set("client_id", o.ClientID)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return []byte(form.Encode()), append(secrets, o.ClientSecret.Value(), secret), nil
	}
}

// Format implements [fmt.Formatter]: every verb prints REDACTED.
func (OAuth2) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue implements [slog.LogValuer].
func (OAuth2) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler], and with it JSON and XML: it gives REDACTED.
func (OAuth2) MarshalText() ([]byte, error) { return []byte(redacted), nil }
