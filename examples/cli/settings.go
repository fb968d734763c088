package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/transport"
)

// settings is what a login is remembered by. It holds no secret.
type settings struct {
	User     string `json:"user"`
	Key      string `json:"key"`       // the app's API key
	BaseURL  string `json:"base_url"`  // where the API is
	TokenURL string `json:"token_url"` // where the user's tokens come from
}

// settingsKey is their place in the store, beside the login: a folder that is the user's own, and writes that are atomic.
const settingsKey = "settings"

// remembered returns the settings of the last login, or the zero settings.
func (t *tool) remembered(ctx context.Context) (s settings, err error) {
	data, version, err := t.store.Load(ctx, settingsKey)
	if err != nil || version == 0 {
		return settings{}, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields() // a later version's: half understood, the login could go to the wrong place
	if err := dec.Decode(&s); err != nil {
		return settings{}, fmt.Errorf("the settings of the last login are those of another version of this tool: %v", err)
	}
	return s, nil
}

func (t *tool) remember(ctx context.Context, s settings) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	for {
		_, version, err := t.store.Load(ctx, settingsKey)
		if err != nil {
			return err
		}
		if _, err = t.store.CompareAndSwap(ctx, settingsKey, data, version); !errors.Is(err, shared.ErrConflict) {
			return err
		}
	}
}

// sharedLogin is the login in the store, for whoever runs with the same settings.
func (t *tool) sharedLogin(s settings) *shared.Login {
	return &shared.Login{
		Provider: backend{settings: s}, Store: &t.store, Key: s.User + "@" + s.Key,
		Logger: slog.New(slog.NewTextHandler(t.stderr, nil)),
	}
}

func (t *tool) client(s settings) *feeds.Client {
	return &feeds.Client{Key: s.Key, BaseURL: s.BaseURL, Trace: &transport.Trace{
		AttemptFailed: func(e transport.AttemptFailed) {
			t.say("%v; trying again in %v", e.Err, e.RetryIn.Round(100*time.Millisecond))
		},
	}}
}

// A connection is the session of a command, with the login that it belongs to.
type connection struct {
	*feeds.Session
	settings settings
	login    *shared.Login
}

// connect opens a session with the remembered login. Its Close waits for a refresh that is under way, so that the next token is
// saved before the process ends.
func (t *tool) connect(ctx context.Context) (*connection, error) {
	s, err := t.remembered(ctx)
	if err != nil {
		return nil, err
	}
	if s.User == "" {
		return nil, errNotLoggedIn
	}
	ctx, cancel := limited(ctx)
	defer cancel()
	login := t.sharedLogin(s)
	// A session would try for half a minute. A person wants to know at once what is wrong, and tries again if it may help.
	if _, err := login.Token(ctx, provider.Token{}); err != nil {
		return nil, err
	}
	session, err := t.client(s).ConnectUser(ctx, feeds.User{ID: s.User}, login)
	if err != nil {
		return nil, err
	}
	return &connection{session, s, login}, nil
}

// A backend gets a user's tokens from the token URL. What buys the next token is kept in place of the refresh token, where it
// is saved with the login and goes with it: the refresh token if the backend gives out such, and the session secret if not.
type backend struct {
	settings
	session *string // to log in with; nil: only a login that is there can be refreshed
}

const (
	refreshKind = "refresh:"
	sessionKind = "session:"
)

// Token implements [provider.TokenProvider].
func (b backend) Token(ctx context.Context, old provider.Token) (provider.Token, error) {
	endpoint := provider.HTTP{URL: b.TokenURL, UserID: b.User}
	if secret, ok := strings.CutPrefix(old.RefreshToken(), refreshKind); ok {
		old = old.WithRefreshToken(secret)
	} else if secret, ok := strings.CutPrefix(old.RefreshToken(), sessionKind); ok {
		endpoint.Session, old = secret, old.WithRefreshToken("")
	} else if b.session != nil {
		endpoint.Session = *b.session
	} else {
		return provider.Token{}, provider.Permanent(errNotLoggedIn)
	}
	t, err := endpoint.Token(ctx, old)
	switch {
	case err != nil:
		return provider.Token{}, err
	case t.RefreshToken() != "":
		return t.WithRefreshToken(refreshKind + t.RefreshToken()), nil
	}
	return t.WithRefreshToken(sessionKind + endpoint.Session), nil
}

// checkURL returns what is wrong with an address that somebody typed, or "". Tokens and secrets go there.
func checkURL(value string) string {
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return "must be a whole address, such as https://app.example.com"
	case u.User != nil || u.Fragment != "":
		return "must have neither a user nor a fragment in it"
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return "must be https: over http everybody on the way could read the token (only this machine is exempt)"
	}
	return ""
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() || strings.EqualFold(host, "localhost")
}
