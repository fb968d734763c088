package provider

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"unique"
)

// A Secret is a text that never shows by accident: a password, an API secret, a refresh token. It
// prints as REDACTED under every fmt verb, in slog, in JSON and in XML, in whatever struct it
// stands, also in an unexported field. [NewSecret] makes one, and [Secret.Value] returns the text.
//
// A Secret is a small value, safe to copy and to share between goroutines. Two are equal by == when
// their texts are. The zero Secret is the empty text.
type Secret struct {
	text unique.Handle[string] // a pointer to the string, as in a Token, that == can compare; zero for ""
}

// NewSecret returns a Secret that holds text.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{unique.Make(text)}
}

// Value returns the text itself.
func (s Secret) Value() string {
	if s.IsZero() {
		return ""
	}
	return s.text.Value()
}

// IsZero reports whether the text is empty.
func (s Secret) IsZero() bool { return s == Secret{} }

// Format implements [fmt.Formatter]: every verb prints REDACTED.
func (Secret) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// String returns REDACTED.
func (Secret) String() string { return redacted }

// LogValue implements [slog.LogValuer].
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler], and with it JSON, XML and most other encodings:
// it gives REDACTED.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText implements [encoding.TextUnmarshaler], so that a Secret can be read from a
// configuration file. What MarshalText wrote is an error: the secret is not in it.
func (s *Secret) UnmarshalText(text []byte) error {
	if string(text) == redacted {
		return errors.New("provider: a Secret can't be read from REDACTED, which is what it is written as; keep its Value")
	}
	*s = NewSecret(string(text))
	return nil
}
