package transport

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/stayauth/stayauth/provider"
)

const invalidToken = "invalid_token" // RFC 6750 section 3.1

// Bearer reports whether resp rejects a bearer token: status 401 with a WWW-Authenticate challenge
// of the scheme Bearer, or DPoP (RFC 9449 section 7.1), whose error is "invalid_token", which RFC
// 6750 section 3.1 has for tokens that are expired, revoked or malformed. A challenge without any
// error counts too, because the error is only recommended (section 3); any other error, such as
// "insufficient_scope" or "use_dpop_nonce", does not: a new token would not help.
//
// It is what a nil Transport.IsRejected means.
func Bearer(resp *http.Response) bool {
	if resp.StatusCode != http.StatusUnauthorized {
		return false
	}
	for _, c := range provider.ParseChallenges(resp.Header) {
		if !strings.EqualFold(c.Scheme, "Bearer") && !strings.EqualFold(c.Scheme, "DPoP") {
			continue
		}
		if e, ok := c.Params["error"]; !ok || e == invalidToken {
			return true
		}
	}
	return false
}

// Any401 reports whether resp has status 401, for an API that says nothing more. Every 401 then
// costs a call of the token provider, at a slowing pace as long as new tokens don't help. A request
// is sent again once, and not three times, unless a challenge in the answer has the error
// "invalid_token": what such an API rejects may as well be a password.
func Any401(resp *http.Response) bool { return resp.StatusCode == http.StatusUnauthorized }

// BodyCode returns a classifier for APIs that put codes of their own into a JSON error body: it
// reports whether the response has status 401 and one of codes stands at path in its body. A path
// is the names on the way there, with dots between them; where there is an array on the way, each
// of its elements counts.
//
//	transport.BodyCode("code", 40)                            // Stream
//	transport.BodyCode("error.status", "UNAUTHENTICATED")     // Google
//	transport.BodyCode("errorCode", "INVALID_SESSION_ID")     // Salesforce, whose body is an array
//
// It reads at most 64 KiB of the body, after decompression as before; in a longer body it finds
// nothing. The answer to a HEAD has no body: its 401 counts as a rejection, and the request is sent
// again once.
func BodyCode[T int | string](path string, codes ...T) func(*http.Response) bool {
	names := strings.Split(path, ".")
	return func(resp *http.Response) bool {
		if resp.StatusCode != http.StatusUnauthorized || resp.Body == nil {
			return false
		}
		if resp.Request != nil && resp.Request.Method == http.MethodHead {
			return true
		}
		if b, ok := resp.Body.(*answer); ok {
			b.pos = 0 // another classifier may have read it
		}
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
		if err != nil {
			return false
		}
		plain, whole, ok := decode(resp.Header, body)
		return ok && whole && codeAt(plain, names, codes)
	}
}

// codeAt reports whether one of codes stands at the path in value. It looks into arrays, but not
// into one that is an element of another: each level would read the whole again.
func codeAt[T int | string](value json.RawMessage, path []string, codes []T) bool {
	switch value = bytes.TrimSpace(value); {
	case len(value) > 0 && value[0] == '[':
		var elements []json.RawMessage
		return json.Unmarshal(value, &elements) == nil &&
			slices.ContainsFunc(elements, func(e json.RawMessage) bool { return !bytes.HasPrefix(e, []byte("[")) && codeAt(e, path, codes) })
	case len(path) > 0:
		var object map[string]json.RawMessage
		return json.Unmarshal(value, &object) == nil && codeAt(object[path[0]], path[1:], codes)
	}
	var code T
	return string(value) != "null" && json.Unmarshal(value, &code) == nil && slices.Contains(codes, code)
}

