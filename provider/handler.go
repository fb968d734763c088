package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"mime"
	"net/http"
	"strconv"
	"time"
)

const (
	maxRequest      = 64 << 10        // bytes of a request's body
	validationPause = 2 * time.Second // what a client is asked to wait while users can't be validated
)

// ErrDenied is what [Handler.Validate] returns, wrapped or not, for a request that gets no token:
// an unknown user, a wrong or revoked session. The answer is then 401, which logs the client out.
var ErrDenied = errors.New("provider: access denied")

// A Handler is the token endpoint of your backend, the other half of [HTTP]. It takes the four
// steps that Stream documents for one:
//
//  1. receive the user's information: a POST of JSON, at most 64 KiB;
//  2. validate it: your Validate tells whose request it is;
//  3. create the token for that user: Signer, or your Create;
//  4. return it: {"token": "...", "refresh_token": "...", "expires_in": 3600}, never to be cached.
//
// Every failure is answered with JSON too, {"error": "..."}, and says nothing of its cause; Logger
// gets that:
//
//	401 access_denied              Validate or Create returned ErrDenied; with a challenge of the scheme "Session"
//	503 temporarily_unavailable    either returned another error: a database that blinks must not log anybody out
//	500 server_error               a mistake in the backend: no Validate, no user id from it, no secret, no token
//	405, 415, 413                  not a POST, not application/json, too long
//	400 invalid_request            not a JSON object in the form of a TokenRequest
//
// Asking for application/json also keeps other websites' forms out, which can't send it from a
// visitor's browser.
//
// A Handler is a plain value, used as it is or through a pointer, and safe for concurrent use as
// long as it is not changed. A panic in Validate or Create is left to net/http.
type Handler struct {
	// Validate returns the id of the user who makes the request, or an error, ErrDenied among them.
	// Required. The id must come from what was checked, such as the owner of a session: the user_id
	// in the body is only a claim. What is in the body comes through ReadTokenRequest; the body may
	// also be read as it is.
	//
	// An error made by RetryAfter tells the client when to come back; for others that is 2 s.
	Validate func(*http.Request) (userID string, err error)

	// Signer mints the tokens. Its Secret is required unless Create is set.
	Signer Signer

	// Create, if set, makes the token in place of Signer: because its claims depend on the user, or
	// to hand out a refresh token with it. ctx is the request's. An error marked Permanent is
	// answered with 500, as a mistake of the backend.
	Create func(ctx context.Context, userID string) (Token, error)

	// Logger gets every failure that is answered with 500 or 503, at Error, and every 401, at Info.
	// Nil is silent.
	Logger *slog.Logger
}

// ServeHTTP answers a request for a token. It implements [http.Handler].
func (h Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	body, status, reason := receive(w, r)
	if status != 0 {
		fail(w, status, reason)
		return
	}
	r = r.WithContext(r.Context()) // a copy, for its Body
	r.Body = io.NopCloser(bytes.NewReader(body))

	if h.Validate == nil {
		h.broken(w, r, "Handler.Validate is not set", nil)
		return
	}
	userID, err := h.Validate(r)
	if err != nil {
		h.unavailable(w, r, "the user can't be validated", err)
		return
	}
	if userID == "" {
		h.broken(w, r, "Handler.Validate returned neither a user id nor an error", nil)
		return
	}
	token, err := h.create(r.Context(), userID)
	switch {
	case IsPermanent(err) && !errors.Is(err, ErrDenied):
		h.broken(w, r, "the token can't be created", err)
	case err != nil:
		h.unavailable(w, r, "the token can't be created", err)
	case token.IsZero():
		h.broken(w, r, "Handler.Create returned neither a token nor an error", nil)
	default:
		reply(w, http.StatusOK, tokenReply{token.Value(), token.RefreshToken(), expiresIn(token)})
	}
}

func (h Handler) create(ctx context.Context, userID string) (Token, error) {
	if h.Create != nil {
		return h.Create(ctx, userID)
	}
	return h.Signer.For(userID).Token(ctx, Token{})
}

// receive returns the body of a request that is worth validating; for any other, the status and the
// word to answer with.
func receive(w http.ResponseWriter, r *http.Request) (body []byte, status int, reason string) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, http.StatusMethodNotAllowed, "method_not_allowed"
	}
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/json" {
		return nil, http.StatusUnsupportedMediaType, "unsupported_media_type"
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, http.StatusRequestEntityTooLarge, "request_too_large"
	}
	if err == nil {
		_, err = decodeRequest(body)
	}
	if err != nil {
		return nil, http.StatusBadRequest, "invalid_request"
	}
	return body, 0, ""
}

// unavailable answers a request that failed, for all we know, only for now.
func (h Handler) unavailable(w http.ResponseWriter, r *http.Request, what string, err error) {
	if errors.Is(err, ErrDenied) {
		h.log(r, slog.LevelInfo, "access was denied", err)
		// RFC 9110 section 15.5.2 demands one. A scheme that browsers don't know raises no password
		// dialog.
		w.Header().Set("WWW-Authenticate", `Session realm="token endpoint"`)
		fail(w, http.StatusUnauthorized, "access_denied")
		return
	}
	pause, ok := RetryDelay(err)
	if !ok {
		pause = validationPause
	}
	w.Header().Set("Retry-After", strconv.FormatFloat(math.Ceil(pause.Seconds()), 'f', 0, 64))
	h.log(r, slog.LevelError, what, err)
	fail(w, http.StatusServiceUnavailable, "temporarily_unavailable")
}

// broken answers a request that met a mistake in the backend.
func (h Handler) broken(w http.ResponseWriter, r *http.Request, what string, err error) {
	h.log(r, slog.LevelError, what, err)
	fail(w, http.StatusInternalServerError, "server_error")
}

func (h Handler) log(r *http.Request, level slog.Level, what string, err error) {
	if h.Logger == nil {
		return
	}
	attrs := []slog.Attr{slog.String("remote", r.RemoteAddr)}
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}
	h.Logger.LogAttrs(r.Context(), level, "provider: no token was given: "+what, attrs...)
}

type tokenReply struct {
	Token        string `json:"token"`
	RefreshToken string `json:"refresh_token,omitempty"`
	ExpiresIn    int64  `json:"expires_in,omitempty"`
}

// expiresIn returns the whole seconds that t has left, or 0 where that is unknown. Rounded down: it
// never claims more than exp.
func expiresIn(t Token) int64 {
	if t.Expiry().IsZero() {
		return 0
	}
	return int64(max(time.Until(t.Expiry()), 0) / time.Second)
}

func fail(w http.ResponseWriter, status int, reason string) {
	reply(w, status, map[string]string{"error": reason})
}

func reply(w http.ResponseWriter, status int, answer any) {
	data, _ := json.Marshal(answer) // strings and a number always marshal
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(data) // a client that has gone will ask again
}
