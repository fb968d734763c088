package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

// A page is the live page, at an address of its own: what the API serves, an upstream's scripts
// among it, is then of another origin and can't use it.
type page struct {
	listener net.Listener
	handler  *testserver.Page
	url      string // without the key
}

// openPage listens for the page. If other machines can reach the address, the page gets a
// key.
func openPage(addr string, h *testserver.Page) (*page, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("the page can't listen: %w (-page-addr 127.0.0.1:0 picks a free port)", err)
	}
	if !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
		h.Key = rand.Text()
	}
	return &page{l, h, "http://" + l.Addr().String() + "/"}, nil
}

// reachable is an address at which this machine reaches what listens at a.
func reachable(a net.Addr) string {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil || !at.Addr().IsUnspecified() {
		return a.String()
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port()).String()
}

// welcome says where the page is. The key stands in the fragment, which browsers send to no one.
func (p *page) welcome(w io.Writer) {
	if p.handler.Key == "" {
		fmt.Fprintf(w, "see it live at %s\n", p.url)
		return
	}
	at := p.url
	if host, port, err := net.SplitHostPort(p.listener.Addr().String()); err == nil {
		if a, err := netip.ParseAddr(host); err == nil && a.IsUnspecified() {
			at = "http://THIS-HOST:" + port + "/"
		}
	}
	fmt.Fprintf(w, "others can reach the page, so it has a key: what follows the #, a new one at each start\nsee it live at %s#%s\n", at, p.handler.Key)
}

// serve answers until ctx is done.
func (p *page) serve(ctx context.Context) error {
	hs := &http.Server{Handler: p.handler, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = hs.Close() })
	defer stop()
	if err := hs.Serve(p.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// orPage sends a browser that is at the root of the API on to the page, unless that needs a key.
// Everything else is for next.
func (p *page) orPage(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.handler.Key == "" && r.Method == http.MethodGet && r.URL.Path == "/" && r.URL.RawQuery == "" && r.Header.Get("Authorization") == "" &&
			strings.Contains(r.Header.Get("Accept"), "text/html") {
			http.Redirect(w, r, p.url, http.StatusSeeOther)
			return
		}
		next.ServeHTTP(w, r)
	})
}
