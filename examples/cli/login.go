package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
)

func loginCommand() command {
	return command{name: "login", short: "log in, and stay logged in", long: `Logs in at a token backend and keeps the login for all later runs. The backend gets a POST of {"user_id", "session"} and answers
with {"token", "refresh_token", "expires_in"}.

The session secret proves to the backend who you are. It is read from -session-file, else from $STREAM_SESSION, else typed in
at the terminal. What is left out otherwise is as in the last login, so that after one "cli login" is enough.`,
		setup: func(t *tool, flags *flag.FlagSet) work {
			var s settings
			flags.StringVar(&s.User, "user", "", "the `id` of who logs in")
			flags.StringVar(&s.Key, "key", "", "the app's API `key`; else $STREAM_API_KEY")
			flags.StringVar(&s.BaseURL, "base", "", "the API's `address`; else $STREAM_BASE_URL, else Stream's own")
			flags.StringVar(&s.TokenURL, "token-url", "", "the token backend's `address`; else $STREAM_TOKEN_URL")
			file := flags.String("session-file", "", "`file` with the session secret; - is standard input")
			return func(ctx context.Context, _ []string) error { return t.login(ctx, s, *file) }
		}}
}

func (t *tool) login(ctx context.Context, s settings, sessionFile string) error {
	last, err := t.remembered(ctx)
	if err != nil {
		return err
	}
	if s, err = s.complete(last); err != nil {
		return err
	}
	secret, ok, err := t.secret(sessionFile, "STREAM_SESSION")
	if err == nil && !ok {
		secret, _, err = t.prompt(ctx, fmt.Sprintf("Session secret of %s (empty if there is none): ", s.User))
	}
	if err != nil {
		return err
	}

	// First a login that works, then it takes the place of the last.
	token, err := t.tryLogin(ctx, s, secret)
	if err != nil {
		// Not wrapped: a session that never began is not over.
		hint := ""
		if secret == "" && provider.IsPermanent(err) {
			hint = " (there was no session secret: if one is needed, name a file with -session-file, or set STREAM_SESSION)"
		}
		return fmt.Errorf("%s could not be logged in: %v%s", s.User, err, hint)
	}
	ctx = context.WithoutCancel(ctx) // three small files, and half of them would be a muddle
	if err := t.sharedLogin(s).Login(ctx, token); err != nil {
		return err
	}
	if err := t.remember(ctx, s); err != nil {
		return err
	}
	if last.User != "" && (last.User != s.User || last.Key != s.Key) {
		if err := t.sharedLogin(last).Forget(ctx); err != nil {
			return fmt.Errorf("%s is logged in now, but %s could not be logged out: %w", s.User, last.User, err)
		}
	}
	return t.print(s, fmt.Sprintf("Logged in as %s at %s.", s.User, s.BaseURL))
}

// complete returns s with what was left out, or says what is missing.
func (s settings) complete(last settings) (settings, error) {
	s = settings{
		User:     cmp.Or(s.User, last.User),
		Key:      cmp.Or(s.Key, os.Getenv("STREAM_API_KEY"), last.Key),
		BaseURL:  strings.TrimRight(cmp.Or(s.BaseURL, os.Getenv("STREAM_BASE_URL"), last.BaseURL, feeds.DefaultBaseURL), "/"),
		TokenURL: cmp.Or(s.TokenURL, os.Getenv("STREAM_TOKEN_URL"), last.TokenURL),
	}
	var missing []string
	for _, f := range []struct{ flag, value string }{{"-user", s.User}, {"-key", s.Key}, {"-token-url", s.TokenURL}} {
		if f.value == "" {
			missing = append(missing, f.flag)
		}
	}
	if missing != nil {
		return s, usageError{"", "it has to know " + strings.Join(missing, " and ")}
	}
	for _, f := range []struct{ flag, value string }{{"-base", s.BaseURL}, {"-token-url", s.TokenURL}} {
		if wrong := checkURL(f.value); wrong != "" {
			return s, usageError{"", fmt.Sprintf("%s %s", f.flag, wrong)}
		}
	}
	return s, nil
}

// tryLogin logs in and makes sure that the API takes the token for that user's. The person at the terminal is told at once
// what is wrong: nothing is tried again.
func (t *tool) tryLogin(ctx context.Context, s settings, secret string) (provider.Token, error) {
	ctx, cancel := limited(ctx)
	defer cancel()
	from := &newLogin{backend: backend{settings: s, session: &secret}}
	var err error
	if from.newest, err = from.backend.Token(ctx, provider.Token{}); err != nil {
		return provider.Token{}, err
	}
	session, err := t.client(s).ConnectUser(ctx, feeds.User{ID: s.User}, from)
	if err != nil {
		return provider.Token{}, err
	}
	if err := session.Close(); err != nil { // from is at rest then
		return provider.Token{}, err
	}
	return from.newest, nil
}

// A newLogin provides the tokens of a login that is not saved yet. A session asks for one token at a time.
type newLogin struct {
	backend provider.TokenProvider
	newest  provider.Token
}

// Token implements [provider.TokenProvider].
func (n *newLogin) Token(ctx context.Context, old provider.Token) (provider.Token, error) {
	if old.IsZero() {
		return n.newest, nil
	}
	t, err := n.backend.Token(ctx, old)
	if err == nil {
		n.newest = t
	}
	return t, err
}

func logoutCommand() command {
	return command{name: "logout", short: "log out, in all terminals", long: `Ends the login for all copies of this tool: the secrets are removed, and whatever still runs finds the login gone. It does not tell
the backend, which may have its own way to end a session.`,
		setup: func(t *tool, _ *flag.FlagSet) work {
			return func(ctx context.Context, _ []string) error {
				s, err := t.remembered(ctx)
				if err != nil {
					return err
				}
				if s.User == "" {
					return t.print(s, "Nobody was logged in.")
				}
				if err := t.sharedLogin(s).Forget(ctx); err != nil {
					return err
				}
				return t.print(s, fmt.Sprintf("%s is logged out.", s.User))
			}
		}}
}

func whoamiCommand() command {
	return command{name: "whoami", short: "tell who is logged in", long: `Tells who is logged in, after having asked the API.`,
		setup: func(t *tool, _ *flag.FlagSet) work {
			return func(ctx context.Context, _ []string) error {
				c, err := t.connect(ctx)
				if err != nil {
					return err
				}
				text := fmt.Sprintf("%s at %s", c.settings.User, c.settings.BaseURL)
				if end := c.Stats().Expiry; !end.IsZero() {
					text += fmt.Sprintf(", with a token until %s", end.Local().Format(time.DateTime))
				}
				if err := c.Close(); err != nil {
					return err
				}
				return t.print(c.settings, text)
			}
		}}
}
