package provider_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider"
)

func TestStatic(t *testing.T) {
	ctx := t.Context()
	value := jwtOf(`{"exp":1900000000,"iat":1899996400}`)
	static := provider.Static(value)

	first, err := static.Token(ctx, provider.Token{})
	if err != nil || first.Value() != value || first.Expiry().Unix() != 1900000000 || first.Lifetime() != time.Hour {
		t.Fatalf("the first token has expiry %v, %v", first.Expiry(), err)
	}
	if again, err := static.Token(ctx, provider.NewToken("another", time.Time{})); err != nil || !again.Equal(first) {
		t.Errorf("in place of another token: %v", err)
	}
	for name, old := range map[string]provider.Token{
		"itself":               itself(first),
		"itself, made by hand": provider.NewToken(value, time.Time{}),
		"with a refresh token": first.WithRefreshToken("r"),
	} {
		token, err := static.Token(ctx, old)
		if !provider.IsPermanent(err) || !token.IsZero() {
			t.Errorf("in place of %s: %v, want a permanent error", name, err)
			continue
		}
		if text := err.Error(); !strings.Contains(text, "hard-coded token") || strings.Contains(text, value) {
			t.Errorf("in place of %s: the error is %q", name, text)
		}
	}

	if token, err := provider.Static("opaque").Token(ctx, provider.Token{}); err != nil || token.Value() != "opaque" || !token.Expiry().IsZero() {
		t.Errorf("an opaque token: %v", err)
	}
	for range 2 {
		if _, err := provider.Static("").Token(ctx, provider.Token{}); !provider.IsPermanent(err) || !strings.Contains(err.Error(), "empty") {
			t.Errorf("an empty token: %v, want a permanent error that says so", err)
		}
	}
}

func itself(t provider.Token) provider.Token { return t }

func TestDevToken(t *testing.T) {
	const prefix, suffix = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.", ".devtoken"
	tests := []struct{ userID, payload string }{
		{"alice", `{"user_id":"alice"}`},
		{"ab?>", `{"user_id":"ab?>"}`},
		{`a"b\c`, `{"user_id":"a\"b\\c"}`},
		{"zoë", `{"user_id":"zoë"}`},
		{"a&b<c", `{"user_id":"a&b<c"}`},
	}
	for _, tt := range tests {
		got := provider.DevToken(tt.userID)
		if want := prefix + base64.StdEncoding.EncodeToString([]byte(tt.payload)) + suffix; got != want {
			t.Errorf("%s: %s, want %s", tt.userID, got, want)
		}
		token, err := provider.ParseJWT(got)
		if err != nil || !token.Expiry().IsZero() {
			t.Errorf("%s: ParseJWT: %v, expiry %v", tt.userID, err, token.Expiry())
		}
	}
	// As Stream's documentation prints it.
	if got, want := provider.DevToken("alice"), prefix+"eyJ1c2VyX2lkIjoiYWxpY2UifQ=="+suffix; got != want {
		t.Errorf("alice: %s, want %s", got, want)
	}
	if got := provider.DevToken(""); got != "" {
		t.Errorf("no user: %q", got)
	}
	if got := provider.DevToken("\xff"); got != "" {
		t.Errorf("not UTF-8: %q", got)
	}
}

// payloadOf decodes a JWT's claims without the help of the package or of golang-jwt.
func payloadOf(t *testing.T, value string) map[string]any {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(strings.Split(value, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{}
	if err := json.Unmarshal(data, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}
