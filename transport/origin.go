package transport

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// An origin is where a token may go: RFC 6454's triple of scheme, host and port, as net/http dials
// them.
type origin struct {
	scheme string // in lower case
	host   string // as canonicalHost returns it
	port   string // never empty
	below  bool   // any host with one label more than host
}

// parseOrigin reads "scheme://host" or "scheme://host:port". The host may begin with "*.".
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
	host, below := strings.CutPrefix(u.Hostname(), "*.")
	if strings.Contains(host, "*") {
		return origin{}, fmt.Errorf("transport: the entry for %q in Origins has a * that is not its first label; "+
			"https://*.example.com stands for all hosts one label below example.com", u.Hostname())
	}
	ascii, ok := canonicalHost(host)
	if !ok || ascii == "" {
		return origin{}, fmt.Errorf("transport: the entry for %q in Origins is not a host name that can be dialled", u.Hostname())
	}
	return origin{u.Scheme, ascii, portOf(u), below}, nil
}

// is reports whether u lies in o. For a host in ASCII it does not allocate.
func (o origin) is(u *url.URL) bool {
	if !strings.EqualFold(u.Scheme, o.scheme) || portOf(u) != o.port {
		return false
	}
	host := u.Hostname()
	if o.below {
		if !isASCII(host) { // IDNA maps other full stops to ".", which makes more labels
			var ok bool
			if host, ok = canonicalHost(host); !ok {
				return false
			}
		}
		_, parent, ok := strings.Cut(host, ".")
		return ok && len(parent) < len(host)-1 && sameHost(parent, o.host)
	}
	return sameHost(host, o.host)
}

// sameOrigin reports whether a and b have the same origin.
func sameOrigin(a, b *url.URL) bool {
	return strings.EqualFold(a.Scheme, b.Scheme) && portOf(a) == portOf(b) && sameHost(a.Hostname(), b.Hostname())
}

// sameHost reports whether net/http dials the same for a and b. Upper and lower case are the same
// in ASCII alone: strings.EqualFold takes a Kelvin sign for a k, and one sigma for another, which
// are other hosts.
func sameHost(a, b string) bool {
	if isASCII(a) && isASCII(b) && strings.EqualFold(a, b) {
		return true
	}
	if isASCII(a) && isASCII(b) && !isAddress(a) {
		return false
	}
	a, okA := canonicalHost(a)
	b, okB := canonicalHost(b)
	return okA && okB && a == b
}

// canonicalHost returns host as net/http dials it: in ASCII (RFC 5891), or an address in its one
// form. ok is false where net/http would reject it.
func canonicalHost(host string) (canonical string, ok bool) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().String(), true
	}
	if isASCII(host) {
		return strings.ToLower(host), true
	}
	host, err := idna.Lookup.ToASCII(host)
	return host, err == nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// isAddress reports whether host, which is in ASCII, may be an IP address.
func isAddress(host string) bool {
	return strings.Contains(host, ":") || host != "" && '0' <= host[len(host)-1] && host[len(host)-1] <= '9'
}

// portOf returns u's port without leading zeros, or the default one of its scheme.
func portOf(u *url.URL) string {
	if p := strings.TrimLeft(u.Port(), "0"); p != "" {
		return p
	}
	switch {
	case u.Port() != "":
		return "0"
	case strings.EqualFold(u.Scheme, "https"):
		return "443"
	case strings.EqualFold(u.Scheme, "http"):
		return "80"
	}
	return ""
}

// isLoopback reports whether host is this machine: an address, or a name that RFC 6761 section 6.3
// keeps for it.
func isLoopback(host string) bool {
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if name == "localhost" || strings.HasSuffix(name, ".localhost") && isASCII(name) {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

type withoutToken struct{}

// WithoutToken returns a context for requests that a [Transport] is to leave alone: they go to Base
// as they are, with no token and no replay, whatever they are answered. For the odd public or
// differently secured call through a shared client.
func WithoutToken(ctx context.Context) context.Context {
	return context.WithValue(ctx, withoutToken{}, true)
}

// configured reports what is wrong with t's fields, the first time they are looked at and ever
// after.
func (t *Transport) configured() error {
	t.setup.Do(func() {
		if t.Provider == nil {
			t.invalid = errors.New("transport: Transport.Provider is nil: set where tokens come from")
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
	return fmt.Errorf("transport: the token is not sent to %q over plain http, where anybody on the way, a proxy too, can read it; "+
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
	if req.Context().Value(withoutToken{}) != nil {
		return false, nil
	}
	if !t.allowed(req) {
		t.onBare(req)
		return false, nil
	}
	switch {
	case strings.EqualFold(req.URL.Scheme, "https"):
		return true, nil
	case !strings.EqualFold(req.URL.Scheme, "http"):
		return false, nil // Base says what it thinks of that
	case !t.AllowHTTP && (!isLoopback(req.URL.Hostname()) || t.proxied(req)):
		return false, plainHTTP(req.URL.Hostname())
	}
	return true, nil
}

// proxied reports whether Base sends req to a proxy, which would read the token though the host is
// this machine.
func (t *Transport) proxied(req *http.Request) bool {
	base, ok := t.base().(*http.Transport)
	if !ok || base.Proxy == nil {
		return false
	}
	proxy, err := base.Proxy(req)
	return err == nil && proxy != nil
}

// allowed reports whether the token may go where req goes. http.Client hangs each request of a
// redirect chain on the response that caused it. One foreign hop anywhere in the chain taints the
// rest, even what comes back: the server that answered there has chosen the URL.
func (t *Transport) allowed(req *http.Request) bool {
	for r := req; ; r = r.Response.Request {
		switch {
		case t.Origins != nil && !t.lists(r.URL):
			return false
		case r.Response == nil:
			return true // the caller's own request
		case r.Response.Request == nil || r.Response.Request.URL == nil:
			return false // a chain whose beginning is not known
		case t.Origins == nil && !sameOrigin(r.URL, r.Response.Request.URL):
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
