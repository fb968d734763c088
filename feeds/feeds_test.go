package feeds_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
	"github.com/stayauth/stayauth/transport"
)

// start returns a test server in memory and a client of it, for a synctest bubble.
func start(t *testing.T, srv *testserver.Server) *feeds.Client {
	t.Helper()
	t.Cleanup(func() {
		if err := srv.Check(); err != nil {
			t.Error(err)
		}
		srv.Close()
	})
	return backend(testserver.DefaultKey, testserver.DefaultSecret, srv)
}

// backend returns a client that has a secret.
func backend(key, secret string, base http.RoundTripper) *feeds.Client {
	c, err := feeds.NewClient(key, secret)
	if err != nil {
		panic(err) // the key is empty
	}
	c.BaseURL, c.Base = "https://stream.test", base
	return c
}

// issuer is a token provider that asks the server directly.
func issuer(srv *testserver.Server, userID string) provider.TokenProvider {
	return provider.Func(func(context.Context) (string, error) { return srv.Issue(userID), nil })
}

// Everything that can be wrong with a login fails in ConnectUser, with a sentence that says what it
// is.
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
				if strings.Contains(err.Error(), testserver.DefaultSecret) || strings.Contains(err.Error(), "eyJ") {
					t.Errorf("the error holds a secret: %v", err)
				}
				if e, ok := errors.AsType[*feeds.Error](err); ok != (tt.code != 0) || ok && (e.Code != tt.code || e.StatusCode != 401 || e.RequestID == "") {
					t.Errorf("error %#v, want code %d", e, tt.code)
				}
			})
		})
	}
}

// A session outlives its tokens: an hour of expiries and revocations, and every call takes effect
// once.
func TestASessionOutlivesItsTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &testserver.Server{TTL: time.Minute}
		client := start(t, srv)
		s, err := client.ConnectUser(t.Context(), feeds.User{ID: "alice", Name: "Alice"}, issuer(srv, "alice"))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		const posters, rounds = 10, 60
		for round := range rounds {
			if round%7 == 0 {
				srv.Revoke("alice")
			}
			var wg sync.WaitGroup
			for i := range posters {
				wg.Go(func() {
					out, err := s.AddActivity(t.Context(), &feeds.AddActivityRequest{Type: "post", Feeds: []string{"user:alice"}, Text: fmt.Sprint(round, i)})
					if err != nil || out.Activity.Text != fmt.Sprint(round, i) || out.Activity.User.ID != "alice" || out.Activity.CreatedAt.IsZero() {
						t.Errorf("%+v, %v", out, err)
					}
				})
			}
			wg.Wait()
			time.Sleep(time.Minute)
		}
		n := 0
		for req := new(feeds.QueryActivitiesRequest); ; {
			req.Filter, req.Limit = map[string]any{"user_id": "alice"}, 100
			page, err := s.QueryActivities(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			n += len(page.Activities)
			if req.Next = page.Next; req.Next == "" {
				break
			}
		}
		if n != posters*rounds {
			t.Errorf("%d activities, want %d", n, posters*rounds)
		}
		feed, err := s.GetOrCreateFeed(t.Context(), "user", "alice", nil)
		if err != nil || feed.Created || feed.Feed.Feed != "user:alice" || len(feed.Activities) == 0 {
			t.Errorf("%+v, %v", feed, err)
		}
		l := srv.Ledger()
		if st := s.Stats(); st.Refreshed != int64(l.Issued) || st.NotReplayable != 0 {
			t.Errorf("%d tokens issued, stats %+v", l.Issued, st)
		}
	})
}

// A session never takes another user's token, whenever the provider brings one.
func TestATokenOfAnotherUserEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &testserver.Server{}
		client := start(t, srv)
		user := "alice"
		s, err := client.ConnectUser(t.Context(), feeds.User{ID: "alice"}, provider.Func(func(context.Context) (string, error) { return srv.Issue(user), nil }))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		user = "bob"
		srv.Revoke("alice")
		_, err = s.QueryActivities(t.Context(), nil)
		if !feeds.IsSessionOver(err) || !strings.Contains(err.Error(), `user "bob"`) {
			t.Errorf("error %v", err)
		}
	})
}

// Only code 40 refreshes: a permission error, another 401 and a rate limit are the call's own.
func TestOtherRefusalsAreTheCallsOwn(t *testing.T) {
	for _, f := range []testserver.Fault{{Status: 403, Code: 17}, {Status: 401, Code: 43}, {Status: 401, Code: 42}, {Status: 429, Code: 9}, {Status: 500}} {
		t.Run(fmt.Sprint(f.Status, f.Code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				broken := false
				srv := &testserver.Server{Fault: func(*http.Request) testserver.Fault {
					if broken {
						return f
					}
					return testserver.Fault{}
				}}
				client := start(t, srv)
				s, err := client.ConnectUser(t.Context(), feeds.User{ID: "alice"}, issuer(srv, "alice"))
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				broken = true
				_, err = s.QueryActivities(t.Context(), nil)
				if e, ok := errors.AsType[*feeds.Error](err); !ok || e.StatusCode != f.Status || feeds.IsSessionOver(err) ||
					e.Operation != "POST /api/v2/feeds/activities/query" {
					t.Errorf("error %v", err)
				}
				if st := s.Stats(); st.Refreshed != 1 || st.Rejected != 0 {
					t.Errorf("stats %+v", st)
				}
			})
		})
	}
}

func TestCloseEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &testserver.Server{}
		s, err := start(t, srv).ConnectUser(t.Context(), feeds.User{ID: "alice"}, issuer(srv, "alice"))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		_, err = s.AddActivity(t.Context(), &feeds.AddActivityRequest{Type: "post", Feeds: []string{"user:alice"}})
		if !errors.Is(err, transport.ErrClosed) || !feeds.IsSessionOver(err) {
			t.Errorf("error %v", err)
		}
	})
}

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
			// A session whose only token is refused is over; so each look at the token is a session
			// of its own.
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

// Neither a client nor a session shows the secret or a token, under any verb and in whatever struct
// they stand.
func TestClientAndSessionAreRedacted(t *testing.T) {
	c := backend("key", "hunter2", &stub{answer: func(int, *http.Request) (int, http.Header, string) { return 200, nil, `{}` }})
	s, err := c.ConnectServer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	alice, err := c.ConnectUser(t.Context(), feeds.User{ID: "alice"}, provider.Signer{Secret: provider.NewSecret("hunter2")}.For("alice"))
	if err != nil {
		t.Fatal(err)
	}
	defer alice.Close()
	type hidden struct {
		c  *feeds.Client
		v  feeds.Client
		s  *feeds.Session
		cs []*feeds.Client
		vs map[string]feeds.Client
		a  any
	}
	h := hidden{c, *c, s, []*feeds.Client{c}, map[string]feeds.Client{"a": *c}, *c}
	values := []any{c, *c, s, alice, h, &h, []any{h, *c, alice}, struct{ H *hidden }{&h}, struct{ a any }{&h}, struct{ s any }{alice}, (*feeds.Session)(nil)}
	for _, v := range values {
		var out strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p", "%w"} {
			fmt.Fprintf(&out, verb, v)
		}
		for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(handler).Info("", "v", v)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		out.Write(b)
		for _, secret := range []string{"hunter2", hex.EncodeToString([]byte("hunter2")), strings.ToUpper(hex.EncodeToString([]byte("hunter2"))), "eyJ"} {
			if strings.Contains(out.String(), secret) {
				t.Errorf("%T shows %s: %s", v, secret, &out)
			}
		}
	}
	if got := fmt.Sprint(c, alice); got != `feeds.Client{Key: "key", BaseURL: "https://stream.test"} feeds.Session{User: "alice"}` {
		t.Errorf("printed %s", got)
	}
}

// Path segments arrive as they were given, whatever is in them.
func TestPathsAreEscaped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &testserver.Server{}
		s, err := start(t, srv).ConnectUser(t.Context(), feeds.User{ID: "alice"}, issuer(srv, "alice"))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for _, id := range []string{"alice", "a b", "a/b", "a%2Fb", "ä", "..", ".", "a?b#c"} {
			out, err := s.GetOrCreateFeed(t.Context(), "user", id, nil)
			if err != nil || out.Feed.ID != id {
				t.Errorf("%q: %v, %v", id, out, err)
			}
		}
	})
}

func TestTimestamp(t *testing.T) {
	want := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	for in, zero := range map[string]bool{fmt.Sprint(want.UnixNano()): false, `"2026-01-02T03:04:05.000006Z"`: false, "null": true} {
		var got feeds.Timestamp
		if err := json.Unmarshal([]byte(in), &got); err != nil || zero != got.IsZero() || !zero && !got.Equal(want) {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{`"yesterday"`, `1.5`, `{}`, `true`} {
		var got feeds.Timestamp
		if err := json.Unmarshal([]byte(in), &got); err == nil {
			t.Errorf("%s: %v", in, got)
		}
	}
}
