package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

const (
	callTimeout      = 10 * time.Second // for HTTP's own client
	singleUseTimeout = 30 * time.Second // the same, where giving up would cost the login
)

// HTTP is the TokenProvider that most programs need: it asks your own backend, which knows its users, holds the API secret
// and can stop handing out tokens. [Handler] is such a backend.
//
// Each call of Token is one POST of a JSON object to URL, and nothing is tried twice: pacing is for the caller.
//
//	{"user_id": "alice", "session": "...", "refresh_token": "..."}
//
// A field without a value is left out. refresh_token is the refresh token of the token to replace, where it has one. The
// answer's status is 2xx and its body, of at most 64 KiB once it is decompressed:
//
//	{"token": "...", "refresh_token": "...", "expires_in": 3600}
//
// access_token will do for token. The expiry is the exp claim if the token is a JWT, else expires_in (in seconds) counted
// from when the request began, else unknown. An answer without refresh_token leaves the old refresh token in force.
//
// What becomes of a call that fails:
//
//	a field of HTTP is missing or makes no sense             permanent, and nothing is sent
//	nothing was sent: the connection was refused, say        temporary
//	status 401 or 403                                        permanent
//	status 400 with an error code of RFC 6749 section 5.2    permanent
//	any other status but 2xx, 502 and 504, redirects too     temporary
//	status 502 or 504: a proxy has no answer to pass on      temporary, but permanent with a single-use secret
//	no answer: the connection broke, the time ran out        temporary, but permanent with a single-use secret
//	2xx, and the answer is torn, too long or no token        temporary, but permanent with a single-use secret
//
// Every refresh token counts as single-use unless RefreshTokenReusable is set. In the last three cases nobody here can know
// whether the backend has spent it. Backends take a spent secret that comes again for a stolen one and revoke the whole login,
// so it isn't sent again, and the error says so. A status such as 500 or 503, on the other hand, is the backend's own word
// that it could not do what it was asked (RFC 9110 section 15.6).
//
// A temporary failure that came with Retry-After passes it on through [RetryAfter], up to 1 hour.
//
// An HTTP is a plain value, used as it is or through a pointer, and safe for concurrent use as long as nobody changes it. It
// prints, logs and marshals as REDACTED wherever fmt asks a value how to print: not so inside an unexported field of your own
// struct, nor under %p and %w, which go vet reports. Its errors hold no secret, and of URL neither the query nor the user.
type HTTP struct {
	// URL is the token endpoint: "https://app.example.com/token". Required. Plain http is refused, save to this machine's
	// own loopback, before anything is sent.
	URL string

	// AllowHTTP permits plain http to any host. Secrets and tokens then cross the network for all to read.
	AllowHTTP bool

	// UserID is whose token to ask for. It may be empty if the session tells.
	UserID string

	// Session is the secret that proves to the backend who is asking: a session id, an API key of yours. One of UserID,
	// Session and the refresh token is needed.
	Session string

	// SessionHeader names the header whose whole value is Session, for a backend that wants it there and not in the body.
	// SessionCookie names a cookie likewise. At most one of them is set.
	SessionHeader string
	SessionCookie string

	// RefreshTokenReusable says that the backend bears being asked twice with the same refresh token: it never changes them, or
	// an old one stays good for a while. A lost answer is then a temporary failure.
	RefreshTokenReusable bool

	// Client makes the call. It must not be the client whose tokens come from here. Redirects are never followed, whatever
	// its CheckRedirect says, for the secrets would go along. Its Timeout is the limit for a call.
	//
	// Nil means one over http.DefaultTransport that takes at most 10 s for a call, or 30 s with a single-use secret.
	Client *http.Client

	// Decode reads the body of a 2xx answer, where the backend's differs from the above. If it returns no expiry,
	// that is read from the token where it is a JWT. A refresh token goes into the Token by WithRefreshToken.
	Decode func(body []byte) (Token, error)
}

