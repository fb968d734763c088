package provider_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/stayauth/stayauth/provider"
)

func TestHTTPBadConfig(t *testing.T) {
	const good = "https://example.com/token?k=" + query
	tests := map[string]provider.HTTP{
		"no URL":               {UserID: "alice"},
		"relative URL":         {UserID: "alice", URL: "/token?k=" + query},
		"URL without a host":   {UserID: "alice", URL: "https:///token?k=" + query},
		"URL with a port only": {UserID: "alice", URL: "https://:443/token?k=" + query},
		"URL without scheme":   {UserID: "alice", URL: "example.com/token?k=" + query},
		"another scheme":       {UserID: "alice", URL: "ftp://example.com/token?k=" + query},
		"not a URL":            {UserID: "alice", URL: "https://bob:" + password + "@exa mple.com/%zz?k=" + query},
		"nobody":               {URL: good},
		"two places":           {URL: good, Session: provider.NewSecret(session), SessionHeader: "a", SessionCookie: "b"},
		"line break in header": {URL: good, Session: provider.NewSecret(session + "\n"), SessionHeader: "a"},
		"bad header name":      {URL: good, Session: provider.NewSecret(session), SessionHeader: "a b"},
		"line break in cookie": {URL: good, Session: provider.NewSecret(session + "\n"), SessionCookie: "a"},
		"quote in cookie":      {URL: good, Session: provider.NewSecret(session + `"`), SessionCookie: "a"},
		"bad cookie name":      {URL: good, Session: provider.NewSecret(session), SessionCookie: "a b"},
		"user not UTF-8":       {URL: good, UserID: "alic\xe9"},
		"session not UTF-8":    {URL: good, UserID: "alice", Session: provider.NewSecret(session + "\xff")},
		"one cookie for both":  {URL: good, Session: provider.NewSecret(session), SessionCookie: "a", RefreshTokenCookie: "a"},
		"plain http":           {UserID: "alice", URL: "http://bob:" + password + "@example.com/token?k=" + query},
		"plain http, IP":       {UserID: "alice", URL: "http://192.0.2.1/token"},
		"not quite localhost":  {UserID: "alice", URL: "http://localhost.example.com/token"},
		"no dot before it":     {UserID: "alice", URL: "http://notlocalhost/token"},
		"not quite 127.0.0.1":  {UserID: "alice", URL: "http://127.0.0.1.example.com/token"},
		"any address":          {UserID: "alice", URL: "http://0.0.0.0/token"},
		"loopback as user":     {UserID: "alice", URL: "http://127.0.0.1@example.com/token"},
	}
	for name, ask := range tests {
		ask.Client = &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			t.Errorf("%s: a request was made", name)
			return nil, errors.New("made")
		})}
		_, err := ask.Token(t.Context(), provider.Token{})
		if !provider.IsPermanent(err) {
			t.Errorf("%s: %v, want a permanent error", name, err)
		}
		harmless(t, err)
	}
}

// What JSON can't carry would arrive as something else: another user's id, or anyone's session.
func TestHTTPNotUTF8(t *testing.T) {
	ask := provider.HTTP{URL: "https://example.com", UserID: "alice", Client: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if got := r.Header.Get("X-Session"); got != session+"\xff" {
			t.Errorf("a request was made, with the session %q", got)
		}
		return response(r, 200, `{"token":"new"}`), nil
	})}}
	if _, err := ask.Token(t.Context(), provider.Token{}.WithRefreshToken(refresh+"\xff")); !provider.IsPermanent(err) {
		t.Errorf("in a refresh token: %v, want a permanent error", err)
	}
	ask.Session, ask.SessionHeader = provider.NewSecret(session+"\xff"), "X-Session" // a header can
	if _, err := ask.Token(t.Context(), provider.Token{}); err != nil {
		t.Errorf("in a header: %v", err)
	}
}

func TestHTTPPlainHTTP(t *testing.T) {
	for _, ask := range []provider.HTTP{
		{URL: "http://127.0.0.1/token"},
		{URL: "http://127.8.9.10:8080/token"},
		{URL: "http://[::1]:8080/token"},
		{URL: "http://[::ffff:127.0.0.1]/token"},
		{URL: "http://localhost/token"},
		{URL: "HTTP://LocalHost:80/token"},
		{URL: "http://localhost./token"},
		{URL: "http://app.LocalHost:8080/token"},
		{URL: "http://example.com/token", AllowHTTP: true},
		{URL: "https://example.com/token"},
	} {
		ask.UserID, ask.Client = "alice", answering(200, `{"token":"new"}`)
		if _, err := ask.Token(t.Context(), provider.Token{}); err != nil {
			t.Errorf("%s: %v", ask.URL, err)
		}
	}
}
