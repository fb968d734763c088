// Package provider is where a client's tokens come from.
//
// A [TokenProvider] gets one [Token] each time it is asked. Package transport asks it, when the
// token at hand has expired, is about to, or was rejected; all that a provider has to do is get a
// new one, or say that there is none. So the question here is who can give out tokens in your
// setting, and the answer is usually one of these:
//
// If it is an OAuth 2.0 server, use [OAuth2]: with a refresh token that a person's login has
// brought, or as a program of its own right.
//
// To ask your own backend use [HTTP]. It sends the user's id and a session secret and reads the
// token from the answer, with a refresh token if the backend rotates one. If you have no such
// backend yet, [Handler] is one: say how to tell who is asking, and mount it.
//
// If you already have a function that returns a token, wrap it in [Func], or in [TokenFunc] if it
// returns more than that, such as a refresh token or an expiry that is not in the token. Mind that
// it doesn't cache.
//
// In a backend, an operator's tool or a test, where the API secret is at hand, mint the tokens with
// [Signer].
//
// For a first try paste a token into [Static]. With Stream, while the app's authentication checks
// are off, [DevToken] makes one of nothing but a user id.
//
// Where several processes share one login, wrap any of these in a Login of package shared.
//
// # Failures
//
// The one decision a provider has to take is whether asking again can help. Most failures are
// blips, so an error is taken as temporary: it is asked again after a pause, which [RetryAfter]
// sets. [Permanent] marks an error as final and ends the session; keep it for a login that was
// revoked, a user who is gone, a secret that is wrong. A temporary error that should have been
// permanent costs a few calls; a permanent one that should have been temporary logs a user out.
//
// # Expiry
//
// A token that is known to end can be replaced before it does, and no request waits. [Func],
// [Static], [HTTP] and [Signer] read the end from the token when it is a JWT, as [ParseJWT] does.
// It is only a hint, because clocks differ and tokens are revoked: a token whose end is unknown
// serves as well, and is used until it is rejected.
//
// # Refresh tokens
//
// Some backends give out a refresh token with each token (RFC 6749 section 1.5), with which the
// next one is bought. It travels inside the Token: a provider finds it in the old token and puts
// the next one into the new, by [Token.WithRefreshToken]. Where a refresh token is good for a
// single use, a client that loses the answer to a refresh loses the login, and can't mend that
// unless it has another way to log in. [HTTP] says what it and [OAuth2] do then.
//
// # Sources that cache
//
// A provider is asked because the old token is of no use any more. A source that caches returns
// that very token again, until the token's own end: what comes from oauth2.ReuseTokenSource does
// (in golang.org/x/oauth2 that is nearly everything: the sources of a Config, of clientcredentials
// and of google), and so do most vendors' libraries for cloud identities. As long as tokens only
// expire one doesn't notice. When one is revoked, the source brings the revoked token again and
// again, and everything stands still until it would have ended.
//
// So go past the cache. OAuth2 has none. Of a library take what lies below its cache, or make a new
// source for each call, which has nothing to hand out a second time:
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
// Where the cache is out of reach, as in a machine's metadata server, there is no way past it. The
// rejected token comes again then, and package transport asks for the next one at a slowing pace
// until there is one; tell the source's owner to keep its tokens' lives short.
//
// # Secrets
//
// Whatever here holds a secret prints as REDACTED, and no error quotes one. A Token gives nothing
// away under any fmt verb, at any depth of anybody's structs, in slog, in JSON or in XML; to get at
// a secret, ask for it by name.
package provider
