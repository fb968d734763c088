package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxAnswer     = 64 << 10  // bytes of a body, decompressed
	maxRetryAfter = time.Hour // a longer one is a mistake, or an attack
)

// A call is what HTTP knows about a request that it has made, and judges its outcome.
type call struct {
	endpoint string   // the URL as far as it may be shown
	secrets  []string // what no error may hold; empty ones don't count
	decode   func(body []byte) (Token, error)
	start    time.Time
	spent    bool // a single-use refresh token has left
}

// lost returns the error for a call that the backend may well have heard, and whose answer is of no use.
func (c call) lost(what string, err error) error {
	if err != nil {
		err = fmt.Errorf("provider: %s %s: %w", c.endpoint, what, err)
	} else {
		err = fmt.Errorf("provider: %s %s", c.endpoint, what)
	}
	if !c.spent {
		return err
	}
	return Permanent(fmt.Errorf("%w; by then the refresh token was sent and may be spent, and a backend would treat a second "+
		"use as theft: log in again, or set HTTP.RefreshTokenReusable if this backend bears it", err))
}

// answer returns the token that resp brings, or the error that it stands for.
func (c call) answer(ctx context.Context, resp *http.Response) (Token, error) {
	if resp.StatusCode/100 == 2 {
		return c.token(ctx, resp)
	}
	data, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // cut short it is no JSON
	said := c.said(data)
	switch status := resp.StatusCode; {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return Token{}, c.refused(resp, said)
	case status == http.StatusBadRequest && isOAuthError(data):
		return Token{}, c.refused(resp, said)
	case status == http.StatusNotFound:
		return Token{}, withRetryAfter(fmt.Errorf("provider: %s answered with status %d%s: is HTTP.URL right?", c.endpoint, status, said), resp)
	case status == http.StatusBadGateway || status == http.StatusGatewayTimeout:
		return Token{}, withRetryAfter(c.lost(fmt.Sprintf("sent status %d: a proxy without an answer to pass on", status), nil), resp)
	case status/100 == 3:
		return Token{}, withRetryAfter(fmt.Errorf("provider: %s answered with a redirect (status %d), which is not followed, "+
			"because the secrets would go along; set HTTP.URL to where the endpoint is", c.endpoint, status), resp)
	}
	return Token{}, withRetryAfter(fmt.Errorf("provider: %s answered with status %d%s", c.endpoint, resp.StatusCode, said), resp)
}

// said returns what a failed answer says of the reason, as ` ("code": "sentence")`, or "".
func (c call) said(data []byte) string {
	var a struct {
		Description string `json:"error_description"`
		Message     string `json:"message"`
		Error       any    `json:"error"`
	}
	if json.Unmarshal(data, &a) != nil {
		return ""
	}
	code, _ := a.Error.(string)
	var parts []string
	for _, s := range []string{code, a.Description, a.Message} {
		if s != "" && c.safe(errors.New(s)).Error() == s {
			parts = append(parts, fmt.Sprintf("%.200q", s))
		}
	}
	if parts == nil {
		return ""
	}
	return " (" + strings.Join(parts, ": ") + ")"
}

func (c call) refused(resp *http.Response, said string) error {
	return Permanent(fmt.Errorf("provider: %s refused the login with status %d%s: the user, the session or the refresh token is "+
		"wrong, or was revoked; log in again", c.endpoint, resp.StatusCode, said))
}

// token reads the answer of a backend that is content.
func (c call) token(ctx context.Context, resp *http.Response) (Token, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return Token{}, c.lost("broke off its answer", c.plain(ctx, err))
	}
	if len(body) > maxAnswer {
		return Token{}, c.lost("gave an answer of more than 64 KiB", nil)
	}
	var t Token
	if c.decode != nil {
		t, err = c.decode(body)
		if t.expiry.IsZero() {
			life := tokenOf(t.Value())
			t.expiry, t.lifetime = life.expiry, life.lifetime
		}
	} else {
		t, err = decodeAnswer(body, c.start)
	}
	if err == nil && t.IsZero() {
		err = errors.New("it holds no token")
	}
	if err != nil {
		return Token{}, c.lost("gave an answer that can't be read", c.safe(err))
	}
	return t, nil
}

// decodeAnswer reads the answer that HTTP documents and Handler gives.
func decodeAnswer(body []byte, start time.Time) (Token, error) {
	var a struct {
		Token        string          `json:"token"`
		AccessToken  string          `json:"access_token"`
		RefreshToken string          `json:"refresh_token"`
		ExpiresIn    json.RawMessage `json:"expires_in"` // a number, in the field also a string; nonsense is as good as none
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return Token{}, errors.New("it is not the JSON object that HTTP expects; if the backend's differs, set HTTP.Decode")
	}
	if a.Token == "" {
		a.Token = a.AccessToken
	}
	t := tokenOf(a.Token)
	if in, ok := seconds(string(bytes.Trim(a.ExpiresIn, `"`)), maxLifetime); ok {
		if t.expiry.IsZero() {
			t.expiry = start.Add(in).Round(0)
		}
		if t.lifetime == 0 {
			t.lifetime = in
		}
	}
	return t.WithRefreshToken(a.RefreshToken), nil
}

// seconds reads a count of seconds, all digits. One that is 0 or more than limit makes no sense.
func seconds(s string, limit time.Duration) (time.Duration, bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 || n > uint64(limit/time.Second) {
		return 0, false
	}
	return time.Duration(n) * time.Second, true
}

// isOAuthError reports whether data is the error of an OAuth 2.0 token endpoint (RFC 6749 section 5.2).
func isOAuthError(data []byte) bool {
	var a struct {
		Error string `json:"error"`
	}
	codes := []string{"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type",
		"invalid_scope"}
	return json.Unmarshal(data, &a) == nil && slices.Contains(codes, a.Error)
}

// withRetryAfter adds what the answer's Retry-After asks for, a number of seconds or a date (RFC 9110 section 10.2.3).
func withRetryAfter(err error, resp *http.Response) error {
	value := resp.Header.Get("Retry-After")
	if value != "" && strings.Trim(value, "0123456789") == "" {
		n, _ := strconv.ParseUint(value, 10, 64) // one that is out of range comes as the largest
		return RetryAfter(err, time.Duration(min(n, uint64(maxRetryAfter/time.Second)))*time.Second)
	}
	at, parseErr := http.ParseTime(value)
	if parseErr != nil {
		return err
	}
	now, parseErr := http.ParseTime(resp.Header.Get("Date")) // both by the backend's clock, which may not be ours
	if parseErr != nil {
		now = time.Now()
	}
	return RetryAfter(err, min(at.Sub(now), maxRetryAfter))
}

// plain returns what is fit to be shown of an error from net/http.
func (c call) plain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for { // a url.Error prints the URL
		wrapped, ok := errors.AsType[*url.Error](err)
		if !ok {
			break
		}
		err = wrapped.Err
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		// Not the caller's, who would take it for his own.
		return errors.New("the http.Client's time limit has passed")
	}
	return c.safe(err)
}

// safe returns err, or a substitute if its text holds a secret: some errors quote what the server sent, and it may have
// sent back what it got.
func (c call) safe(err error) error {
	text := err.Error()
	for _, secret := range c.secrets {
		if secret != "" && strings.Contains(text, secret) {
			return errors.New("the reason is withheld, because it quotes a secret")
		}
	}
	return err
}
