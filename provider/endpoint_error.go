package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A failure is what an answer says of why there is no token, as far as it says so in the form of
// RFC 6749 section 5.2.
type failure struct {
	code      string   // error, if that is a string
	sentences []string // error_description and message
}

func readFailure(data []byte) failure {
	var a struct {
		Error       any    `json:"error"`
		Description string `json:"error_description"`
		Message     string `json:"message"`
	}
	if json.Unmarshal(data, &a) != nil {
		return failure{}
	}
	code, _ := a.Error.(string)
	return failure{code, []string{a.Description, a.Message}}
}

// isBusy reports whether the endpoint says, by whatever status, that it may go better another time.
func (f failure) isBusy() bool {
	switch f.code {
	case "server_error", "temporarily_unavailable": // RFC 6749 section 4.1.2.1
	case "slow_down": // RFC 8628 section 3.5
	case "use_dpop_nonce": // RFC 9449 section 8: what makes the proofs knows the nonce by now
	case "fatal_error", "internal_error", "ratelimited", "request_timeout", "service_unavailable": // Slack
	case "internal_server_error", "rate_limited", "rate_limit_exceeded", "too_many_requests": // others
	default:
		return false
	}
	return true
}

// isOAuthError reports whether code is one of RFC 6749 section 5.2.
func isOAuthError(code string) bool {
	return slices.Contains([]string{"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client",
		"unsupported_grant_type", "invalid_scope"}, code)
}

// isErrorCode reports whether code is a word as the codes of OAuth 2.0 and its extensions are. "Bad
// Request" is none.
func isErrorCode(code string) bool {
	return code != "" && strings.Trim(code, "abcdefghijklmnopqrstuvwxyz0123456789_-.") == ""
}

// said returns what f tells a reader, as ` ("code": "sentence")`, or "". It quotes neither secrets
// nor control characters.
func (c call) said(f failure) string {
	var parts []string
	for _, s := range append([]string{f.code}, f.sentences...) {
		if s != "" && !c.holdsSecret(s) {
			parts = append(parts, fmt.Sprintf("%.200q", s))
		}
	}
	if parts == nil {
		return ""
	}
	return " (" + strings.Join(parts, ": ") + ")"
}

// isPage reports whether an answer is a page for people to read.
func isPage(resp *http.Response, data []byte) bool {
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return mediaType == "text/html" || mediaType == "application/xhtml+xml" || bytes.HasPrefix(bytes.TrimSpace(data), []byte("<"))
}

// withRetryAfter adds what the answer's Retry-After asks for, a number of seconds or a date (RFC
// 9110 section 10.2.3).
func withRetryAfter(err error, resp *http.Response) error {
	const most = time.Hour // a longer one is a mistake, or an attack
	value := resp.Header.Get("Retry-After")
	if value != "" && strings.Trim(value, "0123456789") == "" {
		n, _ := strconv.ParseUint(value, 10, 64) // one that is out of range comes as the largest
		return RetryAfter(err, time.Duration(min(n, uint64(most/time.Second)))*time.Second)
	}
	at, parseErr := http.ParseTime(value)
	if parseErr != nil {
		return err
	}
	now, parseErr := http.ParseTime(resp.Header.Get("Date")) // both by the endpoint's clock, which may not be ours
	if parseErr != nil {
		now = time.Now()
	}
	return RetryAfter(err, min(at.Sub(now), most))
}

// plain returns what is fit to be shown of an error from net/http.
func (c call) plain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for { // a url.Error prints the URL
		wrapped, ok := errors.AsType[*url.Error](err)
		if !ok {
			break
		}
		err = wrapped.Err
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		// Not the caller's, who would take it for his own.
		return errors.New("the http.Client's time limit has passed")
	}
	return c.safe(err)
}

// safe returns err, or a substitute if its text holds a secret: some errors quote what the server
// sent, and it may have sent back what it got.
func (c call) safe(err error) error {
	if c.holdsSecret(err.Error()) {
		return errors.New("the reason is withheld, because it quotes a secret")
	}
	return err
}

func (c call) holdsSecret(text string) bool {
	return slices.ContainsFunc(c.secrets, func(secret string) bool { return secret != "" && strings.Contains(text, secret) })
}

// secretsOf returns the values of a form or a query that no error may quote, as they are and as
// they are sent: all but those that are known to be public, and short ones, which are none and
// would be found everywhere.
func secretsOf(form url.Values) []string {
	var secrets []string
	for name, values := range form {
		if strings.HasSuffix(name, "_type") || slices.Contains([]string{"scope", "audience", "resource", "client_id"}, name) {
			continue
		}
		for _, value := range values {
			if len(value) >= 8 {
				secrets = append(secrets, value, url.QueryEscape(value))
			}
		}
	}
	return secrets
}
