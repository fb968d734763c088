package provider_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider"
)

// HTTP and Handler understand each other, wherever the session goes and whatever goes wrong.
func TestHTTPWithHandler(t *testing.T) {
	var refreshes []string
	down := false
	handler := &provider.Handler{
		Signer: provider.Signer{Secret: provider.NewSecret(apiSecret), Validity: time.Minute},
		Validate: func(r *http.Request) (string, error) {
			if down {
				return "", errors.New("the database is down")
			}
			request, err := provider.ReadTokenRequest(r)
			refreshes = append(refreshes, request.RefreshToken.Value())
			if err != nil {
				return "", err
			}
			return bySession(r)
		},
	}
	srv := httptest.NewServer(handler)
	defer srv.Close()

	for name, ask := range map[string]*provider.HTTP{
		"body":   {Session: provider.NewSecret(session)},
		"header": {Session: provider.NewSecret(session), SessionHeader: "X-Session"},
		"cookie": {Session: provider.NewSecret(session), SessionCookie: "session"},
	} {
		ask.URL, ask.Client = srv.URL, srv.Client()
		before := time.Now()
		token, err := ask.Token(t.Context(), provider.Token{})
		if err != nil {
			t.Errorf("session in the %s: %v", name, err)
			continue
		}
		verify(t, token.Value())
		if id := payloadOf(t, token.Value())["user_id"]; id != "alice" {
			t.Errorf("session in the %s: the token is %v's", name, id)
		}
		if left := token.Expiry().Sub(before); left < time.Minute || token.Lifetime() < time.Minute || token.Lifetime() > 61*time.Second {
			t.Errorf("session in the %s: %v left of %v", name, left, token.Lifetime())
		}
	}

	ask := provider.HTTP{URL: srv.URL, Session: provider.NewSecret(session), Client: srv.Client()}
	handler.Create = func(context.Context, string) (provider.Token, error) {
		return provider.NewToken("opaque", time.Now().Add(90*time.Second)).WithRefreshToken("next"), nil
	}
	refreshes = nil
	token, err := ask.Token(t.Context(), withRefresh())
	if err != nil || token.Value() != "opaque" || token.RefreshToken() != "next" || token.Lifetime() <= 0 || token.Lifetime() > 90*time.Second {
		t.Errorf("with a refresh token: %q, %v, %v", token.RefreshToken(), token.Lifetime(), err)
	}
	if len(refreshes) != 1 || refreshes[0] != refresh {
		t.Errorf("the backend saw the refresh tokens %q", refreshes)
	}

	ask.Session = provider.NewSecret("zq9-wrong")
	if _, err := ask.Token(t.Context(), provider.Token{}); !provider.IsPermanent(err) {
		t.Errorf("a wrong session: %v, want a permanent error", err)
	}
	ask.Session, down = provider.NewSecret(session), true
	_, err = ask.Token(t.Context(), withRefresh())
	if delay, _ := provider.RetryDelay(err); err == nil || provider.IsPermanent(err) || delay != 2*time.Second {
		t.Errorf("a backend that is down: %v, delay %v; want a temporary error, 2s", err, delay)
	}
	harmless(t, err)
	handler.Validate, down = nil, false
	if _, err := ask.Token(t.Context(), provider.Token{}); err == nil || provider.IsPermanent(err) {
		t.Errorf("a backend without Validate: %v, want a temporary error", err)
	}
}
