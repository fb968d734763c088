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
	"slices"
	"strconv"
	"strings"
)

// version goes into X-Stream-Client, by which Stream tells SDKs apart.
const version = "stayauth-go-0.1.0"

// requestID is the header that names a call. A replay of the call has the same value.
const requestID = "X-Client-Request-Id"

// How much of an answer is read, in bytes.
const (
	maxResponse = 16 << 20
	maxRefusal  = 64 << 10 // of one that is an error
)

var errLongAnswer = fmt.Errorf("the answer has more than %d bytes", maxResponse)

// A call is one request to the API.
type call struct {
	method string
	path   []string // segments after the base, escaped when they are joined
	query  url.Values
	in     any // the JSON body; nil for none
	out    any // the answer is decoded into it; nil to drop it

	header func(http.Header) // is called with the answer's header, whatever its status; nil for none
}

// apiPath and feedsPath return the segments of a path under /api/v2 and under /api/v2/feeds.
func apiPath(segments ...string) []string { return append([]string{"api", "v2"}, segments...) }
func feedsPath(segments ...string) []string {
	return append([]string{"api", "v2", "feeds"}, segments...)
}

// ask makes the call and returns its answer. With an error it returns nil, and never half an
// answer.
func ask[Out any](ctx context.Context, s *Session, c call) (*Out, error) {
	out := new(Out)
	c.out = out
	if err := s.do(ctx, c); err != nil {
		return nil, err
	}
	return out, nil
}

// orZero returns req, or the zero request for nil.
func orZero[T any](req *T) *T {
	if req == nil {
		req = new(T)
	}
	return req
}

// do makes the call. If the call exceeds a rate limit, do waits and makes it again, as
// Client.NoRateLimitWait says.
func (s *Session) do(ctx context.Context, c call) error {
	id := rand.Text()
	for waits := 0; ; waits++ {
		err := s.attempt(ctx, c, id)
		refusal, ok := err.(*Error) // not errors.As: the token provider's own call may have got one
		if !ok || !refusal.rateLimited() || s.client.NoRateLimitWait || waits == maxRateLimitWaits {
			return err
		}
		if err := s.awaitReset(ctx, refusal); err != nil {
			return err
		}
	}
}

// attempt makes the call once, with the given request id.
func (s *Session) attempt(ctx context.Context, c call, id string) error {
	if slices.Contains(c.path, "") {
		return fmt.Errorf("feeds: %s /%s: an id is empty", c.method, strings.Join(c.path, "/"))
	}
	u := s.base.JoinPath(escaped(c.path)...)
	u.RawQuery = c.query.Encode()
	var body io.Reader
	if c.in != nil {
		b, err := json.Marshal(c.in)
		if err != nil {
			return fmt.Errorf("feeds: %s %s: the request can't be encoded: %w", c.method, u.Path, err)
		}
		body = bytes.NewReader(b) // has GetBody, so it can be replayed
	}
	req, err := http.NewRequestWithContext(ctx, c.method, u.String(), body)
	if err != nil {
		return fmt.Errorf("feeds: %w", err)
	}
	req.Header.Set(requestID, id)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}

	resp, err := s.HTTPClient().Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // url.Error would add the whole URL
		}
		return fmt.Errorf("feeds: %s %s: %w", c.method, u.Path, err)
	}
	defer resp.Body.Close()
	if c.header != nil {
		c.header(resp.Header)
	}
	if resp.StatusCode/100 != 2 {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal)) // if it can't be read, the status has to do
		return newError(resp, b, c.method+" "+u.Path, id)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse+1))
	switch {
	case err != nil:
		return fmt.Errorf("feeds: %s %s: reading the answer: %w", c.method, u.Path, err)
	case len(b) > maxResponse:
		return fmt.Errorf("feeds: %s %s: %w", c.method, u.Path, errLongAnswer)
	case c.out == nil:
		return nil
	}
	if err := json.Unmarshal(b, c.out); err != nil {
		return fmt.Errorf("feeds: %s %s: the answer is not what was expected: %w", c.method, u.Path, err)
	}
	return nil
}

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

// setString and setInt set a query parameter, unless its value is zero.
func setString(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}

func setInt(query url.Values, name string, value int) {
	if value != 0 {
		query.Set(name, strconv.Itoa(value))
	}
}

// hardDelete returns the query of a call that deletes for good, or none.
func hardDelete(on bool) url.Values {
	if !on {
		return nil
	}
	return url.Values{"hard_delete": {"true"}}
}
