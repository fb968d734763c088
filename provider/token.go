package provider

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// A Token is what a client presents to an API: an opaque string (often a JWT), when it ends, the
// refresh token that buys the next token, where there is one, and what else came with it.
//
// A Token is a small value, safe to copy and to share between goroutines: nothing changes it once
// it is made. Compare two with [Token.Equal]; == compares where their secrets are stored, not the
// secrets. The zero Token is no token.
//
// A Token never shows its secrets by accident: it prints as REDACTED under every fmt verb, in slog
// and in JSON. Ask for them by name, with [Token.Value], [Token.RefreshToken] and [Token.Extras].
//
// To keep a Token somewhere, take out the five things that it consists of, and put them together
// again:
//
//	provider.NewToken(value, expiry).WithLifetime(lifetime).WithRefreshToken(refresh).WithExtras(extras)
type Token struct {
	// Each secret sits behind a pointer of its own. Inside somebody's unexported field fmt can't
	// call our methods and walks the fields instead: a string would be printed there, and so would
	// a pointer to a struct of strings under %s. A pointer to a string is printed as an address.
	value   *string
	refresh *string
	extras  *string // a JSON object of strings: a map would make Tokens impossible to compare

	expiry   time.Time
	lifetime time.Duration
}

// redacted is all that any printer, logger or encoder gets to see.
const redacted = "REDACTED"

// NewToken returns a token that ends at expiry. The zero time says that its end is unknown: it is
// then used until it is rejected. Expiry is kept as wall-clock time, because the monotonic clock
// stops while a machine is suspended and the token's life does not.
func NewToken(value string, expiry time.Time) Token {
	t := Token{expiry: expiry.Round(0)}
	if value != "" {
		t.value = &value
	}
	return t
}

// Value returns the token itself, as it goes into a request. It is a secret.
func (t Token) Value() string { return deref(t.value) }

// RefreshToken returns the secret with which the next token is bought, or "" where there is none.
func (t Token) RefreshToken() string { return deref(t.refresh) }

// Expiry returns when the token ends, by the clock of its issuer, or the zero time if that is
// unknown. It is a hint for refreshing early and never proof: a revoked token ends sooner.
func (t Token) Expiry() time.Time { return t.expiry }

// Lifetime returns how long the token was meant to live when it was minted (a JWT's exp minus its
// iat, or OAuth 2.0's expires_in), or 0 if that is unknown. Unlike Expiry it says the same on a
// machine whose clock is wrong.
func (t Token) Lifetime() time.Duration { return t.lifetime }

// Extra returns what the token endpoint's answer held under name beside the token itself, such as
// "scope", "id_token" or "instance_url": a string as it is, anything else as JSON. It returns ""
// where there was nothing. What [HTTP] and [OAuth2] found stays until a later answer says
// otherwise: a refresh that doesn't mention it leaves it as it was.
func (t Token) Extra(name string) string { return t.Extras()[name] }

// Extras returns all that [Token.Extra] knows, in a map of the caller's own, or nil. Some of it may
// be secret.
func (t Token) Extras() map[string]string {
	if t.extras == nil {
		return nil
	}
	var extras map[string]string
	_ = json.Unmarshal([]byte(*t.extras), &extras) // WithExtras made it
	return extras
}

// IsZero reports whether t holds no token value.
func (t Token) IsZero() bool { return t.value == nil }

// WithRefreshToken returns a copy of t that carries the given refresh token; "" removes it.
func (t Token) WithRefreshToken(secret string) Token {
	t.refresh = nil
	if secret != "" {
		t.refresh = &secret
	}
	return t
}

// WithLifetime returns a copy of t with the given lifetime, for a token whose endpoint tells it.
// Where it is 0 or less the lifetime is unknown.
func (t Token) WithLifetime(d time.Duration) Token {
	t.lifetime = max(d, 0)
	return t
}

// WithExtras returns a copy of t that holds exactly what is in extras, by name; an empty map leaves
// nothing. Names and values are UTF-8, as all JSON is.
func (t Token) WithExtras(extras map[string]string) Token {
	t.extras = nil
	if len(extras) > 0 {
		data, _ := json.Marshal(extras) // strings always marshal
		text := string(data)
		t.extras = &text
	}
	return t
}

// Equal reports whether t and u have the same value, the same refresh token and the same expiry.
// Nothing else counts.
func (t Token) Equal(u Token) bool {
	return t.Value() == u.Value() && t.RefreshToken() == u.RefreshToken() && t.expiry.Equal(u.expiry)
}

// Format implements [fmt.Formatter]: every verb prints REDACTED.
func (Token) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// String returns REDACTED.
func (Token) String() string { return redacted }

// LogValue implements [slog.LogValuer].
func (Token) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler], and with it JSON, XML and most other encodings:
// it gives REDACTED. What must be stored has to be taken out by name.
func (Token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText always fails: what MarshalText wrote holds no token, and a silent zero Token would
// be a lost login.
func (*Token) UnmarshalText([]byte) error {
	return errors.New("provider: a Token can't be unmarshalled, because it is redacted when it is marshalled; use NewToken")
}

// UnmarshalJSON always fails, also for null: see UnmarshalText.
func (t *Token) UnmarshalJSON([]byte) error { return t.UnmarshalText(nil) }

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
