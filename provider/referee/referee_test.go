// Package referee_test runs this module's clients against authorization servers that others wrote:
// ory/fosite in the process itself, and npm's oidc-provider, which the OpenID Foundation has
// certified. What they say counts.
//
// oidc-provider needs Node.js 20 or later, npm, and a registry to install from, so it runs only if
// the environment variable INTEROP is set. With INTEROP=1 its tests skip, and say so, where
// something is missing; with INTEROP=require they fail then:
//
//	INTEROP=require go test -count=1 .
//
// The versions are pinned in oidc/package.json and package-lock.json. Nothing is installed outside
// a temporary directory.
package referee_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/transport"
)

// laws are what must hold with any server.
func laws() []law {
	return []law{
		{"processes", 2 * time.Second, testProcesses},
		{"revocation", time.Hour, testRevocation},
		{"theft", time.Hour, testTheft},
		{"lost answer", time.Hour, testLostAnswer},
		{"login anew", time.Hour, testLoginAnew},
	}
}

type law struct {
	name string
	life time.Duration // of the server's access tokens
	test func(*testing.T, *server)
}

func TestFosite(t *testing.T) {
	for _, l := range laws() {
		t.Run(l.name, func(t *testing.T) { l.test(t, newFosite(t, l.life)) })
	}
}

func TestOIDCProvider(t *testing.T) {
	dir := install(t)
	for _, l := range laws() {
		t.Run(l.name, func(t *testing.T) { l.test(t, newOIDCProvider(t, dir, l.life)) })
	}
}

// wantEnd fails the test unless err is what a caller gets whose login has ended, and says why.
func wantEnd(t *testing.T, err error, says string) {
	t.Helper()
	refresh, ok := errors.AsType[*transport.RefreshError](err)
	if !ok || !provider.IsPermanent(refresh) || !strings.Contains(err.Error(), says) {
		t.Errorf("%v; want a *transport.RefreshError that is permanent and says %q", err, says)
	}
}

// A login is revoked at the server: one call finds out, one clear error says so, to every process.
func testRevocation(t *testing.T, s *server) {
	login, store := s.loggedIn(s.tokens())
	c := s.client(login)
	if err := c.get(); err != nil {
		t.Fatal(err)
	}
	current, err := login.Token(t.Context(), provider.Token{})
	if err != nil {
		t.Fatal(err)
	}
	if status, answer := s.post(s.revoke, url.Values{"token": {current.RefreshToken()}}); status != http.StatusOK {
		t.Fatalf("the revocation is answered with %d %v", status, answer)
	}
	before, _ := s.counts()
	for range 20 {
		wantEnd(t, c.get(), `"invalid_grant"`)
	}
	other := s.client(&shared.Login{Provider: s.tokens(), Store: store, Key: "alice"})
	for range 20 {
		if err := other.get(); !provider.IsPermanent(err) {
			t.Errorf("another process: %v, want a permanent error", err)
		}
	}
	if after, _ := s.counts(); after != before+1 {
		t.Errorf("%d token calls after the revocation, want 1", after-before)
	}
}

// Somebody has copied the refresh token and used it. The server ends the login of both with the
// first use that comes after.
func testTheft(t *testing.T, s *server) {
	login, _ := s.loggedIn(s.tokens())
	c := s.client(login)
	if err := c.get(); err != nil {
		t.Fatal(err)
	}
	current, err := login.Token(t.Context(), provider.Token{})
	if err != nil {
		t.Fatal(err)
	}
	status, loot := s.spend(current.RefreshToken())
	if status != http.StatusOK {
		t.Fatalf("the theft failed: %d %v", status, loot)
	}
	before, _ := s.counts()
	c.transport.Reject(current) // where the access token outlives its refresh token, it would be a while until the next refresh
	for range 20 {
		wantEnd(t, c.get(), `"invalid_grant"`)
	}
	if after, reused := s.counts(); after != before+1 || reused != 1 {
		t.Errorf("%d token calls after the theft, %d of them with a spent refresh token; want 1 and 1", after-before, reused)
	}
	stolen, _ := loot["refresh_token"].(string)
	if status, _ := s.spend(stolen); status == http.StatusOK {
		t.Error("the thief is still logged in")
	}
}

