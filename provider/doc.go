// Package provider is where a client's tokens come from.
//
// A [TokenProvider] gets one [Token] each time it is asked. Package transport asks it, when the token at hand has expired, is
// about to, or was refused; all that a provider has to do is get a new one, or say that there is none. So the question here is
// who can give out tokens in your setting, and the answer is usually one of these:
//
// To ask your own backend, as most programs do, use [HTTP]. It sends the user's id and a session secret and reads the token
// from the answer, with a refresh token if the backend rotates one. If you have no such backend yet, [Handler] is one: say how
// to tell who is asking, and mount it.
//
// If you already have a function that returns a token, wrap it in [Func]. For more, such as a refresh token or an expiry that
// is not in the token, write a type with a Token method and make its tokens with [NewToken].
//
// In a backend, an operator's tool or a test, where the API secret is at hand, mint the tokens with [Signer].
//
// For a first try paste a token into [Static]. With Stream, while the app's authentication checks are off, [DevToken] makes
// one of nothing but a user id.
//
// Where several processes share one login, wrap any of these in a Login of package shared.
//
// # Failures
//
// The one decision a provider has to take is whether asking again can help. Most failures are blips, so an error is taken as
// temporary: it is asked again after a pause, which [RetryAfter] sets. [Permanent] marks an error as final and ends the session;
// keep it for a login that was revoked, a user who is gone, a secret that is wrong. A temporary error that should have been
// permanent costs a few calls; a permanent one that should have been temporary logs a user out.
//
// # Expiry
//
// A token that is known to end can be replaced before it does, and nobody waits. [Func], [Static], [HTTP] and [Signer] read the
// end from the token when it is a JWT, as [ParseJWT] does. It is only a hint, because clocks differ and tokens are revoked: a
// token whose end is unknown serves as well, and is used until it is refused.
//
// # Refresh tokens
//
// Some backends give out a refresh token with each token (RFC 6749 section 1.5), with which the next one is bought.
// It travels inside the Token: a provider finds it in the old token and puts the next one into the new, by [Token.WithRefreshToken].
// Where a secret is good for a single use, whoever loses the answer to a refresh loses the login, and no client can mend that.
// [HTTP] says what it does then.
//
// # Secrets
//
// Whatever here holds a secret prints as REDACTED, and no error quotes one. A Token gives nothing away under any fmt verb, at
// any depth of anybody's structs, in slog, in JSON or in XML; to get at a secret, ask for it by name.
package provider
