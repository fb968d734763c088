package feeds_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
	"github.com/stayauth/stayauth/transport"
)

// form returns a multipart form with a file, and its content type.
func form(t *testing.T, file []byte) (*bytes.Buffer, string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, err := w.CreateFormFile("file", "cat.png")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.Write(file); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.WriteField("user", `{"id":"alice"}`), w.Close()); err != nil {
		t.Fatal(err)
	}
	return &b, w.FormDataContentType()
}

// An upload whose token is rejected arrives whole and once, with the next token, even if its body
// can't be rewound.
func TestUploads(t *testing.T) {
	for name, tt := range map[string]struct {
		size int
		body func(*bytes.Buffer) io.Reader
		ok   bool
	}{
		"rewindable":           {1 << 20, func(b *bytes.Buffer) io.Reader { return bytes.NewReader(b.Bytes()) }, true},
		"short, from a reader": {32 << 10, func(b *bytes.Buffer) io.Reader { return io.MultiReader(b) }, true},
		"long, from a reader":  {1 << 20, func(b *bytes.Buffer) io.Reader { return io.MultiReader(b) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			file := bytes.Repeat([]byte("cat\x00"), tt.size/4)
			var accepted []string // the tokens of the uploads that took effect
			rejected := ""
			api := roundTripper(func(req *http.Request) (*http.Response, error) {
				answer := func(status int, body string) (*http.Response, error) {
					return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
				}
				if req.URL.Path != "/api/v2/uploads/file" {
					return answer(200, "{}")
				}
				defer req.Body.Close()
				_, params, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
				if err != nil {
					t.Errorf("Content-Type: %v", err)
					return answer(400, "{}")
				}
				f, err := multipart.NewReader(req.Body, params["boundary"]).ReadForm(4 << 20)
				if err != nil {
					t.Errorf("the form: %v", err)
					return answer(400, "{}")
				}
				part, err := f.File["file"][0].Open()
				if err != nil {
					t.Error(err)
					return answer(400, "{}")
				}
				got, err := io.ReadAll(part)
				if err != nil || sha256.Sum256(got) != sha256.Sum256(file) || f.Value["user"][0] != `{"id":"alice"}` {
					t.Errorf("the file has %d bytes, %v", len(got), err)
				}
				if rejected == "" {
					rejected = req.Header.Get("Authorization")
					return answer(401, `{"code":40,"message":"token is expired (exp)","StatusCode":401}`)
				}
				accepted = append(accepted, req.Header.Get("Authorization"))
				return answer(201, `{"file":"https://cdn.test/cat.png"}`)
			})
			n := 0
			c := &feeds.Client{Key: "key", BaseURL: "https://stream.test", Base: api}
			s, err := c.ConnectUser(t.Context(), feeds.User{ID: "alice"}, provider.Func(func(context.Context) (string, error) {
				n++
				return provider.Signer{Secret: provider.NewSecret("secret"), Claims: map[string]any{"n": n}}.UserToken("alice")
			}))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			body, contentType := form(t, file)
			resp, err := s.HTTPClient().Post("/api/v2/uploads/file", contentType, tt.body(body))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if tt.ok {
				if resp.StatusCode != 201 || !strings.Contains(string(b), "cdn.test") || len(accepted) != 1 || accepted[0] == rejected {
					t.Errorf("status %d: %s; accepted %d times", resp.StatusCode, b, len(accepted))
				}
			} else if resp.StatusCode != 401 || !strings.Contains(string(b), `"code":40`) || len(accepted) != 0 {
				t.Errorf("status %d: %s; accepted %d times", resp.StatusCode, b, len(accepted))
			}
		})
	}
}

