package feeds_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/testserver"
	"github.com/stayauth/stayauth/transport"
)

// The server token may do everything, so nothing of the server side leaves over plain http.
func TestServerTokensDoNotLeaveOverPlainHTTP(t *testing.T) {
	c := backend("key", "secret", roundTripper(func(req *http.Request) (*http.Response, error) {
		t.Errorf("%s %s was sent", req.Method, req.URL)
		return nil, errors.New("unreachable")
	}))
	c.BaseURL = "http://stream.test"
	ctx := t.Context()
	_, err1 := c.GetApp(ctx)
	_, err2 := c.UpdateUsers(ctx, nil)
	_, err3 := c.ConnectServer(ctx)
	for _, err := range []error{err1, err2, err3, c.RevokeUserToken(ctx, "alice", nil)} {
		if err == nil || !strings.Contains(err.Error(), "plain http") {
			t.Errorf("error %v", err)
		}
	}
}

// Everything that a backend does with its secret, and what it can't without.
func TestServerSide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &testserver.Server{}
		client := start(t, srv)
		ctx := t.Context()
		server, err := client.ConnectServer(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		if server.User().ID != "" {
			t.Errorf("user %+v", server.User())
		}
		out, err := server.AddActivity(ctx, &feeds.AddActivityRequest{UserID: "alice", Type: "post", Feeds: []string{"user:alice"}})
		if err != nil || out.Activity.User.ID != "alice" {
			t.Errorf("%+v, %v", out, err)
		}
		_, err = server.AddActivity(ctx, &feeds.AddActivityRequest{Type: "post", Feeds: []string{"user:alice"}})
		if e, ok := errors.AsType[*feeds.Error](err); !ok || e.Code != feeds.CodeBadInput {
			t.Errorf("without a UserID: %v", err)
		}
		// A server that reads for a user sees that user's own reactions.
		id := out.Activity.ID
		if _, err := server.AddActivityReaction(ctx, id, &feeds.AddActivityReactionRequest{Type: "like", UserID: "bob"}); err != nil {
			t.Error(err)
		}
		for user, want := range map[string]int{"": 0, "alice": 0, "bob": 1} {
			got, err := server.GetActivity(ctx, id, &feeds.GetActivityRequest{UserID: user})
			if err != nil || len(got.Activity.OwnReactions) != want {
				t.Errorf("for %q: %+v, %v; want %d own reactions", user, got, err, want)
			}
		}

		many := make(map[string]feeds.UserRequest)
		var ids []string
		for i := range 30 {
			ids = append(ids, fmt.Sprintf("user-%02d", i))
			many[ids[i]] = feeds.UserRequest{Name: "one of many", Role: "member"}
		}
		updated, err := client.UpdateUsers(ctx, &feeds.UpdateUsersRequest{Users: many})
		if err != nil || len(updated.Users) != 30 || updated.Users["user-07"].Role != "member" || updated.Users["user-07"].ID != "user-07" {
			t.Errorf("%+v, %v", updated, err)
		}
		page, err := client.QueryUsers(ctx, &feeds.QueryUsersRequest{FilterConditions: map[string]any{"role": "member"}, Limit: 7, Offset: 28})
		if err != nil || len(page.Users) != 2 {
			t.Errorf("%+v, %v", page, err)
		}

		cutoff := time.Now().Add(-time.Hour)
		if err := client.RevokeUsersTokens(ctx, ids, &cutoff); err != nil {
			t.Error(err)
		}
		seen := 0
		for u, err := range client.Users(ctx, &feeds.QueryUsersRequest{FilterConditions: map[string]any{"role": "member"}, Limit: 7}) {
			if err != nil || u.ID != ids[seen] || !u.RevokeTokensIssuedBefore.Equal(cutoff) {
				t.Errorf("%+v, %v", u, err)
			}
			seen++
		}
		if seen != 30 {
			t.Errorf("%d users", seen)
		}
		for _, undo := range []*time.Time{nil, new(time.Time)} {
			if err := client.RevokeUserToken(ctx, ids[3], &cutoff); err != nil {
				t.Error(err)
			}
			if err := client.RevokeUserToken(ctx, ids[3], undo); err != nil {
				t.Error(err)
			}
			page, err := client.QueryUsers(ctx, &feeds.QueryUsersRequest{FilterConditions: map[string]any{"id": ids[3]}})
			if err != nil || !page.Users[0].RevokeTokensIssuedBefore.IsZero() {
				t.Errorf("%+v, %v", page, err)
			}
			if err := client.RevokeTokens(ctx, &cutoff); err != nil {
				t.Error(err)
			}
			if app, err := client.GetApp(ctx); err != nil || !app.App.RevokeTokensIssuedBefore.Equal(cutoff) || app.App.Name == "" {
				t.Errorf("%+v, %v", app, err)
			}
			if err := client.RevokeTokens(ctx, undo); err != nil {
				t.Error(err)
			}
			if app, err := client.GetApp(ctx); err != nil || !app.App.RevokeTokensIssuedBefore.IsZero() || app.App.DisableAuthChecks {
				t.Errorf("%+v, %v", app, err)
			}
		}

		plain := &feeds.Client{Key: client.Key, BaseURL: client.BaseURL, Base: client.Base}
		_, err1 := plain.ConnectServer(ctx)
		_, err2 := plain.UpdateUsers(ctx, nil)
		_, err3 := plain.QueryUsers(ctx, nil)
		_, err4 := plain.GetApp(ctx)
		var err5 error
		for _, err5 = range plain.Users(ctx, nil) {
		}
		for _, err := range []error{err1, err2, err3, err4, err5, plain.RevokeUserToken(ctx, "alice", nil), plain.RevokeTokens(ctx, nil)} {
			if err == nil || !strings.Contains(err.Error(), "needs the API secret") {
				t.Errorf("error %v", err)
			}
		}
		wrong := backend(client.Key, "another", client.Base)
		if _, err := wrong.ConnectServer(ctx); err == nil || !strings.Contains(err.Error(), "signed with another secret") {
			t.Errorf("error %v", err)
		}
	})
}

