package transport

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/stayauth/stayauth/provider"
)

// Bearer reports whether resp rejects a bearer token: status 401 with a WWW-Authenticate challenge of the Bearer scheme whose
// error is "invalid_token", which RFC 6750 section 3.1 has for tokens that are expired, revoked or malformed. A Bearer
// challenge without any error counts too, because the error is only recommended (section 3); any other error, such as
// "insufficient_scope", does not: a new token would not help.
//
// It is what a nil Transport.IsRejected means.
func Bearer(resp *http.Response) bool {
	if resp.StatusCode != http.StatusUnauthorized {
		return false
	}
	for _, c := range provider.ParseChallenges(resp.Header) {
		if !strings.EqualFold(c.Scheme, "Bearer") {
			continue
		}
		if e, ok := c.Params["error"]; !ok || e == invalidToken {
			return true
		}
	}
	return false
}

const invalidToken = "invalid_token" // RFC 6750 section 3.1

// Any401 reports whether resp has status 401, for an API that says nothing more. Every 401 then costs a call of the token
// provider, at a slowing pace as long as new tokens don't help. A request is sent again once, and not three times, unless a
// challenge in the answer has the error "invalid_token": what such an API rejects may as well be a password.
func Any401(resp *http.Response) bool { return resp.StatusCode == http.StatusUnauthorized }

// BodyCode returns a classifier for APIs that put a number of their own into a JSON error body: it reports whether the
// response has status 401 and its body is a JSON object in which field is the number code. Stream's is BodyCode("code", 40).
//
// It reads at most 64 KiB of the body, after decompression as before; in a longer body it finds nothing.
func BodyCode(field string, code int) func(*http.Response) bool {
	return func(resp *http.Response) bool {
		if resp.StatusCode != http.StatusUnauthorized || resp.Body == nil {
			return false
		}
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
		if err != nil {
			return false
		}
		plain, whole, ok := decode(resp.Header, body)
		if !ok || !whole {
			return false
		}
		var object map[string]json.RawMessage
		if json.Unmarshal(plain, &object) != nil {
			return false
		}
		var got int
		raw, ok := object[field]
		return ok && string(raw) != "null" && json.Unmarshal(raw, &got) == nil && got == code
	}
}
