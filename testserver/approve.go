package testserver

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/stayauth/stayauth/testserver/internal/login"
)

const (
	deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

	codeLife   = time.Minute      // of an authorization code; RFC 6749 section 4.1.2 wants it short
	deviceLife = 10 * time.Minute // of a device code
	pollPause  = time.Second      // between two questions whether a device was approved
	// How long a person takes to approve a device: a client that waits through its first interval
	// asks once, and one that doesn't has to go on asking.
	approvalTime = pollPause
)

// A code is what stands between an approval and its login: an authorization code or a device code.
type code struct {
	client, scope string

	redirect, challenge string    // of an authorization code: what the request named
	issued              time.Time // by the real clock
	asked               time.Time // of a device code: when the client asked last
	refresh             string    // the first of the login that it bought; empty: it was not used
}

// serveAuthorize is the authorization endpoint: it approves what makes sense, and sends the browser
// back with a code.
func (g *Guard) serveAuthorize(w http.ResponseWriter, v *visit) {
	r := v.r
	q := r.URL.Query()
	back, err := url.Parse(q.Get("redirect_uri"))
	client := q.Get("client_id")
	if _, known := g.Clients[client]; client == "" || g.Clients != nil && !known || err != nil || !back.IsAbs() {
		// RFC 6749 section 4.1.2.1: the address may be a stranger's, so it is not told.
		http.Error(w, "The client_id is missing or unknown, or the redirect_uri is no absolute URI.", http.StatusBadRequest)
		return
	}
	answer := back.Query()
	if state := q.Get("state"); state != "" {
		answer.Set("state", state)
	}
	switch {
	case q.Get("response_type") != "code":
		answer.Set("error", "unsupported_response_type")
	case len(q.Get("code_challenge")) != 43 || q.Get("code_challenge_method") != "S256":
		answer.Set("error", "invalid_request")
		answer.Set("error_description", "PKCE is wanted: a code_challenge with the method S256 (RFC 7636)")
	default:
		answer.Set("code", g.keep(&code{
			client: client, scope: q.Get("scope"), redirect: q.Get("redirect_uri"), challenge: q.Get("code_challenge"),
			issued: time.Now(),
		}))
	}
	back.RawQuery = answer.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

// serveDevice is the device authorization endpoint (RFC 8628 section 3.1). What it gives out is
// approved soon, by itself.
func (g *Guard) serveDevice(w http.ResponseWriter, v *visit) {
	r := v.r
	f, e := g.readForm(r)
	if e == nil && f.client == "" {
		e = invalidRequest("client_id is missing")
	}
	if e != nil {
		writeError(w, r, e)
		return
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	page := scheme + "://" + r.Host + g.Prefix + devicePath
	userCode := rand.Text()[:4] + "-" + rand.Text()[:4]
	writeJSON(w, http.StatusOK, object{
		"device_code": g.keep(&code{client: f.client, scope: f.values.Get("scope"), issued: time.Now()}),
		"user_code":   userCode, "verification_uri": page, "verification_uri_complete": page + "?user_code=" + userCode,
		"expires_in": int(deviceLife.Seconds()), "interval": int(pollPause.Seconds()),
	})
}

// serveDevicePage is where a person would type the user code.
func (g *Guard) serveDevicePage(w http.ResponseWriter, _ *visit) {
	// An error means that the client has gone.
	_, _ = fmt.Fprintln(w, "Approved. There is nothing to type here: go back to the program.")
}

// keep writes a code down and returns its name.
func (g *Guard) keep(c *code) string {
	name := rand.Text()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.codes.Put(name, c, len(c.client)+len(c.scope)+len(c.redirect))
	return name
}

// redeem gives a login for an authorization code. g.mu is held.
func (g *Guard) redeem(f form, dead bool) (login.Grant, *oauthError) {
	c, ok := g.codes.Get(f.values.Get("code"))
	sum := sha256.Sum256([]byte(f.values.Get("code_verifier")))
	switch {
	case !ok:
		return login.Grant{}, invalidGrant("the code is unknown")
	case c.client != f.client:
		return login.Grant{}, invalidGrant("the code belongs to another client")
	case c.refresh != "":
		g.authority.EndLogin(c.refresh, c.client) // RFC 6749 section 4.1.2
		return login.Grant{}, invalidGrant("the code was used before: its login has ended")
	case time.Since(c.issued) >= codeLife:
		return login.Grant{}, invalidGrant("the code has expired")
	case c.redirect != f.values.Get("redirect_uri"):
		return login.Grant{}, invalidGrant("the redirect_uri is not the one that the code was asked for with")
	case base64.RawURLEncoding.EncodeToString(sum[:]) != c.challenge:
		return login.Grant{}, invalidGrant("the code_verifier is missing, or doesn't belong to the code_challenge")
	}
	return g.begin(c, dead), nil
}

// poll gives a login for a device code (RFC 8628 section 3.5). g.mu is held.
func (g *Guard) poll(f form, dead bool) (login.Grant, *oauthError) {
	c, ok := g.codes.Get(f.values.Get("device_code"))
	switch {
	case !ok || c.challenge != "" || c.client != f.client || c.refresh != "":
		return login.Grant{}, invalidGrant("the device_code is unknown, was used before, or belongs to another client")
	case time.Since(c.issued) >= deviceLife:
		return login.Grant{}, &oauthError{400, "expired_token", "the device_code has expired"}
	}
	last := c.asked
	c.asked = time.Now()
	switch {
	case !last.IsZero() && c.asked.Sub(last) < pollPause:
		return login.Grant{}, &oauthError{400, "slow_down", "the client asks more often than once in the interval"}
	case c.asked.Sub(c.issued) < approvalTime:
		return login.Grant{}, &oauthError{400, "authorization_pending", "the device has not been approved so far"}
	}
	return g.begin(c, dead), nil
}

// begin is the login that a code was given out for. g.mu is held.
func (g *Guard) begin(c *code, dead bool) login.Grant {
	grant := g.authority.LogIn(g.ApproveAs, c.client, c.scope, dead)
	c.refresh = grant.Refresh
	return grant
}
