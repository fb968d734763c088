package feeds

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/stayauth/stayauth/transport"
)

// HTTPClient returns an http.Client that sends its requests as the session's user. It is for calls
// that have no method here, such as the upload of a file, and for code that needs an http.Client.
//
//	resp, err := session.HTTPClient().Post("/api/v2/uploads/file", form.FormDataContentType(), body)
//
// A request goes to the API if its URL has the origin of BaseURL, or is only a path, as above. It
// gets the session's token in place of its own, the API key, and the headers Stream-Auth-Type,
// X-Stream-Client and, if it has none, X-Client-Request-Id. If the token is rejected, the request
// is replayed with its body, as [transport.Transport] says: a body without GetBody up to 64 KiB. A
// request to any other origin is sent unchanged. Redirects are returned and not followed.
//
// A request to another of Stream's hosts is an error and is not sent, and so is a request with
// Stream's headers to another origin. It would go out with the token of the SDK that made it, which
// is a server token if that SDK has the secret. To avoid it, give the SDK the session's BaseURL.
//
// The answer is the API's, whatever its status is: an error status is no Go error, and the client
// does not wait for rate limits.
//
// The client ends with the session. You may set its Timeout and its other fields.
func (s *Session) HTTPClient() *http.Client {
	return &http.Client{Transport: dresser{s}, CheckRedirect: neverRedirect}
}

// neverRedirect returns redirects as answers. The API sends none, so a redirect is not the API's.
func neverRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// A dresser adds to a request what every request to the API has, except the token, which the
// transport adds.
type dresser struct{ session *Session }

func (d dresser) RoundTrip(req *http.Request) (*http.Response, error) {
	s := d.session
	out := req
	switch u := req.URL; {
	case u == nil || u.Opaque != "":
	case u.Scheme == "" && u.Host == "":
		abs := s.base.JoinPath(u.EscapedPath())
		abs.RawQuery = u.RawQuery
		out = s.dressed(req, abs)
	case sameOrigin(u, s.base):
		abs := *u
		out = s.dressed(req, &abs)
	case isStream(req):
		if req.Body != nil {
			_ = req.Body.Close() // the error below says more
		}
		return nil, fmt.Errorf("feeds: HTTPClient: the request is for %q, and the session's API is at %q: it would go out without "+
			"the session's token. Point the SDK there (in Stream's Go SDK with WithBaseUrl), or change Client.BaseURL", u.Host, s.base.Host)
	default:
		out = req.WithContext(transport.WithoutToken(req.Context())) // only this switch decides what goes to the API
	}
	resp, err := s.transport.RoundTrip(out)
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}

// CloseIdleConnections forwards to Base, for [http.Client.CloseIdleConnections].
func (d dresser) CloseIdleConnections() { d.session.transport.CloseIdleConnections() }

// streamDomain is the domain of Stream's APIs: feeds, chat, video, and the hosts of regions.
const streamDomain = "stream-io-api.com"

// isStream reports whether req is a call of Stream's API, by its host or by its headers.
func isStream(req *http.Request) bool {
	host := strings.TrimSuffix(strings.ToLower(req.URL.Hostname()), ".")
	if host == streamDomain || strings.HasSuffix(host, "."+streamDomain) {
		return true
	}
	for name := range req.Header {
		if strings.EqualFold(name, authTypeHeader) {
			return true
		}
	}
	return false
}

// sameOrigin reports whether a and b have the same scheme, host and port (RFC 6454 section 5).
func sameOrigin(a, b *url.URL) bool {
	return strings.EqualFold(a.Scheme, b.Scheme) && sameHost(a.Hostname(), b.Hostname()) && portOf(a) == portOf(b)
}

// sameHost compares names as DNS does: without case, and only ASCII has case. By Unicode σ and ς
// would be the same letter.
func sameHost(a, b string) bool {
	ascii := func(s string) bool { return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) }
	return a == b || ascii(a) && ascii(b) && strings.EqualFold(a, b)
}

// portOf returns u's port, or that of its scheme if it names none.
func portOf(u *url.URL) string {
	switch port := u.Port(); {
	case port != "":
		return port
	case strings.EqualFold(u.Scheme, "https"):
		return "443"
	}
	return "80"
}

const (
	authHeader     = "Authorization"
	authTypeHeader = "Stream-Auth-Type"
	clientHeader   = "X-Stream-Client"
)

// dressed returns the request that is sent in place of req, because RoundTrip must not modify its
// argument. It may change u.
func (s *Session) dressed(req *http.Request, u *url.URL) *http.Request {
	out := new(http.Request)
	*out = *req
	if !u.Query().Has("api_key") {
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += "api_key=" + url.QueryEscape(s.client.Key)
	}
	out.URL = u
	if out.Host == "" {
		out.Host = u.Host
	}
	out.Header = make(http.Header, len(req.Header)+4)
	id := ""
	for name, values := range req.Header { // a map: its names may be in any case
		switch {
		case strings.EqualFold(name, authHeader), strings.EqualFold(name, authTypeHeader), strings.EqualFold(name, clientHeader):
		case strings.EqualFold(name, requestID):
			if len(values) > 0 {
				id = values[0]
			}
		default:
			out.Header[name] = slices.Clone(values)
		}
	}
	if id == "" {
		id = rand.Text()
	}
	out.Header.Set(authTypeHeader, s.authType)
	out.Header.Set(clientHeader, version)
	out.Header.Set(requestID, id)
	return out
}
