package transport_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// Guarantee 13: only the classifier's word refreshes.
func TestG13_OnlyTheClassifierRefreshes(t *testing.T) {
	bearer := func(v string) http.Header { return http.Header{"Www-Authenticate": {v}} }
	tests := []struct {
		name       string
		classifier func(*http.Response) bool
		status     int
		header     http.Header
		body       string
		refreshes  bool
	}{
		{"expired", nil, 401, bearer(`Bearer error="invalid_token"`), "", true},
		{"no reason given", nil, 401, bearer(`Bearer realm="x"`), "", true},
		{"scope", nil, 401, bearer(`Bearer error="insufficient_scope"`), "", false},
		{"basic", nil, 401, bearer(`Basic realm="x"`), "", false},
		{"no challenge", nil, 401, nil, "", false},
		{"403", nil, 403, bearer(`Bearer error="invalid_token"`), "", false},
		{"Any401", transport.Any401, 401, nil, "", true},
		{"Any401 and 403", transport.Any401, 403, nil, "", false},
		{"always true and 403", func(*http.Response) bool { return true }, 403, nil, "", true},
		{"always true and 200", func(*http.Response) bool { return true }, 200, nil, "", false},
		{"always true and 304", func(*http.Response) bool { return true }, 304, nil, "", true},
		{"always true and 500", func(*http.Response) bool { return true }, 500, nil, "", false},
		{"code 40", transport.BodyCode("code", 40), 401, nil, `{"code":40,"message":"token is expired"}`, true},
		{"code 41, not yet valid", transport.BodyCode("code", 40), 401, nil, `{"code":41}`, false},
		{"code 42, clock", transport.BodyCode("code", 40), 401, nil, `{"code":42}`, false},
		{"code 43, signature", transport.BodyCode("code", 40), 401, nil, `{"code":43}`, false},
		{"code 40 with 403", transport.BodyCode("code", 40), 403, nil, `{"code":40}`, false},
		{"code as a string", transport.BodyCode("code", 40), 401, nil, `{"code":"40"}`, false},
		{"null", transport.BodyCode("code", 0), 401, nil, `{"code":null}`, false},
		{"other field", transport.BodyCode("code", 40), 401, nil, `{"details":{"code":40}}`, false},
		{"no JSON", transport.BodyCode("code", 40), 401, nil, `<html>40</html>`, false},
		{"empty", transport.BodyCode("code", 40), 401, nil, ``, false},
		{"too long", transport.BodyCode("code", 40), 401, nil, `{"pad":"` + strings.Repeat("x", 64<<10) + `","code":40}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				answered := false
				s := &stub{serve: func(req *http.Request) *http.Response {
					if answered {
						return nil
					}
					answered = true
					resp := respond(req, tt.status, tt.body)
					if tt.header != nil {
						resp.Header = tt.header
					}
					return resp
				}}
				tr := through(t, s)
				tr.IsRejected = tt.classifier
				status, err := get(tr, t.Context())
				want, calls := tt.status, 1
				if tt.refreshes {
					want, calls = 200, 2
				}
				if got, _, _ := s.counts(); err != nil || status != want || got != calls {
					t.Errorf("status %d, error %v, %d calls; want %d, %d calls", status, err, got, want, calls)
				}
			})
		})
	}
}

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

// Guarantee 14: a redirect takes no token along to another origin, and a chain that left gets none when it comes back.
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

// Guarantee 14: a foreign 401 refreshes nothing.
func TestG14_AForeign401RefreshesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		tr := &transport.Transport{Provider: s, Origins: []string{"https://api.example.com"}, Base: hosts{
			"https://other.example": func(req *http.Request) *http.Response {
				if req.Header.Get("Authorization") != "Basic mine" {
					t.Errorf("the foreign request's own header is %q", req.Header.Get("Authorization"))
				}
				return refuse(req)
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

// A configuration that can't be meant is an error at the first request, which says what to write instead.
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

// Guarantee 15: whatever happens, neither tokens nor refresh tokens come out in errors, logs, traces or prints.
func TestG15_NoSecretGetsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const secret, refresh = "hunter2hunter2", "correct-horse-battery"
		var out bytes.Buffer
		var mu sync.Mutex
		note := func(v any) {
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintf(&out, "%v %+v %#v %s %q\n", v, v, v, v, v)
			_ = json.NewEncoder(&out).Encode(v)
		}
		var logs bytes.Buffer
		s := &stub{}
		fail := false
		s.mint = func(n int) (provider.Token, error) {
			if fail {
				return provider.Token{}, provider.Permanent(errors.New("no more"))
			}
			return s.issue(fmt.Sprint(secret, n)).WithRefreshToken(refresh), nil
		}
		// The API repeats the token in its error, as some do.
		s.serve = func(req *http.Request) *http.Response {
			if s.accepts(req) {
				return nil
			}
			resp := refuse(req)
			resp.Body = io.NopCloser(strings.NewReader(`{"message":"the token ` + strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ") + ` is dead\u001b[2J"}`))
			return resp
		}
		tr := through(t, s)
		tr.Logger = slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
		tr.Trace = &transport.Trace{
			RefreshStart:  func(e transport.RefreshStart) { note(e) },
			AttemptFailed: func(e transport.AttemptFailed) { note(e) },
			RefreshDone:   func(e transport.RefreshDone) { note(e) },
			Rejected: func(e transport.Rejected) {
				if !strings.Contains(e.Message, "the token REDACTED is dead") || strings.Contains(e.Message, "\x1b") {
					t.Errorf("message %q", e.Message)
				}
				note(e)
			},
			Waited:       func(e transport.Waited) { note(e) },
			Replayed:     func(e transport.Replayed) { note(e) },
			SessionEnded: func(e *transport.RefreshError) { note(e) },
		}
		mustGet(t, tr)
		s.revoke()
		mustGet(t, tr)
		note(tr.Stats())
		tok, _ := tr.Token(t.Context())
		note(tok)
		s.revoke()
		fail = true
		_, err := get(tr, t.Context())
		note(err)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		for name, text := range map[string]string{"output": out.String(), "log": logs.String()} {
			if strings.Contains(text, "hunter2") || strings.Contains(text, refresh) {
				t.Errorf("the %s holds a secret:\n%s", name, text)
			}
			if len(text) < 500 {
				t.Errorf("the %s is too short to prove anything:\n%s", name, text)
			}
		}
	})
}

