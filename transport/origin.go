package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// An origin is where a token may go: RFC 6454's triple of scheme, host and port.
type origin struct {
	scheme, host, port string
}

// parseOrigin reads "scheme://host" or "scheme://host:port".
func parseOrigin(s string) (origin, error) {
	u, err := url.Parse(s)
	if err != nil {
		// url.Parse's error would repeat s, and a URL that was pasted here may hold a password.
		return origin{}, errors.New("transport: an entry of Origins is not a URL; write it as https://api.example.com")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return origin{}, errors.New("transport: an entry of Origins has no scheme http or https; write it as https://api.example.com")
	case u.Hostname() == "":
		return origin{}, errors.New("transport: an entry of Origins has no host; write it as https://api.example.com")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || (u.Path != "" && u.Path != "/"):
		return origin{}, fmt.Errorf("transport: the entry for %q in Origins has more than scheme, host and port; "+
			"a token is for a whole origin", u.Hostname())
	}
	return origin{u.Scheme, strings.ToLower(u.Hostname()), portOf(u)}, nil
}

// is reports whether u lies in o. It does not allocate.
func (o origin) is(u *url.URL) bool {
	return strings.EqualFold(u.Scheme, o.scheme) && strings.EqualFold(u.Hostname(), o.host) && portOf(u) == o.port
}

// sameOrigin reports whether a and b have the same origin.
func sameOrigin(a, b *url.URL) bool {
	return strings.EqualFold(a.Scheme, b.Scheme) && strings.EqualFold(a.Hostname(), b.Hostname()) && portOf(a) == portOf(b)
}

func portOf(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	switch {
	case strings.EqualFold(u.Scheme, "https"):
		return "443"
	case strings.EqualFold(u.Scheme, "http"):
		return "80"
	}
	return ""
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

type withoutToken struct{}

// WithoutToken returns a context for requests that a [Transport] is to leave alone: they go to Base as they are, with no
// token and no replay, whatever they are answered. For the odd public or differently secured call through a shared client.
func WithoutToken(ctx context.Context) context.Context {
	return context.WithValue(ctx, withoutToken{}, true)
}

// configured reports what is wrong with t's fields, the first time they are looked at and ever after.
func (t *Transport) configured() error {
	t.setup.Do(func() {
		if t.Provider == nil {
			t.invalid = errors.New("transport: Transport.Provider is nil: there is nobody to ask for a token")
			return
		}
		for _, s := range t.Origins {
			o, err := parseOrigin(s)
			if err == nil && o.scheme == "http" && !t.AllowHTTP && !isLoopback(o.host) {
				err = plainHTTP(o.host)
			}
			if err != nil {
				t.invalid = err
				return
			}
			t.origins = append(t.origins, o)
		}
		t.getBodies = freshGetBodies()
		t.began = time.Now()
		t.session = t.newSession()
	})
	return t.invalid
}

func plainHTTP(host string) error {
	return fmt.Errorf("transport: the token is not sent to %q over plain http, where anybody can read it; "+
		"use https, or set AllowHTTP", host)
}

// carriesToken reports whether req is to carry the token.
func (t *Transport) carriesToken(req *http.Request) (bool, error) {
	if err := t.configured(); err != nil {
		return false, err
	}
	if req.URL == nil {
		return false, errors.New("transport: the request has no URL")
	}
	if req.Context().Value(withoutToken{}) != nil || !t.allowed(req) {
		return false, nil
	}
	switch {
	case strings.EqualFold(req.URL.Scheme, "https"):
		return true, nil
	case !strings.EqualFold(req.URL.Scheme, "http"):
		return false, nil // Base says what it thinks of that
	case !t.AllowHTTP && !isLoopback(req.URL.Hostname()):
		return false, plainHTTP(req.URL.Hostname())
	}
	return true, nil
}

// allowed reports whether the token may go where req goes. http.Client hangs each request of a redirect chain on the
// response that caused it. One foreign hop anywhere in the chain taints the rest, even what comes back: whoever answered
// there has chosen the URL.
func (t *Transport) allowed(req *http.Request) bool {
	for r := req; ; r = r.Response.Request {
		switch {
		case len(t.Origins) > 0 && !t.lists(r.URL):
			return false
		case r.Response == nil:
			return true // the caller's own request
		case r.Response.Request == nil || r.Response.Request.URL == nil:
			return false // a chain whose beginning nobody knows
		case len(t.Origins) == 0 && !sameOrigin(r.URL, r.Response.Request.URL):
			return false
		}
	}
}

func (t *Transport) lists(u *url.URL) bool {
	for _, o := range t.origins {
		if o.is(u) {
			return true
		}
	}
	return false
}
