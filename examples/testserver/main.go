// Command testserver runs the test server as a process of its own, for clients in any language:
//
//	go run ./examples/testserver -addr 127.0.0.1:8080 -key KEY -secret SECRET -ttl 5s
//
// It prints one line when it is ready and stops on SIGINT and SIGTERM.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run serves until ctx is done, and returns the exit status: 1 if it can't serve, 2 if args make no sense.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	srv := &testserver.Server{}
	flags := flag.NewFlagSet("testserver", flag.ContinueOnError)
	flags.SetOutput(stderr)
	addr := flags.String("addr", "127.0.0.1:8080", "`host:port` to listen on; port 0 picks a free one")
	flags.StringVar(&srv.Key, "key", testserver.DefaultKey, "API `key` that requests must name")
	flags.StringVar(&srv.Secret, "secret", testserver.DefaultSecret, "`secret` that signs the tokens")
	flags.StringVar(&srv.Session, "session", "", "session `secret` that POST /token wants; empty: none")
	flags.DurationVar(&srv.TTL, "ttl", testserver.DefaultTTL, "how long tokens live; negative: for ever")
	flags.BoolVar(&srv.DisableAuthChecks, "disable-auth-checks", false, "accept developer tokens, and check no signature")
	latency := flags.Duration("latency", 0, "how long every answer takes")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "testserver: unexpected argument %q\n", flags.Arg(0))
		return 2
	case srv.Key == "" || srv.Secret == "":
		fmt.Fprintln(stderr, "testserver: -key and -secret must not be empty")
		return 2
	case *latency < 0:
		fmt.Fprintln(stderr, "testserver: -latency must not be negative")
		return 2
	}
	srv.Fault = func(*http.Request) testserver.Fault { return testserver.Fault{Latency: *latency} }

	l, err := net.Listen("tcp", *addr)
	if err != nil {
		fmt.Fprintf(stderr, "testserver: %v\n", err)
		return 1
	}
	ready := fmt.Sprintf("testserver is ready at http://%s with API key %s", l.Addr(), srv.Key)
	if srv.Secret == testserver.DefaultSecret { // nobody's secret, so it may be shown
		ready += " and secret " + srv.Secret
	}
	fmt.Fprintln(stdout, ready)

	hs := &http.Server{Handler: srv, ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan struct{})
	go func() { // ends once ctx is done: at the signal, or with the deferred cancel
		defer close(stopped)
		<-ctx.Done()
		_ = srv.Close() // requests that wait are cut off, so that Shutdown has little to wait for
		grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = hs.Shutdown(grace)
	}()
	if err := hs.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintf(stderr, "testserver: %v\n", err)
		return 1
	}
	<-stopped
	return 0
}
