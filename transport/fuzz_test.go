package transport_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// FuzzBearer: no WWW-Authenticate header makes the parser loop, panic or see a Bearer challenge
// where the word is not.
func FuzzBearer(f *testing.F) {
	for _, s := range []string{`Bearer`, `Bearer error="invalid_token"`, `Basic realm="a, b", Bearer error=invalid_token`,
		`Negotiate YWJj==, Bearer`, `Bearer error="\`, `Bearer error="a\"b`, `,,,`, "Bearer\terror = \"x\"", `Bearer =`, `Bearer a=b=c`, strings.Repeat("x ", 300)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, v string) {
		resp := &http.Response{StatusCode: 401, Header: http.Header{"Www-Authenticate": {v, v}}}
		if transport.Bearer(resp) && !strings.Contains(strings.ToLower(v), "bearer") {
			t.Errorf("%q", v)
		}
	})
}

// FuzzErrorBody: whatever a rejected response holds, the caller can read it afterwards as it was
// sent, up to 64 KiB.
func FuzzErrorBody(f *testing.F) {
	for _, enc := range []string{"", "gzip", "deflate", "br"} {
		f.Add(enc, []byte(`{"code":40,"message":"x"}`))
		f.Add(enc, gzipped([]byte(`{"code":40}`)))
		f.Add(enc, zlibbed([]byte(`{"code":40}`)))
		f.Add(enc, []byte(`{"code":4e1,"code":null,"message":["\u0000"]}`))
	}
	f.Fuzz(func(t *testing.T, enc string, body []byte) {
		tr := &transport.Transport{
			IsRejected: transport.BodyCode("code", 40),
			Provider:   provider.Func(func(context.Context) (string, error) { return "token", nil }),
			Base: roundTripper(func(req *http.Request) (*http.Response, error) {
				_, _ = io.Copy(io.Discard, req.Body)
				_ = req.Body.Close()
				resp := respond(req, 401, string(body))
				resp.Header.Set("Content-Encoding", enc)
				return resp, nil
			}),
			KeepBody: -1,
		}
		defer tr.Close()
		// A body that has been read can't be replayed: one rejection is enough here.
		req, _ := http.NewRequest("POST", "https://api.example.com", io.MultiReader(strings.NewReader("x")))
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		if err != nil || string(got) != string(body) {
			t.Errorf("%q came back as %q, %v", body, got, err)
		}
	})
}

// FuzzOrigins: the token goes to no origin but the one that is listed, however either is written.
func FuzzOrigins(f *testing.F) {
	for _, s := range []string{"https://api.example.com", "https://API.example.com:443/", "http://api.example.com", "https://api.example.com.evil.example",
		"https://api.example.com@evil.example", "https://evil.example#api.example.com", "https://api.example.com:4430", "HTTPS://api.example.com",
		"https://api.example.com\\@evil.example", "https://[::1]", "https://api.example.com."} {
		f.Add(s, s)
		f.Add("https://api.example.com", s)
	}
	f.Fuzz(func(t *testing.T, origin, target string) {
		u, err := url.Parse(target)
		if err != nil {
			return
		}
		sent := false
		tr := &transport.Transport{Provider: provider.Static("token"), Origins: []string{origin}, AllowHTTP: true,
			Base: roundTripper(func(req *http.Request) (*http.Response, error) {
				sent = req.Header.Get("Authorization") != ""
				return respond(req, 200, ""), nil
			})}
		defer tr.Close()
		req := httptest.NewRequest("GET", "/", nil)
		req.URL = u
		if _, err := tr.RoundTrip(req); err != nil || !sent {
			return
		}
		o, err := url.Parse(origin)
		if err != nil {
			t.Fatalf("%q is no URL and was accepted", origin)
		}
		port := func(u *url.URL) string {
			switch p := u.Port(); {
			case p != "":
				return p
			case strings.EqualFold(u.Scheme, "https"):
				return "443"
			}
			return "80"
		}
		if !strings.EqualFold(o.Hostname(), u.Hostname()) || !strings.EqualFold(o.Scheme, u.Scheme) || port(o) != port(u) {
			t.Errorf("a token for %q went to %q", origin, target)
		}
	})
}
