package provider_test

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
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
)

// bySession is the smallest sensible Validate: the session, wherever it comes, decides who the user
// is.
func bySession(r *http.Request) (string, error) {
	request, err := provider.ReadTokenRequest(r)
	if err != nil {
		return "", err
	}
	given := request.Session.Value() + r.Header.Get("X-Session")
	if cookie, err := r.Cookie("session"); err == nil {
		given += cookie.Value
	}
	if given != session {
		return "", fmt.Errorf("unknown session: %w", provider.ErrDenied)
	}
	return "alice", nil
}

func post(body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

func TestHandler(t *testing.T) {
	signer := provider.Signer{Secret: provider.NewSecret(apiSecret)}
	good := `{"user_id":"alice","session":"` + session + `"}`
	cause := errors.New("zq9-database-detail")
	says := func(userID string, err error) provider.Handler {
		return provider.Handler{Signer: signer, Validate: func(*http.Request) (string, error) { return userID, err }}
	}
	creates := func(token provider.Token, err error) provider.Handler {
		return provider.Handler{Validate: bySession, Create: func(context.Context, string) (provider.Token, error) { return token, err }}
	}
	handler := provider.Handler{Validate: bySession, Signer: signer}
	with := func(r *http.Request, name, value string) *http.Request {
		r.Header.Set(name, value)
		return r
	}
	tests := []struct {
		name       string
		handler    provider.Handler
		request    *http.Request
		status     int
		reason     string // "" is a token
		logged     string // "" is nothing
		retryAfter string
	}{
		{"a token", handler, post(good), 200, "", "", ""},
		{"charset", handler, with(post(good), "Content-Type", "Application/JSON; charset=utf-8"), 200, "", "", ""},
		{"session in a header", handler, with(post(`{}`), "X-Session", session), 200, "", "", ""},
		{"more fields", handler, post(`{"session":"` + session + `","device":7}`), 200, "", "", ""},
		{"64 KiB", handler, post(good + strings.Repeat(" ", 64<<10-len(good))), 200, "", "", ""},

		{"GET", handler, httptest.NewRequest(http.MethodGet, "/token", nil), 405, "method_not_allowed", "", ""},
		{"HEAD", handler, httptest.NewRequest(http.MethodHead, "/token", nil), 405, "method_not_allowed", "", ""},
		{"PUT", handler, with(httptest.NewRequest(http.MethodPut, "/token", strings.NewReader(good)), "Content-Type", "application/json"),
			405, "method_not_allowed", "", ""},
		{"no content type", handler, httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(good)), 415, "unsupported_media_type", "", ""},
		{"a form", handler, with(post(good), "Content-Type", "application/x-www-form-urlencoded"), 415, "unsupported_media_type", "", ""},
		{"a form's text", handler, with(post(good), "Content-Type", "text/plain"), 415, "unsupported_media_type", "", ""},
		{"bad content type", handler, with(post(good), "Content-Type", "application/json; ="), 415, "unsupported_media_type", "", ""},
		{"more than 64 KiB", handler, post(good + strings.Repeat(" ", 64<<10-len(good)+1)), 413, "request_too_large", "", ""},
		{"no body", handler, post(``), 400, "invalid_request", "", ""},
		{"not JSON", handler, post(`session=` + session), 400, "invalid_request", "", ""},
		{"null", handler, post(`null`), 400, "invalid_request", "", ""},
		{"a list", handler, post(`[]`), 400, "invalid_request", "", ""},
		{"and more", handler, post(good + `{}`), 400, "invalid_request", "", ""},
		{"another form", handler, post(`{"session":7}`), 400, "invalid_request", "", ""},
		{"a torn body", handler, with(httptest.NewRequest(http.MethodPost, "/token", readFunc(func([]byte) (int, error) {
			return 0, io.ErrUnexpectedEOF
		})), "Content-Type", "application/json"), 400, "invalid_request", "", ""},

		{"denied", handler, post(`{"session":"zq9-wrong"}`), 401, "access_denied", "level=INFO msg=\"provider: no token was given: access was denied", ""},
		{"denied, unwrapped", says("", provider.ErrDenied), post(good), 401, "access_denied", "level=INFO msg=\"provider: no token was given: access was denied", ""},
		{"denied, permanently", says("", provider.Permanent(provider.ErrDenied)), post(good), 401, "access_denied", "level=INFO msg=\"provider: no token was given: access was denied", ""},
		{"denied in spite of an id", says("alice", provider.ErrDenied), post(good), 401, "access_denied", "level=INFO msg=\"provider: no token was given: access was denied", ""},
		{"a database that blinks", says("", cause), post(good), 503, "temporarily_unavailable", "can't be validated", "2"},
		{"in spite of an id", says("alice", cause), post(good), 503, "temporarily_unavailable", "zq9-database-detail", "2"},
		{"a permanent blink", says("", provider.Permanent(cause)), post(good), 503, "temporarily_unavailable", "can't be validated", "2"},
		{"with a delay", says("", provider.RetryAfter(cause, 7500*time.Millisecond)), post(good), 503, "temporarily_unavailable",
			"can't be validated", "8"},
		{"with a long delay", says("", provider.RetryAfter(cause, 1<<62)), post(good), 503, "temporarily_unavailable", "", "4611686019"},
		{"no id and no error", says("", nil), post(good), 500, "server_error", "neither a user id nor an error", ""},
		{"no Validate", provider.Handler{Signer: signer}, post(good), 500, "server_error", "Validate is not set", ""},
		{"no secret", provider.Handler{Validate: bySession}, post(good), 500, "server_error", "Signer.Secret is empty", ""},
		{"the zero Handler", provider.Handler{}, post(good), 500, "server_error", "Validate is not set", ""},

		{"Create denies", creates(provider.Token{}, provider.Permanent(provider.ErrDenied)), post(good), 401, "access_denied", "level=INFO msg=\"provider: no token was given: access was denied", ""},
		{"Create fails", creates(provider.Token{}, cause), post(good), 503, "temporarily_unavailable", "can't be created", "2"},
		{"Create fails for good", creates(provider.Token{}, provider.Permanent(cause)), post(good), 500, "server_error", "can't be created", ""},
		{"Create gives nothing", creates(provider.Token{}, nil), post(good), 500, "server_error", "neither a token nor an error", ""},
	}
	for _, tt := range tests {
		var log bytes.Buffer
		tt.handler.Logger = slog.New(slog.NewTextHandler(&log, nil))
		w := httptest.NewRecorder()
		tt.handler.ServeHTTP(w, tt.request)
		var answer struct{ Error, Token string }
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Errorf("%s: %s: %v", tt.name, w.Body, err)
		}
		if w.Code != tt.status || answer.Error != tt.reason || (answer.Token != "") != (tt.reason == "") {
			t.Errorf("%s: %d %s; want %d %q", tt.name, w.Code, w.Body, tt.status, tt.reason)
		}
		h := w.Result().Header
		if h.Get("Cache-Control") != "no-store" || h.Get("Content-Type") != "application/json" || h.Get("Retry-After") != tt.retryAfter {
			t.Errorf("%s: the header is %v", tt.name, h)
		}
		if challenges := provider.ParseChallenges(h); (len(challenges) == 1 && challenges[0].Scheme == "Session") != (tt.status == 401) {
			t.Errorf("%s: the challenges are %q", tt.name, challenges)
		}
		if allow := h.Get("Allow"); (allow == "POST") != (tt.status == 405) {
			t.Errorf("%s: Allow is %q", tt.name, allow)
		}
		if !strings.Contains(log.String(), tt.logged) || (log.Len() > 0) != (tt.status == 401 || tt.status == 500 || tt.status == 503) {
			t.Errorf("%s: logged %q, want %q", tt.name, log.String(), tt.logged)
		}
		if leaks(log.String(), session, apiSecret) != "" {
			t.Errorf("%s: logged a secret: %s", tt.name, log.String())
		}
		if tt.reason != "" && strings.Contains(w.Body.String(), "zq9") {
			t.Errorf("%s: the answer tells too much: %s", tt.name, w.Body)
		}
		tt.handler.Logger = nil // silent, and not a panic
		tt.handler.ServeHTTP(httptest.NewRecorder(), post(good))
	}
}