// A request to the API gets the token and Stream's headers, however its URL names the API. A
// request to any other origin gets none of them.
func TestHTTPClientIsBoundToItsOrigin(t *testing.T) {
	for _, tt := range []struct {
		name, base, url string
		want            string // as it goes out
		dressed         bool
	}{
		{"a path", "https://stream.test", "/api/v2/app", "https://stream.test/api/v2/app?api_key=k%26", true},
		{"a path and a query", "https://stream.test", "/api/v2/app?b=2;c&a=1", "https://stream.test/api/v2/app?b=2;c&a=1&api_key=k%26", true},
		{"escaped", "https://stream.test", "/api/v2/a%2Fb/%25", "https://stream.test/api/v2/a%2Fb/%25?api_key=k%26", true},
		{"under the base's path", "https://stream.test/proxy", "/api/v2/app", "https://stream.test/proxy/api/v2/app?api_key=k%26", true},
		{"a whole URL", "https://stream.test/proxy", "https://STREAM.test/api/v2/app?a=1", "https://STREAM.test/api/v2/app?a=1&api_key=k%26", true},
		{"with a key", "https://stream.test", "/api/v2/app?api_key=mine", "https://stream.test/api/v2/app?api_key=mine", true},
		{"the default port", "https://stream.test", "https://stream.test:443/api/v2/app", "https://stream.test:443/api/v2/app?api_key=k%26", true},
		{"of the default port", "https://stream.test:443", "https://stream.test/api/v2/app", "https://stream.test/api/v2/app?api_key=k%26", true},
		{"not DNS's case", "https://ςtream.test", "https://σtream.test/api", "https://%CF%83tream.test/api", false},
		{"another host", "https://stream.test", "https://evil.test/api/v2/app", "https://evil.test/api/v2/app", false},
		{"a subdomain", "https://stream.test", "https://api.stream.test/", "https://api.stream.test/", false},
		{"another port", "https://stream.test", "https://stream.test:444/", "https://stream.test:444/", false},
		{"another scheme", "https://stream.test", "http://stream.test/", "http://stream.test/", false},
		{"a host alone", "https://stream.test", "//evil.test/app", "//evil.test/app", false},
		{"a disguised host", "https://stream.test", "https://stream.test@evil.test/", "https://stream.test@evil.test/", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			api := &stub{answer: func(int, *http.Request) (int, http.Header, string) { return 418, nil, `{"code":40}` }}
			s := stubbed(t, api, func(c *feeds.Client) { c.BaseURL, c.Key = tt.base, "k&" })
			u, err := url.Parse(tt.url)
			if err != nil {
				t.Fatal(err)
			}
			header := http.Header{"X-Mine": {"1"}}
			req := (&http.Request{Method: "GET", URL: u, Header: header}).WithContext(t.Context())
			before := u.String()
			resp, err := s.HTTPClient().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			sent, _, n := api.last()
			if n != 1 || sent.URL.String() != tt.want || resp.StatusCode != 418 || sent.Header.Get("X-Mine") != "1" {
				t.Errorf("request %d is %s with %v, want %s", n, sent.URL, sent.Header, tt.want)
			}
			if strings.HasPrefix(sent.Header.Get("Authorization"), "eyJ") != tt.dressed {
				t.Errorf("Authorization: %q", sent.Header.Get("Authorization"))
			}
			for _, h := range []string{"Stream-Auth-Type", "X-Stream-Client", "X-Client-Request-Id"} {
				if (sent.Header.Get(h) != "") != tt.dressed {
					t.Errorf("%s: %q", h, sent.Header.Get(h))
				}
			}
			if u.String() != before || len(header) != 1 || req.Host != "" || (resp.Request != req && u.User == nil) { // for u.User, http.Client itself copies it
				t.Errorf("the caller's request was changed: %+v", req)
			}
		})
	}
}

