package provider_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
)

// A script answers call after call, its last line again and again, and notes when each came and
// whether it held the refresh token.
type script struct {
	lines []line
	calls []string // "refresh" or "login"
	at    []time.Duration
	start time.Time
}

type line struct {
	status     int // 0 hangs until the request is cancelled
	body       string
	retryAfter string
}

func (s *script) client() *http.Client {
	s.start = time.Now()
	return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		kind := "login"
		if strings.Contains(string(body), refresh) {
			kind = "refresh"
		}
		l := s.lines[min(len(s.calls), len(s.lines)-1)]
		s.calls, s.at = append(s.calls, kind), append(s.at, time.Since(s.start))
		if l.status == 0 {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		return response(r, l.status, l.body, "Retry-After", l.retryAfter), nil
	})}
}

// A refresh token that has come to its end is not the end of the login where there is another way
// in.
func TestFallback(t *testing.T) {
	const new = `{"access_token":"new","scope":"app"}`
	dead := line{400, `{"error":"invalid_grant","error_description":"gone"}`, ""}
	refusing := line{401, `{"error":"access_denied"}`, ""}
	gateway, busy, good := line{502, "", ""}, line{503, "", ""}, line{200, new, ""}
	repeat := func(n int, l line) []line { return slices.Repeat([]line{l}, n) }
	tests := []struct {
		name      string
		lines     []line
		calls     int           // all but the first are logins
		within    time.Duration // when the last one comes, at the latest
		ok        bool
		permanent bool
		says      string
	}{
		{"it has ended", []line{dead, good}, 2, 0, true, false, ""},
		{"it may be spent", []line{gateway, good}, 2, 0, true, false, ""},
		{"both are refused", []line{dead, refusing}, 2, 0, false, true, "access_denied"},
		{"both are refused, and why", []line{dead, refusing}, 2, 0, false, true, `which was tried because provider: https://example.com rejected the login with status 400 ("invalid_grant": "gone")`},
		{"it may be spent and the other is refused", []line{gateway, refusing}, 2, 0, false, true, "access_denied"},
		{"it has ended and the endpoint is busy", []line{dead, busy}, 2, 0, false, false, "503"},
		{"it may be spent and the endpoint is busy", append([]line{gateway}, append(repeat(5, busy), good)...), 7, 20 * time.Second, true, false, ""},
		{"with a Retry-After", []line{gateway, {503, "", "20"}, good}, 3, 20 * time.Second, true, false, ""},
		{"with a longer one than there is time", []line{gateway, {503, "", "100"}, good}, 2, 0, false, true, "503"},
		{"the endpoint is only busy", []line{busy}, 1, 0, false, false, "503"},
		{"the client is wrong", []line{{401, `{"error":"invalid_client"}`, ""}}, 1, 0, false, true, "invalid_client"},
	}
	for _, tt := range tests {
		for _, name := range []string{"HTTP", "OAuth2"} {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := &script{lines: tt.lines}
					p := askBoth(s.client())[name]
					old := withRefresh().WithExtras(map[string]string{"id_token": "the person's"})
					token, err := p.Token(t.Context(), old)
					if (err == nil) != tt.ok || provider.IsPermanent(err) != tt.permanent {
						t.Fatalf("%v; want a token: %t, permanent: %t", err, tt.ok, tt.permanent)
					}
					if tt.ok && (token.Value() != "new" || token.RefreshToken() != "" || token.Extra("id_token") != "" || token.Extra("scope") != "app") {
						t.Errorf("the token %q has the refresh token %q and %v; want nothing of the old one", token.Value(), token.RefreshToken(), token.Extras())
					}
					if !tt.ok && !strings.Contains(err.Error(), tt.says) {
						t.Errorf("the error is %q, and doesn't say %q", err, tt.says)
					}
					harmless(t, err)
					if len(s.calls) != tt.calls || s.at[len(s.at)-1] > tt.within {
						t.Errorf("calls %v at %v; want %d within %v", s.calls, s.at, tt.calls, tt.within)
					}
					for i, kind := range s.calls {
						if want := map[bool]string{true: "refresh", false: "login"}[i == 0]; kind != want {
							t.Errorf("call %d is a %s, want a %s", i+1, kind, want)
						}
					}
				})
			})
		}
	}
}