// Validate may read the body as it is, and through ReadTokenRequest, in any order.
func TestHandlerBody(t *testing.T) {
	const body = `{"user_id":"alice","session":"s","refresh_token":"r"}`
	original := post(body)
	handler := provider.Handler{Signer: provider.Signer{Secret: provider.NewSecret(apiSecret)}, Validate: func(r *http.Request) (string, error) {
		for range 2 {
			request, err := provider.ReadTokenRequest(r)
			if err != nil || request != (provider.TokenRequest{UserID: "alice", Session: provider.NewSecret("s"), RefreshToken: provider.NewSecret("r")}) {
				t.Errorf("read %q %q %q, %v", request.UserID, request.Session, request.RefreshToken, err)
			}
		}
		if data, err := io.ReadAll(r.Body); err != nil || string(data) != body {
			t.Errorf("the body is %q, %v", data, err)
		}
		if r == original {
			t.Error("Validate got the caller's request, which it may not change")
		}
		return "alice", r.Body.Close()
	}}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, original)
	if w.Code != 200 {
		t.Errorf("status %d", w.Code)
	}
}

func TestReadTokenRequest(t *testing.T) {
	for name, body := range map[string]string{"null": `null`, "a list": `[]`, "not JSON": `x`, "empty": ``,
		"too long": `{}` + strings.Repeat(" ", 64<<10)} {
		r := post(body)
		if _, err := provider.ReadTokenRequest(r); err == nil || !strings.HasPrefix(err.Error(), "provider: ") {
			t.Errorf("%s: %v", name, err)
		}
		if data, err := io.ReadAll(r.Body); err != nil || string(data) != body {
			t.Errorf("%s: afterwards the body has %d bytes, %v", name, len(data), err)
		}
	}
	r := httptest.NewRequest(http.MethodPost, "/", readFunc(func([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }))
	if _, err := provider.ReadTokenRequest(r); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a torn body: %v", err)
	}
}

