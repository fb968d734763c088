package provider_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stayauth/stayauth/provider"
)

// Where an OAuth 2.0 server differs from a backend of one's own: any error code is its word, and it
// may come with status 200.
func TestOAuth2Outcomes(t *testing.T) {
	grant := `{"error":"invalid_grant","error_description":"The refresh token is expired or revoked."}`
	tests := []struct {
		name      string
		status    int
		body      string
		plain     bool // with a refresh token that is reusable
		singleUse bool
		says      string
	}{
		{"invalid_grant", 400, grant, permanent, permanent, `400 ("invalid_grant": "The refresh token is expired or revoked.")`},
		{"as Auth0 does", 403, grant, permanent, permanent, `403 ("invalid_grant"`},
		{"as older ones do", 401, grant, permanent, permanent, `401 ("invalid_grant"`},
		{"as GitHub does", 200, `{"error":"bad_refresh_token","error_description":"The refresh token passed is incorrect or expired.",
			"error_uri":"https://docs.example.com"}`, permanent, permanent, `200 ("bad_refresh_token": "The refresh token passed is incorrect or expired.")`},
		{"as Slack does", 200, `{"ok":false,"error":"invalid_refresh_token"}`, permanent, permanent, `200 ("invalid_refresh_token")`},
		{"Slack is busy", 200, `{"ok":false,"error":"ratelimited"}`, temporary, temporary, `200 ("ratelimited")`},
		{"as Microsoft does", 400, `{"error":"interaction_required","error_description":"AADSTS50076: x"}`, permanent, permanent, `("interaction_required": "AADSTS50076: x")`},
		{"a nonce for DPoP", 400, `{"error":"use_dpop_nonce"}`, temporary, temporary, "use_dpop_nonce"},
		{"a wrong client", 401, `{"error":"invalid_client"}`, permanent, permanent, "OAuth2.ClientID or ClientSecret is wrong"},
		{"a wrong client with 400", 400, `{"error":"invalid_client"}`, permanent, permanent, "SecretInBody"},
		{"a wrong client with 200", 200, `{"error":"invalid_client"}`, permanent, permanent, "SecretInBody"},
		{"busy", 400, `{"error":"temporarily_unavailable"}`, temporary, temporary, "temporarily_unavailable"},
		{"busy, and it says so", 503, `{"error":"temporarily_unavailable"}`, temporary, temporary, "temporarily_unavailable"},
		{"too many", 429, `{"error":"access_denied","error_description":"Too Many Requests"}`, temporary, temporary, "Too Many Requests"},
		{"a framework's 400", 400, `{"status":400,"error":"Bad Request"}`, temporary, temporary, `("Bad Request")`},
		{"a firewall's 403", 403, `<html>`, temporary, temporary, "firewall"},
		{"a gateway's 403", 403, `{"message":"Forbidden"}`, temporary, temporary, "firewall"},
		{"a proxy's 401", 401, `<html>`, temporary, temporary, "firewall"},
		{"a bare 401", 401, ``, permanent, permanent, "401"},
		{"404", 404, ``, temporary, temporary, "is OAuth2.TokenURL right?"},
		{"302", 302, ``, temporary, temporary, "set OAuth2.TokenURL"},
		{"502", 502, ``, temporary, permanent, "status 502"},
		{"a page with 200", 200, `<html>`, temporary, permanent, "set OAuth2.Decode"},
		{"an error that is no code", 200, `{"error":"Something is wrong"}`, temporary, permanent, "no token"},
		{"nothing", 200, `{}`, temporary, permanent, "no token"},
		{"control characters", 400, `{"error":"invalid_grant","error_description":"a\u001b[2J\nb\u202e"}`, permanent, permanent, `: "a\x1b[2J\nb\u202e")`},
		{"no end", 400, `{"error":"invalid_grant","error_description":"` + strings.Repeat("x", 10_000) + `"}`, permanent, permanent,
			`"` + strings.Repeat("x", 200) + `"`},
	}
	for _, tt := range tests {
		for _, reusable := range []bool{false, true} {
			srv := &oauthServer{t: t, reply: always(tt.status, tt.body)}
			want := tt.singleUse
			if reusable {
				want = tt.plain
			}
			ask := provider.OAuth2{TokenURL: "https://bob:" + password + "@auth.example.com/token?k=" + query, RefreshTokenReusable: reusable,
				Client: srv.client()}
			_, err := ask.Token(t.Context(), withRefresh())
			if err == nil || provider.IsPermanent(err) != want || !strings.Contains(err.Error(), tt.says) || len(srv.asked) != 1 {
				t.Errorf("%s, reusable %t: %d calls, %v; want 1, and an error, permanent: %t, that says %s", tt.name, reusable, len(srv.asked),
					err, want, tt.says)
			}
			harmless(t, err)
		}
	}
}

// Whatever a server sends back of what it got, in whatever way it was sent, no error shows it.
func TestOAuth2ErrorsHoldNoSecret(t *testing.T) {
	const assertion = "zq9+assertion/="
	for _, echo := range []string{refresh, clientSecret, url.QueryEscape(clientSecret), assertion, url.QueryEscape(assertion), query, password} {
		for _, form := range []string{`{"error":"invalid_grant","error_description":"bad %s"}`, `{"error":"%s"}`, `{"error":"server_error","message":"%s"}`} {
			for _, status := range []int{200, 400, 401, 500} {
				ask := provider.OAuth2{TokenURL: "https://bob:" + password + "@auth.example.com/token?k=" + query, ClientID: "tool",
					ClientSecret: provider.NewSecret(clientSecret), Params: url.Values{"client_assertion": {assertion}}, Client: answering(status, fmt.Sprintf(form, echo))}
				_, err := ask.Token(t.Context(), withRefresh())
				harmless(t, err)
				if err == nil || leaks(err.Error(), echo) != "" {
					t.Errorf("%d %s: %v", status, form, err)
				}
			}
		}
	}
}

// The words of an error that a person is to act upon.
func ExampleOAuth2_failure() {
	tokens := provider.OAuth2{
		TokenURL: "https://auth.example.com/token",
		ClientID: "my-tool",
		Client:   answering(400, `{"error":"invalid_grant","error_description":"Token has been revoked."}`),
	}
	_, err := tokens.Token(context.Background(), provider.Token{}.WithRefreshToken("..."))
	fmt.Println(err)
	fmt.Println(provider.IsPermanent(err))
	// Output:
	// provider: https://auth.example.com/token rejected the login with status 400 ("invalid_grant": "Token has been revoked."): what was sent for a token is wrong, has expired or was revoked; log in again
	// true
}
