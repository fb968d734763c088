// Httpclient is the smallest use of stayauth: any API, a function as token provider.
//
//	TOKEN_COMMAND='pass show api-token' go run ./examples/httpclient https://api.example.com/me
package main

import (
	"context"
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
	client := &http.Client{Transport: &transport.Transport{Provider: provider.Func(freshToken)}}
	resp, err := client.Get(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	_, _ = io.Copy(os.Stdout, resp.Body)
}

// freshToken is called for the first token, when one is about to end, and when the API has refused one.
func freshToken(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "sh", "-c", os.Getenv("TOKEN_COMMAND"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}