// A request to Stream that would go out without the session's token is an error.
func TestHTTPClientRejectsOtherStreamHosts(t *testing.T) {
	for _, tt := range []struct {
		base, url string
		header    http.Header
		refused   bool
	}{
		{"https://feeds.stream-io-api.com", "https://chat.stream-io-api.com/api/v2/app", nil, true}, // where Stream's Go SDK goes by itself
		{"https://feeds.stream-io-api.com", "https://CHAT.stream-io-api.com./api/v2/app", nil, true},
		{"https://feeds.stream-io-api.com", "http://feeds.stream-io-api.com/api/v2/app", nil, true},
		{"http://127.0.0.1:8080", "https://chat.stream-io-api.com/api/v2/app", nil, true},
		{"https://feeds.stream-io-api.com", "http://127.0.0.1:8080/api/v2/app", http.Header{"stream-auth-type": {"jwt"}}, true},
		{"https://feeds.stream-io-api.com", "https://feeds.stream-io-api.com:443/api/v2/app", http.Header{"Stream-Auth-Type": {"jwt"}}, false},
		{"https://feeds.stream-io-api.com", "https://stream-io-api.com.evil.test/", nil, false},
		{"https://feeds.stream-io-api.com", "https://cdn.test/cat.png", nil, false},
	} {
		api := &stub{answer: func(int, *http.Request) (int, http.Header, string) { return 200, nil, `{}` }}
		s := stubbed(t, api, func(c *feeds.Client) { c.BaseURL = tt.base })
		req, err := http.NewRequestWithContext(t.Context(), "POST", tt.url, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = tt.header.Clone()
		if req.Header == nil {
			req.Header = make(http.Header)
		}
		req.Header.Set("Authorization", "the SDK's own token")
		resp, err := s.HTTPClient().Do(req)
		if err == nil {
			resp.Body.Close()
		}
		_, _, n := api.last()
		if tt.refused != (err != nil) || tt.refused != (n == 0) {
			t.Errorf("%s at %s: %v, %d requests", tt.url, tt.base, err, n)
		}
		if tt.refused && (!strings.Contains(err.Error(), "WithBaseUrl") || strings.Contains(err.Error(), "own token")) {
			t.Errorf("error %v", err)
		}
	}
}

// The session's headers replace those of the request, in whatever case they are written.
func TestHTTPClientReplacesHeaders(t *testing.T) {
	api := &stub{answer: func(int, *http.Request) (int, http.Header, string) { return 200, nil, `{}` }}
	s := stubbed(t, api)
	req, err := http.NewRequestWithContext(t.Context(), "GET", "/api/v2/app", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"authorization": {"theirs"}, "AUTHORIZATION": {"theirs"}, "stream-auth-type": {"theirs"}, "x-stream-client": {"theirs"},
		"x-client-request-id": {"mine"}, "x-mine": {"1", "2"}}
	resp, err := s.HTTPClient().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	sent, _, _ := api.last()
	for name, values := range sent.Header {
		if slices.Contains(values, "theirs") {
			t.Errorf("%s: %q", name, values)
		}
	}
	h := sent.Header
	if len(h) != 5 || !strings.HasPrefix(h.Get("Authorization"), "eyJ") || h.Get("Stream-Auth-Type") != "jwt" || h.Get("X-Client-Request-Id") != "mine" ||
		!slices.Equal(map[string][]string(h)["x-mine"], []string{"1", "2"}) {
		t.Errorf("header %v", h)
	}
	if len(req.Header) != 6 {
		t.Errorf("the caller's request was changed: %v", req.Header)
	}
}

// The client follows no redirect, keeps the caller's request id, and ends with the session.
func TestHTTPClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &testserver.Server{Fault: func(req *http.Request) testserver.Fault {
			if req.URL.Path == "/moved" {
				return testserver.Fault{Status: 307, Location: "https://evil.test/"}
			}
			return testserver.Fault{}
		}}
		client := start(t, srv)
		client.Base = roundTripper(func(req *http.Request) (*http.Response, error) {
			if req.URL.Host != "stream.test" {
				t.Errorf("a request to %s", req.URL.Host)
			}
			if req.Header.Get("X-Client-Request-Id") != "mine" && req.URL.Path == "/moved" {
				t.Errorf("id %q", req.Header.Get("X-Client-Request-Id"))
			}
			return srv.RoundTrip(req)
		})
		s, err := client.ConnectUser(t.Context(), feeds.User{ID: "alice"}, issuer(srv, "alice"))
		if err != nil {
			t.Fatal(err)
		}
		hc := s.HTTPClient()
		hc.Timeout = time.Minute
		req, err := http.NewRequestWithContext(t.Context(), "POST", "/moved", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Client-Request-Id", "mine")
		resp, err := hc.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != 307 {
			t.Errorf("status %d", resp.StatusCode)
		}
		s.Close()
		if resp, err := hc.Get("/api/v2/app"); !errors.Is(err, transport.ErrClosed) {
			t.Errorf("%v, %v", resp, err)
		}
		hc.CloseIdleConnections()
	})
}