// expires_in never claims more life than exp gives, nor less than Validity.
func TestHandlerExpiresIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(300 * time.Millisecond)
		now := time.Now()
		validate := func(*http.Request) (string, error) { return "alice", nil }
		tests := []struct {
			name    string
			handler provider.Handler
			want    string
		}{
			{"1 s", provider.Handler{Signer: provider.Signer{Secret: provider.NewSecret(apiSecret), Validity: time.Second}}, "1"},
			{"1 h", provider.Handler{Signer: provider.Signer{Secret: provider.NewSecret(apiSecret)}}, "3600"},
			{"700 ms", provider.Handler{Signer: provider.Signer{Secret: provider.NewSecret(apiSecret), Validity: 700 * time.Millisecond}}, "none"},
			{"no end", provider.Handler{Signer: provider.Signer{Secret: provider.NewSecret(apiSecret), Validity: -1}}, "none"},
			{"Create's", provider.Handler{Create: func(context.Context, string) (provider.Token, error) {
				return provider.NewToken("opaque", now.Add(90*time.Second)), nil
			}}, "90"},
			{"ended", provider.Handler{Create: func(context.Context, string) (provider.Token, error) {
				return provider.NewToken("opaque", now.Add(-90*time.Second)), nil
			}}, "none"},
		}
		for _, tt := range tests {
			tt.handler.Validate = validate
			w := httptest.NewRecorder()
			tt.handler.ServeHTTP(w, post(`{}`))
			answer := map[string]any{"expires_in": "none"}
			dec := json.NewDecoder(w.Body)
			dec.UseNumber()
			if err := dec.Decode(&answer); err != nil || w.Code != 200 {
				t.Errorf("%s: %d, %v", tt.name, w.Code, err)
			}
			if got := fmt.Sprint(answer["expires_in"]); got != tt.want {
				t.Errorf("%s: expires_in is %s, want %s", tt.name, got, tt.want)
			}
		}
	})
}

func TestHandlerLeavesPanicsToTheServer(t *testing.T) {
	defer func() {
		if recover() != "mine" {
			t.Error("the panic didn't come through")
		}
	}()
	provider.Handler{Validate: func(*http.Request) (string, error) { panic("mine") }}.ServeHTTP(httptest.NewRecorder(), post(`{}`))
}

// A request that was made by hand may have no body at all.
func TestReadTokenRequestWithoutABody(t *testing.T) {
	if _, err := provider.ReadTokenRequest(&http.Request{}); err == nil {
		t.Error("nothing was taken for a request")
	}
}
