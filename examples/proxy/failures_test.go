package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

func TestRedirectElsewhere(t *testing.T) {
	var foreign []*http.Request
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { foreign = append(foreign, r) }))
	defer elsewhere.Close()
	a := &api{first: 1, serve: func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+"/there", http.StatusTemporaryRedirect)
	}}
	f := start(t, a, "", &transport.Transport{Provider: counted()})

	resp, err := http.Post(f.url, "text/plain", strings.NewReader("hello")) // follows, as curl -L does
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if len(foreign) != 1 || foreign[0].URL.Path != "/there" || foreign[0].Header.Get("Authorization") != "" {
		t.Errorf("elsewhere: %d requests, want 1 without a token", len(foreign))
	}
}

func TestNoToken(t *testing.T) {
	for _, tt := range []struct {
		name       string
		err        error
		status     int
		retryAfter string
	}{
		{"in passing", provider.RetryAfter(errors.New("the vault is sealed"), time.Hour), 503, "3600"},
		{"for good", provider.Permanent(errors.New("the vault is gone")), 502, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := &api{first: 1}
			f := start(t, a, "", &transport.Transport{Provider: provider.Func(func(context.Context) (string, error) { return "", tt.err })})
			resp, err := http.Get(f.url)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != tt.status || resp.Header.Get("Retry-After") != tt.retryAfter {
				t.Errorf("status %d, Retry-After %q, want %d, %q", resp.StatusCode, resp.Header.Get("Retry-After"), tt.status, tt.retryAfter)
			}
			if !strings.HasPrefix(string(body), "proxy: ") || !strings.Contains(string(body), "the vault is") {
				t.Errorf("the answer is %q, want the provider's reason", body)
			}
			if len(a.arrived) != 0 {
				t.Error("a request arrived without a token")
			}
		})
	}
}

func TestUpstreamIsDown(t *testing.T) {
	f := start(t, &api{}, "", &transport.Transport{Provider: counted()})
	log := slog.New(slog.DiscardHandler)
	down := httptest.NewServer(nil)
	down.Close()
	target, _ := url.Parse(down.URL)
	w := httptest.NewRecorder()
	f.tr.Origins = []string{down.URL}
	newProxy(target, f.tr, log).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
	if w.Code != 502 || !strings.HasPrefix(w.Body.String(), "proxy: dial tcp ") || strings.Contains(w.Body.String(), "token-") {
		t.Errorf("status %d, %q, want 502 and why", w.Code, w.Body)
	}
}
