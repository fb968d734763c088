package main

import (
	"context"
	"net/http"
	"strings"
	"testing"
)

// The page is at an address of its own, and the root of the API leads a browser there.
func TestPage(t *testing.T) {
	for _, args := range [][]string{{"-key", "k"}, {"-guard"}} {
		said := started(t, "", append(args, "-page", "-page-addr", "127.0.0.1:0")...)
		page := word(t, said, "see it live at ")
		if status, body := get(t, page, ""); status != 200 || !strings.Contains(body, "<title>stayauth test server") {
			t.Errorf("%v: the page: status %d, %.80s", args, status, body)
		}
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		for accept, location := range map[string]string{"text/html,*/*": page, "application/json": ""} {
			req, err := http.NewRequest("GET", word(t, said, "ready at ")+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Accept", accept)
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if got := resp.Header.Get("Location"); got != location {
				t.Errorf("%v: who accepts %s is sent to %q, want %q", args, accept, got, location)
			}
		}
	}
}

// An address that others can reach has a key, a new one at each start.
func TestPageKey(t *testing.T) {
	keys := map[string]bool{}
	for range 2 {
		said := started(t, "", "-page", "-page-addr", "0.0.0.0:0")
		_, key, found := strings.Cut(word(t, said, "see it live at "), "#")
		if !found || len(key) < 26 { // 128 bits in base 32
			t.Fatalf("no key, or a short one:\n%s", said)
		}
		keys[key] = true
	}
	if len(keys) != 2 {
		t.Error("the key is the same at each start")
	}
}

// Clients come, without being asked for.
func TestDemo(t *testing.T) {
	for _, args := range [][]string{{"-key", "k", "-secret", "sesame", "-session", "s"}, {"-guard"}, {"-guard", "-client", "app", "-client-secret", "s&same"}} {
		said := started(t, "", append(args, "-page", "-page-addr", "127.0.0.1:0", "-demo")...)
		page := word(t, said, "see it live at ")
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, "GET", page+"events", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Page-Key", "none")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		seen := ""
		for b := make([]byte, 4096); !strings.Contains(seen, `"u":"carol","k":"served"`); {
			n, err := resp.Body.Read(b)
			if err != nil {
				t.Fatalf("%v; the page has shown %.3000s", err, seen)
			}
			seen += string(b[:n])
		}
		cancel()
		resp.Body.Close()
	}
}
