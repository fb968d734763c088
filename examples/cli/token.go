package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/stayauth/stayauth/provider"
)

func tokenCommand() command {
	return command{name: "token", short: "make a token by hand", long: `Makes a token for a user from the app's API secret, for tests and first tries,
and prints it. It needs no login. The secret is read from -secret-file, else
from $STREAM_API_SECRET.`,
		setup: func(t *tool, flags *flag.FlagSet) work {
			user := flags.String("user", "", "whose token it is: the user's `id`")
			validity := flags.Duration("valid", time.Hour, "how long it lives; negative: for ever")
			file := flags.String("secret-file", "", "`file` with the API secret; - is standard input")
			return func(ctx context.Context, _ []string) error { return t.token(ctx, *user, *validity, *file) }
		}}
}

func (t *tool) token(ctx context.Context, user string, validity time.Duration, secretFile string) error {
	switch {
	case user == "":
		return usageError{"", "it has to know -user"}
	case validity == 0:
		return usageError{"", "-valid 0 would be no life at all"}
	}
	secret, err := t.apiSecret(ctx, secretFile)
	if err != nil {
		return err
	}
	value, err := provider.Signer{Secret: provider.NewSecret(secret), Validity: validity}.UserToken(user)
	if err != nil {
		return fmt.Errorf("the token can't be made: %w", err)
	}
	parsed, err := provider.ParseJWT(value)
	if err != nil {
		return fmt.Errorf("the token can't be made: %w", err)
	}
	return t.print(struct {
		Token     string    `json:"token"`
		User      string    `json:"user"`
		ExpiresAt time.Time `json:"expires_at,omitzero"`
	}{value, user, parsed.Expiry().UTC()}, value)
}
