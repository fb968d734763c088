// Proxy keeps any program logged in. It listens on this machine, passes every request on to one
// API, and puts a live token into it; the program, curl for one, needs to know nothing about
// tokens.
//
//	TOKEN_COMMAND='pass show api-token' go run ./examples/proxy https://api.example.com
//	curl http://127.0.0.1:8090/me
//
// Tokens come from a command that prints one, as above, or from a token endpoint such as
// examples/backend, whose session secret is in TOKEN_SESSION:
//
//	TOKEN_SESSION=... go run ./examples/proxy -token-url https://app.example.com/token -user alice https://api.example.com
//
// Against the test server (go run ./examples/testserver) and its token endpoint, -rejected code40
// being Stream's way:
//
//	go run ./examples/proxy -rejected code40 -token-url http://127.0.0.1:8080/token -user alice http://127.0.0.1:8080
//	curl 'http://127.0.0.1:8090/api/v2/app?api_key=stayauth-key'
//
// # Who may use it
//
// Anyone who can send it a request is logged in as you: every user and every program of this
// machine. It listens on loopback only, unless -host names it for others. Web pages are kept out,
// whose browser is on this machine too: a request for a host name that is not the proxy's is
// refused (DNS rebinding), and so is one that a page of another site has made.
//
// The token goes to the API alone. An Authorization header of the program's is replaced. A redirect
// is passed on as it came; a program that follows one to elsewhere leaves the proxy, and goes
// without the token.
//
// # Bodies
//
// Anyone who makes a request with package net/http can offer its body a second time (GetBody). Here
// the body comes from a connection, once. So the first 64 KiB are kept while they are sent on, and
// if the token is rejected the request is replayed from those. A longer upload that meets a
// rejected token can't be: the program gets the 401, and when it tries again it finds a new token.
// -keep-body keeps more. Long uploads are not begun under a token that is about to end, so it takes
// a revocation to get there.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/stayauth/stayauth/examples/internal/frame"
	"github.com/stayauth/stayauth/transport"
)

func main() {
	frame.Main(func(ctx context.Context) int { return run(ctx, os.Args[1:], os.Stdout, os.Stderr) })
}

// run serves until ctx is done, and returns the exit status: 1 if it can't serve, 2 if it was asked
// for what makes no sense.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	tr := &transport.Transport{Base: upstream(), Logger: log}
	g := guard{log: log}

	flags := frame.New("proxy", stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "Usage: TOKEN_COMMAND='command that prints a token' proxy [flags] https://api.example.com")
		flags.PrintDefaults()
	}
	addr := flags.String("addr", "127.0.0.1:8090", "`host:port` to listen on; port 0 picks a free one")
	flags.Func("host", "`name` under which others than this machine call the proxy, needed to listen on more than loopback; may be repeated",
		func(name string) error {
			g.hosts = append(g.hosts, name)
			return nil
		})
	rejected := flags.String("rejected", "bearer", "`how` the API tells a rejected token: bearer (a 401 with a Bearer challenge), any401, "+
		"or code40 (Stream: code 40 in the body; the token then goes without the word Bearer)")
	tokenURL := flags.String("token-url", "", "token endpoint (`URL`) to ask, in place of TOKEN_COMMAND; TOKEN_SESSION is its session secret")
	user := flags.String("user", "", "`id` of whose token to ask it for; may be left out if the session tells")
	keepBody := flags.Int("keep-body", 64<<10, "how many `bytes` of each upload to keep for a replay; 0: none")
	if status, done := flags.Parse(args, 1, "one argument is needed, after the flags: the API, such as https://api.example.com"); done {
		return status
	}
	target, err := parseTarget(flags.Arg(0))
	if err == nil {
		err = setRejected(tr, *rejected)
	}
	if err == nil {
		tr.Provider, err = tokenProvider(*tokenURL, *user)
	}
	if err != nil {
		return flags.Fail(frame.Usage, "%v", err)
	}
	if tr.KeepBody = *keepBody; *keepBody <= 0 {
		tr.KeepBody = -1 // 0 stands for the default there
	}
	tr.Origins = []string{target.Scheme + "://" + target.Host}
	g.next = newProxy(target, tr, log)

	l, err := net.Listen("tcp", *addr)
	if err != nil {
		return flags.Fail(frame.Failed, "%v", err)
	}
	if g.hosts == nil && !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
		_ = l.Close() // nothing was accepted
		return flags.Fail(frame.Usage, "%s can be reached from other machines, and anyone who reaches it is logged in as you: if that is what you want, "+
			"name the host that they call it by with -host", *addr)
	}
	fmt.Fprintf(stdout, "proxy is ready at http://%s for %s\n", l.Addr(), target)
	err = serve(ctx, g, l, log)
	// However it ended, a refresh that is under way is waited for: it may bring the only way to the
	// next one.
	if err := errors.Join(err, tr.Close()); err != nil {
		return flags.Fail(frame.Failed, "%v", err)
	}
	return frame.OK
}

// serve serves until ctx is done. Requests that are under way then get 5 s to end.
func serve(ctx context.Context, h http.Handler, l net.Listener, log *slog.Logger) error {
	// What a request's context is made of. Upgraded connections belong to ReverseProxy alone,
	// which ends them with it.
	base, cut := context.WithCancel(context.Background())
	defer cut()
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second, // no limit for the rest: a stream may last for days
		IdleTimeout:       2 * time.Minute,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }() // ends with Shutdown
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if server.Shutdown(grace) != nil {
		_ = server.Close() // streams have no end of their own
	}
	return nil
}

// parseTarget returns the URL of the API that all requests go to.
func parseTarget(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("the API must be a whole URL, such as https://api.example.com")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("the API's URL may have a path, and nothing after it, nor a user before the host")
	case u.Scheme == "http" && !frame.IsLoopback(u.Hostname()):
		return nil, fmt.Errorf("over plain http everyone on the way to %s could read the token: use https", u.Host)
	}
	return u, nil
}

// setRejected makes tr speak as the API does, where RFC 6750's way is the default.
func setRejected(tr *transport.Transport, name string) error {
	switch name {
	case "bearer":
	case "any401":
		tr.IsRejected = transport.Any401
	case "code40":
		tr.IsRejected = transport.BodyCode("code", 40)
		tr.Authorize = authorizeStream
	default:
		return fmt.Errorf("-rejected is %q, and must be bearer, any401 or code40", name)
	}
	return nil
}
