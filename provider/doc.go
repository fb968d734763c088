// Package provider is where a client's tokens come from.
//
// A [TokenProvider] returns one [Token] each time it is called. Package transport calls it when the
// token has expired, is about to expire, or was rejected. A provider returns a new token, or an
// error that says why there is none. Which one to use depends on who issues your tokens:
//
// An OAuth 2.0 server: use [OAuth2], with the refresh token of a person's login, or with the
// client's own credentials.
//
// Your own backend: use [HTTP]. It sends the user's id and a session secret, and reads the token,
// and a refresh token if there is one, from the answer. If you have no such backend yet, [Handler]
// is one: say how to tell who is asking, and mount it.
//
// A function of yours that returns a token: wrap it in [Func], or in [TokenFunc] if it returns
// more, such as a refresh token or an expiry that is not in the token. The function must not cache;
// see below.
//
// Your program holds the API secret, as in a backend, an operator's tool or a test: [Signer] makes
// the tokens.
//
// You only want to try something: put a token into [Static]. While the authentication checks of an
// app of Stream's are off, [DevToken] makes a token from a user id alone.
//
// Where several processes share one login, wrap any of these in a Login of package shared.
//
// # Failures
//
// A provider has to decide one thing: whether asking again can help. Most failures pass, so an
// error counts as temporary, and the provider is asked again after a pause, which [RetryAfter] can
// set. [Permanent] marks an error as final and ends the session. Use it for a login that was
// revoked, a user who was deleted, a secret that is wrong. A temporary error that should have been
// permanent costs a few calls; a permanent one that should have been temporary logs a user out.
//
// # Expiry
//
// If the end of a token is known, package transport replaces the token before that, and no request
// waits. [Func], [Static], [HTTP] and [Signer] read the end from the token when it is a JWT, as
// [ParseJWT] does. The end is only a hint, because clocks differ and tokens are revoked. A token
// whose end is unknown is used until it is rejected.
//
// # Refresh tokens
//
// Some servers return a refresh token with each token, which is exchanged for the next one (RFC
// 6749 section 1.5). It travels inside the Token: a provider finds it in the old token, and puts
// the next one into the new token with [Token.WithRefreshToken]. Where refresh tokens are
// single-use, a client that loses the answer to a refresh loses the login, unless it has another
// way to log in. The table in the documentation of [HTTP] says what it and [OAuth2] do then.
//
// # Sources that cache
//
// A provider is called because the old token is no longer of use. A source that caches returns that
// same token until the token's own end. What oauth2.ReuseTokenSource returns does so (in
// golang.org/x/oauth2 these are nearly all sources: those of a Config, of clientcredentials and of
// google), and so do most vendors' libraries for cloud identities. While tokens only expire, this
// does no harm. When a token is revoked, the source returns the revoked token again and again, and
// all requests wait until it would have ended.
//
// So go around the cache. OAuth2 has none. With a library, use what lies below its cache, or make a
// new source for each call:
//
//	provider.TokenFunc(func(ctx context.Context, old provider.Token) (provider.Token, error) {
//		source := config.TokenSource(ctx, &oauth2.Token{RefreshToken: old.RefreshToken()})
//		t, err := source.Token()
//		if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok && e.ErrorCode == "invalid_grant" {
//			return provider.Token{}, provider.Permanent(err)
//		}
//		if err != nil {
//			return provider.Token{}, err
//		}
//		return provider.NewToken(t.AccessToken, t.Expiry).WithRefreshToken(t.RefreshToken), nil
//	})
//
// Some caches can't be avoided, as in a machine's metadata server. Then the rejected token is
// returned again, and package transport asks for the next one at growing intervals until there is
// one. Ask the owner of such a source to give its tokens a short life.
//
// # Secrets
//
// Every type here that holds a secret prints as REDACTED, and no error quotes a secret. A [Token]
// and a [Secret] show nothing under any fmt verb, at any depth of any struct, in slog, in JSON or
// in XML. Their methods return the text.
package provider
