package referee_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/storage"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
)

// newFosite returns ory/fosite: refresh tokens rotate, rotating ends the old access token, and a
// refresh token that comes twice ends them all. Access tokens live for life, more or less: fosite
// counts whole seconds.
func newFosite(t *testing.T, life time.Duration) *server {
	config := &fosite.Config{
		AccessTokenLifespan: life,
		GlobalSecret:        []byte("thirty-two bytes, as fosite wants"),
		HashCost:            4, // the server is not what is measured
	}
	secret, err := (&fosite.BCrypt{Config: config}).Hash(t.Context(), []byte(clientSecret))
	if err != nil {
		t.Fatal(err)
	}
	memory := storage.NewMemoryStore()
	memory.Clients[clientID] = &fosite.DefaultClient{ID: clientID, Secret: secret, Scopes: []string{"read", "offline"},
		GrantTypes: fosite.Arguments{"password", "refresh_token", "client_credentials"}}
	memory.Clients["public"] = &fosite.DefaultClient{ID: "public", Public: true, Scopes: []string{"read", "offline"},
		GrantTypes: fosite.Arguments{"password", "refresh_token"}}
	memory.Users["alice"] = storage.MemoryUserRelation{Username: "alice", Password: "wonderland"}
	oauth := compose.Compose(config, memory, &compose.CommonStrategy{CoreStrategy: compose.NewOAuth2HMACStrategy(config)},
		//lint:ignore SA1019 not for real use, but the shortest way to a person's first refresh token
		compose.OAuth2ResourceOwnerPasswordCredentialsFactory,
		compose.OAuth2ClientCredentialsGrantFactory,
		compose.OAuth2RefreshTokenGrantFactory,
		compose.OAuth2TokenIntrospectionFactory,
		compose.OAuth2TokenRevocationFactory,
	)

	var mu sync.RWMutex // fosite's memory has races: looking at a token and rotating one, for instance
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		request, err := oauth.NewAccessRequest(r.Context(), r, new(fosite.DefaultSession))
		if err != nil {
			oauth.WriteAccessError(r.Context(), w, request, err)
			return
		}
		for _, scope := range request.GetRequestedScopes() {
			request.GrantScope(scope)
		}
		answer, err := oauth.NewAccessResponse(r.Context(), request)
		if err != nil {
			oauth.WriteAccessError(r.Context(), w, request, err)
			return
		}
		oauth.WriteAccessResponse(r.Context(), w, request, answer)
	})
	mux.HandleFunc("POST /revoke", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		oauth.WriteRevocationResponse(r.Context(), w, oauth.NewRevocationRequest(r.Context(), r))
	})
	mux.HandleFunc("/api", func(w http.ResponseWriter, r *http.Request) {
		mu.RLock()
		defer mu.RUnlock()
		token := fosite.AccessTokenFromRequest(r)
		if _, _, err := oauth.IntrospectToken(r.Context(), token, fosite.AccessToken, new(fosite.DefaultSession)); err != nil {
			w.Header().Set("WWW-Authenticate", `Bearer realm="api", error="invalid_token"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, `{"sub":"alice"}`)
	})
	s := newServer(t, "/token", mux)
	s.revoke, s.api = "/revoke", s.URL+"/api"
	s.login = func() provider.Token {
		t.Helper()
		status, answer := s.post("/token", url.Values{"grant_type": {"password"}, "username": {"alice"}, "password": {"wonderland"},
			"scope": {"read offline"}})
		value, _ := answer["access_token"].(string)
		refresh, _ := answer["refresh_token"].(string)
		if status != http.StatusOK || value == "" || refresh == "" {
			t.Fatalf("the login failed: %d %v", status, answer)
		}
		return provider.NewToken(value, time.Now().Add(life)).WithLifetime(life).WithRefreshToken(refresh)
	}
	return s
}

// What fosite makes of each way in which a client can prove who it is.
func TestFositeClientAuthentication(t *testing.T) {
	s := newFosite(t, time.Hour)
	basic := s.tokens()
	inBody := basic
	inBody.SecretInBody = true
	wrong := basic
	wrong.ClientSecret = provider.NewSecret(basic.ClientSecret.Value() + "x")
	public := provider.OAuth2{TokenURL: s.tokenURL, ClientID: "public"}
	for _, tt := range []struct {
		name   string
		tokens provider.OAuth2
		grant  string
		says   string // "" if it works
	}{
		{"Basic, client_credentials", basic, "client_credentials", ""},
		{"in the body, client_credentials", inBody, "client_credentials", ""},
		{"a wrong secret", wrong, "client_credentials", `"invalid_client"`},
		{"no secret", public, "client_credentials", `"invalid_grant"`},
		{"Basic, refresh_token", basic, "", ""},
		{"in the body, refresh_token", inBody, "", ""},
		{"another client's refresh token", public, "", `"invalid_grant"`},
	} {
		if tt.tokens.Grant = tt.grant; tt.grant == "" {
			tt.tokens.RefreshToken = provider.NewSecret(s.login().RefreshToken())
		}
		tt.tokens.Scopes = []string{"read"}
		token, err := tt.tokens.Token(t.Context(), provider.Token{})
		if tt.says != "" {
			if !provider.IsPermanent(err) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s: %v; want a permanent error that says %s", tt.name, err, tt.says)
			}
			continue
		}
		if err != nil || token.IsZero() || (token.RefreshToken() != "") != (tt.grant == "") || token.Lifetime() < time.Hour-time.Minute || token.Lifetime() > time.Hour {
			t.Errorf("%s: %v, lifetime %v", tt.name, err, token.Lifetime())
		}
		if scope := token.Extra("scope"); !strings.HasPrefix(scope, "read") || token.Extra("token_type") != "bearer" {
			t.Errorf("%s: the scope is %q, the type %q", tt.name, scope, token.Extra("token_type"))
		}
	}
}

// A client that can log in by itself survives the loss, and still never sends the spent refresh
// token again.
func TestFositeFallback(t *testing.T) {
	s := newFosite(t, time.Hour)
	tokens := s.tokens()
	tokens.Grant, tokens.Scopes, tokens.RefreshToken = "client_credentials", []string{"read"}, provider.NewSecret(s.login().RefreshToken())
	lost := false
	tokens.Client = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if lost {
			return http.DefaultTransport.RoundTrip(r)
		}
		lost = true
		return losing{http.DefaultTransport}.RoundTrip(r)
	})}
	c := s.client(tokens)
	for range 20 {
		if err := c.get(); err != nil {
			t.Fatal(err)
		}
	}
	if calls, reused := s.counts(); calls != 1 || reused != 0 || s.calls["client_credentials"] != 1 {
		t.Errorf("%d refreshes, %d with a spent refresh token, %d logins; want 1, 0 and 1", calls, reused, s.calls["client_credentials"])
	}
}

// The same through a store: the refresh token that is out of the game must not come back from
// there, and what else came with a token must.
func TestFositeFallbackShared(t *testing.T) {
	s := newFosite(t, time.Hour)
	tokens := s.tokens()
	tokens.Grant, tokens.Scopes = "client_credentials", []string{"read"}
	login, store := s.loggedIn(tokens)
	token, err := login.Token(t.Context(), provider.Token{})
	if err != nil {
		t.Fatal(err)
	}
	if token, err = login.Token(t.Context(), token); err != nil { // a refresh
		t.Fatal(err)
	}
	again, err := (&shared.Login{Provider: tokens, Store: store, Key: "alice"}).Token(t.Context(), provider.Token{})
	if err != nil || !again.Equal(token) || again.Extra("scope") != "read offline" {
		t.Errorf("another process: %v, the scope is %q", err, again.Extra("scope"))
	}
	if status, answer := s.post(s.revoke, url.Values{"token": {token.RefreshToken()}}); status != http.StatusOK {
		t.Fatalf("the revocation is answered with %d %v", status, answer)
	}
	for range 3 { // the first finds out, and the others know
		if token, err = login.Token(t.Context(), token); err != nil || token.RefreshToken() != "" || token.Extra("scope") != "read" {
			t.Fatalf("%v, a refresh token: %t, the scope is %q", err, token.RefreshToken() != "", token.Extra("scope"))
		}
	}
	if calls, _ := s.counts(); calls != 2 || s.calls["client_credentials"] != 3 {
		t.Errorf("%d refreshes, %d logins; want 2 and 3", calls, s.calls["client_credentials"])
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
