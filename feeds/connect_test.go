package feeds_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
)

// Whatever is wrong with a login, ConnectUser fails, with an error that says what it is.
func TestConnectUserSaysWhatIsWrong(t *testing.T) {
	secret := provider.Signer{Secret: provider.NewSecret(testserver.DefaultSecret)}
	wrong := provider.Signer{Secret: provider.NewSecret("another secret")}
	down := errors.New("connection refused")
	tests := []struct {
		name     string
		user     string
		provider func(*testserver.Server) provider.TokenProvider
		change   func(*feeds.Client)
		offset   time.Duration
		want     string
		code     int
	}{
		{name: "no user id", user: "-", want: "User.ID is empty"},
		{name: "no provider", provider: func(*testserver.Server) provider.TokenProvider { return nil }, want: "token provider is nil"},
		{name: "no key", change: func(c *feeds.Client) { c.Key = "" }, want: "Client.Key is empty"},
		{name: "bad URL", change: func(c *feeds.Client) { c.BaseURL = "stream.test" }, want: "Client.BaseURL"},
		{name: "plain http", change: func(c *feeds.Client) { c.BaseURL = "http://stream.test" }, want: "plain http"},
		{name: "wrong key", change: func(c *feeds.Client) { c.Key = "nobody" }, want: "check Client.Key", code: feeds.CodeBadKey},
		{name: "wrong secret", provider: func(*testserver.Server) provider.TokenProvider { return wrong.For("alice") },
			want: "signed with another secret", code: feeds.CodeBadSignature},
		{name: "clock ahead", provider: func(*testserver.Server) provider.TokenProvider { return secret.For("alice") }, offset: -time.Hour,
			want: "clock of the machine that mints the tokens is ahead", code: feeds.CodeTokenFromFuture},
		{name: "clock behind", provider: func(*testserver.Server) provider.TokenProvider { return secret.For("alice") }, offset: 2 * time.Hour,
			want: "have already expired", code: feeds.CodeTokenExpired},
		{name: "another user", provider: func(*testserver.Server) provider.TokenProvider { return secret.For("bob") },
			want: `minted for user "bob", and the session belongs to "alice"`},
		{name: "server token", provider: func(*testserver.Server) provider.TokenProvider {
			return provider.Func(func(context.Context) (string, error) { return secret.ServerToken() })
		}, want: "it is a server token"},
		{name: "no JWT", provider: func(*testserver.Server) provider.TokenProvider { return provider.Static("hello") }, want: "no token of Stream's"},
		{name: "no token", provider: func(*testserver.Server) provider.TokenProvider { return provider.Static("") }, want: "token provider"},
		{name: "provider denied", provider: func(*testserver.Server) provider.TokenProvider {
			return provider.Func(func(context.Context) (string, error) { return "", provider.Permanent(down) })
		}, want: "the token provider: transport: no token, and asking again won't help: connection refused"},
		{name: "developer token", provider: func(*testserver.Server) provider.TokenProvider { return provider.Static(provider.DevToken("alice")) },
			want: "signed with another secret", code: feeds.CodeBadSignature},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := &testserver.Server{ClockOffset: tt.offset}
				client := start(t, srv)
				if tt.change != nil {
					tt.change(client)
				}
				p := issuer(srv, "alice")
				if tt.provider != nil {
					p = tt.provider(srv)
				}
				user := feeds.User{ID: "alice"}
				if tt.user == "-" {
					user.ID = ""
				}
				s, err := client.ConnectUser(t.Context(), user, p)
				if err == nil || s != nil || !strings.HasPrefix(err.Error(), "feeds: ") || !strings.Contains(err.Error(), tt.want) {
					t.Fatalf("error %v, want one with %q", err, tt.want)
				}
				if strings.Contains(err.Error(), testserver.DefaultSecret) || strings.Contains(err.Error(), "eyJhbGciOi") {
					t.Errorf("the error holds a secret: %v", err)
				}
				if e, ok := errors.AsType[*feeds.Error](err); ok != (tt.code != 0) || ok && (e.Code != tt.code || e.StatusCode != 401 || e.RequestID == "") {
					t.Errorf("error %#v, want code %d", e, tt.code)
				}
			})
		})
	}
}
