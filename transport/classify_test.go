package transport_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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

// Guarantee 13: each classifier of AnyOf sees the whole body, also after another has read it.
func TestG13_AnyOfReadsTheBodyForEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		s.serve = func(req *http.Request) *http.Response {
			if s.accepts(req) {
				return nil
			}
			return respond(req, 401, `{"error":{"status":"UNAUTHENTICATED"}}`)
		}
		tr := through(t, s)
		tr.IsRejected = transport.AnyOf(transport.BodyCode("code", 40), transport.BodyCode("error.code", 1, 2), transport.BodyCode("error.status", "UNAUTHENTICATED"))
		mustGet(t, tr)
		s.revoke()
		mustGet(t, tr)
	})
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

// The answer to a HEAD has no body in which a code could stand.
func TestBodyCodeAndHEAD(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int32
		s := &stub{}
		s.serve = func(req *http.Request) *http.Response {
			sent.Add(1)
			if s.accepts(req) && req.URL.Path != "/always" {
				return nil
			}
			return respond(req, 401, "")
		}
		tr := through(t, s)
		tr.IsRejected = transport.BodyCode("code", 40)
		head := func(path string) int {
			req, _ := http.NewRequest("HEAD", "https://api.example.com"+path, nil)
			status, err := send(tr, req)
			if err != nil {
				t.Fatal(err)
			}
			return status
		}
		if status := head("/"); status != 200 {
			t.Fatal(status)
		}
		s.revoke()
		if status := head("/"); status != 200 {
			t.Errorf("status %d after a revocation", status)
		}
		sent.Store(0)
		if status := head("/always"); status != 401 || sent.Load() != 2 {
			t.Errorf("status %d, sent %d times", status, sent.Load())
		}
	})
}

// A response that says nothing of a token is not held up by a classifier that looks into it: not a
// stream, not a long answer, not one that comes slowly once its beginning is there.
func TestCodeIn200HoldsNothingUp(t *testing.T) {
	tests := []struct {
		name, media, begins string
		after               time.Duration // until the caller has the response
	}{
		{"JSON with data", "application/json", `{"ok":true,"data":{`, 0},
		{"JSON with an array", "application/json", `{"ok":true,"members":[`, 0},
		{"a JSON array", "application/json", `[`, 0},
		{"events", "text/event-stream", `data: {"error":"token_expired"}`, 0},
		{"no JSON", "application/json", `<html>`, 0},
		{"JSON whose end does not come", "application/json", `{"ok":false,`, time.Second},
		{"nothing at all", "application/json", ``, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pr, pw := io.Pipe()
				tr := &transport.Transport{Provider: returning("t"), Check200: true, IsRejected: transport.CodeIn200("error", "token_expired"),
					Base: roundTripper(func(req *http.Request) (*http.Response, error) {
						resp := respond(req, 200, "")
						resp.Header.Set("Content-Type", tt.media)
						resp.Body, resp.ContentLength = pr, -1
						return resp, nil
					})}
				defer tr.Close()
				go func() {
					_, _ = io.WriteString(pw, tt.begins)
					time.Sleep(time.Minute)
					_, _ = io.WriteString(pw, "the rest")
					pw.Close()
				}()
				req, _ := http.NewRequest("GET", "https://api.example.com/", nil)
				began := time.Now()
				resp, err := tr.RoundTrip(req)
				if err != nil || time.Since(began) != tt.after {
					t.Fatalf("%v after %s, want %s", err, time.Since(began), tt.after)
				}
				if b, err := io.ReadAll(resp.Body); string(b) != tt.begins+"the rest" || err != nil {
					t.Errorf("%q, %v", b, err)
				}
			})
		})
	}
}
