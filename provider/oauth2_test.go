package provider_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
)

const clientSecret = "zq9 foo&bar=ü+secret"

// A tokenRequest is what an OAuth 2.0 server has been asked.
type tokenRequest struct {
	user, pass string // by Basic, the form-encoding undone
	form       url.Values
}

// oauthServer answers what reply says, and keeps what it was asked.
type oauthServer struct {
	t     *testing.T
	asked []tokenRequest
	reply func(tokenRequest) (status int, body string)
}

func (s *oauthServer) client() *http.Client {
	return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		form, err := url.ParseQuery(string(body))
		if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" ||
			r.Header.Get("Accept") != "application/json" {
			s.t.Errorf("the request is %s %v %q, %v", r.Method, r.Header, body, err)
		}
		asked := tokenRequest{form: form}
		if user, pass, ok := r.BasicAuth(); ok {
			asked.user, _ = url.QueryUnescape(user)
			asked.pass, _ = url.QueryUnescape(pass)
		}
		s.asked = append(s.asked, asked)
		status, answer := s.reply(asked)
		return response(r, status, answer), nil
	})}
}

func always(status int, body string) func(tokenRequest) (int, string) {
	return func(tokenRequest) (int, string) { return status, body }
}

func TestOAuth2Request(t *testing.T) {
	const jwtBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	type form = url.Values
	tests := []struct {
		name       string
		ask        provider.OAuth2
		old        provider.Token
		user, pass string
		form       form
	}{
		{"Basic", provider.OAuth2{ClientID: "a:b c", ClientSecret: provider.NewSecret(clientSecret)}, withRefresh(), "a:b c", clientSecret,
			form{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}},
		{"in the body", provider.OAuth2{ClientID: "a:b c", ClientSecret: provider.NewSecret(clientSecret), SecretInBody: true}, withRefresh(), "", "",
			form{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "client_id": {"a:b c"}, "client_secret": {clientSecret}}},
		{"a public client", provider.OAuth2{ClientID: "tool"}, withRefresh(), "", "",
			form{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "client_id": {"tool"}}},
		{"no client", provider.OAuth2{SecretInBody: true}, withRefresh(), "", "",
			form{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}},
		{"the first refresh token", provider.OAuth2{RefreshToken: provider.NewSecret("first")}, provider.Token{}, "", "",
			form{"grant_type": {"refresh_token"}, "refresh_token": {"first"}}},
		{"a newer one", provider.OAuth2{RefreshToken: provider.NewSecret("first"), Grant: "client_credentials"}, withRefresh(), "", "",
			form{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}},
		{"an old token without one", provider.OAuth2{RefreshToken: provider.NewSecret("first")}, provider.NewToken("old", time.Time{}), "", "",
			form{"grant_type": {"refresh_token"}, "refresh_token": {"first"}}},
		{"a refresh asks for no scopes", provider.OAuth2{Scopes: []string{"a", "b"}}, withRefresh(), "", "",
			form{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}},
		{"client_credentials", provider.OAuth2{ClientID: "tool", ClientSecret: provider.NewSecret(clientSecret), Grant: "client_credentials", Scopes: []string{"a", "b"}},
			provider.Token{}, "tool", clientSecret, form{"grant_type": {"client_credentials"}, "scope": {"a b"}}},
		{"more parameters", provider.OAuth2{Grant: "client_credentials", Params: form{"audience": {"x"}, "resource": {"y", "z"}}},
			provider.Token{}, "", "", form{"grant_type": {"client_credentials"}, "audience": {"x"}, "resource": {"y", "z"}}},
		{"also of a refresh", provider.OAuth2{Params: form{"scope": {"a"}}}, withRefresh(), "", "",
			form{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "scope": {"a"}}},
		{"JWT bearer", provider.OAuth2{Grant: jwtBearer, Params: form{"scope": {"a"}}, Prepare: func(ctx context.Context, f url.Values) error {
			r, _ := provider.RejectionFrom(ctx)
			f.Set("assertion", fmt.Sprint(f.Get("grant_type") == jwtBearer, r.StatusCode))
			f.Set("scope", f.Get("scope")+" b")
			return nil
		}}, provider.Token{}, "", "", form{"grant_type": {jwtBearer}, "assertion": {"true 401"}, "scope": {"a b"}}},
	}
	for _, tt := range tests {
		srv := &oauthServer{t: t, reply: always(200, `{"access_token":"new"}`)}
		tt.ask.TokenURL, tt.ask.Client = "https://auth.example.com/token", srv.client()
		ctx := provider.WithRejection(t.Context(), provider.Rejection{StatusCode: 401})
		for range 2 { // and the second time nothing has changed
			token, err := tt.ask.Token(ctx, tt.old)
			if err != nil || token.Value() != "new" {
				t.Fatalf("%s: %v", tt.name, err)
			}
			if want := tt.form.Get("refresh_token"); token.RefreshToken() != want {
				t.Errorf("%s: the refresh token is %q, want %q", tt.name, token.RefreshToken(), want)
			}
		}
		for _, got := range srv.asked {
			if len(srv.asked) != 2 || got.user != tt.user || got.pass != tt.pass || !reflect.DeepEqual(got.form, tt.form) {
				t.Errorf("%s: %d requests, by %q %q, %v; want 2, by %q %q, %v", tt.name, len(srv.asked), got.user, got.pass, got.form,
					tt.user, tt.pass, tt.form)
			}
		}
	}
}

