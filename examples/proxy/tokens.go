package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/stayauth/stayauth/provider"
)

// tokenProvider returns where the tokens come from. Secrets are in the environment: flags are seen
// by everyone on the machine.
func tokenProvider(tokenURL, user string) (provider.TokenProvider, error) {
	command := os.Getenv("TOKEN_COMMAND")
	switch {
	case command == "" && tokenURL == "":
		return nil, errors.New("there is nowhere to get a token from: set TOKEN_COMMAND to a command that prints one, or use -token-url")
	case command != "" && (tokenURL != "" || user != ""):
		return nil, errors.New("TOKEN_COMMAND is set, so -token-url and -user would go unheard: leave out the one or the other")
	case command != "":
		return tokenCommand(command), nil
	}
	return sessionTokens{provider.HTTP{URL: tokenURL, UserID: user, Session: provider.NewSecret(os.Getenv("TOKEN_SESSION"))}}, nil
}

// sessionTokens asks a token endpoint, and starts over from the session secret when the endpoint
// takes the refresh token no more: because that was lost on the way, or the endpoint was restarted
// and has forgotten it.
type sessionTokens struct{ endpoint provider.HTTP }

func (s sessionTokens) Token(ctx context.Context, old provider.Token) (provider.Token, error) {
	tok, err := s.endpoint.Token(ctx, old)
	if provider.IsPermanent(err) && old.RefreshToken() != "" {
		return s.endpoint.Token(ctx, provider.Token{})
	}
	return tok, err
}

// tokenCommand returns a provider that runs a shell command for each token and takes what it
// prints.
func tokenCommand(command string) provider.TokenProvider {
	return provider.Func(func(ctx context.Context) (string, error) {
		cmd := exec.CommandContext(ctx, "sh", "-c", command)
		cmd.Stderr = os.Stderr
		cmd.WaitDelay = time.Second // for something that it started and that holds on to its output
		out, err := cmd.Output()
		if err != nil {
			err = fmt.Errorf("TOKEN_COMMAND: %w", err)
			if code := cmd.ProcessState.ExitCode(); code == 126 || code == 127 { // the shell can't run it, now or ever
				err = provider.Permanent(err)
			}
			return "", err
		}
		return strings.TrimSpace(string(out)), nil
	})
}
