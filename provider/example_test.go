package provider_test

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/stayauth/stayauth/provider"
)

// The other half of a login: HTTP asks, Handler answers.
func Example() {
	// In your backend: who is asking?
	sessions := map[string]string{"alices-session": "alice"}
	backend := httptest.NewServer(provider.Handler{
		Signer: provider.Signer{Secret: provider.NewSecret("the app's API secret"), Validity: 10 * time.Minute},
		Validate: func(r *http.Request) (string, error) {
			request, err := provider.ReadTokenRequest(r)
			if err != nil {
				return "", err
			}
			userID, ok := sessions[request.Session.Value()]
			if !ok {
				return "", provider.ErrDenied
			}
			return userID, nil
		},
	})
	defer backend.Close()

	// In your bot:
	tokens := provider.HTTP{URL: backend.URL, UserID: "alice", Session: provider.NewSecret("alices-session")}
	token, err := tokens.Token(context.Background(), provider.Token{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(token, "ends within", time.Until(token.Expiry()).Round(time.Minute))
	// Output: REDACTED ends within 10m0s
}

// A person's login at an OAuth 2.0 server, kept going.
func ExampleOAuth2() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"access_token":"bought with %s","expires_in":3600,"scope":"read write"}`, r.FormValue("refresh_token"))
	}))
	defer server.Close()

	tokens := provider.OAuth2{
		TokenURL:     server.URL + "/token",
		ClientID:     "my-tool",
		ClientSecret: provider.NewSecret("the tool's secret"),
		RefreshToken: provider.NewSecret("r-1"),
	}
	token, err := tokens.Token(context.Background(), provider.Token{})
	fmt.Println(token.Value(), token.Lifetime(), err)
	fmt.Println(token.Extra("scope"))
	// Output:
	// bought with r-1 1h0m0s <nil>
	// read write
}

// A program that logs in by itself, with a key instead of a secret (RFC 7523): what proves it is
// made anew for each request.
func ExampleOAuth2_clientAssertion() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"access_token":"for %s by %s"}`, r.FormValue("scope"), r.FormValue("client_assertion"))
	}))
	defer server.Close()
	sign := func() (string, error) { return "a-signed-jwt", nil }

	tokens := provider.OAuth2{
		TokenURL: server.URL,
		ClientID: "my-service",
		Grant:    "client_credentials",
		Scopes:   []string{"orders:read"},
		Prepare: func(_ context.Context, form url.Values) error {
			assertion, err := sign()
			form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
			form.Set("client_assertion", assertion)
			return err
		},
	}
	token, err := tokens.Token(context.Background(), provider.Token{})
	fmt.Println(token.Value(), err)
	// Output: for orders:read by a-signed-jwt <nil>
}

func ExampleToken() {
	token := provider.NewToken("a.secret.token", time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC))
	fmt.Printf("%v %+v %q\n", token, []provider.Token{token}, token)
	data, _ := json.Marshal(map[string]any{"token": token})
	fmt.Println(string(data))
	fmt.Println(token.Value(), token.Expiry())
	// Output:
	// REDACTED [REDACTED] REDACTED
	// {"token":"REDACTED"}
	// a.secret.token 2030-01-02 03:04:05 +0000 UTC
}

func ExampleFunc() {
	tokens := provider.Func(func(ctx context.Context) (string, error) {
		return "a-token", nil // from wherever you get it
	})
	token, err := tokens.Token(context.Background(), provider.Token{})
	fmt.Println(token.Value(), err)
	// Output: a-token <nil>
}

// A source that knows more than the token: when it ends, and what buys the next one.
func ExampleTokenFunc() {
	buy := func(refreshToken string) (value, next string, seconds int) {
		return "bought with " + refreshToken, "r-2", 3600
	}

	tokens := provider.TokenFunc(func(_ context.Context, old provider.Token) (provider.Token, error) {
		value, next, seconds := buy(old.RefreshToken())
		life := time.Duration(seconds) * time.Second
		return provider.NewToken(value, time.Now().Add(life)).WithLifetime(life).WithRefreshToken(next), nil
	})
	token, err := tokens.Token(context.Background(), provider.Token{}.WithRefreshToken("r-1"))
	fmt.Println(token.Value(), token.RefreshToken(), token.Lifetime(), err)
	// Output: bought with r-1 r-2 1h0m0s <nil>
}

