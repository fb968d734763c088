package transport_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/transport"
)

// A listener notes who got the token.
type listener struct {
	mu  sync.Mutex
	got map[string]bool // by the URL's scheme and host, whether it got one
}

func (l *listener) RoundTrip(req *http.Request) (*http.Response, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.got == nil {
		l.got = map[string]bool{}
	}
	l.got[req.URL.Scheme+"://"+req.URL.Host] = req.Header.Get("Authorization") != ""
	resp := respond(req, 200, "")
	if to := req.Header.Get("X-Redirect"); to != "" {
		resp.StatusCode = http.StatusFound
		resp.Header.Set("Location", to)
	}
	return resp, nil
}

// Guarantee 14: origins are compared as net/http dials them.
func TestG14_OriginsAsTheNetworkComparesThem(t *testing.T) {
	tests := []struct {
		origin, url string
		token       bool
	}{
		{"https://api.example.com", "https://api.example.com", true},
		{"https://api.example.com", "HTTPS://API.Example.COM:443", true},
		{"https://api.example.com:443", "https://api.example.com", true},
		{"https://api.example.com", "https://api.example.com:0443", true},
		{"https://api.example.com", "https://api.example.com:", true},
		{"https://api.example.com", "https://api.example.com:8443", false},
		{"https://api.example.com", "http://api.example.com", false},
		{"https://api.example.com", "https://api.example.com.", false},
		{"https://api.example.com", "https://api.example.com.evil.com", false},
		{"https://api.example.com", "https://xapi.example.com", false},

		{"https://ελλάς.example", "https://ελλάς.example", true},
		{"https://ελλάς.example", "https://ελλάσ.example", false}, // another sigma is another host
		{"https://ελλάς.example", "https://ΕΛΛΆΣ.example", false},
		{"https://straße.example", "https://strasse.example", false},
		{"https://straße.example", "https://STRAẞE.example", false},
		{"https://bücher.example", "https://BÜCHER.example", true},
		{"https://bücher.example", "https://xn--bcher-kva.example", true},
		{"https://xn--bcher-kva.example", "https://bücher.example", true},
		{"https://kelvin.example", "https://\u212Aelvin.example", true}, // a Kelvin sign, which net/http dials as a k
		{"https://search.example", "https://\u017Fearch.example", true}, // a long s, likewise
		{"https://example.com", "https://exam\u00ADple.com", true},      // a soft hyphen, which is dropped
		{"https://example.com", "https://ex\u0430mple.com", false},      // a Cyrillic a
		{"https://example.com", "https://example\u3002com", true},       // another full stop
		{"https://[2001:db8::1]", "https://[2001:DB8:0:0::1]", true},    // two forms of an address
		{"https://[2001:db8::1]", "https://[2001:db8::2]", false},       //
		{"https://192.0.2.1", "https://[::ffff:192.0.2.1]", true},       // that is dialled as IPv4
		{"https://192.0.2.1", "https://192.0.2.10", false},              //
		{"https://192.0.2.1", "https://192.000.002.001", false},         // not an address for net/http

		{"https://*.example.com", "https://api.example.com", true},
		{"https://*.example.com", "https://API.example.com:443", true},
		{"https://*.example.com", "https://a.b.example.com", false},
		{"https://*.example.com", "https://example.com", false},
		{"https://*.example.com", "https://.example.com", false},
		{"https://*.example.com", "https://evilexample.com", false},
		{"https://*.example.com", "https://api.example.com.evil.com", false},
		{"https://*.example.com", "https://api.example.com:8443", false},
		{"https://*.bücher.example", "https://a.xn--bcher-kva.example", true},
	}
	for _, tt := range tests {
		for _, redirected := range []bool{false, true} {
			name := tt.origin + " " + tt.url
			l := &listener{}
			tr := &transport.Transport{Provider: returning("token"), Base: l, Origins: []string{tt.origin, "https://start.example"}}
			target := tt.url
			if redirected {
				name += ", redirected"
				target = "https://start.example/"
			}
			req, err := http.NewRequest("GET", target, nil)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if redirected {
				req.Header.Set("X-Redirect", tt.url)
			}
			client := &http.Client{Transport: tr, CheckRedirect: func(req *http.Request, via []*http.Request) error {
				req.Header.Del("X-Redirect")
				return nil
			}}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			resp.Body.Close()
			last := resp.Request.URL
			if got := l.got[last.Scheme+"://"+last.Host]; got != tt.token {
				t.Errorf("%s: the token went along: %t, want %t", name, got, tt.token)
			}
			tr.Close()
		}
	}
}

// dialled returns what net/http would dial for a URL.
func dialled(t *testing.T, url string) (address string) {
	tr := &http.Transport{DialTLSContext: func(_ context.Context, _, addr string) (net.Conn, error) {
		address = addr
		return nil, errors.New("not now")
	}}
	resp, err := (&http.Client{Transport: tr}).Get(url)
	if err == nil {
		resp.Body.Close()
		t.Errorf("%s was reached", url)
	}
	return address
}

