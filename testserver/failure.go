package testserver

import "fmt"

// A failure is an API error. It is not an error in Go's sense: it is an answer. nil is success.
type failure struct {
	status   int
	code     int
	inner    string // the message without the operation's name; it holds no token and no secret
	rejected bool   // the token was judged and rejected
}

// Stream's error codes.
const (
	codeInternal    = -1
	codeAPIKey      = 2 // also the auth type
	codeInput       = 4
	codeMalformed   = 5
	codeRateLimit   = 9
	codeNotFound    = 16
	codeNotAllowed  = 17
	codeExpired     = 40 // also revoked
	codeNotYetValid = 41
	codeIssuedLater = 42
	codeSignature   = 43

	codeConnectionID = 46
)

func rejected(code int, inner string) *failure {
	return &failure{status: 401, code: code, inner: inner, rejected: true}
}

func badInput(format string, args ...any) *failure {
	return &failure{status: 400, code: codeInput, inner: fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) *failure {
	return &failure{status: 404, code: codeNotFound, inner: fmt.Sprintf(format, args...)}
}

func notAllowed(format string, args ...any) *failure {
	return &failure{status: 403, code: codeNotAllowed, inner: fmt.Sprintf(format, args...)}
}

// failure returns the answer that f asks for in place of the real one, or nil. Below 400 it is a
// success without content.
func (f Fault) failure() *failure {
	if f.Status == 0 {
		return nil
	}
	e := &failure{status: f.Status, code: f.Code, inner: "fault injected by the test", rejected: f.Status == 401}
	if e.code != 0 {
		return e
	}
	switch {
	case f.Status == 401:
		e.code, e.inner = codeExpired, msgRevoked
	case f.Status == 403:
		e.code = codeNotAllowed
	case f.Status == 404:
		e.code = codeNotFound
	case f.Status == 429:
		e.code = codeRateLimit
	case f.Status >= 500:
		e.code = codeInternal
	default:
		e.code = codeInput
	}
	return e
}

// body returns the JSON of the error as the API words it, every field present: Stream's clients
// count on that.
func (f *failure) body(op, duration string) object {
	return object{
		"code":       f.code,
		"message":    op + ` failed with error: "` + f.inner + `"`,
		"StatusCode": f.status,
		"duration":   duration,
		"more_info":  "https://getstream.io/chat/docs/api_errors_response",
		"details":    []int{},
	}
}

// oauthBody returns the JSON of the error as RFC 6749 section 5.2 words it, for POST /token.
func (f *failure) oauthBody() object {
	code := "invalid_request"
	switch {
	case f.status == 401:
		code = "invalid_grant"
	case f.status == 403:
		code = "unauthorized_client"
	case f.status == 429:
		code = "temporarily_unavailable"
	case f.status >= 500:
		code = "server_error"
	}
	return object{"error": code, "error_description": f.inner}
}
