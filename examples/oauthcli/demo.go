package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"net"
	"net/http"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

// demoLife is how long a demo server's access tokens live: short, so that one sees something.
const demoLife = 20 * time.Second

func demoCommand() command {
	return command{name: "demo", short: "run a server to try this tool on", long: `Runs an OAuth 2.0 server and an API on this machine until it is interrupted. It approves every login as alice's, its access tokens live
20 s, its refresh tokens rotate, and one that is used twice ends the login.`,
		setup: func(t *tool, flags *flag.FlagSet) work {
			addr := flags.String("addr", "127.0.0.1:8086", "`address` to listen on")
			return func(ctx context.Context, _ []string) error {
				listener, err := net.Listen("tcp", *addr)
				if err != nil {
					return err
				}
				base := "http://" + listener.Addr().String()
				if err := t.print("The server is ready, until Ctrl-C. In another terminal (oauthcli is what go install . makes of this folder):\n\n"+
					"  oauthcli login -issuer %s -client-id demo -api %s\n  oauthcli get /me\n  oauthcli logout\n", base, base); err != nil {
					return errors.Join(err, listener.Close())
				}
				guard := newDemo(demoLife)
				defer guard.Close()
				server := &http.Server{Handler: guard, ReadHeaderTimeout: 10 * time.Second}
				stop := context.AfterFunc(ctx, func() { _ = server.Close() })
				defer stop()
				if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
					return err
				}
				return nil
			}
		}}
}

// newDemo returns an authorization server that asks no questions, and an API behind it that has
// nothing but /me.
func newDemo(life time.Duration) *testserver.Guard {
	api := http.NewServeMux()
	api.HandleFunc("GET /me", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"name": testserver.UserOf(r)}) // an error: the client has gone
	})
	return &testserver.Guard{Next: api, ApproveAs: "alice", TTL: life, Clients: map[string]string{"demo": ""}}
}