// Nothing can replace a server token: an API that rejects it gets no second request, and the users'
// hooks hear nothing of it.
func TestAServerTokenIsNotRefreshed(t *testing.T) {
	api := &stub{answer: func(int, *http.Request) (int, http.Header, string) {
		return 401, nil, `{"code":40,"message":"expired"}`
	}}
	c := backend("key", "secret", api)
	c.Trace = &transport.Trace{RefreshStart: func(transport.RefreshStart) { t.Error("a refresh") }}
	s, err := c.ConnectServer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		_, err = s.QueryUsers(t.Context(), nil)
		if e, ok := err.(*feeds.Error); !ok || e.Code != feeds.CodeTokenExpired || feeds.IsSessionOver(err) {
			t.Errorf("error %v", err)
		}
		if _, _, requests := api.last(); requests != n+1 {
			t.Errorf("%d requests", requests)
		}
	}
}

// More users than one call takes are revoked by several calls.
func TestRevokeUsersTokensInBatches(t *testing.T) {
	api := &stub{answer: func(int, *http.Request) (int, http.Header, string) { return 200, nil, `{}` }}
	c := backend("key", "secret", api)
	ids := make([]string, 250)
	for i := range ids {
		ids[i] = fmt.Sprint(i)
	}
	if err := c.RevokeUsersTokens(t.Context(), ids, nil); err != nil {
		t.Fatal(err)
	}
	var sizes []int
	for _, b := range api.body {
		sizes = append(sizes, strings.Count(b, `"revoke_tokens_issued_before":null`))
	}
	if fmt.Sprint(sizes) != "[100 100 50]" {
		t.Errorf("batches of %v", sizes)
	}
	if err := c.RevokeUsersTokens(t.Context(), nil, nil); err != nil || len(api.body) != 3 {
		t.Errorf("none: %v, %d calls", err, len(api.body))
	}
	err := errors.Join(c.RevokeUserToken(t.Context(), "alice", new(time.Time)), c.RevokeTokens(t.Context(), new(time.Time)))
	if want := `{"revoke_tokens_issued_before":null}`; err != nil || api.body[3] != `{"users":[{"id":"alice","set":`+want+`}]}` || api.body[4] != want {
		t.Errorf("the zero time: %v, %s", err, api.body[3:])
	}
}

// A request that sets nothing is no silent success: it may have been meant to take a revocation
// back.
func TestUpdateAppWithNothing(t *testing.T) {
	api := &stub{answer: func(int, *http.Request) (int, http.Header, string) { return 200, nil, `{}` }}
	c := backend("key", "secret", api)
	for _, req := range []*feeds.UpdateAppRequest{nil, {}, {RevokeTokensIssuedBefore: nil}} {
		if err := c.UpdateApp(t.Context(), req); err == nil || !strings.Contains(err.Error(), "RevokeTokens(ctx, nil)") || len(api.reqs) != 0 {
			t.Errorf("%+v: %v", req, err)
		}
	}
	now, on := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), true
	err := c.UpdateApp(t.Context(), &feeds.UpdateAppRequest{RevokeTokensIssuedBefore: &now, DisableAuthChecks: &on, Set: map[string]any{"a": 1, "b": nil}})
	if want := `{"a":1,"b":null,"disable_auth_checks":true,"revoke_tokens_issued_before":"2026-01-02T03:04:05Z"}`; err != nil || api.body[0] != want {
		t.Errorf("%v, %s", err, api.body)
	}
}

// A user may change itself, and not its role.
func TestUsersChangeThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &testserver.Server{}
		s, err := start(t, srv).ConnectUser(t.Context(), feeds.User{ID: "alice"}, issuer(srv, "alice"))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		up, err := s.UpdateUsers(t.Context(), &feeds.UpdateUsersRequest{Users: map[string]feeds.UserRequest{"alice": {Name: "Alice"}}})
		if err != nil || up.Users["alice"].Name != "Alice" {
			t.Errorf("%+v, %v", up, err)
		}
		part, err := s.UpdateUsersPartial(t.Context(), &feeds.UpdateUsersPartialRequest{Users: []feeds.UpdateUserPartialRequest{{ID: "alice", Set: map[string]any{"mood": "good"}}}})
		if err != nil || part.Users["alice"].Custom["mood"] != "good" || part.Users["alice"].Name != "Alice" {
			t.Errorf("%+v, %v", part, err)
		}
		_, err = s.UpdateUsersPartial(t.Context(), &feeds.UpdateUsersPartialRequest{Users: []feeds.UpdateUserPartialRequest{{ID: "alice", Set: map[string]any{"role": "admin"}}}})
		if e, ok := errors.AsType[*feeds.Error](err); !ok || e.Code != feeds.CodeNotAllowed {
			t.Errorf("error %v", err)
		}
	})
}
