package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"
)

// token reads the answer of an endpoint that is content, or at least says so by its status.
func (c call) token(ctx context.Context, resp *http.Response) attempt {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return c.lost("broke off its answer", c.plain(ctx, err))
	}
	if len(body) > maxAnswer {
		return c.lost("gave an answer of more than 64 KiB", nil)
	}
	var t Token
	if c.decode != nil {
		t, err = c.decode(body)
	} else {
		t, err = c.decodeAnswer(body)
	}
	switch {
	case IsPermanent(err):
		return attempt{verdict: refused, err: fmt.Errorf("provider: %s ended the login: %w", c.shown, c.safe(err))}
	case err != nil:
		return c.lost("gave an answer that can't be read", c.safe(err))
	case t.IsZero() && c.decode == nil:
		// GitHub and Slack refuse with status 200.
		switch f := readFailure(body); {
		case f.isBusy():
			return c.later(resp, "answered with status %d%s", resp.StatusCode, c.said(f))
		case c.isFinal(f.code):
			return c.refused(resp.StatusCode, f)
		}
		fallthrough
	case t.IsZero():
		return c.lost("gave an answer that can't be read", errors.New("it holds no token"))
	}
	if t.expiry.IsZero() {
		life := tokenOf(t.Value())
		t.expiry = life.expiry
		if t.lifetime == 0 {
			t.lifetime = life.lifetime
		}
	}
	return attempt{token: c.withCookie(t, resp)}
}

// decodeAnswer reads the answer that HTTP documents and Handler gives, which is OAuth 2.0's (RFC
// 6749 section 5.1).
func (c call) decodeAnswer(body []byte) (Token, error) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		return Token{}, c.otherForm()
	}
	var value, refreshToken string
	for _, name := range c.tokenNames {
		if value != "" {
			break
		}
		if raw, ok := fields[name]; ok && json.Unmarshal(raw, &value) != nil { // null is as good as nothing
			return Token{}, c.otherForm()
		}
	}
	if raw, ok := fields["refresh_token"]; ok && json.Unmarshal(raw, &refreshToken) != nil {
		return Token{}, c.otherForm()
	}
	t := tokenOf(value)
	if life, ok := seconds(fields["expires_in"]); ok {
		if t.expiry.IsZero() {
			t.expiry = c.start.Add(life).Round(0)
		}
		if t.lifetime == 0 {
			t.lifetime = life
		}
	}
	return t.WithRefreshToken(refreshToken).WithExtras(c.extras(fields)), nil
}

func (c call) otherForm() error {
	return errors.New("it is not the JSON object that " + c.owner + " expects; if the endpoint's differs, set " + c.owner + ".Decode")
}

// extras returns what an answer holds beside the token: strings as they are, anything else as JSON.
func (c call) extras(fields map[string]json.RawMessage) map[string]string {
	extras := make(map[string]string)
	for name, raw := range fields {
		if name == "refresh_token" || name == "expires_in" || slices.Contains(c.tokenNames, name) || string(raw) == "null" {
			continue
		}
		var text string
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw)
		}
		extras[name] = text
	}
	return extras
}

// withCookie returns t with the refresh token that resp sets as a cookie, where that is its way. An
// empty one takes it away.
func (c call) withCookie(t Token, resp *http.Response) Token {
	if c.cookie == "" {
		return t
	}
	for _, cookie := range resp.Cookies() {
		if cookie.Name != c.cookie {
			continue
		}
		value := cookie.Value
		if cookie.Quoted {
			value = `"` + value + `"`
		}
		if cookie.MaxAge < 0 {
			value = ""
		}
		t.refresh = &value // also an empty one, until inherit has seen it
	}
	return t
}

// maxExtras bounds what a login gathers over its refreshes, in bytes.
const maxExtras = 64 << 10

// inherit returns t with what it leaves as it was in old: extras, and the refresh token with which
// it was bought (RFC 6749 section 6).
func (t Token) inherit(old Token, refreshToken string) Token {
	if t.refresh == nil {
		t.refresh = &refreshToken
	}
	t = t.WithRefreshToken(t.RefreshToken())
	extras := old.Extras()
	if len(extras) == 0 {
		return t
	}
	maps.Copy(extras, t.Extras())
	if all := t.WithExtras(extras); len(*all.extras) <= maxExtras {
		return all
	}
	return t
}

// seconds reads a count of seconds: a number, which some send as a string and some with a fraction.
// One that is 0 or unbelievably large makes no sense; neither does anything else.
func seconds(raw json.RawMessage) (time.Duration, bool) {
	var n float64
	if json.Unmarshal(bytes.Trim(raw, `"`), &n) != nil || n <= 0 || n > maxLifetime.Seconds() {
		return 0, false
	}
	return time.Duration(n * float64(time.Second)).Round(time.Millisecond), true
}
