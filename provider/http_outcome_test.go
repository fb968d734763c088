package provider_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider"
)

const (
	temporary = false
	permanent = true
)

// Each row of the table in HTTP's documentation, with no refresh token, with one and with a
// reusable one.
func TestHTTPOutcomes(t *testing.T) {
	status := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	typed := func(code int, mediaType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			status(code, body)(w, r)
		}
	}
	cut := func(answer string) http.HandlerFunc { // sends answer, byte for byte, and hangs up
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			_, _ = io.WriteString(conn, answer)
			_ = conn.Close()
		}
	}
	zipped := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "gzip" {
			panic("gzip is not asked for")
		}
		w.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		_, _ = zip.Write([]byte(`{"token":"new"` + strings.Repeat(" ", 4<<20) + `}`))
		_ = zip.Close()
	}
	const (
		page = "\n<!DOCTYPE html><title>Blocked</title>"
		echo = session + " " + refresh
	)
	tests := []struct {
		name      string
		backend   http.HandlerFunc
		plain     bool // with no refresh token, or a reusable one
		singleUse bool
		says      string
	}{
		{"401", status(401, ``), permanent, permanent, "status 401"},
		{"401 with a token", status(401, `{"token":"new"}`), permanent, permanent, "log in again"},
		{"401 text", status(401, `Unauthorized`), permanent, permanent, "status 401"},
		{"401 JSON of another form", status(401, `{"message":"no"}`), permanent, permanent, `("no")`},
		{"401 page", status(401, page), temporary, temporary, "status 401 without an error"},
		{"401 page by its type", typed(401, "text/html; charset=utf-8", `Unauthorized`), temporary, temporary, "firewall"},
		{"401 busy", status(401, `{"error":"temporarily_unavailable"}`), temporary, temporary, "temporarily_unavailable"},
		{"403", status(403, ``), temporary, temporary, "status 403 without an error"},
		{"403 page", typed(403, "text/html", page), temporary, temporary, "firewall"},
		{"403 text", status(403, `RBAC: access denied`), temporary, temporary, "firewall"},
		{"403 JSON of another form", status(403, `{"message":"Forbidden"}`), temporary, temporary, "firewall"},
		{"403 an error that is no string", status(403, `{"error":{"code":403}}`), temporary, temporary, "firewall"},
		{"403 error", status(403, `{"error":"Forbidden","message":"the user is gone"}`), permanent, permanent, `("Forbidden": "the user is gone")`},
		{"403 invalid_grant", status(403, `{"error":"invalid_grant"}`), permanent, permanent, "invalid_grant"},
		{"403 busy", status(403, `{"error":"slow_down"}`), temporary, temporary, "slow_down"},
		{"400 invalid_grant", status(400, `{"error":"invalid_grant","error_description":"x"}`), permanent, permanent, "invalid_grant"},
		{"400 invalid_request", status(400, `{"error":"invalid_request"}`), permanent, permanent, `status 400 ("invalid_request")`},
		{"400 invalid_client", status(400, `{"error":"invalid_client"}`), permanent, permanent, "invalid_client"},
		{"400 unauthorized_client", status(400, `{"error":"unauthorized_client"}`), permanent, permanent, "unauthorized_client"},
		{"400 unsupported_grant_type", status(400, `{"error":"unsupported_grant_type"}`), permanent, permanent, "unsupported_grant_type"},
		{"400 invalid_scope", status(400, `{"error":"invalid_scope"}`), permanent, permanent, "invalid_scope"},

		{"400", status(400, ``), temporary, temporary, "status 400"},
		{"400 page", status(400, page), temporary, temporary, "status 400"},
		{"400 in other words", status(400, `{"error":"`+echo+`"}`), temporary, temporary, "status 400"},
		{"400 another code", status(400, `{"error":"user_unknown"}`), temporary, temporary, "user_unknown"},
		{"400 not JSON", status(400, `invalid_grant`), temporary, temporary, "status 400"},
		{"400 another form", status(400, `{"error":{"code":"invalid_grant"}}`), temporary, temporary, "status 400"},
		{"400 too long", status(400, `{"error":"invalid_grant"`+strings.Repeat(" ", 64<<10)+`}`), temporary, temporary, "status 400"},
		{"404", status(404, `{"error":"invalid_grant"}`), temporary, temporary, "is HTTP.URL right?"},
		{"404 page", status(404, page), temporary, temporary, "is HTTP.URL right?"},
		{"405", status(405, ``), temporary, temporary, "is HTTP.URL right?"},
		{"407", status(407, page), temporary, temporary, "proxy"},
		{"408", status(408, ``), temporary, temporary, "status 408"},
		{"409", status(409, ``), temporary, temporary, "status 409"},
		{"422", status(422, ``), temporary, temporary, "status 422"},
		{"429", status(429, ``), temporary, temporary, "status 429"},
		{"429 error", status(429, `{"error":"access_denied"}`), temporary, temporary, "access_denied"},
		{"451", status(451, page), temporary, temporary, "status 451"},
		{"500", status(500, `{"error":"invalid_grant"}`), temporary, temporary, "status 500"},
		{"500 page", status(500, page), temporary, temporary, "status 500"},
		{"501", status(501, ``), temporary, temporary, "status 501"},
		{"503", status(503, ``), temporary, temporary, "status 503"},
		{"503 that says why", status(503, `{"error":"temporarily_unavailable","message":"the database is down"}`), temporary, temporary,
			`status 503 ("temporarily_unavailable": "the database is down")`},
		{"503 in control characters", status(503, `{"message":"a\u001b[31m\nb\u202e"}`), temporary, temporary, `("a\x1b[31m\nb\u202e")`},
		{"503 without end", status(503, `{"message":"`+strings.Repeat("é", 1000)+`"}`), temporary, temporary, `("` + strings.Repeat("é", 200) + `")`},
		{"304", status(304, ``), temporary, temporary, "redirect"},

		{"502", status(502, ``), temporary, permanent, "status 502"},
		{"502 page", status(502, page), temporary, permanent, "status 502"},
		{"502 busy", status(502, `{"error":"temporarily_unavailable"}`), temporary, temporary, "temporarily_unavailable"},
		{"504", status(504, ``), temporary, permanent, "status 504"},
		{"520", status(520, page), temporary, permanent, "status 520"},
		{"524", status(524, page), temporary, permanent, "status 524"},
		{"522", status(522, page), temporary, temporary, "status 522"},
		{"no answer", cut(``), temporary, permanent, "no answer"},
		{"half a head", cut("HTTP/1.1 200 OK\r\nContent-Le"), temporary, permanent, "no answer"},
		{"not HTTP", cut("zzz\r\n\r\n"), temporary, permanent, "no answer"},
		{"an echo in an error", status(503, `{"message":"bad session `+echo+`","error":"busy"}`), temporary, temporary, `status 503 ("busy")`},
		{"an echo", cut("HTTP/1.1 200 OK\r\n" + echo + "\r\n\r\n"), temporary, permanent, "withheld"},
		{"half a body", cut("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"token\":\"new\"}"), temporary, permanent, "broke off"},
		{"half a chunk", cut("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{\"token\":\"new\"}"), temporary, permanent, "broke off"},
		{"200 empty", status(200, ``), temporary, permanent, "can't be read"},
		{"204", status(204, ``), temporary, permanent, "can't be read"},
		{"200 not JSON", status(200, `<html>`+echo), temporary, permanent, "can't be read"},
		{"200 a list", status(200, `[]`), temporary, permanent, "can't be read"},
		{"200 null", status(200, `null`), temporary, permanent, "no token"},
		{"200 no token", status(200, `{}`), temporary, permanent, "no token"},
		{"200 invalid_grant", status(200, `{"error":"invalid_grant"}`), permanent, permanent, `status 200 ("invalid_grant")`},
		{"200 busy", status(200, `{"error":"temporarily_unavailable"}`), temporary, temporary, `status 200 ("temporarily_unavailable")`},
		{"200 another code", status(200, `{"error":"user_unknown"}`), temporary, permanent, "no token"},
		{"200 token empty", status(200, `{"token":"","refresh_token":"next"}`), temporary, permanent, "no token"},
		{"200 token a number", status(200, `{"token":7}`), temporary, permanent, "can't be read"},
		{"200 and more", status(200, `{"token":"new"}{"token":"newer"}`), temporary, permanent, "can't be read"},
		{"200 too long", status(200, `{"token":"new"`+strings.Repeat(" ", 64<<10)+`}`), temporary, permanent, "64 KiB"},
		{"200 too long once unzipped", zipped, temporary, permanent, "64 KiB"},
	}
	for _, tt := range tests {
		for _, with := range []struct {
			name     string
			old      provider.Token
			reusable bool
			want     bool
		}{
			{"no refresh token", provider.NewToken("old", time.Time{}), false, tt.plain},
			{"a single-use one", withRefresh(), false, tt.singleUse},
			{"a reusable one", withRefresh(), true, tt.plain},
		} {
			t.Run(tt.name+"/"+with.name, func(t *testing.T) {
				var calls atomic.Int32
				srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					calls.Add(1)
					tt.backend(w, r)
				}))
				defer srv.Close()
				ask := provider.HTTP{
					URL:    strings.Replace(srv.URL, "://", "://bob:"+password+"@", 1) + "/token?k=" + query,
					UserID: "alice", RefreshTokenReusable: with.reusable, Client: srv.Client(),
				}
				if with.old.RefreshToken() == "" {
					ask.Session = provider.NewSecret(session) // beside a refresh token it would be a second chance: see TestFallback
				}
				token, err := ask.Token(t.Context(), with.old)
				if err == nil || !token.IsZero() || provider.IsPermanent(err) != with.want {
					t.Fatalf("got %v; want an error, permanent: %t", err, with.want)
				}
				if !strings.Contains(err.Error(), tt.says) {
					t.Errorf("the error is %q, and doesn't say %q", err, tt.says)
				}
				if lost := tt.singleUse && !tt.plain && with.want; strings.Contains(err.Error(), "RefreshTokenReusable") != lost {
					t.Errorf("the error is %q; it tells of a lost secret: %t", err, !lost)
				}
				if noRetry := slices.Contains([]string{"304", "404", "404 page", "405", "407"}, tt.name); provider.IsNoRetry(err) != noRetry {
					t.Errorf("the error says that asking again is of no use: %t, want %t", !noRetry, noRetry)
				}
				if got := calls.Load(); got != 1 {
					t.Errorf("%d calls, want 1", got)
				}
				harmless(t, err)
			})
		}
	}
}

