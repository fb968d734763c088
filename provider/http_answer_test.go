package provider_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
)

func TestHTTPAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(300 * time.Millisecond)
		start := time.Now()
		in := func(d time.Duration) time.Time { return start.Add(d).Round(0) }
		exp := start.Add(time.Hour).Truncate(time.Second)
		j := jwtOf(fmt.Sprintf(`{"exp":%d,"iat":%d}`, exp.Unix(), exp.Unix()-600))
		noIat := jwtOf(fmt.Sprintf(`{"exp":%d}`, exp.Unix()))
		none := time.Time{}
		tests := []struct {
			body, value, refresh string
			expiry               time.Time
			lifetime             time.Duration
		}{
			{`{"token":"opaque"}`, "opaque", refresh, none, 0},
			{`{"token":"opaque","expires_in":60}`, "opaque", refresh, in(time.Minute), time.Minute},
			{`{"access_token":"opaque","token_type":"bearer","expires_in":60}`, "opaque", refresh, in(time.Minute), time.Minute},
			{`{"token":"opaque","access_token":"other"}`, "opaque", refresh, none, 0},
			{`{"token":"opaque","refresh_token":"next"}`, "opaque", "next", none, 0},
			{`{"token":"opaque","refresh_token":""}`, "opaque", refresh, none, 0},
			{`{"token":"opaque","refresh_token":null,"expires_in":null}`, "opaque", refresh, none, 0},

			// A JWT knows better.
			{`{"token":"` + j + `"}`, j, refresh, exp, 10 * time.Minute},
			{`{"token":"` + j + `","expires_in":60}`, j, refresh, exp, 10 * time.Minute},
			{`{"token":"` + noIat + `","expires_in":60}`, noIat, refresh, exp, time.Minute},
			{`{"token":"` + jwtOf(`{}`) + `","expires_in":60}`, jwtOf(`{}`), refresh, in(time.Minute), time.Minute},

			// Some send a string, some send nonsense.
			{`{"token":"opaque","expires_in":"60"}`, "opaque", refresh, in(time.Minute), time.Minute},
			{`{"token":"opaque","expires_in":0}`, "opaque", refresh, none, 0},
			{`{"token":"opaque","expires_in":-60}`, "opaque", refresh, none, 0},
			{`{"token":"opaque","expires_in":59.5}`, "opaque", refresh, in(59500 * time.Millisecond), 59500 * time.Millisecond},
			{`{"token":"opaque","expires_in":"6e1"}`, "opaque", refresh, in(time.Minute), time.Minute},
			{`{"token":"opaque","expires_in":"0"}`, "opaque", refresh, none, 0},
			{`{"token":"opaque","expires_in":""}`, "opaque", refresh, none, 0},
			{`{"token":"opaque","expires_in":1e999}`, "opaque", refresh, none, 0},
			{`{"token":"opaque","expires_in":{"a":1}}`, "opaque", refresh, none, 0},
			{`{"token":"opaque","expires_in":"soon"}`, "opaque", refresh, none, 0},
			{`{"token":"opaque","expires_in":[60]}`, "opaque", refresh, none, 0},
			{`{"token":"opaque","expires_in":18446744073709551615}`, "opaque", refresh, none, 0},
			{`{"token":"opaque","expires_in":99999999999999999999}`, "opaque", refresh, none, 0},
			{`{"token":"opaque","expires_in":9223372036}`, "opaque", refresh, none, 0},
		}
		for _, status := range []int{200, 201} {
			for _, tt := range tests {
				start = time.Now()
				ask := provider.HTTP{URL: "https://example.com", UserID: "alice", Client: answering(status, tt.body)}
				token, err := ask.Token(t.Context(), withRefresh())
				if err != nil {
					t.Errorf("%d %s: %v", status, tt.body, err)
					continue
				}
				if token.Value() != tt.value || token.RefreshToken() != tt.refresh || !token.Expiry().Equal(tt.expiry) || token.Lifetime() != tt.lifetime {
					t.Errorf("%d %s: refresh token %q, expiry %v, lifetime %v; want %q, %v, %v", status, tt.body, token.RefreshToken(),
						token.Expiry(), token.Lifetime(), tt.refresh, tt.expiry, tt.lifetime)
				}
			}
		}
	})
}

// A slow answer has used up some of the token's life.
func TestHTTPExpiresInCountsFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ask := provider.HTTP{URL: "https://example.com", UserID: "alice", Client: &http.Client{
			Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				time.Sleep(3 * time.Second)
				return response(r, 200, `{"token":"opaque","expires_in":60}`), nil
			})}}
		token, err := ask.Token(t.Context(), provider.Token{})
		if want := start.Add(time.Minute); err != nil || !token.Expiry().Equal(want) {
			t.Errorf("expiry %v, want %v, %v", token.Expiry(), want, err)
		}
	})
}

func TestHTTPDecode(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	ask := func(decode func([]byte) (provider.Token, error)) (provider.Token, error) {
		return provider.HTTP{URL: "https://example.com", UserID: "alice", Session: provider.NewSecret(session), Client: answering(200, "the body"),
			Decode: decode}.Token(t.Context(), provider.Token{})
	}
	token, err := ask(func(body []byte) (provider.Token, error) {
		return provider.NewToken(string(body), at).WithRefreshToken("next"), nil
	})
	if err != nil || !token.Equal(provider.NewToken("the body", at).WithRefreshToken("next")) {
		t.Errorf("a decoded token: %v", err)
	}
	token, err = ask(func([]byte) (provider.Token, error) {
		return provider.NewToken(jwtOf(`{"exp":1900000000,"iat":1899996400}`), time.Time{}), nil
	})
	if err != nil || token.Expiry().Unix() != 1900000000 || token.Lifetime() != time.Hour {
		t.Errorf("a JWT of unknown expiry: expiry %v, %v", token.Expiry(), err)
	}
	if _, err := ask(func([]byte) (provider.Token, error) { return provider.Token{}, nil }); err == nil || provider.IsPermanent(err) {
		t.Errorf("no token: %v, want a temporary error", err)
	}
	cause := errors.New("odd")
	if token, err := ask(func([]byte) (provider.Token, error) { return provider.NewToken("x", at), cause }); !errors.Is(err, cause) ||
		provider.IsPermanent(err) || !token.IsZero() {
		t.Errorf("an error: %v, want the decoder's, temporary", err)
	}
	if _, err := ask(func([]byte) (provider.Token, error) { return provider.Token{}, provider.Permanent(cause) }); !errors.Is(err, cause) ||
		!provider.IsPermanent(err) {
		t.Errorf("a permanent error: %v, want the decoder's, permanent", err)
	}
	_, err = ask(func([]byte) (provider.Token, error) { return provider.Token{}, fmt.Errorf("got %s", session) })
	harmless(t, err)
	if err == nil || !strings.Contains(err.Error(), "withheld") {
		t.Errorf("an error with a secret: %v", err)
	}
}
