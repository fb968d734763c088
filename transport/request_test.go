package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// Guarantee 12: the caller's request stays as it was, its body is closed on every path, and the
// responses name it.
func TestG12_TheCallersRequest(t *testing.T) {
	fails := errors.New("no network")
	tests := []struct {
		name    string
		prepare func(t *testing.T, tr *transport.Transport, s *stub) context.Context
		ok      bool
	}{
		{"accepted", func(t *testing.T, tr *transport.Transport, s *stub) context.Context { return t.Context() }, true},
		{"replayed", func(t *testing.T, tr *transport.Transport, s *stub) context.Context {
			mustGet(t, tr)
			s.revoke()
			return t.Context()
		}, true},
		{"closed", func(t *testing.T, tr *transport.Transport, s *stub) context.Context { tr.Close(); return t.Context() }, false},
		{"no token", func(t *testing.T, tr *transport.Transport, s *stub) context.Context {
			s.mint = func(int) (provider.Token, error) { return provider.Token{}, provider.Permanent(fails) }
			return t.Context()
		}, false},
		{"cancelled", func(t *testing.T, tr *transport.Transport, s *stub) context.Context {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			return ctx
		}, false},
		{"without a token", func(t *testing.T, tr *transport.Transport, s *stub) context.Context {
			s.serve = func(req *http.Request) *http.Response { return respond(req, 200, "") }
			return transport.WithoutToken(t.Context())
		}, true},
		{"misconfigured", func(t *testing.T, tr *transport.Transport, s *stub) context.Context {
			tr.Origins = []string{"api.example.com"}
			return t.Context()
		}, false},
		{"plain http", func(t *testing.T, tr *transport.Transport, s *stub) context.Context {
			tr.Origins = []string{"https://api.example.com", "http://api.example.com"}
			return t.Context()
		}, false},
	}
	for _, tt := range tests {
		for _, known := range []int64{12, -1} {
			t.Run(fmt.Sprintf("%s, length %d", tt.name, known), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := &stub{}
					tr := through(t, s)
					ctx := tt.prepare(t, tr, s)
					body := &watched{Reader: strings.NewReader("hello, world")}
					req, _ := http.NewRequestWithContext(ctx, "POST", "https://api.example.com/x?y=z", body)
					req.ContentLength = known
					req.Header.Set("Authorization", "Bearer mine")
					req.Header.Set("X-Other", "kept")
					was := fmt.Sprintf("%v %v %v %v %p", req.Method, req.URL, req.Header, req.ContentLength, req.Body)
					resp, err := tr.RoundTrip(req)
					if (err == nil) != tt.ok {
						t.Fatalf("error %v", err)
					}
					if is := fmt.Sprintf("%v %v %v %v %p", req.Method, req.URL, req.Header, req.ContentLength, req.Body); is != was {
						t.Errorf("the request was %s and is %s", was, is)
					}
					if body.closes.Load() != 1 {
						t.Errorf("the body was closed %d times", body.closes.Load())
					}
					if err == nil && resp.Request != req {
						t.Error("Response.Request is another request")
					}
				})
			})
		}
	}
}