// Guarantee 14: two names are one origin if net/http dials one address for them.
func TestG14_OriginsAreWhatIsDialled(t *testing.T) {
	names := []string{"ελλάς.example", "ελλάσ.example", "ΕΛΛΆΣ.example", "straße.example", "strasse.example", "STRAẞE.example", "bücher.example",
		"BÜCHER.example", "xn--bcher-kva.example", "\u212Aelvin.example", "kelvin.example", "\u017Fearch.example", "search.example",
		"exam\u00ADple.com", "example.com", "ex\u0430mple.com", "example\u3002com", "EXAMPLE.com", "example.com."}
	for _, a := range names {
		for _, b := range names {
			da, db := dialled(t, "https://"+a), dialled(t, "https://"+b)
			if da == "" || db == "" {
				t.Fatalf("%q is dialled as %q, %q as %q", a, da, b, db)
			}
			l := &listener{}
			tr := &transport.Transport{Provider: returning("token"), Base: l, Origins: []string{"https://" + a}}
			req, err := http.NewRequest("GET", "https://"+b, nil)
			if err != nil {
				t.Fatal(err)
			}
			if status, err := send(tr, req); status != 200 || err != nil {
				t.Fatalf("%q, %q: %d, %v", a, b, status, err)
			}
			if got := l.got["https://"+b]; got != strings.EqualFold(da, db) {
				t.Errorf("Origins %q, a request to %q: the token went along: %t; dialled are %s and %s", a, b, got, da, db)
			}
			tr.Close()
		}
	}
}

// Guarantee 14: an empty list lets no origin have the token.
func TestG14_AnEmptyListAllowsNoOrigin(t *testing.T) {
	l := &listener{}
	tr := &transport.Transport{Provider: returning("token"), Base: l, Origins: []string{}}
	defer tr.Close()
	mustGet(t, tr)
	if l.got["https://api.example.com"] || tr.Stats().OtherOrigin != 1 {
		t.Errorf("%v, %d counted", l.got, tr.Stats().OtherOrigin)
	}
}

// Guarantee 14: an entry that can't mean what it says is an error, before anything is sent.
func TestG14_EntriesThatMakeNoSense(t *testing.T) {
	for _, entry := range []string{"https://*", "https://*.", "https://api.*.com", "https://a*.example.com", "https://*.*.example.com", "*.example.com", "api.example.com", "https://", "ftp://example.com", "https://example.com/path", "https://user:hunter2@example.com", "https://exa mple.com", "https://xn--\u00e9.example"} {
		s := &stub{}
		tr := &transport.Transport{Provider: s, Base: s, Origins: []string{entry}}
		_, err := get(tr, t.Context())
		if err == nil || !strings.HasPrefix(err.Error(), "transport: ") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", entry, err)
		}
		s.want(t, 0, 0, 0)
		tr.Close()
	}
}

// Guarantee 14: a program that sends its requests to another origin than the one it lists gets a
// line in its log once in a while, which names both, and a counter; a redirect to somewhere else is
// only counted.
func TestG14_WhatGoesOutBareIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l := &listener{}
		tr := &transport.Transport{Provider: returning("token"), Base: l, Origins: []string{"https://api.example.com:8443"},
			Logger: slog.New(slog.NewTextHandler(&log, nil))}
		defer tr.Close()
		for range 600 {
			req, _ := http.NewRequest("GET", "https://user:hunter2@api.example.com/things?key=hunter2", nil)
			if status, err := send(tr, req); status != 200 || err != nil {
				t.Fatal(status, err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		out := log.String()
		if n := strings.Count(out, "level=WARN"); n != 2 || !strings.Contains(out, "origin=https://api.example.com ") ||
			!strings.Contains(out, "https://api.example.com:8443") || strings.Contains(out, "hunter2") {
			t.Errorf("%d warnings:\n%s", n, out)
		}
		if n := tr.Stats().OtherOrigin; n != 600 {
			t.Errorf("%d counted", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		tr := &transport.Transport{Provider: returning("token"), Base: &listener{}, Logger: slog.New(slog.NewTextHandler(&log, nil))}
		defer tr.Close()
		req, _ := http.NewRequest("GET", "https://api.example.com/", nil)
		req.Header.Set("X-Redirect", "https://cdn.example.net/")
		client := &http.Client{Transport: tr, CheckRedirect: func(req *http.Request, _ []*http.Request) error {
			req.Header.Del("X-Redirect")
			return nil
		}}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		synctest.Wait()
		if log.Len() != 0 || tr.Stats().OtherOrigin != 1 {
			t.Errorf("%d counted:\n%s", tr.Stats().OtherOrigin, log.String())
		}
	})
}

// Guarantee 14: a pattern stands for one label, whatever script its full stops are in.
func TestG14_OtherFullStops(t *testing.T) {
	for _, dot := range []string{"\u3002", "\uFF0E", "\uFF61", "%E3%80%82"} {
		l := &listener{}
		tr := &transport.Transport{Provider: returning("token"), Base: l, Origins: []string{"https://*.example.com"}}
		for host, token := range map[string]bool{"evil" + dot + "x.example.com": false, "x" + dot + "example.com": true, "x.example" + dot + "com": true} {
			req, err := http.NewRequest("GET", "https://"+host, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := send(tr, req); err != nil {
				t.Fatal(err)
			}
			if got := l.got["https://"+req.URL.Host]; got != token {
				t.Errorf("%q: the token went along: %t, want %t", host, got, token)
			}
		}
		tr.Close()
	}
}
