// Backend is the token backend that a team deploys: it knows its users, holds the API secret, and
// hands out short-lived tokens to anyone who has a session. Take it as a start, and put your own
// users and sessions in place of the two that are here.
//
// Make a user, whose password is shown once, and start it. STREAM_API_SECRET is the API secret of
// your app; the one here is that of the test server (go run ./examples/testserver), which accepts
// the tokens then:
//
//	go run ./examples/backend -new-user alice >>users.txt
//	STREAM_API_SECRET=stayauth-secret go run ./examples/backend -users users.txt
//
// A client logs in once, and keeps the session that it gets:
//
//	curl -H 'Content-Type: application/json' -d '{"user_id":"alice","password":"..."}' http://127.0.0.1:8081/login
//	{"user_id":"alice","session":"...","expires_in":2592000}
//
// From then on it asks POST /token for tokens, as [provider.HTTP] does:
//
//	provider.HTTP{URL: "http://127.0.0.1:8081/token", UserID: "alice", Session: provider.NewSecret(session)}
//
// POST /logout with {"session":"..."} ends the session: it gets no more tokens. Those that it had
// live on for 10 minutes at most (-token-life). If that is too long, revoke them too: see
// RevokeUserToken in package feeds.
//
// Sessions live in the memory of the process, and a restart logs everyone out. For more than a
// trial keep them in a database: see the sessions interface.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/stayauth/stayauth/examples/internal/frame"
	"github.com/stayauth/stayauth/provider"
)

// secretVariable names the environment variable with the API secret. There is no flag for it: flags
// are seen by everyone on the machine.
const secretVariable = "STREAM_API_SECRET"

func main() {
	frame.Main(func(ctx context.Context) int { return run(ctx, os.Args[1:], os.Stdout, os.Stderr) })
}

// run serves until ctx is done, and returns the exit status: 1 if it can't serve, 2 if it was asked
// for what makes no sense.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := frame.New("backend", stderr)
	addr := flags.String("addr", "127.0.0.1:8081", "`host:port` to listen on; port 0 picks a free one")
	usersPath := flags.String("users", "", "`file` with the users, one line each, as -new-user prints them; may be changed at any time")
	newUser := flags.String("new-user", "", "print a line for the file of users for a new user with this `id`, and its password, and exit")
	secretFile := flags.String("secret-file", "", "`file` with the API secret; by default it is in "+secretVariable)
	tokenLife := flags.Duration("token-life", 10*time.Minute, "how long a token lives, and with it who has logged out")
	sessionLife := flags.Duration("session-life", 30*24*time.Hour, "how long after a login the next one is due")
	tlsCert := flags.String("tls-cert", "", "`file` with the certificate chain for https, read at the start")
	tlsKey := flags.String("tls-key", "", "`file` with its key")
	allowHTTP := flags.Bool("allow-http", false, "serve plain http to other machines, for use behind something that does TLS")
	if status, done := flags.Parse(args, 0, ""); done {
		return status
	}
	switch {
	case *newUser != "":
		if err := printNewUser(*newUser, stdout, stderr); err != nil {
			return flags.Fail(frame.Usage, "%v", err)
		}
		return frame.OK
	case *usersPath == "":
		return flags.Fail(frame.Usage, "-users is missing: begin with -new-user")
	case *tokenLife <= 0 || *sessionLife <= 0:
		return flags.Fail(frame.Usage, "-token-life and -session-life must be more than 0")
	case (*tlsCert == "") != (*tlsKey == ""):
		return flags.Fail(frame.Usage, "-tls-cert and -tls-key go together")
	}
	secret, err := apiSecret(*secretFile)
	if err != nil {
		return flags.Fail(frame.Usage, "%v", err)
	}
	table := usersFile(*usersPath)
	if _, err := table.read(); err != nil {
		return flags.Fail(frame.Failed, "%v", err)
	}

	log := slog.New(slog.NewTextHandler(stderr, nil))
	b := &backend{
		users:    table,
		sessions: &memorySessions{life: *sessionLife},
		signer:   provider.Signer{Secret: provider.NewSecret(secret), Validity: *tokenLife},
		log:      log,
	}
	server := &http.Server{
		Handler:           b.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      20 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	scheme := "http"
	if *tlsCert != "" {
		pair, err := tls.LoadX509KeyPair(*tlsCert, *tlsKey)
		if err != nil {
			return flags.Fail(frame.Failed, "%v", err)
		}
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}}
		scheme = "https"
	}
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		return flags.Fail(frame.Failed, "%v", err)
	}
	if scheme == "http" && !*allowHTTP && !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
		_ = l.Close() // nothing was accepted
		return flags.Fail(frame.Usage, "%s can be reached from other machines, and over plain http everyone on the way could read passwords and "+
			"tokens: set -tls-cert and -tls-key, or -allow-http if something before it does TLS", *addr)
	}
	fmt.Fprintf(stdout, "backend is ready at %s://%s: POST /login, /token and /logout\n", scheme, l.Addr())
	if err := serve(ctx, server, l); err != nil {
		return flags.Fail(frame.Failed, "%v", err)
	}
	return frame.OK
}

// serve serves until ctx is done and the requests under way have their answers.
func serve(ctx context.Context, server *http.Server, l net.Listener) error {
	served := make(chan error, 1)
	go func() { // ends with Shutdown or Close
		if server.TLSConfig != nil {
			served <- server.ServeTLS(l, "", "")
		} else {
			served <- server.Serve(l)
		}
	}()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second) // as long as provider.HTTP waits for an answer
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return errors.Join(fmt.Errorf("requests were cut off: %w", err), server.Close())
	}
	return nil
}

// apiSecret returns the API secret, from the file if there is one.
func apiSecret(file string) (string, error) {
	secret, inEnv := os.LookupEnv(secretVariable)
	switch {
	case file != "" && inEnv:
		return "", fmt.Errorf("the API secret is in both -secret-file and %s: leave one out", secretVariable)
	case file != "":
		data, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		secret = string(data)
	}
	if secret = strings.TrimSpace(secret); secret == "" {
		return "", fmt.Errorf("the API secret is missing: put it into %s, or into a file and name that by -secret-file", secretVariable)
	}
	return secret, nil
}