// A provider of your own: a token that a person pastes, and a word on what can be tried again.
type prompt struct{ ask func() (string, error) }

var errAborted = errors.New("aborted")

func (p prompt) Token(context.Context, provider.Token) (provider.Token, error) {
	value, err := p.ask()
	switch {
	case errors.Is(err, errAborted):
		return provider.Token{}, provider.Permanent(err)
	case err != nil:
		return provider.Token{}, provider.RetryAfter(err, time.Second)
	}
	return provider.NewToken(value, time.Now().Add(time.Hour)), nil
}

func ExampleTokenProvider() {
	var tokens provider.TokenProvider = prompt{func() (string, error) { return "", errAborted }}
	_, err := tokens.Token(context.Background(), provider.Token{})
	fmt.Println(err, provider.IsPermanent(err))
	// Output: aborted true
}

func ExampleParseJWT() {
	const value = "eyJhbGciOiJIUzI1NiJ9.eyJpYXQiOjE4OTk5OTY0MDAsImV4cCI6MTkwMDAwMDAwMH0.c2lnbmF0dXJl"
	token, err := provider.ParseJWT(value)
	fmt.Println(token.Expiry(), token.Lifetime(), err)

	_, err = provider.ParseJWT("an-opaque-token")
	fmt.Println(err)
	// Output:
	// 2030-03-17 17:46:40 +0000 UTC 1h0m0s <nil>
	// provider: the token is not a JWT; if it is an opaque one, use NewToken
}

func ExampleStatic() {
	tokens := provider.Static(provider.DevToken("alice"))
	token, _ := tokens.Token(context.Background(), provider.Token{})
	fmt.Println(token.Value())

	_, err := tokens.Token(context.Background(), token) // it was rejected
	fmt.Println(provider.IsPermanent(err))
	// Output:
	// eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VyX2lkIjoiYWxpY2UifQ==.devtoken
	// true
}

func ExampleSigner() {
	signer := provider.Signer{Secret: provider.NewSecret("the app's API secret"), Validity: 30 * time.Minute}
	value, err := signer.UserToken("alice")
	if err != nil {
		fmt.Println(err)
		return
	}
	token, _ := provider.ParseJWT(value)
	fmt.Println(signer, token.Lifetime().Round(time.Minute))

	_, err = signer.UserToken("")
	fmt.Println(err)
	// Output:
	// REDACTED 30m0s
	// provider: Signer needs a user id: a token without one is a server token, which may do anything
}

// A backend whose answers look different.
func ExampleHTTP() {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"data":{"jwt":"token for %s","valid_until":"2030-01-02T03:04:05Z"}}`, r.Header.Get("X-API-Key"))
	}))
	defer backend.Close()

	tokens := provider.HTTP{
		URL:           backend.URL,
		Session:       provider.NewSecret("key-7"),
		SessionHeader: "X-API-Key",
		Decode: func(body []byte) (provider.Token, error) {
			var answer struct {
				Data struct {
					JWT   string    `json:"jwt"`
					Until time.Time `json:"valid_until"`
				} `json:"data"`
			}
			if err := json.Unmarshal(body, &answer); err != nil {
				return provider.Token{}, err
			}
			return provider.NewToken(answer.Data.JWT, answer.Data.Until), nil
		},
	}
	token, err := tokens.Token(context.Background(), provider.Token{})
	fmt.Println(token.Value(), token.Expiry(), err)
	// Output: token for key-7 2030-01-02 03:04:05 +0000 UTC <nil>
}

// A backend for one bot, which shows a key of its own.
func ExampleHandler() {
	const key = "the bot's key"
	handler := provider.Handler{
		Signer: provider.Signer{Secret: provider.NewSecret("the app's API secret")},
		Validate: func(r *http.Request) (string, error) {
			if subtle.ConstantTimeCompare([]byte(r.Header.Get("X-Bot-Key")), []byte(key)) == 0 {
				return "", provider.ErrDenied
			}
			return "bot-7", nil
		},
	}
	for _, given := range []string{key, "a guess"} {
		r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader("{}"))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Bot-Key", given)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// 200
	// 401
}
