package feeds

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/stayauth/stayauth/transport"
)

// Stream's error codes that this package knows what to do about.
const (
	CodeBadInput         = 4  // the request is not what the call takes
	CodeMalformedToken   = 5  // the token is no JWT, or its user_id no string
	CodeBadKey           = 2  // the API key is unknown
	CodeRateLimited      = 9  // too many requests
	CodeNotFound         = 16 // there is no such thing
	CodeNotAllowed       = 17 // the user may not do that
	CodeTokenExpired     = 40 // the token has expired or was revoked: the one that a new token cures
	CodeTokenNotYetValid = 41 // the token's nbf lies in the future
	CodeTokenFromFuture  = 42 // the token's iat lies in the future
	CodeBadSignature     = 43 // the token was signed with another secret
)

// An Error is the API's answer to a call that it did not carry out.
type Error struct {
	Code       int    // Stream's error code; 0 if the answer had none
	StatusCode int    // the status of the HTTP answer
	Message    string // what the API said, at most 500 bytes of it and without any token
	Operation  string // method and path, such as "GET /api/v2/app"
	RequestID  string // the call's X-Client-Request-Id, by which Stream can find it

	// RetryAt is when the API takes such calls again, by this machine's clock, if the call exceeded
	// a rate limit (CodeRateLimited) and the API named a time. Otherwise it is zero.
	RetryAt time.Time
}

// Error says which call failed and why, and what to do where that is known.
func (e *Error) Error() string {
	s := fmt.Sprintf("feeds: %s: %s (status %d, code %d, request %s)", e.Operation, e.Message, e.StatusCode, e.Code, e.RequestID)
	if advice := e.advice(); advice != "" {
		s += ": " + advice
	}
	return s
}

func (e *Error) advice() string {
	switch {
	case e.rateLimited() && !e.RetryAt.IsZero():
		return "too many calls, the API takes more at " + e.RetryAt.Format(time.RFC3339)
	case e.rateLimited():
		return "too many calls, try again later"
	}
	switch e.Code {
	case CodeBadKey:
		return "the API key is not one of this API's: check Client.Key and Client.BaseURL"
	case CodeMalformedToken:
		return "the token provider returns something that is not a user's token: check what the backend answers"
	case CodeTokenExpired:
		return "the tokens that the token provider returns have already expired or are revoked: check the clock of the machine " +
			"that mints them, and whether something revokes the user's tokens"
	case CodeTokenNotYetValid, CodeTokenFromFuture:
		return "the clock of the machine that mints the tokens is ahead"
	case CodeBadSignature:
		return "the tokens are signed with another secret: the token provider has to use the secret that belongs to this API key " +
			"(and a developer token works only while the app has its authentication checks disabled)"
	case CodeNotAllowed:
		return "the user's role does not permit it; a new token would not help"
	}
	return ""
}

// newError returns the API's error from an answer's body, or from its status if the body has none.
func newError(resp *http.Response, body []byte, operation, id string) *Error {
	var in struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &in) != nil || in.Message == "" {
		in.Message = http.StatusText(resp.StatusCode)
	}
	e := &Error{Code: in.Code, StatusCode: resp.StatusCode, Message: sentence(in.Message), Operation: operation, RequestID: id}
	if e.rateLimited() {
		e.RetryAt = retryAt(resp.Header)
	}
	return e
}

// aJWT matches tokens: a JWT's first part is the base64 of a text that begins with {".
var aJWT = regexp.MustCompile(`eyJ[\w+/=-]*\.[\w+/=-]*\.[\w+/=-]*`)

// sentence makes what a server said fit for a log line: printable, short, and without any token
// that the server quotes.
func sentence(s string) string {
	const most = 500
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(aJWT.ReplaceAllString(s, "REDACTED"), "?"))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// IsSessionOver reports whether err says that the session has ended and the user has to log in
// again: the token provider has failed permanently, or the session was closed. After any other
// error the session goes on.
func IsSessionOver(err error) bool {
	if e, ok := errors.AsType[*transport.RefreshError](err); ok {
		return e.Permanent
	}
	return errors.Is(err, transport.ErrClosed)
}