// The header on the wire: id and secret are form-encoded before they are joined (RFC 6749 section
// 2.3.1 and appendix B).
func TestOAuth2BasicIsFormEncoded(t *testing.T) {
	var user, pass string
	ask := provider.OAuth2{TokenURL: "https://bob:" + password + "@auth.example.com", ClientID: "a:b", ClientSecret: provider.NewSecret("foo&bar secret"),
		RefreshToken: provider.NewSecret(refresh), Client: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			user, pass, _ = r.BasicAuth()
			return response(r, 200, `{"access_token":"new"}`), nil
		})}}
	if _, err := ask.Token(t.Context(), provider.Token{}); err != nil || user != "a%3Ab" || pass != "foo%26bar+secret" {
		t.Errorf("user %q, password %q, %v", user, pass, err)
	}
}

func TestOAuth2Answer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := func(d time.Duration) time.Time { return time.Now().Add(d).Round(0) }
		for _, tt := range []struct {
			body     string
			expiry   time.Time
			lifetime time.Duration
			refresh  string
		}{
			{`{"access_token":"new","token_type":"bearer","expires_in":3600}`, at(time.Hour), time.Hour, refresh},
			{`{"access_token":"new","expires_in":"3600"}`, at(time.Hour), time.Hour, refresh},
			{`{"access_token":"new","expires_in":3600.0}`, at(time.Hour), time.Hour, refresh},
			{`{"access_token":"new","expires_in":0}`, time.Time{}, 0, refresh},
			{`{"access_token":"new","expires_in":null}`, time.Time{}, 0, refresh},
			{`{"access_token":"new"}`, time.Time{}, 0, refresh},
			{`{"ok":true,"access_token":"new","error":"","refresh_token":"next"}`, time.Time{}, 0, "next"},
			{`{"access_token":"new","error":"invalid_grant"}`, time.Time{}, 0, refresh}, // it holds a token all the same
		} {
			token, err := provider.OAuth2{TokenURL: "https://auth.example.com", Client: answering(200, tt.body)}.Token(t.Context(), withRefresh())
			if err != nil || token.Value() != "new" || !token.Expiry().Equal(tt.expiry) || token.Lifetime() != tt.lifetime || token.RefreshToken() != tt.refresh {
				t.Errorf("%s: %v, lifetime %v, refresh token %q, %v", tt.body, token.Expiry(), token.Lifetime(), token.RefreshToken(), err)
			}
		}
		ask := provider.OAuth2{TokenURL: "https://auth.example.com", Client: answering(200, `{"token":"new"}`)}
		if _, err := ask.Token(t.Context(), withRefresh()); !provider.IsPermanent(err) || !strings.Contains(err.Error(), "no token") {
			t.Errorf("HTTP's own form: %v", err)
		}
		ask.Decode = func(body []byte) (provider.Token, error) { return provider.NewToken(string(body), time.Time{}), nil }
		if token, err := ask.Token(t.Context(), withRefresh()); err != nil || token.Value() != `{"token":"new"}` || token.RefreshToken() != refresh {
			t.Errorf("decoded by hand: %v", err)
		}
	})
}

// What else the answer holds stays until a later answer says otherwise.
func TestExtras(t *testing.T) {
	var body string
	client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) { return response(r, 200, body), nil })}
	for name, ask := range map[string]provider.TokenProvider{
		"OAuth2": provider.OAuth2{TokenURL: "https://auth.example.com", RefreshToken: provider.NewSecret(refresh), Client: client},
		"HTTP":   provider.HTTP{URL: "https://auth.example.com", Session: provider.NewSecret(session), Client: client},
	} {
		var token provider.Token
		for _, step := range []struct {
			body string
			want map[string]string
		}{
			{`{"access_token":"a","refresh_token":"r","expires_in":9}`, nil},
			{`{"access_token":"a","token_type":"bearer","scope":"x y","id_token":"` + secretExtra + `","instance_url":"https://eu1.example.com",
				"issued_at":1278448384422, "team":{"id": "T1"}, "none":null}`,
				map[string]string{"token_type": "bearer", "scope": "x y", "id_token": secretExtra, "instance_url": "https://eu1.example.com",
					"issued_at": "1278448384422", "team": `{"id": "T1"}`}},
			{`{"access_token":"b","scope":"x","team":null}`, map[string]string{"token_type": "bearer", "scope": "x", "id_token": secretExtra,
				"instance_url": "https://eu1.example.com", "issued_at": "1278448384422", "team": `{"id": "T1"}`}},
		} {
			body = step.body
			next, err := ask.Token(t.Context(), token)
			if err != nil || !reflect.DeepEqual(next.Extras(), step.want) {
				t.Errorf("%s: after %s: %v, %v; want %v", name, step.body, next.Extras(), err, step.want)
			}
			token = next
		}
		// A server that has a new name for something each time doesn't fill the store.
		for i := range 10 {
			body = fmt.Sprintf(`{"access_token":"c","extra-%d":"%s"}`, i, strings.Repeat("x", 30<<10))
			next, err := ask.Token(t.Context(), token)
			if err != nil || next.Extra(fmt.Sprint("extra-", i)) == "" {
				t.Fatalf("%s: %v, and an extra is missing: %t", name, err, err == nil)
			}
			token = next
		}
		if data, _ := json.Marshal(token.Extras()); len(data) > 64<<10 {
			t.Errorf("%s: the extras have grown to %d KiB", name, len(data)>>10)
		}
	}
}

