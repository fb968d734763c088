package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/stayauth/stayauth/examples/internal/frame"
	"github.com/stayauth/stayauth/feeds"
)

// An operator has the app's API secret, and may do to its users what the dashboard does.
type operator struct {
	settings
	secretFile string
}

func operatorFlags(flags *flag.FlagSet) *operator {
	o := new(operator)
	flags.StringVar(&o.Key, "key", "", "the app's API `key`; else $STREAM_API_KEY, else that of the last login")
	flags.StringVar(&o.BaseURL, "base", "", "the API's `address`; else $STREAM_BASE_URL, else that of the last login")
	flags.StringVar(&o.secretFile, "secret-file", "", "`file` with the API secret, - being standard input; else $STREAM_API_SECRET")
	return o
}

// operator returns a client with the API secret.
func (t *tool) operator(ctx context.Context, o *operator) (*feeds.Client, error) {
	last, err := t.remembered(ctx)
	if err != nil {
		return nil, err
	}
	s := settings{
		Key:     cmp.Or(o.Key, os.Getenv("STREAM_API_KEY"), last.Key),
		BaseURL: strings.TrimRight(cmp.Or(o.BaseURL, os.Getenv("STREAM_BASE_URL"), last.BaseURL, feeds.DefaultBaseURL), "/"),
	}
	if s.Key == "" {
		return nil, usageError{"", "it has to know -key"}
	}
	if wrong := frame.CheckURL(s.BaseURL); wrong != "" {
		return nil, usageError{"", "-base " + wrong}
	}
	secret, err := t.apiSecret(ctx, o.secretFile)
	if err != nil {
		return nil, err
	}
	c, err := feeds.NewClient(s.Key, secret)
	if err != nil {
		return nil, err
	}
	plain := t.client(s)
	c.BaseURL, c.Logger, c.Trace = plain.BaseURL, plain.Logger, plain.Trace
	return c, nil
}

// apiSecret reads the app's API secret.
func (t *tool) apiSecret(ctx context.Context, file string) (string, error) {
	secret, ok, err := t.secret(ctx, file, "STREAM_API_SECRET")
	if err == nil && !ok {
		err = usageError{"", "there is no API secret: name a file with -secret-file, or set STREAM_API_SECRET"}
	}
	return secret, err
}

func revokeCommand() command {
	return command{name: "revoke", short: "revoke tokens, as the app's operator", long: `Revokes the tokens that users have, as Stream's dashboard does. They stay
logged in: their next request gets a new token. It needs the app's API secret,
and no login.`,
		setup: func(t *tool, flags *flag.FlagSet) work {
			o := operatorFlags(flags)
			var users []string
			flags.Func("user", "whose tokens to revoke: the user's `id`; may be repeated", func(id string) error {
				users = append(users, id)
				return nil
			})
			app := flags.Bool("app", false, "revoke the tokens of all users of the app")
			undo := flags.Bool("undo", false, "take a revocation back, with -user or -app as it was")
			return func(ctx context.Context, _ []string) error { return t.revoke(ctx, o, users, *app, *undo) }
		}}
}

func (t *tool) revoke(ctx context.Context, o *operator, users []string, app, undo bool) error {
	if app == (len(users) > 0) {
		return usageError{"", "it has to know either -user or -app"}
	}
	c, err := t.operator(ctx, o)
	if err != nil {
		return err
	}
	ctx, cancel := limited(ctx)
	defer cancel()
	var before *time.Time // nil takes it back
	what := "No longer revoked"
	if !undo {
		now := time.Now()
		before, what = &now, "Revoked"
	}
	whose := strings.Join(users, ", ")
	if app {
		whose, err = "all users", c.RevokeTokens(ctx, before)
	} else {
		err = c.RevokeUsersTokens(ctx, users, before)
	}
	if err != nil {
		return err
	}
	return t.print(struct {
		Users  []string   `json:"users,omitempty"`
		App    bool       `json:"app,omitempty"`
		Before *time.Time `json:"revoked_before"` // null: none are
	}{users, app, before}, fmt.Sprintf("%s: the tokens of %s.", what, whose))
}

func authChecksCommand() command {
	return command{name: "auth-checks", args: "on|off", short: "switch the app's authentication checks", long: `Switches the app's authentication checks, as Stream's dashboard does. Off lets
developer tokens in, which anyone can make: it is for development alone. It
needs the app's API secret, and no login.`,
		setup: func(t *tool, flags *flag.FlagSet) work {
			o := operatorFlags(flags)
			return func(ctx context.Context, args []string) error { return t.authChecks(ctx, o, strings.Join(args, " ")) }
		}}
}

func (t *tool) authChecks(ctx context.Context, o *operator, to string) error {
	if to != "on" && to != "off" {
		return usageError{"", "say on or off"}
	}
	c, err := t.operator(ctx, o)
	if err != nil {
		return err
	}
	ctx, cancel := limited(ctx)
	defer cancel()
	disable := to == "off"
	if err := c.UpdateApp(ctx, &feeds.UpdateAppRequest{DisableAuthChecks: &disable}); err != nil {
		return err
	}
	return t.print(struct {
		DisableAuthChecks bool `json:"disable_auth_checks"`
	}{disable}, fmt.Sprintf("The app's authentication checks are %s.", to))
}
