package provider

import (
	"context"
	"errors"
)

// Static makes a TokenProvider of one hard-coded token, for a first try, a test or a script that is
// shorter than the token's life. If the value is a JWT its expiry is read from it, as [ParseJWT]
// does.
//
// The token is used until it ends or is rejected. There is no other, so the session ends then, with
// a permanent error that says so; an empty value fails that way at once.
func Static(value string) TokenProvider {
	token := tokenOf(value)
	return TokenFunc(func(_ context.Context, old Token) (Token, error) {
		switch {
		case token.IsZero():
			return Token{}, Permanent(errors.New("provider: Static was given an empty token"))
		case old.Value() == token.Value():
			return Token{}, Permanent(errors.New("provider: the hard-coded token has to be replaced and Static has no other: " +
				"it has expired or was rejected; put a new one in its place, or use a provider that gets new ones, such as HTTP or Signer"))
		}
		return token, nil
	})
}
