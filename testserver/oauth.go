package testserver

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"

	"github.com/stayauth/stayauth/testserver/internal/login"
)

// An oauthError is an answer in the form of RFC 6749 section 5.2. nil is success.
type oauthError struct {
	status      int
	code        string
	description string // it holds no secret
}

func invalidRequest(description string) *oauthError {
	return &oauthError{400, "invalid_request", description}
}
func invalidGrant(description string) *oauthError {
	return &oauthError{400, "invalid_grant", description}
}

// The values of [Guard.ClientAuth].
const (
	clientBasic = "client_secret_basic"
	clientPost  = "client_secret_post"
)

// A form is the request of an OAuth 2.0 client.
type form struct {
	values url.Values
	client string // its id; empty: it names none
}

// serveToken is the token endpoint.
func (g *Guard) serveToken(w http.ResponseWriter, v *visit) {
	r := v.r
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "application/json" {
		g.serveBackend(w, v)
		return
	}
	f, e := g.readForm(r)
	var grant login.Grant
	if e == nil {
		v.about = f.values.Get("grant_type")
		grant, e = g.grant(f, v.fault.Dead)
	}
	if e != nil {
		v.about += ": " + e.description
		writeError(w, r, e)
		return
	}
	v.issued = grant
	ans := map[string]any{"access_token": grant.Token, "token_type": "Bearer"}
	fillGrant(ans, grant, g.now())
	if grant.Scope != "" {
		ans["scope"] = grant.Scope
	}
	if g.TokenAnswer != nil {
		g.TokenAnswer(ans)
	}
	writeJSON(w, http.StatusOK, ans)
}

