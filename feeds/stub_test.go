package feeds_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
)

// A stub is an API that answers what it is told to, and keeps the requests. The first request,
// which is the one that a session connects with, gets an empty object.
type stub struct {
	answer func(n int, req *http.Request) (status int, header http.Header, body string) // n counts from 1

	mu   sync.Mutex // guards the fields below
	reqs []*http.Request
	body []string
}

func (s *stub) RoundTrip(req *http.Request) (*http.Response, error) {
	body := ""
	if req.Body != nil {
		b, err := io.ReadAll(req.Body)
		req.Body.Close()
		if err != nil {
			return nil, err
		}
		body = string(b)
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	n := len(s.reqs)
	s.reqs, s.body = append(s.reqs, req.Clone(context.Background())), append(s.body, body)
	s.mu.Unlock()
	status, header, out := 200, http.Header{}, "{}"
	if n > 0 {
		status, header, out = s.answer(n, req)
	}
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(out)), Request: req}, nil
}

// last returns the last request and its body, and how many there were after the first.
func (s *stub) last() (*http.Request, string, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.reqs) - 1
	return s.reqs[n], s.body[n], n
}

// stubbed returns a session of alice's with the stub.
func stubbed(t *testing.T, s *stub, change ...func(*feeds.Client)) *feeds.Session {
	t.Helper()
	c := backend("key", "secret", s)
	for _, f := range change {
		f(c)
	}
	session, err := c.ConnectUser(t.Context(), feeds.User{ID: "alice"}, provider.Signer{Secret: provider.NewSecret("secret")}.For("alice"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	return session
}
