package transport_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stayauth/stayauth/transport"
)

// A host stands for one server of a redirect test; all share one RoundTripper.
type hosts map[string]func(*http.Request) *http.Response

func (h hosts) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		_, _ = io.Copy(io.Discard, req.Body)
		req.Body.Close()
	}
	f, ok := h[req.URL.Scheme+"://"+req.URL.Host]
	if !ok {
		return nil, fmt.Errorf("no host %s", req.URL)
	}
	resp := f(req)
	resp.Request = nil // a Base need not set it
	return resp, nil
}

// Guarantee 14: a redirect takes no token along to another origin, and a chain that left gets none
// when it comes back.
func TestG14_RedirectsLeaveTheTokenBehind(t *testing.T) {
	const home = "https://api.example.com"
	tests := []struct {
		name     string
		origins  []string
		start    string
		chain    []string // where each hop redirects to
		token    []bool   // which hops get the token, the first request included
		allowing bool
	}{
		{"same origin", nil, home, []string{home + "/b"}, []bool{true, true}, false},
		{"same origin, port spelled out", nil, home, []string{home + ":443/b"}, []bool{true, true}, false},
		{"same origin, upper case", nil, home, []string{"https://API.example.com/b"}, []bool{true, true}, false},
		{"another host", nil, home, []string{"https://evil.example"}, []bool{true, false}, false},
		{"a subdomain", nil, home, []string{"https://sub.api.example.com"}, []bool{true, false}, false},
		{"the parent domain", nil, home, []string{"https://example.com"}, []bool{true, false}, false},
		{"another port", nil, home, []string{home + ":8443"}, []bool{true, false}, false},
		{"plain http", nil, home, []string{"http://api.example.com"}, []bool{true, false}, false},
		{"away and back", nil, home, []string{"https://evil.example", home + "/b"}, []bool{true, false, false}, false},
		{"away and back, listed", []string{home}, home, []string{"https://evil.example", home + "/b"}, []bool{true, false, false}, false},
		{"between listed origins", []string{home, "https://two.example.com"}, home, []string{"https://two.example.com", home}, []bool{true, true, true}, false},
		{"started elsewhere", []string{home}, "https://evil.example", []string{home}, []bool{false, false}, false},
	}
	for _, tt := range tests {
		for _, method := range []string{"GET", "POST"} {
			t.Run(tt.name+" "+method, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := &stub{}
					var got []bool
					hop := func(req *http.Request) *http.Response {
						got = append(got, req.Header.Get("Authorization") == "Bearer t1")
						if req.Header.Get("Authorization") != "" && req.Header.Get("Authorization") != "Bearer t1" {
							t.Errorf("hop %d has %q", len(got), req.Header.Get("Authorization"))
						}
						if strings.Contains(fmt.Sprint(req.Header, req.URL), "t1") && !got[len(got)-1] {
							t.Errorf("hop %d leaks the token", len(got))
						}
						if len(got) > len(tt.chain) {
							return respond(req, 200, "")
						}
						resp := respond(req, 307, "")
						resp.Header.Set("Location", tt.chain[len(got)-1])
						return resp
					}
					h := hosts{}
					for _, u := range append([]string{tt.start}, tt.chain...) {
						p, _ := url.Parse(u)
						h[p.Scheme+"://"+p.Host] = hop
					}
					tr := &transport.Transport{Provider: s, Base: h, Origins: tt.origins}
					defer tr.Close()
					req, _ := http.NewRequest(method, tt.start, strings.NewReader("body"))
					resp, err := (&http.Client{Transport: tr}).Do(req)
					if err != nil || resp.StatusCode != 200 || fmt.Sprint(got) != fmt.Sprint(tt.token) {
						t.Errorf("%v; tokens %v, want %v", err, got, tt.token)
					}
				})
			})
		}
	}
}

// Guarantee 14: without Origins, a redirect from the caller's origin to a host that only looks the
// same takes no token along.
func TestG14_RedirectsToALookalike(t *testing.T) {
	for from, to := range map[string]string{
		"https://ελλάς.example":  "https://ελλάσ.example",
		"https://straße.example": "https://strasse.example",
		"https://example.com":    "https://ex\u0430mple.com",
	} {
		l := &listener{}
		tr := &transport.Transport{Provider: returning("token"), Base: l}
		req, _ := http.NewRequest("GET", from, nil)
		req.Header.Set("X-Redirect", to)
		client := &http.Client{Transport: tr, CheckRedirect: func(req *http.Request, via []*http.Request) error {
			req.Header.Del("X-Redirect")
			return nil
		}}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if len(l.got) != 2 || !l.got[from] || l.got[to] {
			t.Errorf("%s -> %s: %v", from, to, l.got)
		}
		tr.Close()
	}
}

