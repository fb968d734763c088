package provider_test

import (
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/stayauth/stayauth/provider"
)

const apiSecret = "zq9-api-secret"

func TestSignerClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // a bubble's clock begins with a whole second
		time.Sleep(300 * time.Millisecond)
		now := time.Now().Unix()
		tests := []struct {
			name   string
			signer provider.Signer
			want   map[string]any
		}{
			{"one hour", provider.Signer{}, map[string]any{"iat": now, "exp": now + 3601}},
			{"rounded up", provider.Signer{Validity: time.Second}, map[string]any{"iat": now, "exp": now + 2}},
			{"to the whole second", provider.Signer{Validity: 700 * time.Millisecond}, map[string]any{"iat": now, "exp": now + 1}},
			{"a hair more", provider.Signer{Validity: 700*time.Millisecond + 1}, map[string]any{"iat": now, "exp": now + 2}},
			{"the least", provider.Signer{Validity: 1}, map[string]any{"iat": now, "exp": now + 1}},
			{"no end", provider.Signer{Validity: -1}, map[string]any{"iat": now}},
			{"back-dated", provider.Signer{Validity: time.Minute, Backdate: 5 * time.Second}, map[string]any{"iat": now - 5, "exp": now + 61}},
			{"more claims", provider.Signer{Claims: map[string]any{"role": "admin", "n": 7}},
				map[string]any{"iat": now, "exp": now + 3601, "role": "admin", "n": 7}},
		}
		for _, tt := range tests {
			tt.signer.Secret = provider.NewSecret(apiSecret)
			value, err := tt.signer.UserToken("alice")
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
				continue
			}
			tt.want["user_id"] = "alice"
			if got := payloadOf(t, value); fmt.Sprint(normal(got)) != fmt.Sprint(normal(tt.want)) {
				t.Errorf("%s: claims %v, want %v", tt.name, normal(got), normal(tt.want))
			}
			verify(t, value)
		}
	})
}

// normal makes every number a float64, as JSON does.
func normal(claims map[string]any) map[string]any {
	claims = maps.Clone(claims)
	for name, v := range claims {
		switch v := v.(type) {
		case int64:
			claims[name] = float64(v)
		case int:
			claims[name] = float64(v)
		}
	}
	return claims
}

func verify(t *testing.T, value string) {
	t.Helper()
	token, err := jwt.Parse(value, func(*jwt.Token) (any, error) { return []byte(apiSecret), nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithoutClaimsValidation())
	if err != nil || !token.Valid || token.Header["typ"] != "JWT" {
		t.Errorf("the token isn't valid: %v", err)
	}
}

// Whatever the fraction of the second in which it is minted, a token of one second lives for at
// least one.
func TestSignerNeverCutsALifeShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signer := provider.Signer{Secret: provider.NewSecret(apiSecret), Validity: time.Second}
		for range 100 {
			value, err := signer.UserToken("alice")
			if err != nil {
				t.Fatal(err)
			}
			exp := int64(payloadOf(t, value)["exp"].(float64))
			if left := time.Until(time.Unix(exp, 0)); left < time.Second || left >= 2*time.Second {
				t.Fatalf("minted at %v a token lives %v", time.Now(), left)
			}
			time.Sleep(37 * time.Millisecond)
		}
	})
}

func TestSignerServerToken(t *testing.T) {
	signer := provider.Signer{Secret: provider.NewSecret(apiSecret), Validity: time.Second, Claims: map[string]any{"role": "admin"}}
	value, err := signer.ServerToken()
	if err != nil {
		t.Fatal(err)
	}
	verify(t, value)
	if got, want := fmt.Sprint(payloadOf(t, value)), "map[server:true]"; got != want {
		t.Errorf("claims %s, want %s", got, want)
	}
	if _, err := (provider.Signer{}).ServerToken(); err == nil || !strings.Contains(err.Error(), "Secret") {
		t.Errorf("without a secret: %v", err)
	}
}

func TestSignerErrors(t *testing.T) {
	tests := []struct {
		name, userID string
		signer       provider.Signer
	}{
		{"no secret", "alice", provider.Signer{}},
		{"no user", "", provider.Signer{Secret: provider.NewSecret(apiSecret)}},
		{"not UTF-8", "\xff", provider.Signer{Secret: provider.NewSecret(apiSecret)}},
		{"issued in the future", "alice", provider.Signer{Secret: provider.NewSecret(apiSecret), Backdate: -time.Second}},
		{"user_id replaced", "alice", provider.Signer{Secret: provider.NewSecret(apiSecret), Claims: map[string]any{"user_id": "bob"}}},
		{"iat replaced", "alice", provider.Signer{Secret: provider.NewSecret(apiSecret), Claims: map[string]any{"iat": 1}}},
		{"exp replaced", "alice", provider.Signer{Secret: provider.NewSecret(apiSecret), Validity: -1, Claims: map[string]any{"exp": 1}}},
		{"not JSON", "alice", provider.Signer{Secret: provider.NewSecret(apiSecret), Claims: map[string]any{"a": math.Inf(1)}}},
	}
	for _, tt := range tests {
		value, err := tt.signer.UserToken(tt.userID)
		if err == nil || value != "" || !strings.HasPrefix(err.Error(), "provider: ") || strings.Contains(err.Error(), apiSecret) {
			t.Errorf("%s: %v", tt.name, err)
		}
		token, err := tt.signer.For(tt.userID).Token(t.Context(), provider.Token{})
		if !provider.IsPermanent(err) || !token.IsZero() {
			t.Errorf("%s: For gives %v, want a permanent error", tt.name, err)
		}
	}
}

func TestSignerFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice := provider.Signer{Secret: provider.NewSecret(apiSecret), Validity: time.Minute}.For("alice")
		first, err := alice.Token(t.Context(), provider.Token{})
		if err != nil || payloadOf(t, first.Value())["user_id"] != "alice" {
			t.Fatal(err)
		}
		if want := time.Now().Add(time.Minute); !first.Expiry().Equal(want) || first.Lifetime() != time.Minute {
			t.Errorf("expiry %v, lifetime %v; want %v, 1m", first.Expiry(), first.Lifetime(), want)
		}
		time.Sleep(time.Second)
		second, err := alice.Token(t.Context(), first)
		if err != nil || second.Equal(first) {
			t.Errorf("a second later the token is the same: %v", err)
		}
	})
}