// An answer of exactly 64 KiB is not too long, zipped or not.
func TestHTTPLongestAnswer(t *testing.T) {
	body := `{"token":"new"` + strings.Repeat(" ", 64<<10-len(`{"token":"new"}`)) + `}`
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/zipped" {
			w.Header().Set("Content-Encoding", "gzip")
			zip := gzip.NewWriter(w)
			defer zip.Close()
			_, _ = io.WriteString(zip, body)
			return
		}
		_, _ = io.WriteString(w, body)
	}))
	defer srv.Close()
	for _, path := range []string{"/", "/zipped"} {
		token, err := provider.HTTP{URL: srv.URL + path, UserID: "alice", Client: srv.Client()}.Token(t.Context(), provider.Token{})
		if err != nil || token.Value() != "new" {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// No answer can make a client read without end, whatever the status.
func TestHTTPEndlessAnswer(t *testing.T) {
	for _, status := range []int{200, 400, 401, 503} {
		read := 0
		ask := provider.HTTP{URL: "https://example.com", UserID: "alice", Client: &http.Client{
			Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				resp := response(r, status, "")
				resp.Body = io.NopCloser(readFunc(func(p []byte) (int, error) {
					if read > 1<<20 {
						return 0, io.EOF
					}
					read += len(p)
					return copy(p, bytes.Repeat([]byte(" "), len(p))), nil
				}))
				return resp, nil
			})}}
		if _, err := ask.Token(t.Context(), provider.Token{}); err == nil || read > 128<<10 {
			t.Errorf("%d: read %d bytes, %v", status, read, err)
		}
	}
}

func TestHTTPFollowsNoRedirect(t *testing.T) {
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		elsewhere.Add(1)
		_, _ = io.WriteString(w, `{"token":"stolen"}`)
	}))
	defer other.Close()
	for _, code := range []int{301, 302, 303, 307, 308} {
		for _, to := range []string{other.URL + "/" + session, "/token", "//" + session} {
			var calls atomic.Int32
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Location", to)
				w.WriteHeader(code)
			}))
			ask := provider.HTTP{URL: srv.URL, UserID: "alice", Session: provider.NewSecret(session), SessionHeader: "X-Session", Client: srv.Client()}
			_, err := ask.Token(t.Context(), withRefresh())
			srv.Close()
			if err == nil || provider.IsPermanent(err) || !strings.Contains(err.Error(), "redirect") || calls.Load() != 1 {
				t.Errorf("%d to %s: %d calls, %v; want 1 and a temporary error that tells of a redirect", code, to, calls.Load(), err)
			}
			harmless(t, err)
		}
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}
