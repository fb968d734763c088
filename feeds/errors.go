package feeds

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

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

// An Error is the API's refusal of a call.
type Error struct {
	Code       int    // Stream's error code, 0 if the answer had none
	StatusCode int    // HTTP's
	Message    string // what the API said
	Operation  string // method and path
	RequestID  string // under which the API knows the call: X-Client-Request-Id
}

// Error says what was refused, and what can be done about it where that is known.
func (e *Error) Error() string {
	s := fmt.Sprintf("feeds: %s: %s (status %d, code %d, request %s)", e.Operation, e.Message, e.StatusCode, e.Code, e.RequestID)
	if advice := e.advice(); advice != "" {
		s += ": " + advice
	}
	return s
}

func (e *Error) advice() string {
	switch e.Code {
	case CodeBadKey:
		return "the API key is not one of this API's: check Client.Key and Client.BaseURL"
	case CodeMalformedToken:
		return "the token provider returns something that is no token for a user: check what the backend answers"
	case CodeTokenExpired:
		return "the tokens that the token provider returns have already expired or are revoked: check the clock of the machine " +
			"that mints them, and whether the user's tokens are being revoked"
	case CodeTokenNotYetValid, CodeTokenFromFuture:
		return "the clock of the machine that mints the tokens is ahead"
	case CodeBadSignature:
		return "the tokens are signed with another secret: the token provider has to use the secret that belongs to this API key"
	case CodeNotAllowed:
		return "the user's role does not permit it; a new token would not help"
	}
	return ""
}

// newError reads the API's error body, or makes do with the status.
func newError(resp *http.Response, body []byte, operation, id string) *Error {
	var in struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &in) != nil || in.Message == "" {
		in.Message = http.StatusText(resp.StatusCode)
	}
	return &Error{Code: in.Code, StatusCode: resp.StatusCode, Message: in.Message, Operation: operation, RequestID: id}
}

// IsSessionOver reports whether err says that the session has ended, and the user has to log in again: the token provider
// failed for good, or the session was closed. Any other error leaves the session as it is.
func IsSessionOver(err error) bool {
	if e, ok := errors.AsType[*transport.RefreshError](err); ok {
		return e.Permanent
	}
	return errors.Is(err, transport.ErrClosed)
}
