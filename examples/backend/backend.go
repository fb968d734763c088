package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"time"

	"github.com/stayauth/stayauth/provider"
)

// users knows who may log in. Put your own directory in its place.
//
// Errors other than [provider.ErrDenied] are taken as a failure of the store: the client is asked
// to come back, and stays logged in.
type users interface {
	// check returns nil if password is the user's. It returns provider.ErrDenied, wrapped or not,
	// if it is not, or if there is no such user.
	check(ctx context.Context, userID, password string) error

	// exists returns nil if there is such a user still, or provider.ErrDenied.
	exists(ctx context.Context, userID string) error
}

// sessions remembers who is logged in. Put your database in place of [memorySessions]; it should
// keep a hash of the secret, as that does, so that a reader of the database has no session. Errors
// are those of users.
type sessions interface {
	// start begins a session of the user's. It returns the secret that proves it, and how long it
	// will last.
	start(ctx context.Context, userID string) (secret string, life time.Duration, err error)

	// owner returns whose session it is, or provider.ErrDenied if it has ended or never was.
	owner(ctx context.Context, secret string) (userID string, err error)

	// end ends a session. That it has ended already is no error.
	end(ctx context.Context, secret string) error
}

// A backend tells who is asking, and mints tokens for them.
type backend struct {
	users    users
	sessions sessions
	signer   provider.Signer
	log      *slog.Logger
}

func (b *backend) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", b.login)
	mux.Handle("/token", provider.Handler{Validate: b.validate, Signer: b.signer, Logger: b.log})
	mux.HandleFunc("POST /logout", b.logout)
	return mux
}

type loggedIn struct {
	UserID    string `json:"user_id"`
	Session   string `json:"session"`
	ExpiresIn int64  `json:"expires_in"` // seconds
}

// login begins a session for anyone who knows a user's password.
//
// Passwords here are made by -new-user and can't be guessed. If yours are chosen by people, slow
// down anyone who guesses: count the failures of each user and of each address.
func (b *backend) login(w http.ResponseWriter, r *http.Request) {
	var in struct {
		UserID   string `json:"user_id"`
		Password string `json:"password"`
	}
	if !read(w, r, &in) {
		return
	}
	if err := b.users.check(r.Context(), in.UserID, in.Password); err != nil {
		b.refuse(w, r, "login", in.UserID, err)
		return
	}
	secret, life, err := b.sessions.start(r.Context(), in.UserID)
	if err != nil {
		b.refuse(w, r, "login", in.UserID, err)
		return
	}
	b.log.Info("logged in", "user", in.UserID, "remote", r.RemoteAddr)
	answer(w, http.StatusOK, loggedIn{in.UserID, secret, int64(life / time.Second)})
}

// validate tells whose request for a token it is: that of the session's owner. The user_id that the
// request names is only a claim; a wrong one shows that the client has mixed up its users, who must
// not get each other's tokens.
func (b *backend) validate(r *http.Request) (string, error) {
	in, err := provider.ReadTokenRequest(r)
	if err != nil {
		return "", err
	}
	userID, err := b.sessions.owner(r.Context(), in.Session.Value())
	if err != nil {
		return "", err
	}
	if in.UserID != "" && in.UserID != userID {
		return "", fmt.Errorf("%w: the session of %q was used to ask for a token of %.100q", provider.ErrDenied, userID, in.UserID)
	}
	if err := b.users.exists(r.Context(), userID); err != nil {
		return "", fmt.Errorf("%w: user %q, who has a session", err, userID)
	}
	return userID, nil
}

// logout ends a session. Its answer is the same whether or not there was one.
func (b *backend) logout(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Session string `json:"session"`
	}
	if !read(w, r, &in) {
		return
	}
	userID, err := b.sessions.owner(r.Context(), in.Session)
	if errors.Is(err, provider.ErrDenied) {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if err == nil {
		err = b.sessions.end(r.Context(), in.Session)
	}
	if err != nil {
		b.refuse(w, r, "logout", userID, err)
		return
	}
	b.log.Info("logged out", "user", userID, "remote", r.RemoteAddr)
	w.WriteHeader(http.StatusNoContent)
}

// refuse answers a login or a logout that failed, in the words of [provider.Handler]. Only the log
// is told why.
func (b *backend) refuse(w http.ResponseWriter, r *http.Request, what, userID string, err error) {
	level, status, reason := slog.LevelError, http.StatusServiceUnavailable, "temporarily_unavailable"
	if errors.Is(err, provider.ErrDenied) {
		level, status, reason = slog.LevelInfo, http.StatusUnauthorized, "access_denied"
	}
	b.log.Log(r.Context(), level, what+" failed", "user", userID, "remote", r.RemoteAddr, "error", err)
	answer(w, status, map[string]string{"error": reason})
}

// maxRequest is more than a login takes.
const maxRequest = 4 << 10

// read reads a request's JSON into in. If it can't, it has answered the request.
//
// It wants application/json, which the form of another website, opened in a user's browser, can't
// send.
func read(w http.ResponseWriter, r *http.Request, in any) bool {
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/json" {
		answer(w, http.StatusUnsupportedMediaType, map[string]string{"error": "unsupported_media_type"})
		return false
	}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(in)
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		answer(w, http.StatusRequestEntityTooLarge, map[string]string{"error": "request_too_large"})
		return false
	}
	if err != nil {
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_request"})
		return false
	}
	return true
}

func answer(w http.ResponseWriter, status int, body any) {
	data, _ := json.Marshal(body) // strings and numbers always marshal
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // a client that has gone will ask again
}