// As401 returns a classifier that says of answers with one of statuses what isRejected says of a
// 401 like them, and nothing of any others: for an API that says "expired" by another status.
//
//	transport.As401(transport.Any401, 403)                        // a bare 403
//	transport.As401(transport.BodyCode("error.code", 190), 400)   // Facebook
func As401(isRejected func(*http.Response) bool, statuses ...int) func(*http.Response) bool {
	return func(resp *http.Response) bool {
		if !slices.Contains(statuses, resp.StatusCode) {
			return false
		}
		like := *resp
		like.StatusCode, like.Status = http.StatusUnauthorized, "401 Unauthorized"
		return isRejected(&like)
	}
}

// AnyOf returns a classifier that takes for a rejection what any of them does.
func AnyOf(isRejected ...func(*http.Response) bool) func(*http.Response) bool {
	return func(resp *http.Response) bool {
		return slices.ContainsFunc(isRejected, func(f func(*http.Response) bool) bool { return f(resp) })
	}
}

// RedirectTo returns a classifier for an API that sends a client whose token has expired to a login
// page: it reports whether resp redirects to login, whatever the query is. login is a URL, or the
// path of one, which then counts on every host.
func RedirectTo(login string) func(*http.Response) bool {
	want, err := url.Parse(login)
	return func(resp *http.Response) bool {
		if err != nil || resp.StatusCode < 300 || resp.StatusCode > 399 {
			return false
		}
		to, err := resp.Location()
		return err == nil && to.Path == want.Path && (want.Host == "" || sameOrigin(to, want))
	}
}

// CodeIn200 returns a classifier for an API that answers with status 200 and puts its errors into a
// JSON body. It reports whether one of codes stands at path, as [BodyCode] does. It is asked if
// Transport.Check200 is set.
//
//	transport.CodeIn200("errors.extensions.code", "UNAUTHENTICATED")   // GraphQL
//	transport.CodeIn200("error", "token_expired", "invalid_auth")      // Slack
//
// An answer that is no JSON object, or in which another object or array comes before the path
// begins, is no error, and is handed on as soon as that has been seen: nothing is held up but the
// beginning of a body, for a second at most.
func CodeIn200[T int | string](path string, codes ...T) func(*http.Response) bool {
	first, rest, _ := strings.Cut(path, ".")
	names := strings.Split(rest, ".")
	if rest == "" {
		names = nil
	}
	return func(resp *http.Response) bool {
		media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
		if resp.StatusCode != http.StatusOK || resp.Body == nil || resp.Header.Get("Content-Encoding") != "" ||
			media != "application/json" && !strings.HasSuffix(media, "+json") {
			return false
		}
		if b, ok := resp.Body.(*answer); ok {
			b.pos = 0 // another classifier may have read it
		}
		d := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer))
		if open, err := d.Token(); err != nil || open != json.Delim('{') {
			return false
		}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return false
			}
			if name == first {
				var value json.RawMessage
				return d.Decode(&value) == nil && codeAt(value, names, codes)
			}
			value, err := d.Token()
			if _, composite := value.(json.Delim); err != nil || composite {
				return false
			}
		}
		return false
	}
}

// asked reports whether IsRejected is asked about resp.
func (t *Transport) asked(resp *http.Response) bool {
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		return true
	case t.IsRejected == nil:
		return false
	}
	return 300 <= resp.StatusCode && resp.StatusCode < 500 || resp.StatusCode == http.StatusOK && t.Check200
}

// judgeAnswer asks the classifier about resp, and returns what to go on with: resp itself if the
// classifier has let its body alone, and else one like it, whose body is whole again whatever the
// classifier did to it.
func (t *Transport) judgeAnswer(resp *http.Response) (*http.Response, bool) {
	b, like := newAnswer(resp)
	judged, is := false, false
	defer func() {
		b.end()
		like.Body = b
		if !judged { // the classifier panicked, and no caller gets the response
			_ = b.Close()
		}
	}()
	is = t.isRejected(like)
	judged = true
	if !is && b.untouched() {
		return resp, false
	}
	return like, is
}

func (t *Transport) isRejected(resp *http.Response) bool {
	if t.IsRejected != nil {
		return t.IsRejected(resp)
	}
	return Bearer(resp)
}
