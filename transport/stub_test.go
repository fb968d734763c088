package transport_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// A stub is an API and its token endpoint in one, without a network: as a TokenProvider it mints
// "t1", "t2", ..., and as a RoundTripper it accepts a minted token for as long as it lives and was
// not revoked. It answers everything else as RFC 6750 says.
type stub struct {
	life    time.Duration                       // of the tokens; 0: they never end, and say nothing of it
	delay   time.Duration                       // of a Token call
	latency time.Duration                       // of a request
	mint    func(n int) (provider.Token, error) // instead of minting; a zero Token and no error: mint
	serve   func(*http.Request) *http.Response  // instead of a judgement; nil: judge

	mu       sync.Mutex
	calls    int                  // of Token
	at       []time.Time          // when they came
	olds     []string             // what each call was to replace
	good     map[string]time.Time // accepted tokens and their ends
	requests int
	rejected int
	busy     int // Token calls under way
	mostBusy int
}

func (s *stub) Token(ctx context.Context, old provider.Token) (provider.Token, error) {
	s.mu.Lock()
	s.calls++
	n := s.calls
	s.at = append(s.at, time.Now())
	s.olds = append(s.olds, old.Value())
	s.busy++
	s.mostBusy = max(s.mostBusy, s.busy)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.busy--
		s.mu.Unlock()
	}()
	if s.delay > 0 {
		select {
		case <-time.After(s.delay):
		case <-ctx.Done():
			return provider.Token{}, ctx.Err()
		}
	}
	if s.mint != nil {
		if tok, err := s.mint(n); err != nil || !tok.IsZero() {
			return tok, err
		}
	}
	return s.issue(fmt.Sprintf("t%d", n)), nil
}

// issue makes value a good token from now on.
func (s *stub) issue(value string) provider.Token {
	var end time.Time
	if s.life != 0 {
		end = time.Now().Add(s.life)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.good == nil {
		s.good = make(map[string]time.Time)
	}
	s.good[value] = end
	return provider.NewToken(value, end)
}

// revoke ends all tokens.
func (s *stub) revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.good)
}

func (s *stub) accepts(req *http.Request) bool {
	value := strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	defer s.mu.Unlock()
	end, ok := s.good[value]
	return ok && (end.IsZero() || time.Now().Before(end))
}

func (s *stub) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		_, err := io.Copy(io.Discard, req.Body)
		if err := errors.Join(err, req.Body.Close()); err != nil {
			return nil, err
		}
	}
	ok := s.accepts(req)
	s.mu.Lock()
	s.requests++
	if !ok {
		s.rejected++
	}
	s.mu.Unlock()
	if s.latency > 0 {
		select {
		case <-time.After(s.latency):
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
	if s.serve != nil {
		if resp := s.serve(req); resp != nil {
			return resp, nil
		}
	}
	if !ok {
		return reject(req), nil
	}
	return respond(req, 200, "fine"), nil
}

func (s *stub) counts() (calls, requests, rejected int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls, s.requests, s.rejected
}

func respond(req *http.Request, status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: req,
	}
}

func reject(req *http.Request) *http.Response {
	resp := respond(req, 401, "the token has expired")
	resp.Header.Set("WWW-Authenticate", `Bearer realm="api", error="invalid_token", error_description="the token has expired"`)
	return resp
}

// A roundTripper is a function as Base.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// A tokenFunc is a function as a TokenProvider.
type tokenFunc func(ctx context.Context, old provider.Token) (provider.Token, error)

func (f tokenFunc) Token(ctx context.Context, old provider.Token) (provider.Token, error) {
	return f(ctx, old)
}

// through returns a Transport in front of s, closed at the end of the test.
func through(t *testing.T, s *stub) *transport.Transport {
	tr := &transport.Transport{Provider: s, Base: s}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return tr
}

// get sends a GET and returns its status. The body is read and closed.
func get(tr http.RoundTripper, ctx context.Context) (int, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", "https://api.example.com/", nil)
	if err != nil {
		return 0, err
	}
	return send(tr, req)
}

func send(tr http.RoundTripper, req *http.Request) (int, error) {
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, err
	}
	return resp.StatusCode, nil
}

// mustGet is get for a request that has to succeed.
func mustGet(t *testing.T, tr http.RoundTripper) {
	t.Helper()
	if status, err := get(tr, t.Context()); status != 200 || err != nil {
		t.Fatalf("GET: status %d, error %v; want 200", status, err)
	}
}

func (s *stub) want(t *testing.T, calls, requests, rejected int) {
	t.Helper()
	if c, q, r := s.counts(); c != calls || q != requests || r != rejected {
		t.Fatalf("%d provider calls, %d requests of which %d rejected; want %d, %d, %d", c, q, r, calls, requests, rejected)
	}
}

// jwtOf returns a JWT with the given claims and no true signature.
func jwtOf(n int, iat, exp time.Time) string {
	enc := base64.RawURLEncoding.EncodeToString
	// Rounded up, as a server that mints a token for a second would.
	ends := exp.Unix()
	if exp.Nanosecond() > 0 {
		ends++
	}
	return enc([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." +
		enc(fmt.Appendf(nil, `{"user_id":"u%d","iat":%d,"exp":%d}`, n, iat.Unix(), ends)) + "." + enc([]byte("signature"))
}

func returning(value string) tokenFunc {
	return func(context.Context, provider.Token) (provider.Token, error) {
		return provider.NewToken(value, time.Time{}), nil
	}
}

func goexit() { runtime.Goexit() }

func contains(s, sub string) bool { return strings.Contains(s, sub) }