// grant gives the client what its grant is worth.
func (g *Guard) grant(f form, dead bool) (login.Grant, *oauthError) {
	kind := f.values.Get("grant_type")
	user := ""
	switch kind {
	case "", "refresh_token", "client_credentials", "authorization_code", deviceGrant:
	default:
		if g.Grant == nil {
			return login.Grant{}, &oauthError{400, "unsupported_grant_type", "no such grant here"}
		}
		if user = g.Grant(f.values); user == "" {
			return login.Grant{}, invalidGrant("the grant is worth no token")
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch kind {
	case "":
		return login.Grant{}, invalidRequest("grant_type is missing")
	case "refresh_token":
		value := f.values.Get("refresh_token")
		if value == "" {
			return login.Grant{}, invalidRequest("refresh_token is missing")
		}
		grant, err := g.authority.Refresh(value, "", f.client, dead)
		if err != nil {
			return login.Grant{}, invalidGrant(err.Error())
		}
		return grant, nil
	case "client_credentials":
		if f.client == "" || g.Clients[f.client] == "" && g.Clients != nil {
			return login.Grant{}, &oauthError{401, "invalid_client", "client_credentials needs a client with a secret"}
		}
		user = f.client
	case "authorization_code":
		return g.redeem(f, dead)
	case deviceGrant:
		return g.poll(f, dead)
	}
	grant := login.Grant{User: user, Scope: f.values.Get("scope")}
	grant.Token, grant.Expires = g.authority.Issue(user, dead)
	return grant, nil
}

// readForm reads a client's request and finds out who the client is.
func (g *Guard) readForm(r *http.Request) (form, *oauthError) {
	if r.Method != http.MethodPost {
		return form{}, &oauthError{http.StatusMethodNotAllowed, "invalid_request", "only POST will do (RFC 6749 section 3.2)"}
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/x-www-form-urlencoded" {
		return form{}, invalidRequest("the Content-Type has to be application/x-www-form-urlencoded")
	}
	r.Body = http.MaxBytesReader(nil, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		return form{}, invalidRequest("the body can't be read as a form")
	}
	f := form{values: r.PostForm}
	for name, values := range f.values {
		if len(values) > 1 { // RFC 6749 section 3.2
			return form{}, invalidRequest(fmt.Sprintf("%.100q is there more than once", name))
		}
	}
	var e *oauthError
	f.client, e = g.authenticate(r)
	return f, e
}

// authenticate returns which client it is; "" is one that names itself nowhere. A client does that
// by Basic authentication or in the body (RFC 6749 section 2.3.1), and never both ways. r's form
// has been read.
func (g *Guard) authenticate(r *http.Request) (client string, e *oauthError) {
	bad := func(description string) *oauthError { return &oauthError{401, "invalid_client", description} }
	client, secret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if r.Header.Get("Authorization") != "" {
		named, inBody := client, secret
		id, password, ok := r.BasicAuth()
		id, idErr := url.QueryUnescape(id) // both were form-encoded before they went into the header
		password, passwordErr := url.QueryUnescape(password)
		switch {
		case !ok || idErr != nil || passwordErr != nil:
			return "", bad("the Authorization header can't be read as a client's")
		case inBody != "":
			return "", invalidRequest("the client authenticates itself in two ways")
		case named != "" && named != id:
			return "", invalidRequest("client_id names another client than the Authorization header")
		case g.ClientAuth == clientPost:
			return "", bad("the client has to authenticate itself in the body (client_secret_post)")
		}
		client, secret = id, password
	} else if g.ClientAuth == clientBasic && secret != "" {
		return "", bad("the client has to authenticate itself in the header (client_secret_basic)")
	}
	if want, known := g.Clients[client]; g.Clients != nil && (!known || secret != want) {
		return "", bad("the client is unknown, or its secret is wrong")
	}
	return client, nil
}

// serveRevoke is the revocation endpoint (RFC 7009). What it doesn't know is as good as revoked.
func (g *Guard) serveRevoke(w http.ResponseWriter, v *visit) {
	r := v.r
	f, e := g.readForm(r)
	if e == nil {
		e = g.revoke(f)
	}
	if e != nil {
		writeError(w, r, e)
		return
	}
	w.WriteHeader(http.StatusOK)
}

func (g *Guard) revoke(f form) *oauthError {
	value := f.values.Get("token")
	if value == "" {
		return invalidRequest("token is missing")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.authority.EndLogin(value, f.client) {
		return invalidGrant("the token belongs to another client")
	}
	if t, err := g.authority.Parse(value); err == nil && t.Signed {
		if !g.authority.RevokeToken(value, t, f.client) {
			return invalidGrant("the token belongs to another client")
		}
	}
	return nil
}

// serveBackend is the token endpoint for the JSON of a backend of one's own.
func (g *Guard) serveBackend(w http.ResponseWriter, v *visit) {
	r := v.r
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if err != nil || r.Method != http.MethodPost {
		writeError(w, r, invalidRequest("the request is no POST, or its body can't be read"))
		return
	}
	req, f := readTokenRequest(body, g.Session)
	var grant login.Grant
	if f == nil {
		g.mu.Lock()
		grant, f = req.grant(&g.authority, v.fault.Dead)
		g.mu.Unlock()
	}
	v.about, v.issued = "JSON", grant
	if f != nil {
		v.about += ": " + f.inner
		writeJSON(w, f.status, f.oauthBody())
		return
	}
	ans := map[string]any{"token": grant.Token}
	fillGrant(ans, grant, g.now())
	writeJSON(w, http.StatusOK, ans)
}

// writeFault answers as [Fault.Status] says.
func writeFault(w http.ResponseWriter, status int) {
	if status < 400 {
		w.WriteHeader(status)
		return
	}
	code := "invalid_request"
	switch {
	case status == 400:
		code = "invalid_grant"
	case status == 401:
		code = "invalid_client"
	case status == 403:
		code = "unauthorized_client"
	case status == 429, status == 503:
		code = "temporarily_unavailable"
	case status >= 500:
		code = "server_error"
	}
	writeJSON(w, status, object{"error": code, "error_description": "fault injected by the test"})
}

func writeError(w http.ResponseWriter, r *http.Request, e *oauthError) {
	if e.status == http.StatusUnauthorized && r.Header.Get("Authorization") != "" {
		w.Header().Set("WWW-Authenticate", `Basic realm="testserver"`) // RFC 6749 section 5.2
	}
	writeJSON(w, e.status, object{"error": e.code, "error_description": e.description})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil { // only TokenAnswer can cause it, and its author should see it
		panic("testserver: TokenAnswer has left what JSON can't hold: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store") // RFC 6749 section 5.1
	w.WriteHeader(status)
	_, _ = w.Write(b) // an error means that the client has gone
}