// Guarantee 12: the classifier sees the caller's request and may do with the body what it likes.
func TestG12_WhatTheClassifierSees(t *testing.T) {
	for name, read := range map[string]func(*http.Response){
		"nothing":  func(*http.Response) {},
		"a little": func(r *http.Response) { _, _ = r.Body.Read(make([]byte, 3)) },
		"all":      func(r *http.Response) { _, _ = io.ReadAll(r.Body) },
		"closes":   func(r *http.Response) { _, _ = io.ReadAll(r.Body); r.Body.Close() },
		"replaces": func(r *http.Response) { r.Body = http.NoBody },
	} {
		for _, rejected := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, rejected %t", name, rejected), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					long := strings.Repeat("x", 200<<10)
					var req *http.Request
					seen := 0
					s := &stub{serve: func(r *http.Request) *http.Response { return respond(r, 401, long) }}
					tr := through(t, s)
					tr.IsRejected = func(resp *http.Response) bool {
						if resp.Request != req {
							t.Error("the classifier sees another request")
						}
						if seen == 0 {
							probe, _ := io.ReadAll(resp.Body)
							if len(probe) != 64<<10 {
								t.Errorf("the classifier can read %d bytes", len(probe))
							}
						}
						seen++
						read(resp)
						return rejected
					}
					req, _ = http.NewRequest("GET", "https://api.example.com/", nil)
					resp, err := tr.RoundTrip(req)
					if err != nil || resp.StatusCode != 401 {
						t.Fatalf("%v, %v", resp, err)
					}
					b, err := io.ReadAll(resp.Body)
					if err != nil || !strings.HasPrefix(long, string(b)) || len(b) < 64<<10 || !rejected && len(b) != len(long) {
						t.Errorf("%d bytes are left, %v", len(b), err)
					}
					if resp.ContentLength != int64(len(b)) {
						t.Errorf("ContentLength %d for %d bytes", resp.ContentLength, len(b))
					}
				})
			})
		}
	}
}

// Guarantee 12: the rejected response's connection is free before any request waits, or a limit of
// one connection is a deadlock.
func TestG12_OneConnectionIsEnough(t *testing.T) {
	s := &stub{}
	var tokens atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token":
			fmt.Fprint(w, s.issue(fmt.Sprint("t", tokens.Add(1))).Value())
		case !s.accepts(r):
			w.Header().Set("WWW-Authenticate", "Bearer")
			w.WriteHeader(401)
			_, _ = w.Write(make([]byte, 10_000))
		}
	}))
	defer srv.Close()
	base := srv.Client().Transport.(*http.Transport)
	base.MaxConnsPerHost = 1
	own := &http.Client{Transport: base}
	tr := &transport.Transport{Base: base, Provider: provider.Func(func(ctx context.Context) (string, error) {
		req, _ := http.NewRequestWithContext(ctx, "GET", srv.URL+"/token", nil)
		resp, err := own.Do(req)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return string(b), err
	})}
	defer tr.Close()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 5 {
				req, _ := http.NewRequestWithContext(t.Context(), "GET", srv.URL, nil)
				if status, err := send(tr, req); status != 200 || err != nil {
					t.Errorf("%d, %v", status, err)
				}
			}
		})
	}
	s.revoke()
	wg.Wait()
}

// Guarantee 12: a classifier that panics loses no connection.
func TestG12_AClassifierThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := &watched{Reader: strings.NewReader("x")}
		s := &stub{serve: func(req *http.Request) *http.Response {
			resp := reject(req)
			resp.Body = body
			return resp
		}}
		tr := through(t, s)
		tr.IsRejected = func(*http.Response) bool { panic("classifier") }
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic is gone")
				}
			}()
			_, _ = get(tr, t.Context())
		}()
		if body.closes.Load() != 1 {
			t.Error("the response's body is open")
		}
	})
}

// A Base may answer without any header.
func TestG12_NoHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &transport.Transport{Provider: returning("t"), IsRejected: transport.Any401, Base: roundTripper(func(req *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 401, Body: io.NopCloser(&zeros{100 << 10}), ContentLength: 100 << 10}, nil
		})}
		defer tr.Close()
		if status, err := get(tr, t.Context()); status != 401 || err != nil {
			t.Errorf("%d, %v", status, err)
		}
	})
}

// closedOnce is a body that does not bear a second Close, which io.Closer leaves undefined.
type closedOnce chan struct{}

func (c closedOnce) Read([]byte) (int, error) { <-c; return 0, io.ErrClosedPipe }

func (c closedOnce) Close() error { close(c); return nil }

// Guarantee 12: a response that is given up on is closed once.
func TestG12_ClosedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := true
		s := &stub{serve: func(r *http.Request) *http.Response {
			if !first {
				return nil
			}
			first = false
			resp := reject(r)
			resp.Body = closedOnce(make(chan struct{}))
			return resp
		}}
		tr := through(t, s)
		mustGet(t, tr)
	})
}
