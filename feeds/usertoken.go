package feeds

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/stayauth/stayauth/provider"
)

// ownTokens is a token provider that returns tokens of one user only.
type ownTokens struct {
	provider.TokenProvider
	userID string
}

// Token returns the provider's token, or a permanent error if it is another user's.
func (o ownTokens) Token(ctx context.Context, old provider.Token) (provider.Token, error) {
	tok, err := o.TokenProvider.Token(ctx, old)
	if err != nil || tok.IsZero() {
		return tok, err
	}
	if err := belongs(tok.Value(), o.userID); err != nil {
		return provider.Token{}, provider.Permanent(err)
	}
	return tok, nil
}

// Wait implements [provider.Waiter].
func (o ownTokens) Wait(ctx context.Context) error { return waitFor(ctx, o.TokenProvider) }

// waitFor waits until p has done what is left to do, if it can tell.
func waitFor(ctx context.Context, p provider.TokenProvider) error {
	if w, ok := p.(provider.Waiter); ok {
		return w.Wait(ctx)
	}
	return nil
}

// belongs returns nil if token was minted for the user, and otherwise says for whom.
func belongs(token, userID string) error {
	switch id, err := userOf(token); {
	case err != nil:
		return fmt.Errorf("what it returned is no token of Stream's: %w", err)
	case id == "":
		return fmt.Errorf("the token has no user_id: it is a server token, which may do "+
			"everything; the session needs one that was minted for %q", userID)
	case id != userID:
		return fmt.Errorf("the token was minted for user %q, and the session belongs to %q", id, userID)
	}
	return nil
}

// userOf returns the user_id claim of token, or "" if it has none. Nothing is verified: the API
// does that. A developer token's payload is in padded standard base64, which JWT parsers do not
// read.
func userOf(token string) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", errors.New("it does not have the three parts of a JWT")
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
