package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/transport"
)

// tokens is where the next token comes from.
func (s settings) tokens() provider.TokenProvider {
	server := provider.OAuth2{TokenURL: s.Endpoints.Token, ClientID: s.ClientID, ClientSecret: provider.NewSecret(s.ClientSecret)}
	return provider.TokenFunc(func(ctx context.Context, old provider.Token) (provider.Token, error) {
		if old.RefreshToken() == "" {
			return provider.Token{}, provider.Permanent(errNotLoggedIn)
		}
		return server.Token(ctx, old)
	})
}

// sharedLogin is the login in the store, for all that run with the same settings.
func (t *tool) sharedLogin(s settings) *shared.Login {
	return &shared.Login{Provider: s.tokens(), Store: t.kept(), Key: s.ClientID + "@" + s.Issuer,
		Logger: slog.New(slog.NewTextHandler(t.stderr, nil))}
}

// current returns the settings of the login and a token that is valid.
func (t *tool) current(ctx context.Context) (settings, provider.Token, error) {
	s, err := t.remembered(ctx)
	if err != nil {
		return settings{}, provider.Token{}, err
	}
	ctx, cancel := limited(ctx)
	defer cancel()
	// A transport would try for half a minute. A person wants to know at once what is wrong, and
	// tries again if it may help.
	token, err := t.sharedLogin(s).Token(ctx, provider.Token{})
	return s, token, err
}

func statusCommand() command {
	return command{name: "status", short: "tell whether there is a login, and where", long: `Tells where you are logged in and until when the access token is good. If it has ended, the next one is got.`,
		setup: func(t *tool, _ *flag.FlagSet) work {
			return func(ctx context.Context, _ []string) error {
				s, token, err := t.current(ctx)
				if err != nil {
					return err
				}
				fmt.Fprintf(t.stdout, "Logged in at %s with the client id %s, for %s.\n", s.Issuer, s.ClientID, s.API)
				if scope := token.Extra("scope"); scope != "" {
					fmt.Fprintf(t.stdout, "Allowed: %s.\n", printable(scope))
				}
				until := "until it is rejected"
				if end := token.Expiry(); !end.IsZero() {
					until = "until " + end.Local().Format(time.DateTime)
				}
				fmt.Fprintf(t.stdout, "The access token is good %s, and %s.\n", until, map[bool]string{
					true: "is then replaced by itself", false: "there is no refresh token for another"}[token.RefreshToken() != ""])
				return nil
			}
		}}
}

func tokenCommand() command {
	return command{name: "token", short: "print an access token that is valid", long: `Prints an access token, for programs that want one:

	curl -H "Authorization: Bearer $(oauthcli token)" https://api.example.com/me

Anyone who sees it can do with it what you can do.`,
		setup: func(t *tool, _ *flag.FlagSet) work {
			return func(ctx context.Context, _ []string) error {
				_, token, err := t.current(ctx)
				if err == nil {
					_, err = fmt.Fprintln(t.stdout, token.Value())
				}
				return err
			}
		}}
}

func getCommand() command {
	return command{name: "get", args: "path", short: "make a request to the API, and print what it answers", long: `Makes a GET request to a path of the API that was given to login, or to a whole address there, with the access token. What comes is
printed as it is. A status of 400 or more makes the exit status 1.`,
		setup: func(t *tool, _ *flag.FlagSet) work {
			return func(ctx context.Context, args []string) error { return t.get(ctx, args[0]) }
		}}
}

func (t *tool) get(ctx context.Context, path string) (err error) {
	s, _, err := t.current(ctx)
	if err != nil {
		return err
	}
	api, err := url.Parse(s.API)
	if err != nil {
		return err
	}
	target, err := url.Parse(path)
	if err != nil {
		return usageError{"", "the path can't be read as one"}
	}
	if target.Host == "" {
		query := target.RawQuery
		target = api.JoinPath(target.EscapedPath())
		target.RawQuery = query
	}
	tr := &transport.Transport{Provider: t.sharedLogin(s), Origins: []string{api.Scheme + "://" + api.Host}}
	defer func() { err = errors.Join(err, tr.Close()) }() // waits for a refresh, so that the next token is saved before the process ends
	if target.Scheme != api.Scheme || !strings.EqualFold(target.Host, api.Host) {
		return usageError{"", fmt.Sprintf("the login is for %s, and its token goes nowhere else", s.API)}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: tr, Timeout: callLimit}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(t.stdout, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode >= 400 {
		return fmt.Errorf("%s answered with %s", target, resp.Status)
	}
	return nil
}

func logoutCommand() command {
	return command{name: "logout", short: "log out, in all terminals and at the server", long: `Tells the server to revoke the login (RFC 7009), and removes it from this machine, for all copies of this tool. If the server can't
be told, the login is removed here all the same, and the exit status is 1.`,
		setup: func(t *tool, _ *flag.FlagSet) work {
			return func(ctx context.Context, _ []string) error { return t.logout(ctx) }
		}}
}

func (t *tool) logout(ctx context.Context) error {
	s, token, err := t.current(ctx)
	switch {
	case errors.Is(err, errNotLoggedIn), errors.Is(err, shared.ErrEnded):
		fmt.Fprintln(t.stdout, "You were not logged in.")
		return nil
	case s.Issuer == "":
		return err
	}
	if err == nil {
		err = s.revoke(ctx, token)
	}
	if forget := t.sharedLogin(s).Forget(ctx); forget != nil {
		return forget
	}
	if err != nil {
		return fmt.Errorf("the login is removed from this machine, but not revoked at the server: %w", err)
	}
	fmt.Fprintf(t.stdout, "Logged out at %s.\n", s.Issuer)
	return nil
}

// revoke ends the login at the server, where the server knows how to: RFC 7009.
func (s settings) revoke(ctx context.Context, token provider.Token) error {
	if s.Endpoints.Revocation == "" {
		return errors.New("it has no revocation endpoint")
	}
	ctx, cancel := limited(ctx)
	defer cancel()
	form := url.Values{"token": {cmp.Or(token.RefreshToken(), token.Value())}}
	if s.ClientSecret == "" {
		form.Set("client_id", s.ClientID)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Endpoints.Revocation, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if s.ClientSecret != "" {
		req.SetBasicAuth(url.QueryEscape(s.ClientID), url.QueryEscape(s.ClientSecret))
	}
	resp, err := direct().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered with %s", s.Endpoints.Revocation, resp.Status)
	}
	return nil
}
