package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/stayauth/stayauth/examples/internal/frame"
	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
)

func loginCommand() command {
	return command{name: "login", short: "log in, and stay logged in", long: `Logs in at a token backend and keeps the login for all later runs. The backend
gets a POST of {"user_id", "session"} and answers with {"token",
"refresh_token", "expires_in"}.

The session secret proves to the backend who you are. It is read from
-session-file, else from $STREAM_SESSION, else typed in at the terminal. What
is left out otherwise is as in the last login, so that after one "cli login"
is enough.`,
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
	if s, err = s.complete(last.settings); err != nil {
		return err
	}
	secret, ok, err := t.secret(ctx, sessionFile, "STREAM_SESSION")
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
		said := strings.ReplaceAll(err.Error(), "; log in again", "") // which is what has just failed
		hint := ""
		if secret == "" && provider.IsPermanent(err) {
			hint = " (there was no session secret: if one is needed, name a file with -session-file, or set STREAM_SESSION)"
		}
		return fmt.Errorf("%s could not be logged in: %s%s", s.User, said, hint)
	}
	// A few small files, and half of them would be a muddle.
	return t.alone(context.WithoutCancel(ctx), func(ctx context.Context) error { return t.replaceLogin(ctx, s, token) })
}

// replaceLogin saves a login in place of the last one. Whenever it is interrupted, a logout finds
// what is there to forget.
func (t *tool) replaceLogin(ctx context.Context, s settings, token provider.Token) error {
	m, err := t.remembered(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(m.Logins, s.loginKey()) {
		m.Logins = append(m.Logins, s.loginKey())
	}
	if err := t.remember(ctx, m); err != nil {
		return err
	}
	if err := t.sharedLogin(s).Login(ctx, token); err != nil {
		return err
	}
	m.settings = s
	if err := t.remember(ctx, m); err != nil {
		return err
	}
	if err := t.forget(ctx, m, s.loginKey()); err != nil {
		return fmt.Errorf("%s is logged in now, but somebody else could not be logged out: %w", s.User, err)
	}
	return t.print(s, fmt.Sprintf("Logged in as %s at %s.", s.User, s.BaseURL))
}

// forget logs out all logins but the one to keep, and remembers that.
func (t *tool) forget(ctx context.Context, m memory, keep string) error {
	left := slices.Clone(m.Logins)
	for _, key := range m.Logins {
		if key == keep {
			continue
		}
		login := &shared.Login{Provider: backend{}, Store: &t.store, Key: key}
		if err := login.Forget(ctx); err != nil {
			return err
		}
		left = slices.DeleteFunc(left, func(k string) bool { return k == key })
	}
	m.Logins = left
	return t.remember(ctx, m)
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
		if wrong := frame.CheckURL(f.value); wrong != "" {
			return s, usageError{"", fmt.Sprintf("%s %s", f.flag, wrong)}
		}
	}
	return s, nil
}

// tryLogin logs in and makes sure that the API takes the token for that user's. The person at the
// terminal is told at once what is wrong: nothing is tried again.
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

// A newLogin provides the tokens of a login that is not saved yet. A session asks for one token at
// a time.
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
	return command{name: "logout", short: "log out, in all terminals", long: `Ends the login for all copies of this tool: the secrets are removed, and
whatever still runs finds the login gone. It does not tell the backend, which
may have its own way to end a session.`,
		setup: func(t *tool, _ *flag.FlagSet) work {
			return func(ctx context.Context, _ []string) error {
				return t.alone(context.WithoutCancel(ctx), func(ctx context.Context) error {
					m, err := t.remembered(ctx)
					switch {
					case err != nil:
						return err
					case m.User == "" && len(m.Logins) == 0:
						return t.print(m.settings, "No one was logged in.")
					}
					if err := t.forget(ctx, m, ""); err != nil {
						return err
					}
					return t.print(m.settings, fmt.Sprintf("%s is logged out.", cmp.Or(m.User, "Whoever logged in")))
				})
			}
		}}
}

func whoamiCommand() command {
	return command{name: "whoami", short: "tell who is logged in", long: `Tells who is logged in, after having asked the API.`,
		setup: func(t *tool, _ *flag.FlagSet) work {
			return func(ctx context.Context, _ []string) error {
				return t.connected(ctx, func(c *connection) error {
					text, end := fmt.Sprintf("%s at %s", c.settings.User, c.settings.BaseURL), c.Stats().Expiry
					if !end.IsZero() {
						text += fmt.Sprintf(", with a token until %s", end.Local().Format(time.DateTime))
					}
					return t.print(struct {
						settings
						ExpiresAt time.Time `json:"expires_at,omitzero"` // the token's; the login outlives it
					}{c.settings, end.UTC()}, text)
				})
			}
		}}
}
