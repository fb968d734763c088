package recipes_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/examples/recipes"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
	"github.com/stayauth/stayauth/transport"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const tokenURL = "https://auth.example.com/token"

func TestTokenSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guard := &testserver.Guard{}
		defer guard.Close()
		tr := &transport.Transport{Provider: provider.Func(func(context.Context) (string, error) { return guard.Issue("alice"), nil })}
		source := recipes.TokenSource{Transport: tr}
		client := &http.Client{Transport: &oauth2.Transport{Source: source, Base: guard}}

		want(t, "first", get(t, client), "200 OK alice")
		time.Sleep(3 * time.Hour) // past the token's end
		want(t, "after expiry", get(t, client), "200 OK alice")
		want(t, "rejected", guard.Ledger().Rejected, 0)

		time.Sleep(time.Second) // or the next token would be the same
		guard.Revoke("alice")
		tok, err := tr.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		as, err := source.Token()
		if err != nil || as.AccessToken != tok.Value() || !as.Valid() || !as.Expiry.Equal(tok.Expiry()) {
			t.Errorf("the source's token ends at %v, not at %v; %v", as.Expiry, tok.Expiry(), err)
		}
		tr.Reject(tok) // as the program has to, which saw the 401
		want(t, "after the rejection", get(t, client), "200 OK alice")

		tr.Close()
		if _, err := source.Token(); !errors.Is(err, transport.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// A refresh token that is good for one use is spent once, although the answer got lost.
func TestFromConfig(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lose := false
		guard := &testserver.Guard{
			Clients:    map[string]string{"tool": "secret"},
			ClientAuth: "client_secret_post",
			Fault: func(r *http.Request) (f testserver.Fault) {
				if lose && r.URL.Path == "/token" {
					f.Cut = testserver.CutAfter
				}
				return f
			},
		}
		defer guard.Close()
		p := recipes.FromConfig(&oauth2.Config{
			ClientID:     "tool",
			ClientSecret: "secret",
			Endpoint:     oauth2.Endpoint{TokenURL: tokenURL, AuthStyle: oauth2.AuthStyleInParams},
		}, &oauth2.Token{RefreshToken: guard.LogIn("alice")})
		p.Client = &http.Client{Transport: guard}
		tr := &transport.Transport{Provider: p, Base: guard}
		defer tr.Close()
		client := &http.Client{Transport: tr}

		want(t, "first", get(t, client), "200 OK alice")
		guard.Revoke("alice")
		want(t, "after the revocation", get(t, client), "200 OK alice")
		want(t, "token calls", guard.Ledger().TokenCalls, 2)

		lose = true
		guard.Revoke("alice")
		_, err := client.Get(api)
		if e, ok := errors.AsType[*transport.RefreshError](err); !ok || !e.Permanent {
			t.Errorf("after the lost answer: %v", err)
		}
		want(t, "token calls", guard.Ledger().TokenCalls, 3)
		want(t, "reused refresh tokens", guard.Ledger().Reused, 0)
	})
}

func TestFromSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guard := &testserver.Guard{Clients: map[string]string{"robot": "secret"}}
		defer guard.Close()
		config := clientcredentials.Config{ClientID: "robot", ClientSecret: "secret", TokenURL: tokenURL, AuthStyle: oauth2.AuthStyleInHeader}
		source := func(ctx context.Context) oauth2.TokenSource {
			return config.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: guard}))
		}
		tr := &transport.Transport{Provider: recipes.FromSource(source), Base: guard}
		defer tr.Close()
		client := &http.Client{Transport: tr}

		want(t, "first", get(t, client), "200 OK robot")
		time.Sleep(time.Second)
		guard.Revoke("robot")
		want(t, "after the revocation", get(t, client), "200 OK robot")
		want(t, "token calls", guard.Ledger().TokenCalls, 2)
		want(t, "rejected", guard.Ledger().Rejected, 1)

		config.ClientSecret = "wrong"
		guard.Revoke("robot")
		start := time.Now()
		_, err := client.Get(api)
		if e, ok := errors.AsType[*transport.RefreshError](err); !ok || !e.Permanent || time.Since(start) > time.Second {
			t.Errorf("with a wrong secret, after %v: %v", time.Since(start), err)
		}
	})
}

// What FromSource warns of: with one source for all calls a revoked token comes back.
func TestCachingSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guard := &testserver.Guard{}
		defer guard.Close()
		config := clientcredentials.Config{ClientID: "robot", ClientSecret: "secret", TokenURL: tokenURL, AuthStyle: oauth2.AuthStyleInHeader}
		caching := config.TokenSource(context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: guard}))
		tr := &transport.Transport{
			Provider: recipes.FromSource(func(context.Context) oauth2.TokenSource { return caching }),
			Base:     guard,
		}
		defer tr.Close()
		client := &http.Client{Transport: tr}

		want(t, "first", get(t, client), "200 OK robot")
		guard.Revoke("robot")
		want(t, "after the revocation", get(t, client), "401 Unauthorized The token was revoked")
		want(t, "token calls", guard.Ledger().TokenCalls, 1)
	})
}
