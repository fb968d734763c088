package testserver_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/stayauth/stayauth/testserver"
)

// An answer is what came back from the server; err is set, and all else is not, when nothing did.
type answer struct {
	status int
	header http.Header
	body   map[string]any
	err    error
}

// code returns the API error's code, or 0 if the answer is none.
func (a answer) code() int { return int(a.number("code")) }

func (a answer) number(name string) float64 { n, _ := a.body[name].(float64); return n }
func (a answer) text(name string) string    { s, _ := a.body[name].(string); return s }

// get walks down the answer's objects.
func (a answer) get(path ...string) any {
	var v any = a.body
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

// A caller sends requests as one client. Its zero fields stand for what a proper client sends.
type caller struct {
	rt    http.RoundTripper
	token string // as it goes into Authorization
	key   string // "": DefaultKey
	auth  string // stream-auth-type; "": jwt, "-": none
	id    string // X-Client-Request-Id
	feed  string // that post adds to; "": user:alice
}

func (c caller) do(method, path, body string) answer {
	req, err := http.NewRequest(method, "http://api.test"+path, strings.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	return c.send(req)
}

func (c caller) send(req *http.Request) answer {
	q := req.URL.Query()
	q.Set("api_key", or(c.key, testserver.DefaultKey))
	req.URL.RawQuery = q.Encode()
	if c.auth != "-" {
		req.Header.Set("stream-auth-type", or(c.auth, "jwt"))
	}
	if c.token != "" {
		req.Header.Set("Authorization", c.token)
	}
	if c.id != "" {
		req.Header.Set(testserver.RequestID, c.id)
	}
	resp, err := c.rt.RoundTrip(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{err: err}
	}
	a := answer{status: resp.StatusCode, header: resp.Header}
	if err := published(req, resp, raw); err != nil {
		return answer{err: err}
	}
	if err := json.Unmarshal(raw, &a.body); err != nil {
		return answer{err: err}
	}
	return a
}

// allUsers is the path of a query that finds all users.
const allUsers = "/api/v2/users?payload=%7B%22filter_conditions%22%3A%7B%7D%7D"

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// ping asks for something that any good token may have, and returns the answer's error code, 0 for
// success.
func (c caller) ping() int { return c.do("GET", "/api/v2/app", "").code() }

// post adds an activity.
func (c caller) post(text string) answer {
	body, _ := json.Marshal(map[string]any{"type": "post", "feeds": []string{or(c.feed, "user:alice")}, "text": text})
	return c.do("POST", "/api/v2/feeds/activities", string(body))
}

// direct calls the server as a handler, without a connection. An aborted request is an error.
type direct struct{ srv *testserver.Server }

func (d direct) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	defer func() {
		if v := recover(); v == http.ErrAbortHandler {
			err = http.ErrAbortHandler
		} else if v != nil {
			panic(v)
		}
	}()
	w := httptest.NewRecorder()
	d.srv.ServeHTTP(w, req)
	return w.Result(), nil
}

// bubble runs f in a synctest bubble with srv, which is closed at the end. The bubble's clock
// starts at the beginning of a second, and f at half past it.
func bubble(t *testing.T, srv *testserver.Server, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		defer srv.Close()
		time.Sleep(500 * time.Millisecond)
		f(t)
	})
}

// mint signs a token as a user's own backend would.
func mint(claims jwt.MapClaims) string { return mintWith(testserver.DefaultSecret, claims) }

func mintWith(secret string, claims jwt.MapClaims) string {
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	if err != nil {
		panic(err)
	}
	return s
}

// in returns a time of now plus d, as a claim.
func in(d time.Duration) int64 { return time.Now().Add(d).Unix() }

func wantStatus(t *testing.T, a answer, status int) {
	t.Helper()
	if a.err != nil || a.status != status {
		t.Fatalf("got status %d, error %v, body %v; want status %d", a.status, a.err, a.body, status)
	}
}

func wantCode(t *testing.T, a answer, status, code int) {
	t.Helper()
	wantStatus(t, a, status)
	if a.code() != code {
		t.Fatalf("got code %d, body %v; want code %d", a.code(), a.body, code)
	}
}
