package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"

	"github.com/stayauth/stayauth/testserver"
)

// endpoints is where the guard's own paths begin, out of the way of an API's.
const endpoints = "/oauth"

func (o options) newGuard() *testserver.Guard {
	g := &testserver.Guard{
		Next: http.HandlerFunc(echo), TTL: o.ttl, Secret: o.secret, Session: o.session, Prefix: endpoints, ApproveAs: o.user,
		Rotation: o.rotation, RotationRevokes: o.rotationRevokes, Opaque: o.opaque, Fault: o.fault,
	}
	if o.client != "" {
		g.Clients = map[string]string{o.client: o.clientSecret}
	}
	if o.upstream != nil {
		g.Next = proxy(o.upstream)
	}
	return g
}

// echo is the small API that a guard stands in front of if there is no other.
func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	// An error means that the client has gone.
	_ = json.NewEncoder(w).Encode(map[string]string{"user": testserver.UserOf(r), "method": r.Method, "path": r.URL.Path})
}

// proxy passes requests on, without the token, which is none of the upstream's.
func proxy(upstream *url.URL) http.Handler {
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(upstream)
		r.SetXForwarded()
		r.Out.Header.Del("Authorization")
		r.Out.Header.Set("X-Forwarded-User", testserver.UserOf(r.In))
	}}
}

// welcomeGuard says how to log in. The refresh token in it is good for as long as this process
// runs.
func welcomeGuard(w io.Writer, base string, g *testserver.Guard, o options) {
	behind := "a small API of its own"
	if o.upstream != nil {
		behind = o.upstream.Redacted()
	}
	client := "any client id will do, and any secret"
	name := ""
	switch {
	case o.client != "" && o.clientSecret != "":
		client = "client id " + o.client + " with the secret of -client-secret, by Basic or in the body"
		name = fmt.Sprintf(" -u '%s:SECRET'", url.QueryEscape(o.client)) // RFC 6749 section 2.3.1
	case o.client != "":
		client = "public client id " + o.client
		name = " -d client_id=" + url.QueryEscape(o.client)
	}
	fmt.Fprintf(w, `testserver is ready at %[1]s, a guard in front of %[2]s
%[3]s; every login is approved as %[4]s

  issuer (RFC 8414)      %[1]s%[5]s
  token endpoint         %[1]s%[5]s/token
  revocation             %[1]s%[5]s/revoke
  authorization, PKCE    %[1]s%[5]s/authorize
  device authorization   %[1]s%[5]s/device_authorization

a refresh token to begin with: %[6]s

  curl%[7]s -d grant_type=refresh_token -d refresh_token=%[6]s %[1]s%[5]s/token
  curl -H 'Authorization: Bearer TOKEN' %[1]s/things
`, base, behind, client, o.user, endpoints, g.LogIn(o.user), name)
}
