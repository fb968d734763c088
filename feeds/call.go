package feeds

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// version stands in X-Stream-Client, by which Stream tells SDKs apart.
const version = "stayauth-go-0.1.0"

// requestID is the header that names a logical call. Its replays carry the same one.
const requestID = "X-Client-Request-Id"

// maxResponse bounds what is read of a response.
const maxResponse = 16 << 20

// A call is one request to the API, whoever makes it.
type call struct {
	method string
	path   []string // segments after the base, escaped when they are joined
	query  url.Values
	in     any // the JSON body; nil for none
	out    any // where the answer goes; nil to drop it
}

// do makes the call through rt. Both kinds of callers come through here: a session, whose transport puts the token in, and the
// server side, whose rt does.
func (c *Client) do(ctx context.Context, rt http.RoundTripper, call call) error {
	base, err := c.base()
	if err != nil {
		return err
	}
	u := base.JoinPath(escaped(call.path)...)
	query := url.Values{"api_key": {c.Key}}
	for k, v := range call.query {
		query[k] = v
	}
	u.RawQuery = query.Encode()
	var body io.Reader
	if call.in != nil {
		b, err := json.Marshal(call.in)
		if err != nil {
			return fmt.Errorf("feeds: %s %s: the request can't be encoded: %w", call.method, u.Path, err)
		}
		body = bytes.NewReader(b) // has GetBody, so it can be replayed
	}
	req, err := http.NewRequestWithContext(ctx, call.method, u.String(), body)
	if err != nil {
		return fmt.Errorf("feeds: %w", err)
	}
	id := rand.Text()
	req.Header.Set(requestID, id)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Stream-Auth-Type", "jwt")
	req.Header.Set("X-Stream-Client", version)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}

	resp, err := (&http.Client{Transport: rt, CheckRedirect: neverRedirect}).Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // which would add the whole URL
		}
		return fmt.Errorf("feeds: %s %s: %w", call.method, u.Path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse+1))
	switch {
	case err != nil:
		return fmt.Errorf("feeds: %s %s: reading the answer: %w", call.method, u.Path, err)
	case len(b) > maxResponse:
		return fmt.Errorf("feeds: %s %s: the answer has more than %d bytes", call.method, u.Path, maxResponse)
	case resp.StatusCode/100 != 2:
		return newError(resp, b, call.method+" "+u.Path, id)
	case call.out == nil:
		return nil
	}
	if err := json.Unmarshal(b, call.out); err != nil {
		return fmt.Errorf("feeds: %s %s: the answer is not what was expected: %w", call.method, u.Path, err)
	}
	return nil
}

// neverRedirect hands redirects on as answers, which become errors: the API sends none, so somebody else does.
func neverRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func escaped(segments []string) []string {
	out := make([]string, len(segments))
	for i, s := range segments {
		out[i] = url.PathEscape(s)
		if strings.Trim(s, ".") == "" {
			out[i] = strings.ReplaceAll(s, ".", "%2E") // or JoinPath would take it for a step up
		}
	}
	return out
}
