package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// An api takes the tokens from "token-<first>" on and rejects older ones. It keeps what arrived.
type api struct {
	first  int
	reject func(http.ResponseWriter) // answers a request under an older token
	serve  http.HandlerFunc          // answers the others; nil: with 200

	mu      sync.Mutex // guards the fields below
	arrived []*http.Request
	bodies  []string
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var n int
	_, err := fmt.Sscanf(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), "token-%d", &n)
	ok := err == nil && n >= a.first
	var body []byte
	if a.serve == nil || !ok {
		body, _ = io.ReadAll(r.Body)
	}
	a.mu.Lock()
	a.arrived, a.bodies = append(a.arrived, r), append(a.bodies, string(body))
	a.mu.Unlock()
	switch {
	case !ok:
		a.reject(w)
	case a.serve != nil:
		a.serve(w, r)
	default:
		_, _ = io.WriteString(w, "welcome")
	}
}

func bearer401(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	w.WriteHeader(401)
	_, _ = io.WriteString(w, "what token is this?")
}

// counted provides token-1, token-2, and so on.
func counted() provider.TokenProvider {
	n := 0 // one call at a time
	return provider.Func(func(context.Context) (string, error) {
		n++
		return fmt.Sprint("token-", n), nil
	})
}

// A fixture is a proxy before an API.
type fixture struct {
	url    string
	target *url.URL
	tr     *transport.Transport
	logged syncBuffer
}

// start starts both. The path is that of the API's URL.
func start(t *testing.T, a http.Handler, path string, tr *transport.Transport) *fixture {
	t.Helper()
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	target, err := parseTarget(server.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{target: target, tr: tr}
	log := slog.New(slog.NewTextHandler(&f.logged, nil))
	base := upstream()
	t.Cleanup(base.CloseIdleConnections)
	tr.Base, tr.Logger, tr.Origins = base, log, []string{server.URL}
	proxy := httptest.NewServer(guard{next: newProxy(target, tr, log), log: log})
	t.Cleanup(proxy.Close)
	f.url = proxy.URL
	return f
}

// syncBuffer is a bytes.Buffer for several goroutines.
type syncBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func do(t *testing.T, req *http.Request) (status int, body string) {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(req) // no redirects
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

func newRequest(t *testing.T, method, url, body string) *http.Request {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, r)
	if err != nil {
		t.Fatal(err)
	}
	return req
}