// losing is a network that loses the answers of the token endpoint, once they are made.
type losing struct{ base http.RoundTripper }

func (l losing) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.base.RoundTrip(r)
	if err == nil {
		resp.Body.Close()
		err = io.ErrUnexpectedEOF
	}
	return nil, err
}

// The answer to a refresh is lost: the server has spent the refresh token, and a client that sends
// it again is taken for a thief.
func testLostAnswer(t *testing.T, s *server) {
	lossy := s.tokens()
	lossy.Client = &http.Client{Transport: losing{s.base()}}

	alone := lossy
	alone.RefreshToken = provider.NewSecret(s.login().RefreshToken())
	c := s.client(alone)
	for range 20 {
		wantEnd(t, c.get(), "may be spent")
	}
	if calls, reused := s.counts(); calls != 1 || reused != 0 {
		t.Errorf("alone: %d token calls, %d with a spent refresh token; want 1 and 0", calls, reused)
	}

	login, store := s.loggedIn(lossy)
	if err := login.Login(t.Context(), provider.Token{}.WithRefreshToken(s.login().RefreshToken())); err != nil {
		t.Fatal(err)
	}
	c = s.client(login)
	for range 20 {
		wantEnd(t, c.get(), "may be spent")
	}
	other := s.client(&shared.Login{Provider: s.tokens(), Store: store, Key: "alice"}) // another process, whose network works
	if err := other.get(); !provider.IsPermanent(err) {
		t.Errorf("another process: %v, want a permanent error", err)
	}
	if calls, reused := s.counts(); calls != 2 || reused != 0 {
		t.Errorf("shared: %d token calls, %d with a spent refresh token; want 1 and 0", calls-1, reused)
	}
}

// A login that has ended, and a person who logs in again: services that wait for it go on, and new
// processes begin.
func testLoginAnew(t *testing.T, s *server) {
	login, store := s.loggedIn(s.tokens())
	login.WaitForLogin = true
	c := s.client(login)
	if err := c.get(); err != nil {
		t.Fatal(err)
	}
	current, err := login.Token(t.Context(), provider.Token{})
	if err != nil {
		t.Fatal(err)
	}
	s.post(s.revoke, url.Values{"token": {current.RefreshToken()}})
	if _, err := login.Token(t.Context(), current); !errors.Is(err, shared.ErrEnded) || provider.IsPermanent(err) {
		t.Fatalf("%v; want an error that says that the login has ended, and waits for a new one", err)
	}
	if err := (&shared.Login{Provider: s.tokens(), Store: store, Key: "alice"}).Login(t.Context(), s.login()); err != nil {
		t.Fatal(err)
	}
	fresh := s.client(&shared.Login{Provider: s.tokens(), Store: store, Key: "alice"})
	if err := fresh.get(); err != nil {
		t.Errorf("a new process: %v", err)
	}
	if err := c.get(); err != nil {
		t.Errorf("the service that waited: %v", err)
	}

	// The same with the first refresh token in the configuration: a new one there is enough.
	tokens := s.tokens()
	tokens.RefreshToken = provider.NewSecret(s.login().RefreshToken())
	bob := &shared.Login{Provider: tokens, Store: store, Key: "bob"}
	first, err := bob.Token(t.Context(), provider.Token{})
	if err != nil {
		t.Fatal(err)
	}
	s.post(s.revoke, url.Values{"token": {first.RefreshToken()}})
	if _, err := bob.Token(t.Context(), first); !errors.Is(err, shared.ErrEnded) {
		t.Errorf("after the revocation: %v", err)
	}
	tokens.RefreshToken = provider.NewSecret(s.login().RefreshToken())
	if err := s.client(&shared.Login{Provider: tokens, Store: store, Key: "bob"}).get(); err != nil {
		t.Errorf("with a new refresh token in the configuration: %v", err)
	}
}
