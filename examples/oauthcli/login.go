package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/stayauth/stayauth/examples/internal/frame"
	"github.com/stayauth/stayauth/provider"
)

// loginLimit is how long a person may take in the browser.
const loginLimit = 10 * time.Minute

func loginCommand() command {
	return command{name: "login", short: "log in, by a browser or by a code", long: `Logs in at the server whose issuer is given, in a browser on this machine (authorization code with PKCE, to a port of the loopback
interface), or with -device by a code that is typed into a browser anywhere. What was given to the last login need not be given
again. A client secret, where the server has given one to this tool, is in the environment variable OAUTH_CLIENT_SECRET.`,
		setup: func(t *tool, flags *flag.FlagSet) work {
			var s settings
			flags.StringVar(&s.Issuer, "issuer", "", "`address` of the server, such as https://auth.example.com")
			flags.StringVar(&s.ClientID, "client-id", "", "`name` under which the server knows this tool")
			flags.StringVar(&s.API, "api", "", "`address` of the API: the token is sent there and nowhere else")
			scope := flags.String("scope", "offline_access", "`scopes` to ask for, separated by spaces")
			device := flags.Bool("device", false, "log in by a code, for a machine without a browser")
			noBrowser := flags.Bool("no-browser", false, "print the address instead of opening a browser")
			return func(ctx context.Context, _ []string) error {
				if *noBrowser {
					t.browse = func(string) error { return nil }
				}
				return t.login(ctx, s, strings.Fields(*scope), *device)
			}
		}}
}

func (t *tool) login(ctx context.Context, s settings, scopes []string, device bool) error {
	if err := t.giveUp(ctx, sealedKey); err != nil {
		return err
	}
	last, err := t.remembered(ctx)
	first := errors.Is(err, errNotLoggedIn)
	if err != nil && !first {
		return err
	}
	s.Issuer, s.ClientID, s.API = cmp.Or(s.Issuer, last.Issuer), cmp.Or(s.ClientID, last.ClientID), cmp.Or(s.API, last.API)
	s.ClientSecret = os.Getenv("OAUTH_CLIENT_SECRET")
	if s.Issuer == last.Issuer && s.ClientID == last.ClientID {
		s.ClientSecret = cmp.Or(s.ClientSecret, last.ClientSecret)
	}
	if s.ClientID == "" {
		return usageError{"", "it has to know -client-id"}
	}
	for _, f := range []struct{ flag, value string }{{"-issuer", s.Issuer}, {"-api", s.API}} {
		switch wrong := frame.CheckURL(f.value); {
		case f.value == "":
			return usageError{"", "it has to know " + f.flag}
		case wrong != "":
			return usageError{"", f.flag + " " + wrong}
		}
	}
	if s.Endpoints, err = discover(ctx, s.Issuer); err != nil {
		return err
	}

	if first {
		if err := t.prepare(ctx, last); err != nil {
			return err
		}
	}

	ctx, cancel := context.WithTimeoutCause(ctx, loginLimit, fmt.Errorf("nothing came of the login within %v", loginLimit))
	defer cancel()
	config := &oauth2.Config{ClientID: s.ClientID, ClientSecret: s.ClientSecret, Scopes: scopes, Endpoint: oauth2.Endpoint{
		AuthURL: s.Endpoints.Authorization, DeviceAuthURL: s.Endpoints.Device, TokenURL: s.Endpoints.Token,
		AuthStyle: oauth2.AuthStyleInParams, // a public client's way
	}}
	if s.ClientSecret != "" {
		config.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, direct())
	byWhich := t.byBrowser
	if device {
		byWhich = t.byCode
	}
	got, err := byWhich(ctx, config, s)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("the login failed: %w", err)
	}
	token := provider.NewToken(got.AccessToken, got.Expiry).WithRefreshToken(got.RefreshToken).
		WithLifetime(time.Duration(got.ExpiresIn) * time.Second)
	if scope, ok := got.Extra("scope").(string); ok {
		token = token.WithExtras(map[string]string{"scope": scope})
	}
	if err := t.replaceLogin(ctx, s, last, token); err != nil {
		return err
	}
	if got.RefreshToken == "" {
		t.say("the server has given no refresh token: the login will end with its access token\nTry: oauthcli login -scope with what the " +
			"server wants for a longer one, often offline_access")
	}
	return t.print("Logged in at %s.\n", s.Issuer)
}

