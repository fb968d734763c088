package provider

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
)

const (
	callTimeout      = 10 * time.Second // for the own client of HTTP and OAuth2
	singleUseTimeout = 30 * time.Second // the same, where giving up would cost the login
)

// An endpoint is a token endpoint. HTTP and OAuth2 differ in what they send and in the data that
// stands here; how a call is made and what becomes of its outcome is the same.
type endpoint struct {
	owner        string // whose fields errors speak of: "HTTP" or "OAuth2"
	field        string // the one with the URL
	advice       string // for a login that has ended
	clientAdvice string // for a client that the endpoint doesn't know

	url       string
	allowHTTP bool
	reusable  bool   // the refresh token bears being sent twice
	cookie    string // in which the refresh token travels; "" if in the body
	client    *http.Client

	decode      func(body []byte) (Token, error)
	decodeError func(status int, body []byte) error
	tokenNames  []string               // what the answer calls the token
	isFinal     func(code string) bool // whether an error code, with status 400 or 200, ends the login
}

// A grant is one way to get a token: the refresh token, or a login with what the program was given.
type grant struct {
	refreshToken string // what it spends; "" for a login

	// fill puts what has to be sent into a request: headers by itself, the body by returning it. It
	// also returns the secrets therein, which no error may quote; the empty string is none.
	fill func(ctx context.Context, req *http.Request) (body []byte, secrets []string, err error)
}

// token returns a token in place of old by the first grant or, once the endpoint will have no more
// of that, by the other one, if there is one.
func (e endpoint) token(ctx context.Context, old Token, first grant, other *grant) (Token, error) {
	a := e.ask(ctx, first, other == nil)
	switch {
	case a.verdict == granted:
		return a.token.inherit(old, first.refreshToken), nil
	case a.verdict == later:
		return Token{}, a.err
	case a.verdict == lost && other == nil:
		return Token{}, Permanent(fmt.Errorf("%w: log in again, or set %s.RefreshTokenReusable if this endpoint bears it",
			a.err, e.owner))
	case a.verdict == senseless || other == nil:
		return Token{}, Permanent(a.err)
	}
	b := e.ask(ctx, *other, true)
	if a.verdict == lost {
		b = e.askOn(ctx, *other, b)
	}
	if b.verdict == granted {
		return b.token.inherit(Token{}, ""), nil
	}
	err := fmt.Errorf("%w (which was tried because %v)", b.err, a.err) // one error's marks are enough
	if b.verdict == later && a.verdict == refused {
		return Token{}, err
	}
	return Token{}, Permanent(err)
}

// askOn asks again for as long as the failure is a temporary one, after a refresh token that may be
// spent: the caller would begin with that one again, for it can't be told otherwise. So pacing is
// for once done here, for half a minute.
func (e endpoint) askOn(ctx context.Context, g grant, a attempt) attempt {
	pace := backoff.NewExponentialBackOff()
	pace.MaxElapsedTime = singleUseTimeout
	for a.verdict == later {
		pause := pace.NextBackOff()
		if pause == backoff.Stop {
			break
		}
		if after, ok := RetryDelay(a.err); ok {
			pause = max(pause, after)
		}
		if end, ok := ctx.Deadline(); pause > singleUseTimeout || ok && time.Until(end) < pause {
			break
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return a
		}
		a = e.ask(ctx, g, true)
	}
	return a
}

// ask makes one call. Unless g is the last thing to try, giving up costs nothing.
func (e endpoint) ask(ctx context.Context, g grant, last bool) attempt {
	req, err := e.request(ctx)
	if err != nil {
		return attempt{verdict: senseless, err: err}
	}
	if ctx.Err() != nil {
		return attempt{verdict: later, err: fmt.Errorf("provider: gave up before %s was asked: %w", shown(req.URL), context.Cause(ctx))}
	}
	body, secrets, err := g.fill(ctx, req)
	switch {
	case IsPermanent(err):
		return attempt{verdict: senseless, err: err}
	case err != nil:
		return attempt{verdict: later, err: err}
	}
	password, _ := req.URL.User.Password()
	c := call{
		endpoint: e,
		shown:    shown(req.URL),
		secrets:  slices.Concat(secrets, secretsOf(req.URL.Query()), []string{g.refreshToken, req.URL.RawQuery, password}),
		start:    time.Now(),
	}
	singleUse := g.refreshToken != "" && !e.reusable
	w := newWitness(req, body, e.cookie != "")
	resp, err := e.clientFor(singleUse && last).Do(w.request)
	c.spent = w.left(err) && singleUse
	if err != nil {
		return c.lost("gave no answer", c.plain(ctx, err))
	}
	defer resp.Body.Close()
	return c.judge(ctx, resp)
}

// request returns a POST without anything in it, or says what is wrong with the URL.
func (e endpoint) request(ctx context.Context) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, nil)
	switch {
	case err != nil: // would print the URL
		return nil, fmt.Errorf("provider: %s.%s can't be read as a URL", e.owner, e.field)
	case req.URL.Hostname() == "" || req.URL.Scheme != "https" && req.URL.Scheme != "http":
		return nil, fmt.Errorf("provider: %s.%s must be a whole one, such as https://app.example.com/token", e.owner, e.field)
	case req.URL.Scheme == "http" && !isLoopback(req.URL.Hostname()) && !e.allowHTTP:
		return nil, fmt.Errorf("provider: %s.%s is plain http, in which %s and everyone on the way could read the secrets: "+
			"use https, or set AllowHTTP", e.owner, e.field, req.URL.Host)
	}
	req.Header.Set("Accept", "application/json")
	return req, nil
}

// shown returns what errors may show of u.
func shown(u *url.URL) string { return u.Scheme + "://" + u.Host + u.EscapedPath() }

func (e endpoint) clientFor(singleUse bool) *http.Client {
	c := http.Client{Timeout: callTimeout}
	if singleUse {
		c.Timeout = singleUseTimeout
	}
	if e.client != nil {
		c = *e.client
	}
	if e.cookie != "" {
		c.Jar = nil // it would send the same cookie once more, and an older one at that
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// isLoopback reports whether host is this machine: an address, or a name that RFC 6761 section 6.3
// keeps for it.
func isLoopback(host string) bool {
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	addr, err := netip.ParseAddr(name)
	return err == nil && addr.Unmap().IsLoopback() || name == "localhost" || strings.HasSuffix(name, ".localhost")
}
