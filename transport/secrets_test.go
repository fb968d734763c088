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
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// Guarantee 15: whatever happens, neither tokens nor refresh tokens come out in errors, logs,
// traces or prints.
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
			resp := reject(req)
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

// Guarantee 15: what an API repeats of a token, whole or cut short, is in no error and no log line.
func TestG15_PartsOfTheToken(t *testing.T) {
	const token = "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoiYWxpY2UifQ.c2lnbmF0dXJl"
	for _, message := range []string{
		"invalid token " + token, "invalid token " + token[:20] + "...", "token ending in " + token[len(token)-8:],
		token[10:30] + " and " + token[30:] + " are bad", "the token " + strings.ToUpper("is bad"),
	} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			tr := &transport.Transport{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
				Base: roundTripper(func(req *http.Request) (*http.Response, error) {
					resp := respond(req, 401, fmt.Sprintf(`{"message":%q}`, message))
					resp.Header.Set("WWW-Authenticate", `Bearer error="invalid_token"`)
					return resp, nil
				})}
			n := 0
			tr.Provider = tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
				if n++; n > 1 {
					return provider.Token{}, provider.Permanent(errors.New("gone"))
				}
				return provider.NewToken(token, time.Time{}), nil
			})
			defer tr.Close()
			_, err := get(tr, t.Context())
			synctest.Wait()
			for i := range len(token) - 8 {
				if part := token[i : i+8]; strings.Contains(err.Error(), part) || strings.Contains(log.String(), part) {
					t.Fatalf("%q is in %v or in\n%s", part, err, log.String())
				}
			}
			if !strings.Contains(err.Error(), "bad") && !strings.Contains(err.Error(), "token") {
				t.Errorf("nothing is left of the message: %v", err)
			}
		})
	}
}

// Guarantee 15: what the API says is logged without the token that it was sent, even if that is no
// longer the current one.
func TestG15_TheTokenThatWasSent(t *testing.T) {
	for _, closes := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			n := 0
			tr := &transport.Transport{Logger: slog.New(slog.NewTextHandler(&log, nil)),
				Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
					n++
					return provider.NewToken(fmt.Sprint("hunter", n), time.Now().Add(time.Hour)), nil
				}),
				Base: roundTripper(func(r *http.Request) (*http.Response, error) {
					if r.URL.Path != "/slow" {
						return respond(r, 200, ""), nil
					}
					time.Sleep(15 * time.Minute)
					resp := respond(r, 401, "")
					resp.Header.Set("WWW-Authenticate", `Bearer error="insufficient_scope", error_description="`+r.Header.Get("Authorization")+` lacks scope"`)
					return resp, nil
				})}
			defer tr.Close()
			mustGet(t, tr)
			time.Sleep(40 * time.Minute)
			var wg sync.WaitGroup
			wg.Go(func() {
				req, _ := http.NewRequest("GET", "https://api.example.com/slow", nil)
				_, _ = send(tr, req)
			})
			time.Sleep(10 * time.Minute)
			mustGet(t, tr) // replaced early
			if closes {
				tr.Close()
			}
			wg.Wait()
			synctest.Wait()
			if !strings.Contains(log.String(), "lacks scope") || strings.Contains(log.String(), "hunter") {
				t.Error(log.String())
			}
		})
	}
}
