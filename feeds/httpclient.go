package feeds

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
)

// HTTPClient returns an http.Client that sends its requests as the session: for calls that this package has no method for,
// such as the upload of a file, and for code that wants an http.Client.
//
//	resp, err := session.HTTPClient().Post("/api/v2/uploads/file", form.FormDataContentType(), body)
//
// A request to the API, named by the origin of BaseURL or by a path alone as above, gets the token, the API key, and the
// headers Stream-Auth-Type, X-Stream-Client and, if it has none, X-Client-Request-Id. If its token is rejected it is replayed,
// body and all, as [transport.Transport] says: a body without GetBody up to 64 KiB. A request to anywhere else goes out as it
// is. Redirects are not followed, but returned.
//
// The answer is the API's, whatever its status: a refusal is no error here, and a rate limit is not waited for.
//
// The client ends with the session. It may be changed, and given a Timeout.
func (s *Session) HTTPClient() *http.Client {
	return &http.Client{Transport: dresser{s}, CheckRedirect: neverRedirect}
}

// neverRedirect hands redirects on as answers: the API sends none, so somebody else does.
func neverRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// A dresser puts into requests what all that go to the API have in common, save the token, which is the transport's matter.
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
	case strings.EqualFold(u.Scheme, s.base.Scheme) && strings.EqualFold(u.Host, s.base.Host):
		abs := *u
		out = s.dressed(req, &abs)
	}
	resp, err := s.transport.RoundTrip(out)
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}

// CloseIdleConnections forwards to Base, for [http.Client.CloseIdleConnections].
func (d dresser) CloseIdleConnections() { d.session.transport.CloseIdleConnections() }

// dressed returns the request that goes out in place of req: RoundTrip must not modify its request. It may change u.
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
	out.Header = req.Header.Clone()
	if out.Header == nil {
		out.Header = make(http.Header)
	}
	out.Header.Set("Stream-Auth-Type", s.authType)
	out.Header.Set("X-Stream-Client", version)
	if out.Header.Get(requestID) == "" {
		out.Header.Set(requestID, rand.Text())
	}
	return out
}
