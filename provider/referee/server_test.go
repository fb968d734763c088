package referee_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/filestore"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/transport"
)

const (
	clientID     = "tool:of alice & co"
	clientSecret = "foo&bar secret=+%:"
)

// A server is an authorization server and an API behind it, both made by others, and what is
// counted at their door.
type server struct {
	*httptest.Server
	t        *testing.T
	tokenURL string
	revoke   string // the path of the revocation endpoint
	api      string
	key      []byte                // for DPoP, if that is what the server wants
	login    func() provider.Token // a person's login: what a browser would bring

	mu    sync.Mutex
	calls map[string]int  // of the token endpoint, by grant type
	spent map[string]int  // by refresh token
	lives []time.Duration // of the access tokens that refreshes have brought, as the answers say
}

// newServer puts a counting door in front of next.
func newServer(t *testing.T, tokenPath string, next http.Handler) *server {
	s := &server{t: t, calls: make(map[string]int), spent: make(map[string]int)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == tokenPath {
			s.count(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	s.tokenURL = s.URL + tokenPath
	return s
}

func (s *server) count(w http.ResponseWriter, r *http.Request, next http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(body))
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := httptest.NewRecorder()
	next.ServeHTTP(answer, r)
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())

	var said struct {
		Error     string `json:"error"`
		ExpiresIn int    `json:"expires_in"`
	}
	_ = json.Unmarshal(answer.Body.Bytes(), &said)
	if said.Error == "use_dpop_nonce" {
		return // the server has not looked at the rest
	}
	s.calls[form.Get("grant_type")]++
	if token := form.Get("refresh_token"); token != "" {
		s.spent[token]++
		if answer.Code == http.StatusOK {
			s.lives = append(s.lives, time.Duration(said.ExpiresIn)*time.Second)
		}
	}
}

// counts returns how often the token endpoint was asked with a refresh token, and how often with
// one that it had seen before.
func (s *server) counts() (refreshes, reused int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.spent {
		refreshes += n
		reused += n - 1
	}
	return refreshes, reused
}

// base is what its clients send their requests through.
func (s *server) base() http.RoundTripper { return baseFor(s.key) }

func baseFor(key []byte) http.RoundTripper {
	if key == nil {
		return http.DefaultTransport
	}
	return newDPoP(key)
}

// post sends a form to the server by the test's own hand, as the client.
func (s *server) post(path string, form url.Values) (status int, answer map[string]any) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(clientID), url.QueryEscape(clientSecret))
	resp, err := s.base().RoundTrip(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	_ = json.NewDecoder(resp.Body).Decode(&answer) // a revocation is answered without a word
	return resp.StatusCode, answer
}

// spend uses a refresh token by the test's own hand.
func (s *server) spend(refreshToken string) (status int, answer map[string]any) {
	s.t.Helper()
	return s.post(strings.TrimPrefix(s.tokenURL, s.URL), url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}})
}

// tokens is what a user writes.
func (s *server) tokens() provider.OAuth2 { return tokensFor(s.tokenURL, s.key) }

func tokensFor(tokenURL string, key []byte) provider.OAuth2 {
	return provider.OAuth2{TokenURL: tokenURL, ClientID: clientID, ClientSecret: provider.NewSecret(clientSecret), Client: &http.Client{Transport: baseFor(key)}}
}

// loggedIn returns a shared login, and where it is stored.
func (s *server) loggedIn(tokens provider.OAuth2) (*shared.Login, *filestore.Store) {
	s.t.Helper()
	store := &filestore.Store{Dir: filepath.Join(s.t.TempDir(), "state")}
	login := &shared.Login{Provider: tokens, Store: store, Key: "alice"}
	if err := login.Login(s.t.Context(), s.login()); err != nil {
		s.t.Fatal(err)
	}
	return login, store
}

func (s *server) client(p provider.TokenProvider) *client {
	c := newClient(p, s.api, s.key)
	s.t.Cleanup(func() { _ = c.transport.Close() })
	return c
}

// A client is one program that is logged in.
type client struct {
	transport *transport.Transport
	api       string
}

func newClient(p provider.TokenProvider, api string, key []byte) *client {
	tr := &transport.Transport{Provider: p}
	if key != nil {
		tr.Base = newDPoP(key)
		tr.Authorize = func(r *http.Request, t provider.Token) { r.Header.Set("Authorization", "DPoP "+t.Value()) }
		tr.IsRejected = func(resp *http.Response) bool {
			said := provider.Rejection{Challenges: provider.ParseChallenges(resp.Header)}
			return resp.StatusCode == http.StatusUnauthorized && said.Param("DPoP", "error") == "invalid_token"
		}
	}
	return &client{tr, api}
}

// get makes a request and returns nil if it is answered with what it asked for.
func (c *client) get() error {
	resp, err := (&http.Client{Transport: c.transport}).Get(c.api)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK || string(body) != `{"sub":"alice"}` {
		return fmt.Errorf("status %d, %q, %v", resp.StatusCode, body, err)
	}
	return nil
}
