package feeds_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
)

// The server side revokes and takes it back, for one user and for the whole app, as Stream's
// documentation shows it.
func TestRevocationFromTheServerSide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &testserver.Server{}
		client := start(t, srv)
		token, err := client.CreateToken("alice", feeds.WithExpiration(10*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		s, err := client.ConnectUser(t.Context(), feeds.User{ID: "alice"}, provider.Static(token))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		works := func() error {
			// A session whose only token is rejected is over; so each look at the token is a
			// session of its own.
			s, err := client.ConnectUser(t.Context(), feeds.User{ID: "alice"}, provider.Static(token))
			if err == nil {
				s.Close()
			}
			return err
		}
		cutoff := time.Now().Add(time.Minute)
		steps := []struct {
			name string
			do   func() error
			ok   bool
		}{
			{"revoke the user", func() error {
				out, err := client.UpdateUsersPartial(t.Context(), &feeds.UpdateUsersPartialRequest{Users: []feeds.UpdateUserPartialRequest{
					{ID: "alice", Set: map[string]any{"revoke_tokens_issued_before": cutoff}}}})
				if err == nil && !out.Users["alice"].RevokeTokensIssuedBefore.Equal(cutoff) {
					t.Errorf("revoked before %v, want %v", out.Users["alice"].RevokeTokensIssuedBefore, cutoff)
				}
				return err
			}, false},
			{"undo", func() error {
				_, err := client.UpdateUsersPartial(t.Context(), &feeds.UpdateUsersPartialRequest{Users: []feeds.UpdateUserPartialRequest{
					{ID: "alice", Set: map[string]any{"revoke_tokens_issued_before": nil}}}})
				return err
			}, true},
			{"revoke the app", func() error {
				return client.UpdateApp(t.Context(), &feeds.UpdateAppRequest{RevokeTokensIssuedBefore: &cutoff})
			}, false},
			{"undo for the app", func() error {
				return client.UpdateApp(t.Context(), &feeds.UpdateAppRequest{RevokeTokensIssuedBefore: new(time.Time)})
			}, true},
		}
		for _, step := range steps {
			if err := step.do(); err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
			if err := works(); (err == nil) != step.ok {
				t.Errorf("after %q: %v", step.name, err)
			}
		}
		on := true
		if err := client.UpdateApp(t.Context(), &feeds.UpdateAppRequest{DisableAuthChecks: &on}); err != nil {
			t.Fatal(err)
		}
		dev, err := client.ConnectUser(t.Context(), feeds.User{ID: "ab?>"}, provider.Static(provider.DevToken("ab?>")))
		if err != nil {
			t.Fatalf("developer token: %v", err)
		}
		dev.Close()
	})
}

func TestServerSideWithoutASecret(t *testing.T) {
	client, err := feeds.NewClient("key", "")
	if err != nil {
		t.Fatal(err)
	}
	_, err1 := client.CreateToken("alice")
	_, err2 := client.UpdateUsersPartial(t.Context(), nil)
	err3 := client.UpdateApp(t.Context(), nil)
	for _, err := range []error{err1, err2, err3} {
		if err == nil || !strings.Contains(err.Error(), "needs the API secret") {
			t.Errorf("error %v", err)
		}
	}
	if _, err := feeds.NewClient("", "secret"); err == nil {
		t.Error("a client without a key")
	}
}
