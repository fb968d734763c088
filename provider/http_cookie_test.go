package provider_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider"
)

// A backend that keeps the refresh token out of the reach of scripts.
func TestHTTPRefreshTokenCookie(t *testing.T) {
	current, calls := 0, 0
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		body, _ := io.ReadAll(r.Body)
		cookies := r.CookiesNamed("refresh")
		if strings.Contains(string(body), "refresh_token") || len(cookies) > 1 {
			t.Errorf("the body is %s, the cookies are %v", body, r.Cookies())
		}
		switch {
		case strings.Contains(string(body), session):
		case len(cookies) == 0 || cookies[0].Value != fmt.Sprint("r", current):
			w.WriteHeader(401)
			return
		}
		current++
		http.SetCookie(w, &http.Cookie{Name: "other", Value: "x"})
		http.SetCookie(w, &http.Cookie{Name: "refresh", Value: fmt.Sprint("r", current), Path: "/token", HttpOnly: true, Secure: true,
			SameSite: http.SameSiteStrictMode})
		fmt.Fprintf(w, `{"token":"t%d","expires_in":60}`, current)
	}))
	defer srv.Close()
	client := srv.Client()
	client.Jar, _ = cookiejar.New(nil) // it has no part in this
	ask := provider.HTTP{URL: srv.URL + "/token", UserID: "alice", Session: provider.NewSecret(session), RefreshTokenCookie: "refresh", Client: client}
	token, err := ask.Token(t.Context(), provider.Token{})
	if err != nil || token.Value() != "t1" || token.RefreshToken() != "r1" {
		t.Fatalf("the login: %q, %v", token.RefreshToken(), err)
	}
	ask.Session = provider.Secret{} // from here on the cookie alone proves who asks
	for i := 2; i < 5; i++ {
		if token, err = ask.Token(t.Context(), token); err != nil || token.Value() != fmt.Sprint("t", i) || token.RefreshToken() != fmt.Sprint("r", i) {
			t.Fatalf("refresh %d: %q %q, %v", i, token.Value(), token.RefreshToken(), err)
		}
	}
	stale := token.WithRefreshToken("r1")
	if _, err := ask.Token(t.Context(), stale); !provider.IsPermanent(err) || calls != 5 {
		t.Errorf("a spent one: %v after %d calls, want a permanent error after 5", err, calls)
	}
	ask.Session = provider.NewSecret(session)
	if token, err = ask.Token(t.Context(), stale); err != nil || token.RefreshToken() != "r5" {
		t.Errorf("a spent one, with a session: %q, %v", token.RefreshToken(), err)
	}
}

func TestHTTPRefreshTokenCookieForms(t *testing.T) {
	for _, tt := range []struct {
		name, setCookie string
		old             string
		sent, want      string
	}{
		{"not mentioned", "", "r", "refresh=r", "r"},
		{"another", "other=x", "r", "refresh=r", "r"},
		{"replaced", "refresh=s", "r", "refresh=r", "s"},
		{"quoted", `refresh="s t"`, `"r s"`, `refresh="r s"`, `"s t"`},
		{"taken away", "refresh=; Max-Age=0", "r", "refresh=r", ""},
		{"taken away with something in it", "refresh=x; Max-Age=0", "r", "refresh=r", ""},
		{"the first", "refresh=s", "", "", "s"},
	} {
		var sent string
		client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			sent = r.Header.Get("Cookie")
			return response(r, 200, `{"token":"new"}`, "Set-Cookie", tt.setCookie), nil
		})}
		old := provider.NewToken("old", time.Time{}).WithRefreshToken(tt.old)
		token, err := provider.HTTP{URL: "https://example.com", UserID: "alice", RefreshTokenCookie: "refresh", Client: client}.Token(t.Context(), old)
		if err != nil || sent != tt.sent || token.RefreshToken() != tt.want {
			t.Errorf("%s: sent %q, got %q, %v; want %q, %q", tt.name, sent, token.RefreshToken(), err, tt.sent, tt.want)
		}
	}
	ask := provider.HTTP{URL: "https://example.com", RefreshTokenCookie: "refresh", Client: answering(200, `{"token":"new"}`)}
	for _, bad := range []string{"a;b", "a\nb", `a"b`} {
		if _, err := ask.Token(t.Context(), provider.Token{}.WithRefreshToken(bad)); !provider.IsPermanent(err) {
			t.Errorf("the refresh token %q: %v, want a permanent error", bad, err)
		}
	}
}

// A cookie is in the header and leaves before anybody reads the body.
func TestHTTPRefreshTokenCookieSent(t *testing.T) {
	broken := errors.New("broken")
	dial := func(conn func() (net.Conn, error)) http.RoundTripper {
		return &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return conn() }}
	}
	hangUp := func(bytes int64) http.RoundTripper {
		return dial(func() (net.Conn, error) {
			client, server := net.Pipe()
			go func() { // ends with the connection
				_, _ = io.CopyN(io.Discard, server, bytes)
				server.Close()
			}()
			return client, nil
		})
	}
	for _, tt := range []struct {
		name string
		base http.RoundTripper
		url  string
		want bool
	}{
		{"no connection", dial(func() (net.Conn, error) { return nil, syscall.ECONNREFUSED }), "http://localhost", temporary},
		{"no TLS", hangUp(10), "https://localhost", temporary},
		{"cut inside the header", hangUp(10), "http://localhost", permanent},
		{"in memory, and it doesn't say", roundTrip(func(*http.Request) (*http.Response, error) { return nil, broken }), "http://localhost", permanent},
		{"in memory, without a connection", roundTrip(func(*http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Err: broken}
		}), "http://localhost", temporary},
	} {
		ask := provider.HTTP{URL: tt.url, RefreshTokenCookie: "refresh", Client: &http.Client{Transport: tt.base}}
		if _, err := ask.Token(t.Context(), withRefresh()); err == nil || provider.IsPermanent(err) != tt.want {
			t.Errorf("%s: %v; want an error, permanent: %t", tt.name, err, tt.want)
		}
	}
}
