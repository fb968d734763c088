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
}

// endpoints is a server's description of itself: RFC 8414 section 2, and OpenID Connect Discovery.
type endpoints struct {
	Issuer        string `json:"issuer"`
	Authorization string `json:"authorization_endpoint,omitempty"`
	Device        string `json:"device_authorization_endpoint,omitempty"`
	Token         string `json:"token_endpoint"`
	Revocation    string `json:"revocation_endpoint,omitempty"`
}

// settingsKey is their place in the store, beside the login.
const settingsKey = "settings"

// remembered returns the settings of the last login.
func (t *tool) remembered(ctx context.Context) (s settings, err error) {
	data, version, err := t.kept().Load(ctx, settingsKey)
	switch {
	case err != nil:
		return settings{}, err
	case version == 0:
		return settings{}, errNotLoggedIn
	}
	if bytes.HasPrefix(data, []byte("stayauth-keychain ")) {
		return settings{}, errors.New("the login is sealed with a key from the system's keychain: use -keychain, or set OAUTHCLI_KEYCHAIN=1")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields() // a later version's: half understood, the login could go to the wrong place
	if err := dec.Decode(&s); err != nil {
		return settings{}, fmt.Errorf("the settings of the last login are those of another version of this tool: %v", err)
	}
	if s.Issuer == "" { // a login was begun, and never ended
		return settings{}, errNotLoggedIn
	}
	return s, nil
}

func (t *tool) remember(ctx context.Context, s settings) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	for {
		_, version, err := t.kept().Load(ctx, settingsKey)
		if err != nil {
			return err
		}
		if _, err = t.kept().CompareAndSwap(ctx, settingsKey, data, version); !errors.Is(err, shared.ErrConflict) {
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
