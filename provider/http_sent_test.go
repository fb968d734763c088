package provider_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
)

// A failure before the body is read can't have spent the secret; any other may have.
func TestHTTPNothingSent(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	dial := func(serve func(net.Conn)) http.RoundTripper {
		return &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go func() { // ends with serve
				defer server.Close()
				serve(server)
			}()
			return client, nil
		}}
	}
	tests := []struct {
		name string
		base http.RoundTripper
		url  string
		want bool
	}{
		{"dial refused", &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, refused }},
			"http://localhost", temporary},
		{"no TLS", dial(func(c net.Conn) { _, _ = c.Read(make([]byte, 10)) }), "https://localhost", temporary},
		{"cut inside the header", dial(func(c net.Conn) { _, _ = io.ReadFull(c, make([]byte, 5000)) }), "http://localhost", temporary},
		{"cut after the request", dial(func(c net.Conn) { readUntil(c, `"}`) }), "http://localhost", permanent},
		{"cut inside the body", dial(func(c net.Conn) { readUntil(c, `{"user`) }), "http://localhost", permanent},
		{"in memory, unread", roundTrip(func(*http.Request) (*http.Response, error) { return nil, refused }), "http://localhost", temporary},
		{"a client inside", roundTrip(func(*http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("inside: %w", &url.Error{Op: "Post", URL: "http://localhost?k=" + query, Err: refused})
		}), "http://localhost", temporary},
		{"in memory, one byte read", roundTrip(func(r *http.Request) (*http.Response, error) {
			_, _ = r.Body.Read(make([]byte, 1))
			return nil, refused
		}), "http://localhost", permanent},
		{"in memory, copied", roundTrip(func(r *http.Request) (*http.Response, error) {
			_, _ = io.Copy(io.Discard, r.Body)
			return nil, refused
		}), "http://localhost", permanent},
		{"in memory, another reader", roundTrip(func(r *http.Request) (*http.Response, error) {
			body, _ := r.GetBody()
			_, _ = io.Copy(io.Discard, body)
			return nil, refused
		}), "http://localhost", permanent},
		{"in memory, reader not read", roundTrip(func(r *http.Request) (*http.Response, error) {
			_, _ = r.GetBody()
			_ = r.Body.Close()
			return nil, refused
		}), "http://localhost", temporary},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			ask := provider.HTTP{URL: tt.url + "?k=" + query, UserID: "alice", SessionHeader: "X-Session",
				Session: provider.NewSecret(session + strings.Repeat("x", 8000)), Client: &http.Client{Transport: tt.base}}
			if _, err := ask.Token(t.Context(), withRefresh()); err == nil || provider.IsPermanent(err) != tt.want {
				t.Errorf("%s: %v; want an error, permanent: %t", tt.name, err, tt.want)
			} else {
				harmless(t, err)
				if in := !strings.Contains(tt.name, "cut") && tt.name != "no TLS"; in && (!errors.Is(err, syscall.ECONNREFUSED) ||
					!strings.Contains(err.Error(), "connection refused")) {
					t.Errorf("%s: %v, which hides that the connection was refused", tt.name, err)
				}
			}
			// Nothing is single-use about a session, or a secret that is said to be reusable.
			if _, err := ask.Token(t.Context(), provider.Token{}); err == nil || provider.IsPermanent(err) {
				t.Errorf("%s: %v; want a temporary error", tt.name, err)
			}
			ask.RefreshTokenReusable = true
			if _, err := ask.Token(t.Context(), withRefresh()); err == nil || provider.IsPermanent(err) {
				t.Errorf("%s: %v; want a temporary error", tt.name, err)
			}
		})
	}
}

// readUntil reads from c to the end of s, or as far as there is something to read.
func readUntil(c net.Conn, s string) {
	var got bytes.Buffer
	for !strings.Contains(got.String(), s) {
		if _, err := io.CopyN(&got, c, 1); err != nil {
			return
		}
	}
}

// Once the verdict is that nothing was sent, a RoundTripper that is slow to give up can't send it
// any more.
func TestHTTPSealsTheBody(t *testing.T) {
	var body, another io.ReadCloser
	ask := provider.HTTP{URL: "https://example.com", UserID: "alice", Client: &http.Client{
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			body = r.Body
			another, _ = r.GetBody()
			return nil, errors.New("gave up")
		})}}
	if _, err := ask.Token(t.Context(), withRefresh()); err == nil || provider.IsPermanent(err) {
		t.Errorf("%v, want a temporary error", err)
	}
	for _, r := range []io.Reader{body, another} {
		if data, err := io.ReadAll(r); err == nil || len(data) != 0 {
			t.Errorf("afterwards the body can still be read: %q, %v", data, err)
		}
	}
}

// The caller's own end of waiting is his, ours is not: he must be able to tell them apart.
func TestHTTPTimeLimits(t *testing.T) {
	cause := errors.New("the refresh was called off")
	slow := roundTrip(func(r *http.Request) (*http.Response, error) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		return nil, context.Cause(r.Context())
	})
	slowBody := roundTrip(func(r *http.Request) (*http.Response, error) {
		_, _ = io.Copy(io.Discard, r.Body)
		resp := response(r, 200, "")
		resp.Body = io.NopCloser(readFunc(func([]byte) (int, error) {
			<-r.Context().Done()
			return 0, context.Cause(r.Context())
		}))
		return resp, nil
	})
	dialTimeout := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: context.DeadlineExceeded} // a time limit of the dialer's own
	}}
	for _, base := range []struct {
		name string
		http.RoundTripper
		sent bool
	}{{"no answer", slow, true}, {"half an answer", slowBody, true}, {"no connection", dialTimeout, false}} {
		synctest.Test(t, func(t *testing.T) {
			ask := provider.HTTP{URL: "http://localhost", UserID: "alice", Client: &http.Client{Transport: base, Timeout: 5 * time.Second}}
			for _, old := range []provider.Token{{}, withRefresh()} {
				start := time.Now()
				_, err := ask.Token(t.Context(), old)
				if err == nil || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
					!strings.Contains(err.Error(), "time limit") {
					t.Errorf("%s, client's limit: %v", base.name, err)
				}
				if lost := base.sent && old.RefreshToken() != ""; provider.IsPermanent(err) != lost {
					t.Errorf("%s, client's limit: permanent: %t, want %t", base.name, !lost, lost)
				}
				if took := time.Since(start); base.sent && took != 5*time.Second {
					t.Errorf("%s took %v, want 5s", base.name, took)
				}
			}
			if !base.sent {
				return
			}

			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := ask.Token(ctx, provider.Token{}); !errors.Is(err, context.DeadlineExceeded) || provider.IsPermanent(err) {
				t.Errorf("%s, caller's deadline: %v", base.name, err)
			}
			called, off := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { off(cause) })
			if _, err := ask.Token(called, withRefresh()); !errors.Is(err, cause) || !provider.IsPermanent(err) {
				t.Errorf("%s, caller's cancel: %v", base.name, err)
			}
		})
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }
