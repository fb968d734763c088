// Command testserver runs a test server as a process of its own, for clients in any language. By
// itself it is Stream's API:
//
//	go run ./examples/testserver -addr 127.0.0.1:8080 -key KEY -secret SECRET -ttl 5s
//
// With -guard it stands in front of any other API, asks for Bearer tokens, and is the OAuth 2.0
// server that issues them:
//
//	go run ./examples/testserver -guard -ttl 5s
//	go run ./examples/testserver -guard -upstream http://127.0.0.1:9000 -client my-tool -client-secret SECRET
//
// With -page it shows what happens, live, in a browser, and has switches to revoke tokens and to
// make things go wrong. With -demo clients of this module come, so that there is something to see:
//
//	go run ./examples/testserver -page -demo
//	go run ./examples/testserver -guard -page -demo
//
// It prints what to do when it is ready, and stops on SIGINT and SIGTERM.
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
	"sync"
	"syscall"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// A server is what this program runs.
type server interface {
	http.Handler
	io.Closer
	Page() *testserver.Page
}

// run serves until ctx is done, and returns the exit status: 1 if it can't serve, 2 if args make no
// sense.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errSaid):
		return 2
	case err != nil:
		fmt.Fprintf(stderr, "testserver: %v\n", err)
		return 2
	}
	l, err := net.Listen("tcp", o.addr)
	if err != nil {
		fmt.Fprintf(stderr, "testserver: %v\n", err)
		return 1
	}
	defer l.Close() // Serve does it as well
	url := "http://" + l.Addr().String()
	guard := o.newGuard()
	var srv server = guard
	if !o.guard {
		srv = o.newServer()
	}
	handler := http.Handler(srv)
	var p *page
	if o.page {
		if p, err = openPage(o.pageAddr, srv.Page()); err != nil {
			fmt.Fprintf(stderr, "testserver: %v\n", err)
			return 1
		}
		defer p.listener.Close()
		if o.upstream == nil {
			handler = p.orPage(srv)
		}
	}
	if o.guard {
		welcomeGuard(stdout, url, guard, o)
	} else {
		ready := "testserver is ready at " + url + " with API key " + o.key
		if o.secret == testserver.DefaultSecret { // it is public, so it may be shown
			ready += " and secret " + o.secret
		}
		fmt.Fprintln(stdout, ready)
	}
	ctx, cancel := context.WithCancel(ctx)
	var others sync.WaitGroup
	defer others.Wait()
	defer cancel()
	if p != nil {
		p.welcome(stdout)
		others.Go(func() {
			if err := p.serve(ctx); err != nil {
				fmt.Fprintf(stderr, "testserver: the page: %v\n", err)
			}
		})
	}
	if o.withDemo {
		others.Go(func() { o.demo(ctx, "http://"+reachable(l.Addr()), srv) })
	}
	if err := serve(ctx, l, srv, handler); err != nil {
		fmt.Fprintf(stderr, "testserver: %v\n", err)
		return 1
	}
	return 0
}

func (o options) newServer() *testserver.Server {
	return &testserver.Server{
		Key: o.key, Secret: o.secret, Session: o.session, TTL: o.ttl, DisableAuthChecks: o.disableAuthChecks, Fault: o.fault,
	}
}

// serve answers at l until ctx is done.
func serve(ctx context.Context, l net.Listener, srv server, h http.Handler) error {
	hs := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
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
		return err
	}
	<-stopped
	return nil
}