// askBoth returns an HTTP and an OAuth2 that have another way in beside the refresh token.
func askBoth(client *http.Client) map[string]provider.TokenProvider {
	return map[string]provider.TokenProvider{
		"HTTP":   provider.HTTP{URL: "https://example.com", Session: provider.NewSecret(session), Client: client},
		"OAuth2": provider.OAuth2{TokenURL: "https://example.com", ClientID: "tool", Grant: "client_credentials", Client: client},
	}
}

// Where the refresh token may be spent and the endpoint stays away, the login ends after half a
// minute: the only thing that never happens is the refresh token's being sent again.
func TestFallbackGivesUp(t *testing.T) {
	cause := errors.New("the refresh was called off")
	for _, tt := range []struct {
		name     string
		ctx      func(context.Context) (context.Context, context.CancelFunc)
		min, max time.Duration
	}{
		{"by itself", func(ctx context.Context) (context.Context, context.CancelFunc) { return ctx, func() {} }, 15 * time.Second, 30 * time.Second},
		{"at the deadline", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 8*time.Second)
		}, time.Second, 8 * time.Second},
		{"when it is called off", func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			timer := time.AfterFunc(8*time.Second, func() { cancel(cause) })
			return ctx, func() { timer.Stop() }
		}, 8 * time.Second, 8 * time.Second},
	} {
		for _, name := range []string{"HTTP", "OAuth2"} {
			synctest.Test(t, func(t *testing.T) {
				s := &script{lines: []line{{502, "", ""}, {503, "", ""}}}
				p := askBoth(s.client())[name]
				ctx, cancel := tt.ctx(t.Context())
				defer cancel()
				_, err := p.Token(ctx, withRefresh())
				if took := time.Since(s.start); !provider.IsPermanent(err) || took < tt.min || took > tt.max {
					t.Errorf("%s, %s: %v after %v; want a permanent error after %v to %v", tt.name, name, err, took, tt.min, tt.max)
				}
				if slices.Contains(s.calls[1:], "refresh") || len(s.calls) < 4 {
					t.Errorf("%s, %s: the calls are %v", tt.name, name, s.calls)
				}
			})
		}
	}
}

// With another way in, nothing is lost by giving up early.
func TestFallbackTimeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := http.DefaultTransport
		defer func() { http.DefaultTransport = before }()
		s := &script{lines: []line{{}, {200, `{"access_token":"new"}`, ""}}}
		http.DefaultTransport = s.client().Transport
		for name, p := range askBoth(nil) {
			s.calls, s.start = nil, time.Now()
			token, err := p.Token(t.Context(), withRefresh())
			if took := time.Since(s.start); err != nil || token.Value() != "new" || took != 10*time.Second {
				t.Errorf("%s: %v after %v; want a token after 10 s", name, err, took)
			}
		}
	})
}

// A call that is over before it begins has sent nothing.
func TestCalledOffBefore(t *testing.T) {
	cause := errors.New("the refresh was called off")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	s := &script{lines: []line{{}}}
	all := askBoth(s.client())
	all["cookie"] = provider.HTTP{URL: "https://example.com", RefreshTokenCookie: "refresh", Client: s.client()}
	for name, p := range all {
		if _, err := p.Token(ctx, withRefresh()); !errors.Is(err, cause) || provider.IsPermanent(err) || s.calls != nil {
			t.Errorf("%s: %v, %d calls; want a temporary error and none", name, err, len(s.calls))
		}
	}
}

