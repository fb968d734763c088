package main

import (
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/stayauth/stayauth/examples/internal/frame"
)

// A guard lets those requests through that programs make, and none that a web page has made a
// browser send: a browser on this machine reaches the proxy like any program, on behalf of whatever
// page it shows.
type guard struct {
	next  http.Handler
	hosts []string // names that the proxy may be called by, besides those of loopback
	log   *slog.Logger
}

func (g guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if status, why := g.judge(r); status != 0 {
		g.log.Warn("request refused: "+why, "host", r.Host, "origin", r.Header.Get("Origin"), "remote", r.RemoteAddr)
		http.Error(w, "proxy: "+why, status)
		return
	}
	g.next.ServeHTTP(w, r)
}

// judge returns the status and the reason with which to refuse r, or 0.
func (g guard) judge(r *http.Request) (status int, why string) {
	switch r.Method {
	case http.MethodConnect: // for a tunnel to anywhere
		return http.StatusMethodNotAllowed, "this is no proxy of the kind that https_proxy names: call it as if it were the API"
	case http.MethodTrace: // the answer repeats the request, token and all
		return http.StatusMethodNotAllowed, "TRACE would show the token"
	}
	host := (&url.URL{Host: r.Host}).Hostname()
	sameHost := func(name string) bool { return strings.EqualFold(name, host) }
	if !frame.IsLoopback(host) && !slices.ContainsFunc(g.hosts, sameHost) {
		// A page's own host name that was made to lead here (DNS rebinding): to the browser, page
		// and proxy are then one site.
		return http.StatusMisdirectedRequest, "the request is for another host: call the proxy by 127.0.0.1, localhost, or a name given by -host"
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin": // not a browser, its address line, or a page that came through the proxy
	default:
		return http.StatusForbidden, "the request was made by a web page of another site"
	}
	if origin := r.Header.Get("Origin"); origin != "" { // older browsers send that alone, and any sends it with a WebSocket
		if u, err := url.Parse(origin); err != nil || !strings.EqualFold(u.Host, r.Host) {
			return http.StatusForbidden, "the request was made by a web page of another site"
		}
	}
	return 0, ""
}
