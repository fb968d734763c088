package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestGuard(t *testing.T) {
	for _, tt := range []struct {
		method, host string
		header       string // "Name: value"
		value        string
		status       int
	}{
		{"GET", "127.0.0.1:8090", "", "", 200},
		{"GET", "127.0.0.1", "", "", 200},
		{"GET", "127.9.9.9:1", "", "", 200},
		{"GET", "localhost:8090", "", "", 200},
		{"GET", "LocalHost", "", "", 200},
		{"GET", "[::1]:8090", "", "", 200},
		{"GET", "[::1]", "", "", 200},
		{"GET", "API-proxy.lan:8090", "", "", 200},

		{"GET", "", "", "", 421},
		{"GET", "evil.example:8090", "", "", 421},
		{"GET", "localhost.evil.example:8090", "", "", 421},
		{"GET", "127.0.0.1.evil.example", "", "", 421},
		{"GET", "evil.example:127.0.0.1", "", "", 421},
		{"GET", "127.0.0.1:80:evil", "", "", 421},
		{"GET", "0.0.0.0:8090", "", "", 421},
		{"GET", "[::]:8090", "", "", 421},
		{"GET", "10.0.0.1:8090", "", "", 421},
		{"GET", "api-proxy.lan.evil.example", "", "", 421},

		{"GET", "localhost:8090", "Sec-Fetch-Site", "none", 200},
		{"POST", "localhost:8090", "Sec-Fetch-Site", "same-origin", 200},
		{"GET", "localhost:8090", "Sec-Fetch-Site", "same-site", 403},
		{"GET", "localhost:8090", "Sec-Fetch-Site", "cross-site", 403},
		{"GET", "localhost:8090", "Sec-Fetch-Site", "something new", 403},
		{"POST", "localhost:8090", "Origin", "http://localhost:8090", 200},
		{"POST", "localhost:8090", "Origin", "http://localhost:3000", 403},
		{"GET", "localhost:8090", "Origin", "https://evil.example", 403},
		{"POST", "localhost:8090", "Origin", "null", 403},
		{"POST", "localhost:8090", "Origin", "http://%", 403},

		{"CONNECT", "localhost:8090", "", "", 405},
		{"TRACE", "localhost:8090", "", "", 405},
	} {
		passed := 0
		g := guard{
			next:  http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed++ }),
			hosts: []string{"api-proxy.lan"},
			log:   slog.New(slog.DiscardHandler),
		}
		r := httptest.NewRequestWithContext(t.Context(), tt.method, "/", nil)
		r.Host = tt.host
		if tt.header != "" {
			r.Header.Set(tt.header, tt.value)
		}
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		name := fmt.Sprintf("%s at %q with %s %q", tt.method, tt.host, tt.header, tt.value)
		if w.Code != tt.status {
			t.Errorf("%s: status %d, want %d", name, w.Code, tt.status)
		}
		if (passed == 1) != (tt.status == 200) {
			t.Errorf("%s: passed on %d times", name, passed)
		}
	}
}