// The first refresh token is for when there is no other, and a new one put in its place gets a
// login going again.
func TestOAuth2FirstRefreshToken(t *testing.T) {
	good := "first"
	srv := &oauthServer{t: t, reply: func(r tokenRequest) (int, string) {
		if r.form.Get("refresh_token") != good {
			return 400, `{"error":"invalid_grant"}`
		}
		good += "'"
		return 200, `{"access_token":"new","refresh_token":"` + good + `"}`
	}}
	ask := provider.OAuth2{TokenURL: "https://auth.example.com", ClientID: "tool", RefreshToken: provider.NewSecret("first"), Client: srv.client()}
	var token provider.Token
	for range 3 {
		next, err := ask.Token(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		token = next
	}
	good = "a new login"
	if _, err := ask.Token(t.Context(), token); !provider.IsPermanent(err) {
		t.Errorf("the login has ended: %v, want a permanent error", err)
	}
	ask.RefreshToken = provider.NewSecret(good)
	if _, err := ask.Token(t.Context(), token); !provider.IsPermanent(err) {
		t.Errorf("a token that is newer than what was put in: %v, want a permanent error", err)
	}
	if token, err := ask.Token(t.Context(), provider.Token{}); err != nil || token.RefreshToken() != good {
		t.Errorf("a new session: %v, want a token", err)
	}
	var sent []string
	for _, r := range srv.asked {
		sent = append(sent, r.form.Get("refresh_token"))
	}
	if want := []string{"first", "first'", "first''", "first'''", "first'''", "a new login"}; !slices.Equal(sent, want) {
		t.Errorf("the server got %q, want %q", sent, want)
	}
}

// An endpoint that says in its own words that the login is over.
func TestDecodeError(t *testing.T) {
	cause := errors.New("refresh token invalid")
	var gotStatus int
	var gotBody string
	client := answering(400, `{"errors":[{"resource":"RefreshToken","code":"invalid"}]}`, "Retry-After", "7")
	decode := func(err error) func(int, []byte) error {
		return func(status int, body []byte) error {
			gotStatus, gotBody = status, string(body)
			return err
		}
	}
	for _, tt := range []struct {
		name      string
		err       error
		permanent bool
		after     time.Duration
		says      string
	}{
		{"the login is over", provider.Permanent(cause), true, 7 * time.Second, "refresh token invalid"},
		{"a matter of time", provider.RetryAfter(cause, time.Minute), false, time.Minute, "refresh token invalid"},
		{"unmarked", cause, false, 7 * time.Second, "refresh token invalid"},
		{"nothing to say", nil, false, 7 * time.Second, "status 400"},
		{"a secret", errors.New("bad " + refresh), false, 7 * time.Second, "withheld"},
	} {
		for name, p := range map[string]provider.TokenProvider{
			"HTTP":   provider.HTTP{URL: "https://example.com", Client: client, DecodeError: decode(tt.err)},
			"OAuth2": provider.OAuth2{TokenURL: "https://example.com", Client: client, DecodeError: decode(tt.err)},
		} {
			_, err := p.Token(t.Context(), withRefresh())
			after, _ := provider.RetryDelay(err)
			if err == nil || provider.IsPermanent(err) != tt.permanent || errors.Is(tt.err, cause) != errors.Is(err, cause) ||
				after != tt.after || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s, %s: %v after %v; want permanent %t after %v", tt.name, name, err, after, tt.permanent, tt.after)
			}
			harmless(t, err)
			if gotStatus != 400 || !strings.Contains(gotBody, "RefreshToken") {
				t.Errorf("%s, %s: it got %d %q", tt.name, name, gotStatus, gotBody)
			}
		}
	}
	// It is a fallback's turn then, as after any other refusal.
	s := &script{lines: []line{{400, "gone", ""}, {200, `{"access_token":"new"}`, ""}}}
	ask := provider.OAuth2{TokenURL: "https://example.com", Grant: "client_credentials", Params: url.Values{"audience": {"a"}}, Client: s.client(),
		DecodeError: decode(provider.Permanent(cause))}
	if token, err := ask.Token(t.Context(), withRefresh()); err != nil || token.Value() != "new" {
		t.Errorf("with a fallback: %v", err)
	}
}
