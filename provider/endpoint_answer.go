package provider

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

const maxAnswer = 64 << 10 // bytes of a body, decompressed

// A verdict is what becomes of a call.
type verdict int

const (
	granted   verdict = iota // here is the token
	later                    // it may go better another time
	refused                  // the endpoint's word: not with this grant
	lost                     // the refresh token has left and may be spent, and there is no token for it
	senseless                // no grant would do, because something in the configuration is wrong
)

// An attempt is how a call has ended: with a token, or with an error that is for the verdict to
// mark as Permanent.
type attempt struct {
	verdict verdict
	token   Token
	err     error
}

// A call is what is known about one request to an endpoint, and judges its outcome.
type call struct {
	endpoint
	shown   string   // the URL as far as it may be shown
	secrets []string // what no error may hold; empty ones don't count
	start   time.Time
	spent   bool // a single-use refresh token has left
}

// lost judges a call that the endpoint may well have heard, and whose answer is of no use.
func (c call) lost(what string, err error) attempt {
	if err != nil {
		err = fmt.Errorf("provider: %s %s: %w", c.shown, what, err)
	} else {
		err = fmt.Errorf("provider: %s %s", c.shown, what)
	}
	if !c.spent {
		return attempt{verdict: later, err: err}
	}
	return attempt{verdict: lost, err: fmt.Errorf("%w; by then the refresh token was sent and may be spent, and it isn't sent "+
		"twice, because a second use would be treated as theft", err)}
}

// judge returns the token that resp brings, or the error that it stands for. It is the table in the
// documentation of HTTP.
func (c call) judge(ctx context.Context, resp *http.Response) attempt {
	if resp.StatusCode/100 == 2 {
		return c.token(ctx, resp)
	}
	data, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // cut short it is no JSON
	if c.decodeError != nil {
		if err := c.decodeError(resp.StatusCode, data); err != nil {
			return c.dialect(resp, err)
		}
	}
	f := readFailure(data)
	said := c.said(f)
	switch status := resp.StatusCode; {
	case f.isBusy():
	case status == http.StatusUnauthorized && !isPage(resp, data),
		status == http.StatusForbidden && f.code != "",
		status == http.StatusBadRequest && c.isFinal(f.code):
		return c.refused(status, f)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return c.later(resp, "sent status %d without an error in the form of a token endpoint, as a firewall or a proxy does", status)
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		return c.mistaken(resp, "answered with status %d%s: is %s.%s right?", status, said, c.owner, c.field)
	case status == http.StatusProxyAuthRequired:
		return c.mistaken(resp, "can't be reached: a proxy on the way wants to know who asks (status %d)", status)
	case status == http.StatusBadGateway, status == http.StatusGatewayTimeout, status == 520, status == 524: // the last two are Cloudflare's
		a := c.lost(fmt.Sprintf("sent status %d: a proxy without an answer to pass on", status), nil)
		a.err = withRetryAfter(a.err, resp)
		return a
	case status/100 == 3:
		return c.mistaken(resp, "answered with a redirect (status %d), which is not followed, because the secrets would go along; "+
			"set %s.%s to where the endpoint is", status, c.owner, c.field)
	}
	return c.later(resp, "answered with status %d%s", resp.StatusCode, said)
}

// later judges an answer after which it is worth to ask again.
func (c call) later(resp *http.Response, format string, args ...any) attempt {
	err := fmt.Errorf("provider: %s %s", c.shown, fmt.Sprintf(format, args...))
	return attempt{verdict: later, err: withRetryAfter(err, resp)}
}

// mistaken judges an answer that looks as if the URL were wrong, which no half minute will cure.
func (c call) mistaken(resp *http.Response, format string, args ...any) attempt {
	err := fmt.Errorf("provider: %s %s", c.shown, fmt.Sprintf(format, args...))
	return attempt{verdict: later, err: withRetryAfter(NoRetry(err), resp)}
}

// dialect judges an answer of a form that only HTTP.DecodeError and the like understand, which
// found err in it.
func (c call) dialect(resp *http.Response, err error) attempt {
	a := attempt{later, Token{}, fmt.Errorf("provider: %s answered with status %d: %w", c.shown, resp.StatusCode, c.safe(err))}
	if IsPermanent(err) {
		a.verdict = refused
	}
	if _, ok := RetryDelay(a.err); !ok {
		a.err = withRetryAfter(a.err, resp)
	}
	return a
}

// refused judges an answer in which the endpoint says no.
func (c call) refused(status int, f failure) attempt {
	said := c.said(f)
	if f.code == "invalid_client" {
		return attempt{verdict: senseless, err: fmt.Errorf("provider: %s doesn't accept the client, by status %d%s: %s", c.shown,
			status, said, c.clientAdvice)}
	}
	return attempt{verdict: refused, err: fmt.Errorf("provider: %s rejected the login with status %d%s: %s; log in again", c.shown,
		status, said, c.advice)}
}
