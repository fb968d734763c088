package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/stayauth/stayauth/examples/internal/frame"
	"github.com/stayauth/stayauth/provider/keychain"
	"github.com/stayauth/stayauth/provider/shared"
)

// settings is what a login is remembered by. Like the login itself it is kept in a file that only
// its owner can read, because some servers give secrets to tools as well.
type settings struct {
	Issuer       string    `json:"issuer"`
	ClientID     string    `json:"client_id"`
	ClientSecret string    `json:"client_secret,omitempty"`
	API          string    `json:"api"` // where the token goes, and nowhere else
	Endpoints    endpoints `json:"endpoints"`

	Sealed    bool `json:"sealed,omitempty"`     // the settings are elsewhere, sealed, and nothing else is here
	LoggedOut bool `json:"logged_out,omitempty"` // there is no login, and this is what is left of the last
}

// endpoints is a server's description of itself: RFC 8414 section 2, and OpenID Connect Discovery.
type endpoints struct {
	Issuer        string `json:"issuer"`
	Authorization string `json:"authorization_endpoint,omitempty"`
	Device        string `json:"device_authorization_endpoint,omitempty"`
	Token         string `json:"token_endpoint"`
	Revocation    string `json:"revocation_endpoint,omitempty"`
}

// Their places in the store, beside the login.
const (
	settingsKey = "settings"        // never sealed: it tells every run which kind of login there is
	sealedKey   = "sealed-settings" // where that is a sealed one
)

// errSealed and errNotSealed tell that there is a login of the other kind.
var (
	errSealed = errors.New("the login is sealed with a key from the system's keychain: use -keychain, or set OAUTHCLI_KEYCHAIN=1; " +
		"\"oauthcli logout -keychain\" ends it")
	errNotSealed = errors.New("the login is not sealed: leave -keychain out, or OAUTHCLI_KEYCHAIN; to have a sealed one, log out like that " +
		"and then log in with -keychain")
)

// remembered returns the settings of the last login. Together with errNotLoggedIn they are those
// that a logout has left, if any.
func (t *tool) remembered(ctx context.Context) (settings, error) {
	s, err := load(ctx, &t.store, settingsKey)
	switch {
	case err != nil:
		return settings{}, err
	case s.Sealed && !t.seal:
		return settings{}, errSealed
	case s.Sealed:
		if s, err = load(ctx, &t.sealed, sealedKey); err != nil {
			return settings{}, err
		}
	case t.seal && s.Issuer != "" && !s.LoggedOut:
		return settings{}, errNotSealed
	}
	if s.Issuer == "" || s.LoggedOut { // a login was begun and never ended, or it has ended
		return s, errNotLoggedIn
	}
	return s, nil
}

// remember keeps the settings of a login.
func (t *tool) remember(ctx context.Context, s settings) error {
	if t.seal {
		if err := save(ctx, &t.sealed, sealedKey, s); err != nil {
			return err
		}
		s = settings{Sealed: true}
	}
	return save(ctx, &t.store, settingsKey, s)
}

// leave keeps of the settings what the next login, of either kind, may be made with.
func (t *tool) leave(ctx context.Context, s settings) error {
	if t.seal {
		if err := save(ctx, &t.sealed, sealedKey, settings{}); err != nil {
			return err
		}
	}
	return save(ctx, &t.store, settingsKey, settings{Issuer: s.Issuer, ClientID: s.ClientID, API: s.API, LoggedOut: true})
}

// prepare finds out whether a login can be kept. A place that can't be written, or a keychain that
// can't be opened, is better known before a person has logged in than afterwards.
func (t *tool) prepare(ctx context.Context, last settings) error {
	if t.seal {
		if err := save(ctx, &t.sealed, sealedKey, settings{}); err != nil {
			return err
		}
	}
	return save(ctx, &t.store, settingsKey, last)
}

// giveUp discards a sealed record whose key the keychain has lost, so that there can be another.
func (t *tool) giveUp(ctx context.Context, key string) error {
	if !t.seal {
		return nil
	}
	if _, _, err := t.sealed.Load(ctx, key); !errors.Is(err, keychain.ErrKeyLost) {
		return nil // what else may be wrong is found by whoever uses the record
	}
	if err := t.sealed.Discard(ctx, key); err != nil {
		return err
	}
	t.say("the system's keychain has no key for the record %q any more: it is given up", key)
	return nil
}

// load returns the settings in a place, or none.
func load(ctx context.Context, store shared.Store, key string) (s settings, err error) {
	data, version, err := store.Load(ctx, key)
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

func save(ctx context.Context, store shared.Store, key string, s settings) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	for {
		_, version, err := store.Load(ctx, key)
		if err != nil {
			return err
		}
		if _, err = store.CompareAndSwap(ctx, key, data, version); !errors.Is(err, shared.ErrConflict) {
			return err
		}
	}
}

// discover asks the issuer where its endpoints are.
func discover(ctx context.Context, issuer string) (endpoints, error) {
	ctx, cancel := limited(ctx)
	defer cancel()
	u, err := url.Parse(issuer)
	if err != nil {
		return endpoints{}, err
	}
	oauth := *u
	oauth.Path = "/.well-known/oauth-authorization-server" + strings.TrimRight(u.Path, "/") // RFC 8414 section 3.1
	for _, at := range []string{oauth.String(), u.JoinPath(".well-known/openid-configuration").String()} {
		found, ok, err := describe(ctx, at)
		switch {
		case err != nil:
			return endpoints{}, err
		case !ok:
			continue
		case found.Issuer != issuer: // RFC 8414 section 3.3: somebody else's description
			return endpoints{}, fmt.Errorf("%s says that its issuer is %q, which is another one than %q", at, found.Issuer, issuer)
		}
		for _, endpoint := range []string{found.Authorization, found.Device, found.Token, found.Revocation} {
			if wrong := frame.CheckURL(endpoint); endpoint != "" && wrong != "" {
				return endpoints{}, fmt.Errorf("%s names %q as an endpoint, which %s", at, endpoint, wrong)
			}
		}
		if found.Token == "" {
			return endpoints{}, fmt.Errorf("%s names no token endpoint", at)
		}
		return found, nil
	}
	return endpoints{}, fmt.Errorf("%s doesn't describe itself as an OAuth 2.0 server does: is -issuer right?", issuer)
}

// describe reads a description; ok is false if there is none.
func describe(ctx context.Context, at string) (e endpoints, ok bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return endpoints{}, false, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return endpoints{}, false, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode/100 == 4:
		return endpoints{}, false, nil
	case resp.StatusCode != http.StatusOK:
		return endpoints{}, false, fmt.Errorf("%s answered with status %d", at, resp.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&e); err != nil {
		return endpoints{}, false, fmt.Errorf("%s can't be read: %w", at, err)
	}
	return e, true, nil
}

// direct returns a client that follows no redirect: secrets would go along.
func direct() *http.Client {
	return &http.Client{Timeout: callLimit, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
