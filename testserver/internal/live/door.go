package live

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// KeyHeader carries the key. It has to be there even if there is none: a page of another site can't
// send a header of its own without asking first (a CORS preflight), and nothing here answers that.
const KeyHeader = "Page-Key"

// A door decides who may come in. The page can mint tokens and revoke users, so a website that the
// same browser shows must not get at it.
type door struct {
	key    string // empty: none is needed, and only this machine may come in
	origin http.CrossOriginProtection
}

// A rejection is why a visitor may not come in, for people.
type rejection struct {
	status int
	words  string
}

// mayEnter judges any request. Without a key it has to come from this machine, and to have been
// made for it: a name of another site that leads here (DNS rebinding) is no name of this machine.
func (d *door) mayEnter(r *http.Request) *rejection {
	if d.key != "" {
		return nil // what needs protection asks for the key
	}
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err != nil || !peer.Addr().Unmap().IsLoopback() {
		return &rejection{http.StatusForbidden, "This page answers to this machine alone. To open it to others, give it a key."}
	}
	if !isLoopback(r.Host) {
		return &rejection{http.StatusForbidden, "This page answers under 127.0.0.1, [::1] and localhost, and under no other name."}
	}
	return nil
}

// mayUse judges a request that reads what the server knows, or changes it.
func (d *door) mayUse(r *http.Request) *rejection {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return &rejection{http.StatusForbidden, "This is for the page itself, and for no other site."}
	}
	if err := d.origin.Check(r); err != nil {
		return &rejection{http.StatusForbidden, "This is for the page itself, and for no other site."}
	}
	sent, ok := r.Header[KeyHeader]
	switch {
	case !ok || len(sent) != 1:
		return &rejection{http.StatusForbidden, "The header " + KeyHeader + " is missing."}
	case d.key != "" && !equal(sent[0], d.key):
		return &rejection{http.StatusUnauthorized, "The key is wrong. Open the page with the whole URL that the program has printed."}
	}
	return nil
}

// equal compares secrets in a time that tells nothing of them, their length included.
func equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// isLoopback reports whether a Host header names this machine, by an address or as localhost.
func isLoopback(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if strings.EqualFold(name, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(name)
	return err == nil && a.Unmap().IsLoopback()
}

// setHeaders puts on every answer what keeps a browser from mistakes.
func setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Set("Cache-Control", "no-store")
}