// replaceLogin saves a login in place of the last one. It is not interrupted: neither of the two
// might be left.
func (t *tool) replaceLogin(ctx context.Context, s, last settings, token provider.Token) error {
	ctx, cancel := limited(context.WithoutCancel(ctx))
	defer cancel()
	t.guard.Saving.Store(true)
	defer t.guard.Saving.Store(false)
	// First who it is and then the login: a copy of this tool that comes in between finds no login,
	// and not a wrong one.
	if err := t.forget(ctx, s); err != nil {
		return err
	}
	if err := t.remember(ctx, s); err != nil {
		return err
	}
	if err := t.sharedLogin(s).Login(ctx, token); err != nil {
		return err
	}
	if last.Issuer != "" && !last.LoggedOut && (last.Issuer != s.Issuer || last.ClientID != s.ClientID) {
		if err := t.forget(ctx, last); err != nil {
			return fmt.Errorf("you are logged in at %s now, but the login at %s could not be removed: %w", s.Issuer, last.Issuer, err)
		}
	}
	return nil
}

// forget removes a login from this machine, also one that no one can open.
func (t *tool) forget(ctx context.Context, s settings) error {
	login := t.sharedLogin(s)
	if err := t.giveUp(ctx, login.Key); err != nil {
		return err
	}
	return login.Forget(ctx)
}

// byBrowser is the authorization code grant with PKCE (RFC 7636) and a redirect to the loopback
// interface (RFC 8252 section 7.3).
func (t *tool) byBrowser(ctx context.Context, config *oauth2.Config, s settings) (*oauth2.Token, error) {
	if config.Endpoint.AuthURL == "" {
		return nil, usageError{"", "this server has no login by browser: use -device"}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	config.RedirectURL = fmt.Sprintf("http://%s/callback", listener.Addr())
	state, verifier := rand.Text(), oauth2.GenerateVerifier()
	type outcome struct {
		code string
		err  error
	}
	came := make(chan outcome, 1)
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		o := outcome{code: q.Get("code")}
		switch iss := q.Get("iss"); {
		case r.URL.Path != "/callback" || q.Get("state") != state: // not the answer to our question: RFC 6749 section 10.12
			http.NotFound(w, r)
			return
		case iss != "" && iss != s.Issuer: // RFC 9207
			o.err = fmt.Errorf("the answer came from %q", iss)
		case q.Get("error") != "":
			o.err = fmt.Errorf("the server said %q: %q", q.Get("error"), q.Get("error_description"))
		case o.code == "":
			o.err = errors.New("the answer has no code in it")
		}
		text := "You are logged in, and can close this window."
		if o.err != nil {
			text = "The login failed; the terminal tells why."
		}
		fmt.Fprintln(w, text)
		select {
		case came <- o:
		default: // a second time
		}
	})}
	go func() { _ = server.Serve(listener) }() // ends with Shutdown
	defer func() { _ = server.Shutdown(context.WithoutCancel(ctx)) }()

	url := config.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier))
	fmt.Fprintf(t.stderr, "Log in at this address, which should have opened in your browser:\n\n%s\n\nThis waits for %v; Ctrl-C ends it. Without a browser here, use login -device.\n\n", printable(url), loginLimit)
	if err := t.browse(url); err != nil {
		t.say("no browser could be opened: %v", err)
	}
	select {
	case o := <-came:
		if o.err != nil {
			return nil, o.err
		}
		return config.Exchange(ctx, o.code, oauth2.VerifierOption(verifier))
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// byCode is the device authorization grant (RFC 8628).
func (t *tool) byCode(ctx context.Context, config *oauth2.Config, _ settings) (*oauth2.Token, error) {
	if config.Endpoint.DeviceAuthURL == "" {
		return nil, usageError{"", "this server has no login by code: leave -device out"}
	}
	device, err := config.DeviceAuth(ctx)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(t.stderr, "Go to %s and type in this code: %s\n", printable(device.VerificationURI), printable(device.UserCode))
	return config.DeviceAccessToken(ctx, device)
}

func openBrowser(url string) error {
	name, args := "xdg-open", []string{url}
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", url}
	}
	cmd := exec.Command(name, args...)
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // ends with the program that opens the browser
	return nil
}
