package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/stayauth/stayauth/examples/internal/frame"
	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/filestore"
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

// settingsKey is their place in the store, beside the login: a folder that is the user's own, and
// writes that are atomic.
const settingsKey = "settings"

// A memory is what is kept between runs.
type memory struct {
	settings // of the last login

	// Logins are the keys in the store under which there may be secrets: those of the last login,
	// and of one that did not come to its end.
	Logins []string `json:"logins,omitempty"`
}

// remembered returns what the last run has kept, or the zero memory.
func (t *tool) remembered(ctx context.Context) (m memory, err error) {
	data, version, err := t.store.Load(ctx, settingsKey)
	if err != nil || version == 0 {
		return memory{}, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields() // a later version's: half understood, the login could go to the wrong place
	if err := dec.Decode(&m); err != nil {
		return memory{}, fmt.Errorf("the settings of the last login are those of another version of this tool: %v", err)
	}
	if m.User != "" && !slices.Contains(m.Logins, m.loginKey()) {
		m.Logins = append(m.Logins, m.loginKey())
	}
	return m, nil
}

func (t *tool) remember(ctx context.Context, m memory) error {
	data, err := json.Marshal(m)
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

// alone runs f while no other copy of the tool changes who is logged in. The system lets the next
// one in, should this one be killed.
func (t *tool) alone(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := limited(ctx)
	defer cancel()
	for {
		unlock, ok, err := t.store.TryLock(ctx, settingsKey)
		switch {
		case err != nil:
			return err
		case ok:
			defer unlock()
			return f(ctx)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("another copy of the tool logs in or out: %w", ctx.Err())
		}
	}
}

// loginKey is the place of the login in the store. The addresses are in it, or a copy of the tool
// that still runs with others would send them the secrets of the next login.
func (s settings) loginKey() string {
	addresses := sha256.Sum256([]byte(s.BaseURL + "\n" + s.TokenURL))
	return fmt.Sprintf("%s@%s@%x", s.User, s.Key, addresses[:8])
}

// sharedLogin is the login in the store, for all that run with the same settings.
func (t *tool) sharedLogin(s settings) *shared.Login {
	return &shared.Login{
		Provider: backend{settings: s, guard: &t.guard}, Store: &t.store, Key: s.loginKey(),
		Logger: slog.New(slog.NewTextHandler(t.stderr, nil)),
	}
}

// A provider of tokens for a session that a person waits for.
type impatient struct {
	*shared.Login
	guard *frame.Guard
	waits bool // as tail does
}

// Token implements [provider.TokenProvider]. When it returns what the backend has answered is
// saved. A session would ask for half a minute where asking fails: a person wants to know at once
// what is wrong, and tries again if it may help.
func (p impatient) Token(ctx context.Context, old provider.Token) (provider.Token, error) {
	defer p.guard.Saving.Store(false)
	t, err := p.Login.Token(ctx, old)
	if err != nil && !p.waits && !provider.IsPermanent(err) {
		err = provider.NoRetry(err)
	}
	return t, err
}

func (t *tool) client(s settings) *feeds.Client {
	if t.waits {
		return &feeds.Client{Key: s.Key, BaseURL: s.BaseURL, Logger: slog.New(plainLog{t})}
	}
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
	store    *filestore.Store
}

// connected does work in a session with the remembered login. It waits for a refresh that is under
// way in the end, so that the next token is saved before the process ends.
func (t *tool) connected(ctx context.Context, work func(*connection) error) error {
	m, err := t.remembered(ctx)
	if err != nil {
		return err
	}
	if m.User == "" {
		return errNotLoggedIn
	}
	login := t.sharedLogin(m.settings)
	connecting, cancel := limited(ctx)
	defer cancel()
	session, err := t.client(m.settings).ConnectUser(connecting, feeds.User{ID: m.User}, impatient{login, &t.guard, t.waits})
	if err != nil {
		// ConnectUser leaves with its context. A refresh that it has begun goes on, for the login's
		// Timeout at most.
		return errors.Join(err, login.Wait(context.WithoutCancel(ctx)))
	}
	err = work(&connection{session, m.settings, login, &t.store})
	return errors.Join(err, session.Close())
}

// A backend gets a user's tokens from the token URL. What buys the next token is kept in place of
// the refresh token, where it is saved with the login and goes with it: the refresh token if the
// backend gives out such, and the session secret if not.
type backend struct {
	settings
	session *string      // to log in with; nil: only a login that is there can be refreshed
	guard   *frame.Guard // is told that a refresh is under way; may be nil
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
		endpoint.Session, old = provider.NewSecret(secret), old.WithRefreshToken("")
	} else if b.session != nil {
		endpoint.Session = provider.NewSecret(*b.session)
	} else {
		return provider.Token{}, provider.Permanent(errNotLoggedIn)
	}
	if b.guard != nil {
		b.guard.Saving.Store(true)
	}
	t, err := endpoint.Token(ctx, old)
	switch {
	case err != nil:
		return provider.Token{}, err
	case t.RefreshToken() != "":
		return t.WithRefreshToken(refreshKind + t.RefreshToken()), nil
	}
	return t.WithRefreshToken(sessionKind + endpoint.Session.Value()), nil
}
