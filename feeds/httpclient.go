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

// HTTPClient returns an http.Client that sends its requests as the session: for calls that this
// package has no method for, such as the upload of a file, and for code that wants an http.Client.
//
//	resp, err := session.HTTPClient().Post("/api/v2/uploads/file", form.FormDataContentType(), body)
//
// A request to the API, named by the origin of BaseURL or by a path alone as above, gets the token
// in place of any that it has, the API key, and the headers Stream-Auth-Type, X-Stream-Client and,
// if it has none, X-Client-Request-Id. If its token is rejected it is replayed, body and all, as
// [transport.Transport] says: a body without GetBody up to 64 KiB. A request to anywhere else goes
// out as it is. Redirects are not followed, but returned.
//
// A request to another of Stream's hosts, or one with Stream's headers to another origin, is an
// error and is not sent: an SDK makes such a one if it was not given the session's BaseURL, and it
// would go out under the SDK's own token, which is that of a server where the SDK was given the
// secret.
//
// The answer is the API's, whatever its status: a refusal is no error here, and a rate limit is not
// waited for.
//
// The client ends with the session. It may be changed, and given a Timeout.
func (s *Session) HTTPClient() *http.Client {
	return &http.Client{Transport: dresser{s}, CheckRedirect: neverRedirect}
}

// neverRedirect hands redirects on as answers: the API sends none, so somebody else does.
func neverRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// A dresser puts into requests what all that go to the API have in common, except the token, which
// is the transport's matter.
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
			_ = req.Body.Close() // the request has failed for a better reason already
		}
		return nil, fmt.Errorf("feeds: HTTPClient: the request is for %q, and the session's API is at %q: it would go out without "+
			"the session's token. Point the SDK there (in Stream's Go SDK with WithBaseUrl), or change Client.BaseURL", u.Host, s.base.Host)
	default:
		out = req.WithContext(transport.WithoutToken(req.Context())) // one judgement of what is the API, and this is it
	}
	resp, err := s.transport.RoundTrip(out)
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}

// CloseIdleConnections forwards to Base, for [http.Client.CloseIdleConnections].
func (d dresser) CloseIdleConnections() { d.session.transport.CloseIdleConnections() }

// streamDomain is where Stream's APIs are: feeds, chat, video, and the hosts of regions.
const streamDomain = "stream-io-api.com"

// isStream reports whether req is a call of Stream's API, by where it goes or by what it has.
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

// sameHost compares names as DNS does: without case, and that of ASCII alone. Unicode would take σ
// and ς for the same letter.
func sameHost(a, b string) bool {
	ascii := func(s string) bool { return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) }
	return a == b || ascii(a) && ascii(b) && strings.EqualFold(a, b)
}

// portOf returns u's port, which is that of its scheme if it has none.
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

// dressed returns the request that goes out in place of req: RoundTrip must not modify its request.
// It may change u.
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
	for name, values := range req.Header { // whichever way they are written
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
