package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"unicode/utf8"
)

// HTTP is the TokenProvider for a backend of your own, which knows its users, holds the API secret
// and can stop handing out tokens. [Handler] is such a backend. For an OAuth 2.0 server use
// [OAuth2], which is the same but for what it sends.
//
// Each call of Token is one POST of a JSON object to URL; pacing is for the caller.
//
//	{"user_id": "alice", "session": "...", "refresh_token": "..."}
//
// A field without a value is left out. refresh_token is the refresh token of the token to replace,
// where it has one. The answer's status is 2xx and its body, of at most 64 KiB once it is
// decompressed:
//
//	{"token": "...", "refresh_token": "...", "expires_in": 3600}
//
// access_token will do for token. The expiry is the exp claim if the token is a JWT, else
// expires_in (in seconds, as a number or a string) counted from when the request began; 0 or
// nothing there says that it is unknown. An answer without refresh_token leaves the old refresh
// token in force. Whatever else the answer holds is within reach by [Token.Extra].
//
// # Outcomes
//
// What becomes of a call that fails:
//
//	a field of HTTP is missing or makes no sense             permanent, and nothing is sent
//	nothing was sent: the connection was refused, say        temporary
//	status 401, unless the body is an HTML page              permanent
//	status 403 with an error body                            permanent
//	status 400 with an error code of RFC 6749 section 5.2    permanent
//	status 2xx with such a code and no token                 permanent
//	an error code that means "busy", whatever the status     temporary
//	status 404, 405, 407 and redirects: a wrong URL, say     temporary, and marked by NoRetry
//	any other status: 403, 429, 500                          temporary
//	status 502, 504, 520, 524: a proxy has no answer         temporary, but permanent with a single-use refresh token
//	no answer: the connection broke, the time ran out        temporary, but permanent with a single-use refresh token
//	2xx, and the answer is torn, too long or no token        temporary, but permanent with a single-use refresh token
//
// An error body is a JSON object in which error is a string: the form of RFC 6749 section 5.2,
// which Handler speaks too. A 403 of any other form comes from a firewall or a login page on the
// way as often as from the backend, and is no reason to log a user out. The codes that mean "busy"
// are temporarily_unavailable, server_error, slow_down, rate_limit_exceeded and their like.
//
// Every refresh token counts as single-use unless RefreshTokenReusable is set. In the last three
// cases there is no way to know whether the backend has spent it. Backends take a spent refresh
// token that comes again for a stolen one and revoke the whole login, so it isn't sent again, and
// the error says so. A status such as 500 or 503, on the other hand, is the backend's own word that
// it could not do what it was asked (RFC 9110 section 15.6).
//
// Where Session is set, a refresh token that has come to its end by one of the permanent rows above
// is not the end of the login: Token asks once more with the session alone. If the refresh token
// may be spent it keeps asking for half a minute, because the next call of Token would begin with
// the refresh token again. The new token has nothing of the old one then.
//
// A temporary failure that came with Retry-After passes it on through [RetryAfter], up to 1 hour.
//
// An HTTP is a plain value, used as it is or through a pointer, and safe for concurrent use as long
// as it is not changed. It prints, logs and marshals as REDACTED, and Session never shows, in
// whatever struct it stands. Its errors hold no secret, and of URL neither the query nor the user.
type HTTP struct {
	// URL is the token endpoint: "https://app.example.com/token". Required. Plain http is an error
	// before anything is sent, except to this machine's own loopback. A secret doesn't belong in a
	// URL, which many servers log.
	URL string

	// AllowHTTP permits plain http to any host. Secrets and tokens then cross the network for all
	// to read.
	AllowHTTP bool

	// UserID is whose token to ask for. It may be empty if the session tells.
	UserID string

	// Session is the secret that proves to the backend who is asking: a session id, an API key of
	// yours. One of UserID, Session and the refresh token is needed.
	Session Secret

	// SessionHeader names the header whose whole value is Session, for a backend that wants it
	// there and not in the body. SessionCookie names a cookie likewise. At most one of them is set.
	SessionHeader string
	SessionCookie string

	// RefreshTokenCookie names the cookie in which the refresh token travels, for a backend that
	// keeps it out of the reach of scripts (HttpOnly): it is sent as that cookie instead of in the
	// body, and the answer's Set-Cookie of that name brings the next one. The cookie jar of Client
	// has no part in these calls.
	RefreshTokenCookie string

	// RefreshTokenReusable says that the backend bears being asked twice with the same refresh
	// token: it never changes them, or an old one stays good for a while. A lost answer is then a
	// temporary failure.
	RefreshTokenReusable bool

	// Client makes the call. It must not be the client whose tokens come from here. Redirects are
	// never followed, whatever its CheckRedirect says, for the secrets would go along. Its Timeout
	// is the limit for a call.
	//
	// Nil means one over http.DefaultTransport that takes at most 10 s for a call, or 30 s where
	// giving up would cost the login, because a single-use refresh token is all there is.
	Client *http.Client

	// Decode reads the body of a 2xx answer, where the backend's differs from the above. If it
	// returns no expiry, that is read from the token where it is a JWT. A refresh token goes into
	// the Token by WithRefreshToken. An error marked Permanent ends the login.
	Decode func(body []byte) (Token, error)

	// DecodeError reads the body of any other answer, of which it gets the first 64 KiB, where the
	// backend has an own way to say that the login is over. It returns the error: marked Permanent
	// if the login is over, by RetryAfter or unmarked if it is a matter of time. Nil leaves the
	// answer to the table above.
	DecodeError func(status int, body []byte) error
}

