package provider

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
)

// A TokenRequest is what [HTTP] sends to a token endpoint. It prints, logs and marshals as
// REDACTED, and its secrets never show, in whatever struct it stands.
type TokenRequest struct {
	UserID       string `json:"user_id"`       // whose token is asked for; a claim, proven by nothing
	Session      Secret `json:"session"`       // the session secret, unless it came in a header or a cookie
	RefreshToken Secret `json:"refresh_token"` // the refresh token of the token to replace, if it has one
}

// plainRequest is a TokenRequest as it is sent.
type plainRequest struct {
	UserID       string `json:"user_id,omitempty"`
	Session      string `json:"session,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
}

// ReadTokenRequest returns what the body of r, a request to a [Handler], holds. It puts the body
// back, so that it can be read again. Under a Handler it doesn't fail; elsewhere a body of more
// than 64 KiB or of another form is an error.
func ReadTokenRequest(r *http.Request) (TokenRequest, error) {
	if r.Body == nil { // a request that was made by hand, as in a test
		r.Body = http.NoBody
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest+1))
	if err != nil {
		return TokenRequest{}, fmt.Errorf("provider: the request can't be read: %w", err)
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), r.Body), r.Body}
	if len(body) > maxRequest {
		return TokenRequest{}, errors.New("provider: the request is longer than 64 KiB")
	}
	return decodeRequest(body)
}

func decodeRequest(body []byte) (TokenRequest, error) {
	var r *TokenRequest // stays nil for a null
	if err := json.Unmarshal(body, &r); err != nil || r == nil {
		return TokenRequest{}, errors.New("provider: the request is not a JSON object with user_id, session and refresh_token")
	}
	return *r, nil
}

// Format implements [fmt.Formatter]: every verb prints REDACTED.
func (TokenRequest) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue implements [slog.LogValuer].
func (TokenRequest) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler], and with it JSON and XML: it gives REDACTED.
func (TokenRequest) MarshalText() ([]byte, error) { return []byte(redacted), nil }
