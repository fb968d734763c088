package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// The rows of the README's comparison that are not figures. Each runs the same situation through
// both, and states what each does; a row that stops being true fails.

// An api accepts one token at a time and mints the next in delay.
type api struct {
	delay time.Duration
	life  time.Duration

	mu    sync.Mutex
	calls int
	good  string
	hosts map[string]string // what each host was sent as Authorization
}

func (a *api) next() (string, time.Time) {
	a.mu.Lock()
	a.calls++
	n := a.calls
	a.mu.Unlock()
	time.Sleep(a.delay)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.good = fmt.Sprint("t", n)
	return a.good, time.Now().Add(a.life)
}

// Token makes api an x/oauth2 TokenSource.
func (a *api) Token() (*oauth2.Token, error) {
	value, end := a.next()
	return &oauth2.Token{AccessToken: value, Expiry: end}, nil
}

type ours struct{ *api }

func (o ours) Token(context.Context, provider.Token) (provider.Token, error) {
	return provider.NewToken(o.next()), nil
}

func (a *api) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		_, _ = io.Copy(io.Discard, req.Body)
		req.Body.Close()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	auth := req.Header.Get("Authorization")
	if a.hosts == nil {
		a.hosts = make(map[string]string)
	}
	a.hosts[req.URL.Host] = auth
	resp := &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: req}
	switch {
	case req.URL.Path == "/away":
		resp.StatusCode = 307
		resp.Header.Set("Location", "https://evil.example/")
	case auth != "Bearer "+a.good:
		resp.StatusCode = 401
		resp.Header.Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	}
	return resp, nil
}

// both runs f with a client of each kind.
func both(t *testing.T, delay, life time.Duration, f func(t *testing.T, name string, a *api, c *http.Client)) {
	for _, name := range []string{"x/oauth2", "stayauth"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &api{delay: delay, life: life}
				var rt http.RoundTripper = &oauth2.Transport{Base: a, Source: oauth2.ReuseTokenSource(nil, a)}
				if name == "stayauth" {
					tr := &transport.Transport{Base: a, Provider: ours{a}}
					defer tr.Close()
					rt = tr
				}
				f(t, name, a, &http.Client{Transport: rt})
			})
		})
	}
}

func status(c *http.Client, url string) int {
	resp, err := c.Post(url, "text/plain", strings.NewReader("hello"))
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestARevokedToken(t *testing.T) {
	both(t, 0, time.Hour, func(t *testing.T, name string, a *api, c *http.Client) {
		status(c, "https://api.example.com/")
		a.mu.Lock()
		a.good = "revoked"
		a.mu.Unlock()
		want := map[string]int{"x/oauth2": 401, "stayauth": 200}[name]
		if got := status(c, "https://api.example.com/"); got != want {
			t.Errorf("status %d, want %d", got, want)
		}
	})
}

func TestARedirectToAnotherHost(t *testing.T) {
	both(t, 0, time.Hour, func(t *testing.T, name string, a *api, c *http.Client) {
		status(c, "https://api.example.com/away")
		want := map[string]string{"x/oauth2": "Bearer t1", "stayauth": ""}[name]
		if got := a.hosts["evil.example"]; got != want {
			t.Errorf("the other host got %q, want %q", got, want)
		}
	})
}

func TestAnExpiryUnderTraffic(t *testing.T) {
	both(t, time.Second, time.Minute, func(t *testing.T, name string, a *api, c *http.Client) {
		status(c, "https://api.example.com/")
		longest := time.Duration(0)
		for began := time.Now(); time.Since(began) < 10*time.Minute; {
			sent := time.Now()
			status(c, "https://api.example.com/")
			longest = max(longest, time.Since(sent))
			time.Sleep(100 * time.Millisecond)
		}
		want := map[string]time.Duration{"x/oauth2": time.Second, "stayauth": 0}[name]
		if longest != want {
			t.Errorf("a request waited %s, want %s", longest, want)
		}
	})
}

func TestACallerThatGivesUp(t *testing.T) {
	both(t, 10*time.Second, time.Hour, func(t *testing.T, name string, a *api, c *http.Client) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "GET", "https://api.example.com/", nil)
		began := time.Now()
		_, err := c.Do(req)
		want := map[string]time.Duration{"x/oauth2": 10 * time.Second, "stayauth": time.Second}[name]
		if took := time.Since(began); took != want {
			t.Errorf("left after %s with %v, want %s", took, err, want)
		}
		if name == "stayauth" && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		time.Sleep(time.Minute)
	})
}
