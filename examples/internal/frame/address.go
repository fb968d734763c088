package frame

import (
	"net/netip"
	"net/url"
	"strings"
)

// CheckURL returns what is wrong with an address that secrets go to, or "".
func CheckURL(value string) string {
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return "must be a whole address, such as https://app.example.com"
	case u.User != nil || u.Fragment != "":
		return "must have neither a user nor a fragment in it"
	case u.Scheme == "http" && !IsLoopback(u.Hostname()):
		return "must be https: over http everyone on the way could read the token (only this machine is exempt)"
	}
	return ""
}

// IsLoopback reports whether host is this machine.
func IsLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() || strings.EqualFold(host, "localhost")
}
