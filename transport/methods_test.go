package transport_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// A configuration that can't be meant is an error at the first request, which says what to write
// instead.
func TestMisconfiguration(t *testing.T) {
	for _, origin := range []string{"api.example.com", "", "https://", "ftp://x.example", "https://x.example/path", "https://u:hunter2@x.example",
		"https://x.example?q", "https://x.example#f", "http://x.example", "https://x.example:port", "https://hunter2 x"} {
		t.Run(origin, func(t *testing.T) {
			tr := &transport.Transport{Provider: provider.Static("t"), Base: &stub{}, Origins: []string{"https://ok.example", origin}}
			_, err := get(tr, t.Context())
			if err == nil || !strings.HasPrefix(err.Error(), "transport: ") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %v", err)
			}
			if _, err2 := tr.Token(t.Context()); err2 == nil || err2.Error() != err.Error() {
				t.Errorf("Token: %v", err2)
			}
		})
	}
	if _, err := get(&transport.Transport{}, t.Context()); err == nil || !strings.Contains(err.Error(), "Provider is nil") {
		t.Errorf("without a provider: %v", err)
	}
	tr := &transport.Transport{Provider: &stub{}, Base: &stub{}}
	if _, err := tr.RoundTrip(&http.Request{Method: "GET"}); err == nil {
		t.Error("a request without a URL is accepted")
	}
}

// Authorize may put the token anywhere in a request of its own.
func TestAuthorize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		tr := &transport.Transport{Provider: s, Authorize: func(r *http.Request, tok provider.Token) {
			r.Header["X-Shared"][0] = "changed"
			r.Header.Set("Authorization", tok.Value())
			r.URL.RawQuery = "access_token=" + tok.Value()
		}, Base: roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("Authorization") != "t1" || r.URL.RawQuery != "access_token=t1" || r.Header.Get("X-Shared") != "changed" {
				t.Errorf("%v %v", r.Header, r.URL)
			}
			return respond(r, 200, ""), nil
		})}
		defer tr.Close()
		req, _ := http.NewRequest("GET", "https://api.example.com/?q=1", nil)
		req.Header.Set("X-Shared", "mine")
		resp, err := tr.RoundTrip(req)
		if err != nil || resp.Request.URL.String() != "https://api.example.com/?q=1" || req.Header.Get("X-Shared") != "mine" || req.Header.Get("Authorization") != "" {
			t.Errorf("%v: the caller's request is %v %v", err, req.URL, req.Header)
		}
		if _, err := tr.RoundTrip((&http.Request{Method: "GET", URL: req.URL, Header: http.Header{"X-Shared": {"mine"}}}).WithContext(t.Context())); err != nil {
			t.Error(err)
		}
	})
}

// A static Authorization header, as SDKs set one, is replaced; a nil Header is none.
func TestAuthorizationIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		tr := through(t, s)
		req, _ := http.NewRequest("GET", "https://api.example.com/", nil)
		req.Header.Set("Authorization", "static")
		if status, err := send(tr, req); status != 200 || err != nil {
			t.Errorf("%d, %v", status, err)
		}
		req.Header = http.Header{"authorization": {"static"}, "AUTHORIZATION": {"static"}}
		tr.Base = roundTripper(func(r *http.Request) (*http.Response, error) {
			if len(r.Header) != 1 {
				t.Errorf("headers %v", r.Header)
			}
			return s.RoundTrip(r)
		})
		if status, err := send(tr, req); status != 200 || err != nil {
			t.Errorf("%d, %v", status, err)
		}
		req.Header = nil
		if status, err := send(tr, req); status != 200 || err != nil {
			t.Errorf("without headers: %d, %v", status, err)
		}
	})
}

// WithoutToken leaves a request alone.
func TestWithoutToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		var got []string
		tr := &transport.Transport{Provider: s, Base: roundTripper(func(r *http.Request) (*http.Response, error) {
			got = append(got, r.Header.Get("Authorization"))
			return reject(r), nil
		})}
		defer tr.Close()
		req, _ := http.NewRequestWithContext(transport.WithoutToken(context.Background()), "GET", "http://public.example/", nil)
		req.Header.Set("Authorization", "mine")
		if status, err := send(tr, req); status != 401 || err != nil || fmt.Sprint(got) != "[mine]" {
			t.Errorf("%d, %v, %v", status, err, got)
		}
		s.want(t, 0, 0, 0)
	})
}

// Reject and Token serve what is not HTTP: a socket whose token is rejected.
func TestRejectAndToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{delay: time.Second}
		tr := through(t, s)
		first, err := tr.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		tr.Reject(provider.NewToken("another", time.Time{})) // not the current one
		tr.Reject(provider.Token{})
		if tok, _ := tr.Token(t.Context()); tok.Value() != first.Value() {
			t.Error("a token that is not the current one was rejected, and the current one replaced")
		}
		tr.Reject(first)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if tok, err := tr.Token(t.Context()); err != nil || tok.Value() != "t2" {
					t.Errorf("%q, %v", tok.Value(), err)
				}
			})
			wg.Go(func() { mustGet(t, tr) })
		}
		tr.Reject(first) // once more, and late
		wg.Wait()
		tr.Reject(first)
		mustGet(t, tr)
		s.want(t, 2, 11, 0)
	})
}

// What looks through a RoundTripper finds Base.
func TestWrappedRoundTripper(t *testing.T) {
	s := &stub{}
	var tr http.RoundTripper = &transport.Transport{Provider: s, Base: s}
	w, ok := tr.(interface{ WrappedRoundTripper() http.RoundTripper })
	if !ok || w.WrappedRoundTripper() != http.RoundTripper(s) {
		t.Error("it is not found")
	}
}
