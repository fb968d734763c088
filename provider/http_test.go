package provider_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
)

const (
	session  = "zq9-session-secret"
	refresh  = "zq9-refresh-secret"
	query    = "zq9-query-secret"
	password = "zq9-url-password"
)

// roundTrip is a RoundTripper in memory.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answering returns a client whose every request, once it is read, gets the same answer.
func answering(status int, body string, header ...string) *http.Client {
	return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return nil, err
		}
		return response(r, status, body, header...), nil
	})}
}

func response(r *http.Request, status int, body string, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: h, Body: io.NopCloser(strings.NewReader(body)),
		ContentLength: int64(len(body)), Request: r}
}

func withRefresh() provider.Token {
	return provider.NewToken("old", time.Time{}).WithRefreshToken(refresh)
}

// harmless fails the test if err holds what no error may.
func harmless(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if !strings.HasPrefix(err.Error(), "provider: ") {
		t.Errorf("the error doesn't say where it comes from: %q", err)
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		if s := leaks(e.Error(), session, refresh, query, password); s != "" {
			t.Errorf("the error holds %s: %q", s, e)
		}
	}
}

func TestHTTPRequest(t *testing.T) {
	tests := []struct {
		name           string
		ask            provider.HTTP
		old            provider.Token
		body           string
		header, cookie string
	}{
		{"user alone", provider.HTTP{UserID: "alice"}, provider.Token{}, `{"user_id":"alice"}`, "", ""},
		{"session in the body", provider.HTTP{UserID: "alice", Session: provider.NewSecret(session)}, provider.Token{},
			`{"user_id":"alice","session":"` + session + `"}`, "", ""},
		{"session alone", provider.HTTP{Session: provider.NewSecret(session)}, provider.Token{}, `{"session":"` + session + `"}`, "", ""},
		{"session in a header", provider.HTTP{UserID: "alice", Session: provider.NewSecret(session), SessionHeader: "X-Session"}, provider.Token{},
			`{"user_id":"alice"}`, session, ""},
		{"session in a cookie", provider.HTTP{UserID: "alice", Session: provider.NewSecret(session), SessionCookie: "X-Session"}, provider.Token{},
			`{"user_id":"alice"}`, "", session},
		{"refresh token", provider.HTTP{UserID: "alice", Session: provider.NewSecret(session)}, withRefresh(),
			`{"user_id":"alice","session":"` + session + `","refresh_token":"` + refresh + `"}`, "", ""},
		{"refresh token alone", provider.HTTP{}, withRefresh(), `{"refresh_token":"` + refresh + `"}`, "", ""},
		{"old without refresh token", provider.HTTP{UserID: "alice"}, provider.NewToken("old", time.Time{}), `{"user_id":"alice"}`, "", ""},
		{"session in no header", provider.HTTP{UserID: "alice", SessionHeader: "X-Session"}, provider.Token{}, `{"user_id":"alice"}`, "", ""},
	}
	for _, tt := range tests {
		calls := 0
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls++
			body, _ := io.ReadAll(r.Body)
			cookie := ""
			if c, err := r.Cookie("X-Session"); err == nil {
				cookie = c.Value
			}
			if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || r.URL.RawQuery != "k="+query ||
				r.ContentLength != int64(len(body)) {
				t.Errorf("%s: the request is %s %s, %s, %d bytes", tt.name, r.Method, r.URL, r.Header, r.ContentLength)
			}
			if user, pass, _ := r.BasicAuth(); user != "bob" || pass != password {
				t.Errorf("%s: the URL's user came as %q %q", tt.name, user, pass)
			}
			if string(body) != tt.body || r.Header.Get("X-Session") != tt.header || cookie != tt.cookie {
				t.Errorf("%s: body %s, header %q, cookie %q; want %s, %q, %q", tt.name, body, r.Header.Get("X-Session"), cookie,
					tt.body, tt.header, tt.cookie)
			}
			io.WriteString(w, `{"token":"new"}`)
		}))
		tt.ask.URL = strings.Replace(srv.URL, "://", "://bob:"+password+"@", 1) + "/token?k=" + query
		token, err := tt.ask.Token(t.Context(), tt.old)
		srv.Close()
		if err != nil || token.Value() != "new" || calls != 1 {
			t.Errorf("%s: %d calls, %v", tt.name, calls, err)
		}
		if token.RefreshToken() != tt.old.RefreshToken() {
			t.Errorf("%s: the refresh token is lost", tt.name)
		}
	}
}

// One value serves any number of goroutines, which the race detector watches.
func TestHTTPConcurrent(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Refresh string `json:"refresh_token"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, `{"token":"for %s"}`, body.Refresh)
	}))
	defer srv.Close()
	ask := &provider.HTTP{URL: srv.URL, UserID: "alice", Client: srv.Client()}
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			secret := fmt.Sprint("secret ", i)
			token, err := ask.Token(t.Context(), provider.Token{}.WithRefreshToken(secret))
			if err != nil || token.Value() != "for "+secret || token.RefreshToken() != secret {
				t.Errorf("%s: got %q, %v", secret, token.Value(), err)
			}
		})
	}
	wg.Wait()
}

func TestHTTPLeavesTheClientAlone(t *testing.T) {
	asked := false
	client := answering(302, "", "Location", "https://example.com/elsewhere")
	client.CheckRedirect = func(*http.Request, []*http.Request) error { asked = true; return nil }
	ask := provider.HTTP{URL: "https://example.com", UserID: "alice", Client: client}
	if _, err := ask.Token(t.Context(), provider.Token{}); err == nil {
		t.Error("a redirect gives no error")
	}
	if asked {
		t.Error("the client's own CheckRedirect was asked")
	}
	if err := client.CheckRedirect(nil, nil); err != nil || !asked {
		t.Error("the client's CheckRedirect was changed")
	}
}

// The zero Client still has a limit, and a longer one where giving up costs the login.
func TestHTTPOwnClientGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := http.DefaultTransport
		defer func() { http.DefaultTransport = before }()
		http.DefaultTransport = roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		for _, tt := range []struct {
			old  provider.Token
			ask  provider.HTTP
			want time.Duration
		}{
			{provider.Token{}, provider.HTTP{}, 10 * time.Second},
			{withRefresh(), provider.HTTP{}, 30 * time.Second},
			{withRefresh(), provider.HTTP{RefreshTokenReusable: true}, 10 * time.Second},
		} {
			start := time.Now()
			tt.ask.URL, tt.ask.UserID = "https://example.com", "alice"
			_, err := tt.ask.Token(context.Background(), tt.old)
			if took := time.Since(start); took != tt.want || errors.Is(err, context.DeadlineExceeded) || provider.IsPermanent(err) {
				t.Errorf("%v after %v, want a temporary error after %v", err, took, tt.want)
			}
			harmless(t, err)
		}
	})
}
