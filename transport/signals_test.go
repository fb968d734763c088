package transport_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// The ways in which APIs say that a token has expired, and what serves each of them. A revoked
// token is replaced, the request is served, and an answer that says something else is handed on as
// it is.
func TestSignals(t *testing.T) {
	type answer struct {
		status int
		header string // "Name: value"
		body   string
	}
	tests := []struct {
		name       string
		isRejected func(*http.Response) bool
		check200   bool
		expired    answer
		other      answer // which a new token would not cure
	}{
		{"401 Bearer", nil, false, answer{401, `WWW-Authenticate: Bearer error="invalid_token"`, ""}, answer{401, `WWW-Authenticate: Bearer error="insufficient_scope"`, ""}},
		{"bare 401", transport.Any401, false, answer{401, "", ""}, answer{403, "", ""}},
		{"401 DPoP", nil, false, answer{401, `WWW-Authenticate: DPoP error="invalid_token", algs="ES256"`, ""}, answer{401, `WWW-Authenticate: DPoP error="use_dpop_nonce"`, ""}},
		{"401 with a string code", transport.BodyCode("code", "token_expired", "token_revoked"), false, answer{401, "", `{"code":"token_revoked"}`}, answer{401, "", `{"code":"bad_password"}`}},
		{"401 with a nested code (Google, Graph)", transport.BodyCode("error.status", "UNAUTHENTICATED"), false, answer{401, "", `{"error":{"code":401,"status":"UNAUTHENTICATED"}}`}, answer{401, "", `{"error":{"status":"PERMISSION_DENIED"}}`}},
		{"401 with an array (Salesforce)", transport.BodyCode("errorCode", "INVALID_SESSION_ID"), false, answer{401, "", `[{"message":"x"},{"errorCode":"INVALID_SESSION_ID"}]`}, answer{401, "", `[{"errorCode":"INVALID_LOGIN"}]`}},
		{"400 with a code (Facebook)", transport.As401(transport.BodyCode("error.code", 190), 400), false, answer{400, "", `{"error":{"code":190,"type":"OAuthException"}}`}, answer{400, "", `{"error":{"code":100}}`}},
		{"bare 403", transport.As401(transport.Any401, 403), false, answer{403, "", ""}, answer{404, "", ""}},
		{"403 with a code", transport.AnyOf(transport.Bearer, transport.As401(transport.BodyCode("code", "expired"), 403)), false, answer{403, "", `{"code":"expired"}`}, answer{403, "", `{"code":"forbidden"}`}},
		{"419", transport.As401(transport.Any401, 419), false, answer{419, "", ""}, answer{400, "", ""}},
		{"440", transport.As401(transport.Any401, 440, 498), false, answer{440, "", ""}, answer{409, "", ""}},
		{"498", transport.As401(transport.Any401, 440, 498), false, answer{498, "", ""}, answer{499, "", ""}},
		{"302 to login", transport.RedirectTo("/login"), false, answer{302, "Location: /login?next=%2F", ""}, answer{302, "Location: /elsewhere", ""}},
		{"200 with a GraphQL error", transport.CodeIn200("errors.extensions.code", "UNAUTHENTICATED"), true, answer{200, "Content-Type: application/graphql-response+json", `{"data":null,"errors":[{"message":"x","extensions":{"code":"UNAUTHENTICATED"}}]}`}, answer{200, "Content-Type: application/json", `{"errors":[{"extensions":{"code":"FORBIDDEN"}}]}`}},
		{"200 with ok:false (Slack)", transport.CodeIn200("error", "token_expired"), true, answer{200, "Content-Type: application/json; charset=utf-8", `{"ok":false,"error":"token_expired"}`}, answer{200, "Content-Type: application/json", `{"ok":false,"error":"channel_not_found"}`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stub{}
				write := func(req *http.Request, a answer) *http.Response {
					resp := respond(req, a.status, a.body)
					if name, value, ok := strings.Cut(a.header, ": "); ok {
						resp.Header.Set(name, value)
					}
					return resp
				}
				s.serve = func(req *http.Request) *http.Response {
					switch {
					case req.URL.Path == "/other":
						return write(req, tt.other)
					case !s.accepts(req):
						return write(req, tt.expired)
					}
					return respond(req, 200, `{"ok":true,"data":{}}`)
				}
				tr := through(t, s)
				tr.IsRejected, tr.Check200 = tt.isRejected, tt.check200
				mustGet(t, tr)
				s.revoke()
				req, _ := http.NewRequest("GET", "https://api.example.com/", nil)
				resp, err := tr.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				if b, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(b) != `{"ok":true,"data":{}}` {
					t.Errorf("status %d, body %q", resp.StatusCode, b)
				}
				if calls, _, _ := s.counts(); calls != 2 {
					t.Errorf("%d provider calls, want 2", calls)
				}

				req, _ = http.NewRequest("GET", "https://api.example.com/other", nil)
				if resp, err = tr.RoundTrip(req); err != nil {
					t.Fatal(err)
				}
				if b, _ := io.ReadAll(resp.Body); resp.StatusCode != tt.other.status || string(b) != tt.other.body {
					t.Errorf("another answer: status %d, body %q", resp.StatusCode, b)
				}
				if calls, _, _ := s.counts(); calls != 2 {
					t.Errorf("%d provider calls after another answer", calls)
				}

				// One that is rejected for good: the caller sees the true status, and all of the
				// answer.
				s.mint = func(int) (provider.Token, error) { return provider.Token{}, provider.NoRetry(io.ErrUnexpectedEOF) }
				s.revoke()
				tr.KeepBody = -1
				req, _ = http.NewRequest("POST", "https://api.example.com/", io.MultiReader(strings.NewReader("x")))
				if resp, err = tr.RoundTrip(req); err != nil {
					t.Fatal(err)
				}
				if b, _ := io.ReadAll(resp.Body); resp.StatusCode != tt.expired.status || string(b) != tt.expired.body {
					t.Errorf("a rejected upload: status %d, body %q", resp.StatusCode, b)
				}
				synctest.Wait()
			})
		})
	}
}

// Where a backend ends the old token as it rotates, and says so by 403, requests that are under way
// during an early refresh are rejected. With 403 classified none of them fails.
func TestRotationThatEndsTheOldToken(t *testing.T) {
	for _, classified := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := &stub{life: 10 * time.Second, latency: 50 * time.Millisecond}
			var current atomic.Value
			tr := &transport.Transport{Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
				s.calls++
				tok := s.issue("t" + strings.Repeat("x", s.calls))
				current.Store("Bearer " + tok.Value()) // and the one before is dead
				time.Sleep(200 * time.Millisecond)
				return tok, nil
			}), Base: roundTripper(func(req *http.Request) (*http.Response, error) {
				time.Sleep(50 * time.Millisecond)
				if req.Header.Get("Authorization") != current.Load() {
					return respond(req, 403, ""), nil
				}
				return respond(req, 200, ""), nil
			})}
			defer tr.Close()
			if classified {
				tr.IsRejected = transport.AnyOf(transport.Bearer, transport.As401(transport.Any401, 403))
			}
			var failed atomic.Int32
			for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(10 * time.Millisecond) {
				go func() {
					if status, err := get(tr, t.Context()); status != 200 || err != nil {
						failed.Add(1)
					}
				}()
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if n := failed.Load(); classified && n != 0 || !classified && n == 0 {
				t.Errorf("classified %t: %d requests failed", classified, n)
			}
		})
	}
}
