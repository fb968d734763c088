package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

const (
	defaultValidity = time.Hour // as Stream documents it

	userIDClaim = "user_id" // Stream's name for whom a token stands; it doesn't use sub
	iatClaim    = "iat"
	expClaim    = "exp"
)

// A Signer mints Stream's tokens where the API secret is at hand: JWTs signed with HS256. It
// belongs in a backend (see [Handler]), in an operator's tool and in tests. Never ship the secret
// to a user's machine: anyone who has it can be any user.
//
// It is a plain value, ready once Secret is set, and safe for concurrent use as long as it is not
// changed. It prints, logs and marshals as REDACTED, and the secret never shows, in whatever struct
// it stands.
type Signer struct {
	// Secret is the API secret of the Stream app. Required.
	Secret Secret

	// Validity is how long a user's token lives. Zero means 1 hour, a negative one that it never
	// ends. The exp claim counts whole seconds and is rounded up, so that no token lives shorter
	// than Validity.
	Validity time.Duration

	// Backdate moves the iat claim into the past, for an API whose clock may be behind. It doesn't
	// move exp. Stream counts a back-dated token as issued that much earlier when it revokes
	// tokens.
	Backdate time.Duration

	// Claims are added to every user's token. They can't replace user_id, iat or exp.
	Claims map[string]any
}

// UserToken mints a token for userID, with the claims user_id, iat and, unless Validity is
// negative, exp. It is an error if Secret or userID is empty, userID is not UTF-8, Backdate is
// negative, or Claims holds a reserved name or what JSON can't.
//
// Two tokens minted for one user within the same second may be equal.
func (s Signer) UserToken(userID string) (string, error) {
	switch {
	case userID == "":
		return "", errors.New("provider: Signer needs a user id: a token without one is a server token, which may do anything")
	case !utf8.ValidString(userID):
		return "", errors.New("provider: Signer was given a user id that is not UTF-8, which a JWT can't carry")
	case s.Backdate < 0:
		return "", errors.New("provider: Signer.Backdate is negative: a token issued in the future is rejected")
	}
	for _, name := range []string{userIDClaim, iatClaim, expClaim} {
		if _, ok := s.Claims[name]; ok {
			return "", fmt.Errorf("provider: Signer.Claims can't hold %s, which the Signer sets", name)
		}
	}
	now := time.Now()
	claims := jwt.MapClaims{userIDClaim: userID, iatClaim: now.Add(-s.Backdate).Unix()}
	maps.Copy(claims, s.Claims)
	switch {
	case s.Validity == 0:
		claims[expClaim] = ceilUnix(now.Add(defaultValidity))
	case s.Validity > 0:
		claims[expClaim] = ceilUnix(now.Add(s.Validity))
	}
	return s.sign(claims)
}

// ServerToken mints the token of a server: no user, {"server":true}, and the right to do anything.
// It never ends and holds no iat, which is what Stream's own backends send: so no clock can make it
// fail. Claims and Validity don't apply.
func (s Signer) ServerToken() (string, error) {
	return s.sign(jwt.MapClaims{"server": true})
}

// For returns a TokenProvider that mints userID's tokens. Whatever makes UserToken fail is
// permanent.
func (s Signer) For(userID string) TokenProvider {
	return TokenFunc(func(context.Context, Token) (Token, error) {
		value, err := s.UserToken(userID)
		if err != nil {
			return Token{}, Permanent(err)
		}
		return tokenOf(value), nil
	})
}

func (s Signer) sign(claims jwt.MapClaims) (string, error) {
	if s.Secret.IsZero() {
		return "", errors.New("provider: Signer.Secret is empty: set it to the API secret of your app")
	}
	value, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(s.Secret.Value()))
	if err != nil {
		return "", fmt.Errorf("provider: Signer can't put its claims into a token: %w", err)
	}
	return value, nil
}

// ceilUnix rounds up: truncated, a token of one second could die within a tenth.
func ceilUnix(t time.Time) int64 {
	return t.Add(time.Second - time.Nanosecond).Unix()
}

// Format implements [fmt.Formatter]: every verb prints REDACTED.
func (Signer) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue implements [slog.LogValuer].
func (Signer) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler], and with it JSON and XML: it gives REDACTED.
func (Signer) MarshalText() ([]byte, error) { return []byte(redacted), nil }
