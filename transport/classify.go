package transport

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
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
	for c := range challenges(resp.Header) {
		if !strings.EqualFold(c.scheme, "Bearer") {
			continue
		}
		if e, ok := c.params["error"]; !ok || e == "invalid_token" {
			return true
		}
	}
	return false
}

// Any401 reports whether resp has status 401, for an API that says nothing more. Every 401 then costs a call of the token
// provider, at a slowing pace as long as new tokens don't help.
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
		body, err := decoded(resp.Header, resp.Body)
		if err != nil {
			return false
		}
		var object map[string]json.RawMessage
		if json.Unmarshal(body, &object) != nil {
			return false
		}
		var got int
		raw, ok := object[field]
		return ok && string(raw) != "null" && json.Unmarshal(raw, &got) == nil && got == code
	}
}

// decoded reads an error body to its end and undoes its Content-Encoding. http.Transport has done so already, unless the
// caller asked for an encoding by name. Neither the input nor the output may be longer than maxAnswer.
func decoded(h http.Header, body io.Reader) ([]byte, error) {
	r := io.LimitReader(body, maxAnswer)
	switch enc := strings.ToLower(strings.TrimSpace(h.Get("Content-Encoding"))); enc {
	case "", "identity":
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, err
		}
		r = z
	case "deflate": // RFC 9110 section 8.4.1.2: the zlib format
		z, err := zlib.NewReader(r)
		if err != nil {
			return nil, err
		}
		r = z
	default:
		return nil, errors.New("transport: unknown Content-Encoding")
	}
	var out bytes.Buffer
	if n, err := io.Copy(&out, io.LimitReader(r, maxAnswer+1)); err != nil || n > maxAnswer {
		return nil, errors.Join(err, errors.New("transport: error body too long"))
	}
	return out.Bytes(), nil
}