// Guarantee 14: a foreign 401 refreshes nothing.
func TestG14_AForeign401RefreshesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		tr := &transport.Transport{Provider: s, Origins: []string{"https://api.example.com"}, Base: hosts{
			"https://other.example": func(req *http.Request) *http.Response {
				if req.Header.Get("Authorization") != "Basic mine" {
					t.Errorf("the foreign request's own header is %q", req.Header.Get("Authorization"))
				}
				return reject(req)
			},
		}}
		defer tr.Close()
		req, _ := http.NewRequest("GET", "https://other.example/", nil)
		req.Header.Set("Authorization", "Basic mine")
		if status, err := send(tr, req); status != 401 || err != nil {
			t.Errorf("%d, %v", status, err)
		}
		s.want(t, 0, 0, 0)
	})
}

// Guarantee 14: plain http beyond this machine is an error before anything is sent.
func TestG14_PlainHTTP(t *testing.T) {
	tests := []struct {
		url   string
		allow bool
		ok    bool
	}{
		{"https://api.example.com", false, true},
		{"http://api.example.com", false, false},
		{"http://api.example.com", true, true},
		{"http://localhost:8080", false, true},
		{"http://LOCALHOST", false, true},
		{"http://127.0.0.1:8080", false, true},
		{"http://127.1.2.3", false, true},
		{"http://[::1]:8080", false, true},
		{"http://localhost.evil.example", false, false},
		{"http://10.0.0.1", false, false},
		{"http://[::2]", false, false},
		{"HTTP://api.example.com", false, false},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s %t", tt.url, tt.allow), func(t *testing.T) {
			s := &stub{}
			tr := through(t, s)
			tr.AllowHTTP = tt.allow
			req, _ := http.NewRequest("GET", tt.url, nil)
			_, err := send(tr, req)
			calls, requests, _ := s.counts()
			if (err == nil) != tt.ok || !tt.ok && (calls != 0 || requests != 0) {
				t.Errorf("error %v after %d provider calls and %d requests", err, calls, requests)
			}
		})
	}
}

// Guarantee 14: a host of this machine's own is no shelter for a token that goes through a proxy.
func TestG14_AProxyOnTheWay(t *testing.T) {
	proxied := 0
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied++ }))
	defer proxy.Close()
	to, _ := url.Parse(proxy.URL)
	base := &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return to, nil }}
	defer base.CloseIdleConnections()
	for _, allowed := range []bool{false, true} {
		tr := &transport.Transport{Provider: returning("token"), Base: base, AllowHTTP: allowed}
		req, _ := http.NewRequest("GET", "http://api.localhost:8080/", nil)
		if _, err := send(tr, req); (err == nil) != allowed {
			t.Errorf("AllowHTTP %t: %v", allowed, err)
		}
		tr.Close()
	}
	if proxied != 1 {
		t.Errorf("the proxy was asked %d times, want once", proxied)
	}
}

// Guarantee 14: plain http goes to this machine alone, whatever it is called.
func TestG14_ThisMachineByAnyName(t *testing.T) {
	for host, ok := range map[string]bool{
		"localhost": true, "LOCALHOST": true, "localhost.": true, "app.localhost": true, "a.b.localhost": true,
		"127.0.0.1": true, "127.1.2.3": true, "[::1]": true, "[0:0::1]": true, "[::ffff:127.0.0.1]": true,
		"localhost.example.com": false, "notlocalhost": false, "128.0.0.1": false, "[::2]": false, "127.0.0.1.example.com": false, "127.1": false,
	} {
		l := &listener{}
		tr := &transport.Transport{Provider: returning("token"), Base: l}
		req, _ := http.NewRequest("GET", "http://"+host+":8080/", nil)
		status, err := send(tr, req)
		if ok && (status != 200 || !l.got["http://"+host+":8080"]) || !ok && (err == nil || len(l.got) != 0) {
			t.Errorf("%s: %d, %v, %v", host, status, err, l.got)
		}
		tr.Close()
	}
}
