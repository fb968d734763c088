// Httpclient is the smallest use of stayauth: any API, a function as token provider.
//
//	TOKEN_COMMAND='pass show api-token' go run ./examples/httpclient https://api.example.com/me
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

func main() {
	if len(os.Args) != 2 || os.Getenv("TOKEN_COMMAND") == "" {
		fmt.Fprintln(os.Stderr, "usage: TOKEN_COMMAND='command that prints a token' httpclient URL")
		os.Exit(2)
	}
	tr := &transport.Transport{Provider: provider.Func(freshToken)}
	// Close waits for a refresh that could lose something, if one has begun: a program that ended
	// in its middle would take a rotated refresh token with it. A Func has none, so here it costs
	// nothing.
	defer tr.Close()
	client := &http.Client{Transport: tr}
	resp, err := client.Get(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) // without Close: there is no token, so nothing can be lost
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	_, _ = io.Copy(os.Stdout, resp.Body)
}

// freshToken is called for the first token, when one is about to end, and when the API has rejected
// one.
func freshToken(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "sh", "-c", os.Getenv("TOKEN_COMMAND"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && (exit.ExitCode() == 126 || exit.ExitCode() == 127) {
		// The shell's words for a command that can't be run, or is not there. Asking again won't
		// bring it.
		err = provider.NoRetry(fmt.Errorf("TOKEN_COMMAND can't be run: %w", err))
	}
	return strings.TrimSpace(string(out)), err
}