func TestOAuth2BadConfig(t *testing.T) {
	const good = "https://auth.example.com/token?k=" + query
	cause := errors.New("no key")
	prepare := func(err error) func(context.Context, url.Values) error {
		return func(context.Context, url.Values) error { return err }
	}
	tests := []struct {
		name      string
		ask       provider.OAuth2
		permanent bool
	}{
		{"no URL", provider.OAuth2{RefreshToken: provider.NewSecret(refresh)}, true},
		{"not a URL", provider.OAuth2{RefreshToken: provider.NewSecret(refresh), TokenURL: "https://bob:" + password + "@exa mple.com/%zz?k=" + query}, true},
		{"plain http", provider.OAuth2{RefreshToken: provider.NewSecret(refresh), TokenURL: "http://bob:" + password + "@example.com?k=" + query}, true},
		{"nothing to ask with", provider.OAuth2{TokenURL: good, ClientID: "tool", ClientSecret: provider.NewSecret(clientSecret)}, true},
		{"a secret without a client", provider.OAuth2{TokenURL: good, RefreshToken: provider.NewSecret(refresh), ClientSecret: provider.NewSecret(clientSecret)}, true},
		{"a grant that is none", provider.OAuth2{TokenURL: good, Grant: "refresh_token"}, true},
		{"grant_type twice", provider.OAuth2{TokenURL: good, RefreshToken: provider.NewSecret(refresh), Params: url.Values{"grant_type": {"password"}}}, true},
		{"refresh_token twice", provider.OAuth2{TokenURL: good, RefreshToken: provider.NewSecret(refresh), Params: url.Values{"refresh_token": {"x"}}}, true},
		{"client_id twice", provider.OAuth2{TokenURL: good, RefreshToken: provider.NewSecret(refresh), Params: url.Values{"client_id": {}}}, true},
		{"client_secret twice", provider.OAuth2{TokenURL: good, RefreshToken: provider.NewSecret(refresh), Params: url.Values{"client_secret": {"x"}}}, true},
		{"Prepare fails", provider.OAuth2{TokenURL: good, RefreshToken: provider.NewSecret(refresh), Prepare: prepare(cause)}, false},
		{"Prepare fails for good", provider.OAuth2{TokenURL: good, RefreshToken: provider.NewSecret(refresh), Grant: "x", Prepare: prepare(provider.Permanent(cause))}, true},
	}
	for _, tt := range tests {
		tt.ask.Client = &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			t.Errorf("%s: a request was made", tt.name)
			return nil, errors.New("made")
		})}
		_, err := tt.ask.Token(t.Context(), provider.Token{})
		if err == nil || provider.IsPermanent(err) != tt.permanent || tt.ask.Prepare != nil && !errors.Is(err, cause) {
			t.Errorf("%s: %v, want an error, permanent: %t", tt.name, err, tt.permanent)
		}
		harmless(t, err)
	}
}

func TestOAuth2NeverPrints(t *testing.T) {
	ask := provider.OAuth2{TokenURL: "https://auth.example.com", ClientSecret: provider.NewSecret(secretValue), RefreshToken: provider.NewSecret(secretRefresh),
		Params: url.Values{"assertion": {secretExtra}}}
	for _, v := range []any{ask, &ask, []provider.OAuth2{ask}, struct{ O provider.OAuth2 }{ask}, map[string]any{"o": &ask}} {
		for _, verb := range verbs {
			if verb == "p" || verb == "w" {
				continue // as documented: vet reports them
			}
			if got := fmt.Sprintf("%"+verb, v); leaks(got, secretValue, secretRefresh, secretExtra) != "" {
				t.Errorf("%%%s of a %T prints a secret: %s", verb, v, got)
			}
		}
		var log strings.Builder
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "o", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "o", v)
		data, err := json.Marshal(v)
		if got := log.String() + string(data); err != nil || leaks(got, secretValue, secretRefresh, secretExtra) != "" {
			t.Errorf("a %T shows a secret: %s, %v", v, got, err)
		}
	}
}
