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

	"github.com/stayauth/stayauth/examples/internal/frame"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/keychain"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/transport"
)

// tokens is where the next token comes from. The guard is told that one is on its way.
func (s settings) tokens(guard *frame.Guard) provider.TokenProvider {
	server := provider.OAuth2{TokenURL: s.Endpoints.Token, ClientID: s.ClientID, ClientSecret: provider.NewSecret(s.ClientSecret)}
	return provider.TokenFunc(func(ctx context.Context, old provider.Token) (provider.Token, error) {
		if old.RefreshToken() == "" {
			return provider.Token{}, provider.Permanent(errNotLoggedIn)
		}
		guard.Saving.Store(true)
		return server.Token(ctx, old)
	})
}

// sharedLogin is the login in the store, for all that run with the same settings.
func (t *tool) sharedLogin(s settings) *shared.Login {
	key := s.ClientID + "@" + s.Issuer
	if t.seal {
		key += "#sealed" // a login that is not would be in its way, and it in the way of that
	}
	return &shared.Login{Provider: s.tokens(&t.guard), Store: t.kept(), Key: key,
		Logger: slog.New(slog.NewTextHandler(t.stderr, nil))}
}

// A guarded login tells the guard when what the server has answered is saved.
type guarded struct {
	*shared.Login
	guard *frame.Guard
}

// Token implements [provider.TokenProvider]. When it returns the answer is saved, as a rule.
func (g guarded) Token(ctx context.Context, old provider.Token) (provider.Token, error) {
	defer g.guard.Saving.Store(false)
	return g.Login.Token(ctx, old)
}

// Wait implements [provider.Waiter]: it waits for an answer that could not be saved at once.
func (g guarded) Wait(ctx context.Context) error {
	g.guard.Saving.Store(true)
	defer g.guard.Saving.Store(false)
	return g.Login.Wait(ctx)
}

// loaded returns the settings of the login, the login, and its token, which may have ended.
func (t *tool) loaded(ctx context.Context) (settings, guarded, provider.Token, error) {
	s, err := t.remembered(ctx)
	if err != nil {
		return settings{}, guarded{}, provider.Token{}, err
	}
	ctx, cancel := limited(ctx)
	defer cancel()
	login := guarded{t.sharedLogin(s), &t.guard}
	token, err := login.Token(ctx, provider.Token{})
	return s, login, token, err
}

// spare is for how long a token has to be good at least, so that it is of use to whom it is given.
const spare = 5 * time.Second

// current returns the settings of the login and a token that is valid by this machine's clock.
func (t *tool) current(ctx context.Context) (settings, provider.Token, error) {
	s, login, token, err := t.loaded(ctx)
	end := token.Expiry()
	switch {
	case err != nil || end.IsZero() || time.Until(end) > spare:
		return s, token, err
	case token.RefreshToken() == "" && time.Until(end) > 0:
		return s, token, nil
	case token.RefreshToken() == "": // the server is not asked, which would end the login: this clock may be wrong
		return s, provider.Token{}, fmt.Errorf("%w: its access token ended at %s, and there is no refresh token for another", shared.ErrEnded,
			end.Local().Format(time.DateTime))
	}
	// A transport would try for half a minute. A person wants to know at once what is wrong, and
	// tries again if it may help.
	asking, cancel := limited(ctx)
	defer cancel()
	token, err = login.Token(asking, token)
	return s, token, errors.Join(err, login.Wait(context.WithoutCancel(ctx))) // the next token is saved before the process ends
}

func statusCommand() command {
	return command{name: "status", short: "tell whether there is a login, and where", long: `Tells where you are logged in and until when the access token is good. If it has ended, the next one is got.`,
		setup: func(t *tool, _ *flag.FlagSet) work {
			return func(ctx context.Context, _ []string) error {
				s, token, err := t.current(ctx)
				if err != nil {
					return err
				}
				allowed := ""
				if scope := token.Extra("scope"); scope != "" {
					allowed = fmt.Sprintf("Allowed: %s.\n", printable(scope))
				}
				until := "until it is rejected"
				if end := token.Expiry(); time.Until(end) > 0 { // a new token that has ended: this clock is wrong
					until = "until " + end.Local().Format(time.DateTime)
				}
				return t.print("Logged in at %s with the client id %s, for %s.\n%sThe access token is good %s, and %s.\n", s.Issuer, s.ClientID, s.API,
					allowed, until, map[bool]string{
						true: "is then replaced by itself", false: "there is no refresh token for another"}[token.RefreshToken() != ""])
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
					err = t.print("%s\n", token.Value())
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
	s, login, _, err := t.loaded(ctx)
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
	tr := &transport.Transport{Provider: login, Origins: []string{api.Scheme + "://" + api.Host}}
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
be told, the login is removed here all the same, and the exit status is 1. The next login need not be told where, with or without
-keychain; a client secret is forgotten.`,
		setup: func(t *tool, _ *flag.FlagSet) work {
			return func(ctx context.Context, _ []string) error { return t.logout(ctx) }
		}}
}

func (t *tool) logout(ctx context.Context) error {
	s, _, token, err := t.loaded(ctx)
	noLogin := errors.Is(err, errNotLoggedIn) || errors.Is(err, shared.ErrEnded)
	lost := errors.Is(err, keychain.ErrKeyLost)
	if s.Issuer == "" && !noLogin && !lost {
		return err
	}
	if err == nil {
		err = s.revoke(ctx, token)
	}
	if s.Issuer != "" || lost {
		if err := t.remove(ctx, s); err != nil {
			return err
		}
	}
	switch {
	case lost:
		return errors.New("the login is removed from this machine, but not revoked at the server: no one can open it any more")
	case noLogin:
		return t.print("You were not logged in.\n")
	case err != nil:
		return fmt.Errorf("the login is removed from this machine, but not revoked at the server: %w", err)
	}
	return t.print("Logged out at %s.\n", s.Issuer)
}

// remove removes a login from this machine. It is not interrupted: the server has ended the login.
func (t *tool) remove(ctx context.Context, s settings) error {
	ctx, cancel := limited(context.WithoutCancel(ctx))
	defer cancel()
	if err := t.giveUp(ctx, sealedKey); err != nil {
		return err
	}
	if s.Issuer != "" { // or the settings are lost, and with them where the login is
		if err := t.forget(ctx, s); err != nil {
			return err
		}
	}
	return t.leave(ctx, s)
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