// Guarantee 16: an endless or exploding error body costs 64 KiB, and the answer after it is served.
func TestG16_ErrorBodiesAreBounded(t *testing.T) {
	for _, encoding := range []string{"", "gzip"} {
		t.Run(encoding, func(t *testing.T) {
			s := &stub{}
			stop := make(chan struct{})
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if s.accepts(r) {
					return
				}
				if encoding != "" {
					w.Header().Set("Content-Encoding", encoding)
					w.WriteHeader(401)
					_, _ = w.Write(gzipBomb())
					return
				}
				w.WriteHeader(401)
				junk := make([]byte, 32<<10)
				for r.Context().Err() == nil { // until the client has had enough
					select {
					case <-stop:
						return
					default:
						_, _ = w.Write(junk)
					}
				}
			}))
			defer srv.Close()
			defer close(stop)
			tr := &transport.Transport{Provider: s, Base: srv.Client().Transport, IsRejected: func(r *http.Response) bool {
				transport.BodyCode("code", 40)(r) // reads what it may
				return true
			}}
			defer tr.Close()
			if _, err := tr.Token(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.revoke()
			req, _ := http.NewRequest("GET", srv.URL, nil)
			req.Header.Set("Accept-Encoding", "gzip") // so that http.Transport leaves the decoding to us
			if status, err := send(tr, req); status != 200 || err != nil {
				t.Errorf("%d, %v", status, err)
			}
		})
	}
}

// BodyCode finds the code in a compressed body, too.
func TestBodyCodeDecodes(t *testing.T) {
	for encoding, body := range map[string][]byte{
		"gzip": gzipped([]byte(`{"code":40}`)), "x-gzip": gzipped([]byte(`{"code":40}`)), "deflate": zlibbed([]byte(`{"code":40}`)), "identity": []byte(`{"code":40}`),
	} {
		resp := &http.Response{StatusCode: 401, Header: http.Header{"Content-Encoding": {encoding}}, Body: io.NopCloser(bytes.NewReader(body))}
		if !transport.BodyCode("code", 40)(resp) {
			t.Errorf("%s: not found", encoding)
		}
	}
	resp := &http.Response{StatusCode: 401, Header: http.Header{"Content-Encoding": {"br"}}, Body: io.NopCloser(strings.NewReader(`{"code":40}`))}
	if transport.BodyCode("code", 40)(resp) {
		t.Error("an unknown encoding is taken for plain text")
	}
}

// Bearer reads WWW-Authenticate as RFC 9110 section 11.6.1 has it.
func TestBearer(t *testing.T) {
	tests := []struct {
		headers []string
		want    bool
	}{
		{nil, false},
		{[]string{""}, false},
		{[]string{"Bearer"}, true},
		{[]string{"bearer"}, true},
		{[]string{`Bearer error="invalid_token"`}, true},
		{[]string{`Bearer error=invalid_token`}, true},
		{[]string{`Bearer  realm = "a" , error = "invalid_token"`}, true},
		{[]string{`Bearer realm="a, b", error="invalid_token"`}, true},
		{[]string{`Bearer realm="say \"hi\", error=\"other\"", error="invalid_token"`}, true},
		{[]string{`Bearer ERROR="invalid_token"`}, true},
		{[]string{`Bearer error="invalid_request"`}, false},
		{[]string{`Bearer error="insufficient_scope", error="invalid_token"`}, false},
		{[]string{`Basic realm="x", Bearer error="invalid_token"`}, true},
		{[]string{`Basic realm="x"`, `Bearer error="invalid_token"`}, true},
		{[]string{`Negotiate`, `Bearer error="insufficient_scope"`}, false},
		{[]string{`Negotiate YWJj==, Bearer error="invalid_token"`}, true},
		{[]string{`Negotiate, Bearer`}, true},
		{[]string{`Basic realm="Bearer error=invalid_token"`}, false},
		{[]string{`Basic realm=x, error="invalid_token"`}, false},
		{[]string{`DPoP error="invalid_token", algs="ES256"`}, true},
		{[]string{`DPoP error="use_dpop_nonce"`}, false},
		{[]string{`Bearer error="invalid_token`}, true}, // an unterminated string: the challenge is there, its error unreadable
		{[]string{`,, ,Bearer error="invalid_token",,`}, true},
		{[]string{`Bearer, error="invalid_token"`}, true},
		{[]string{`BearerX error="invalid_token"`}, false},
		{[]string{`"Bearer"`}, false},
	}
	for _, tt := range tests {
		resp := &http.Response{StatusCode: 401, Header: http.Header{"Www-Authenticate": tt.headers}}
		if got := transport.Bearer(resp); got != tt.want {
			t.Errorf("%q: %t, want %t", tt.headers, got, tt.want)
		}
		resp.StatusCode = 403
		if transport.Bearer(resp) {
			t.Errorf("%q: true with status 403", tt.headers)
		}
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
			return refuse(r), nil
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

// Reject and Token serve what is not HTTP: a socket whose token is refused.
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