// Token asks the backend for a token in place of old. It implements [TokenProvider].
func (h HTTP) Token(ctx context.Context, old Token) (Token, error) {
	req, err := h.request(ctx, old)
	if err != nil {
		return Token{}, Permanent(err)
	}
	singleUse := old.RefreshToken() != "" && !h.RefreshTokenReusable
	password, _ := req.URL.User.Password()
	c := call{
		endpoint: req.URL.Scheme + "://" + req.URL.Host + req.URL.EscapedPath(),
		secrets:  []string{h.Session, old.RefreshToken(), req.URL.RawQuery, password},
		decode:   h.Decode,
		start:    time.Now(),
	}
	body := newSealedBody(req, h.payload(old))
	resp, err := h.client(singleUse).Do(req)
	c.spent = body.seal() && singleUse
	if err != nil {
		return Token{}, c.lost("gave no answer", c.plain(ctx, err))
	}
	defer resp.Body.Close()
	t, err := c.answer(ctx, resp)
	if err != nil {
		return Token{}, err
	}
	if t.RefreshToken() == "" {
		t = t.WithRefreshToken(old.RefreshToken())
	}
	return t, nil
}

// request returns the call without its body, or says what is wrong with h.
func (h HTTP) request(ctx context.Context, old Token) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, nil)
	switch {
	case err != nil: // would print the URL
		return nil, errors.New("provider: HTTP.URL can't be read as a URL")
	case req.URL.Hostname() == "" || req.URL.Scheme != "https" && req.URL.Scheme != "http":
		return nil, errors.New("provider: HTTP.URL must be a whole one, such as https://app.example.com/token")
	case req.URL.Scheme == "http" && !isLoopback(req.URL.Hostname()) && !h.AllowHTTP:
		return nil, fmt.Errorf("provider: HTTP.URL is plain http, in which %s and everybody on the way could read the secrets: "+
			"use https, or set AllowHTTP", req.URL.Host)
	case h.UserID == "" && h.Session == "" && old.RefreshToken() == "":
		return nil, errors.New("provider: HTTP has nothing that says who asks: set UserID, Session or both")
	case h.SessionHeader != "" && h.SessionCookie != "":
		return nil, errors.New("provider: HTTP.SessionHeader and SessionCookie are both set: the session goes into one place")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	switch {
	case h.Session == "":
	case h.SessionHeader != "":
		if !isToken(h.SessionHeader) {
			return nil, fmt.Errorf("provider: HTTP.SessionHeader is %q, which can't be the name of a header", h.SessionHeader)
		}
		if strings.ContainsFunc(h.Session, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return nil, errors.New("provider: HTTP.Session holds a line break or the like, which a header can't carry; trim it")
		}
		req.Header.Set(h.SessionHeader, h.Session)
	case h.SessionCookie != "":
		cookie := &http.Cookie{Name: h.SessionCookie, Value: h.Session}
		if cookie.Valid() != nil { // net/http would drop the odd bytes in silence
			return nil, errors.New("provider: HTTP.SessionCookie or Session holds what a cookie can't carry; encode it")
		}
		req.AddCookie(cookie)
	}
	return req, nil
}

func (h HTTP) payload(old Token) []byte {
	r := TokenRequest{UserID: h.UserID, RefreshToken: old.RefreshToken()}
	if h.SessionHeader == "" && h.SessionCookie == "" {
		r.Session = h.Session
	}
	data, _ := json.Marshal(plainRequest(r)) // strings always marshal
	return data
}

func (h HTTP) client(singleUse bool) *http.Client {
	c := http.Client{Timeout: callTimeout}
	if singleUse {
		c.Timeout = singleUseTimeout
	}
	if h.Client != nil {
		c = *h.Client
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// isLoopback reports whether host never leaves this machine.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() || strings.EqualFold(host, "localhost")
}

// isToken reports whether s is a token as RFC 9110 section 5.6.2 has it.
func isToken(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		letterOrDigit := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		return !letterOrDigit && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

// Format implements [fmt.Formatter]: every verb prints REDACTED.
func (HTTP) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue implements [slog.LogValuer].
func (HTTP) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler], and with it JSON and XML: it gives REDACTED.
func (HTTP) MarshalText() ([]byte, error) { return []byte(redacted), nil }