// Token asks the backend for a token in place of old. It implements [TokenProvider].
func (h HTTP) Token(ctx context.Context, old Token) (Token, error) {
	first := grant{refreshToken: old.RefreshToken(), fill: h.fill(old.RefreshToken())}
	if old.RefreshToken() == "" || h.Session.IsZero() {
		return h.endpoint().token(ctx, old, first, nil)
	}
	return h.endpoint().token(ctx, old, first, &grant{fill: h.fill("")})
}

func (h HTTP) endpoint() endpoint {
	const advice = "the user, the session or the refresh token is wrong, or was revoked"
	return endpoint{
		owner: "HTTP", field: "URL", advice: advice, clientAdvice: advice,
		url: h.URL, allowHTTP: h.AllowHTTP, reusable: h.RefreshTokenReusable, cookie: h.RefreshTokenCookie, client: h.Client,
		decode: h.Decode, decodeError: h.DecodeError, tokenNames: []string{"token", "access_token"}, isFinal: isOAuthError,
	}
}

// fill returns what fills the request that spends refreshToken, or a login's if that is "".
func (h HTTP) fill(refreshToken string) func(context.Context, *http.Request) (body []byte, secrets []string, err error) {
	return func(_ context.Context, req *http.Request) ([]byte, []string, error) {
		r := plainRequest{UserID: h.UserID, Session: h.Session.Value(), RefreshToken: refreshToken}
		if h.SessionHeader != "" || h.SessionCookie != "" {
			r.Session = ""
		}
		if h.RefreshTokenCookie != "" {
			r.RefreshToken = ""
		}
		err := h.check(r, refreshToken)
		if err == nil {
			err = h.fillHeader(req, refreshToken)
		}
		if err != nil {
			return nil, nil, Permanent(err)
		}
		req.Header.Set("Content-Type", "application/json")
		body, _ := json.Marshal(r) // strings always marshal
		return body, []string{h.Session.Value()}, nil
	}
}

// check says what is wrong with h and with the body that it makes.
func (h HTTP) check(r plainRequest, refreshToken string) error {
	switch {
	case h.UserID == "" && h.Session.IsZero() && refreshToken == "":
		return errors.New("provider: HTTP has nothing that says who asks: set UserID, Session or both")
	case h.SessionHeader != "" && h.SessionCookie != "":
		return errors.New("provider: HTTP.SessionHeader and SessionCookie are both set: the session goes into one place")
	case h.SessionCookie != "" && h.SessionCookie == h.RefreshTokenCookie:
		return errors.New("provider: HTTP.SessionCookie and RefreshTokenCookie are the same cookie: it can't hold both")
	case h.SessionHeader != "" && strings.ContainsFunc(h.SessionHeader, func(c rune) bool { return c > 0x7f || !isTokenChar(byte(c)) }):
		return fmt.Errorf("provider: HTTP.SessionHeader is %q, which can't be the name of a header", h.SessionHeader)
	case !utf8.ValidString(r.UserID), !utf8.ValidString(r.Session), !utf8.ValidString(r.RefreshToken):
		// What JSON makes of it would be another user's id, or anyone's session.
		return errors.New("provider: HTTP.UserID, Session or the refresh token is not UTF-8, which JSON can't carry; encode it")
	}
	return nil
}

func (h HTTP) fillHeader(req *http.Request, refreshToken string) error {
	if !h.Session.IsZero() && h.SessionHeader != "" {
		if strings.ContainsFunc(h.Session.Value(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return errors.New("provider: HTTP.Session holds a line break or the like, which a header can't carry; trim it")
		}
		req.Header.Set(h.SessionHeader, h.Session.Value())
	}
	if h.SessionCookie != "" {
		if err := addCookie(req, h.SessionCookie, h.Session.Value()); err != nil {
			return fmt.Errorf("provider: HTTP.SessionCookie or Session %w", err)
		}
	}
	if h.RefreshTokenCookie != "" {
		if err := addCookie(req, h.RefreshTokenCookie, refreshToken); err != nil {
			return fmt.Errorf("provider: HTTP.RefreshTokenCookie or the refresh token %w", err)
		}
	}
	return nil
}

// addCookie adds a cookie unless its value is empty. The quotes around a value are part of it.
func addCookie(req *http.Request, name, value string) error {
	if value == "" {
		return nil
	}
	cookie := &http.Cookie{Name: name, Value: value}
	if n := len(value); n > 1 && value[0] == '"' && value[n-1] == '"' {
		cookie.Value, cookie.Quoted = value[1:n-1], true
	}
	if cookie.Valid() != nil { // net/http would drop the odd bytes in silence
		return errors.New("holds what a cookie can't carry; encode it")
	}
	req.AddCookie(cookie)
	return nil
}

// Format implements [fmt.Formatter]: every verb prints REDACTED.
func (HTTP) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue implements [slog.LogValuer].
func (HTTP) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler], and with it JSON and XML: it gives REDACTED.
func (HTTP) MarshalText() ([]byte, error) { return []byte(redacted), nil }
