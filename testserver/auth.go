package testserver

import (
	"net/http"

	"github.com/stayauth/stayauth/testserver/internal/login"
)

// access says who may call an operation.
type access int

const (
	anybody         access = iota // users, servers and, for reading, anonymous callers
	usersAndServers               // anyone who has a token
	serversOnly                   // only with a server token
	withoutToken                  // needs the API key alone
	tokenEndpoint                 // POST /token: no part of the API, and judged by its own rules
	firstFrame                    // a socket whose token comes in its first frame; as anybody once it is here
)

const msgRevoked = "This token has been revoked, please generate a new token"

// authenticate judges the request in the API's order: API key, auth type, the token's form, its
// signature, nbf, iat, exp, and whether it was revoked. s.mu is held.
func (s *Server) authenticate(c *call) *failure {
	need := c.route.access
	if need == tokenEndpoint {
		return nil
	}
	query := c.r.URL.Query()
	if query.Get("api_key") != s.key() {
		return &failure{status: 401, code: codeAPIKey, inner: "api_key is invalid"}
	}
	if need == withoutToken || need == firstFrame {
		return nil
	}
	authType := c.r.Header.Get("Stream-Auth-Type")
	if authType == "" {
		authType = query.Get("stream-auth-type")
	}
	switch authType {
	case "jwt":
	case "anonymous": // a token that is sent all the same is ignored
		if need != anybody {
			return notAllowed("an anonymous user is not allowed to do this")
		}
		return nil
	default:
		return &failure{status: 401, code: codeAPIKey, inner: "stream-auth-type missing or invalid"}
	}
	if c.malformed != nil {
		return c.malformed
	}
	if f := s.judge(c.token, c.attempt.Token); f != nil {
		return f
	}
	c.user, c.server = c.token.User, c.token.User == ""
	if c.server {
		return nil
	}
	s.ensureUser(c.user)
	if need == serversOnly {
		return notAllowed("user '%s' is not allowed to do this: it needs a server token", c.user)
	}
	return nil
}

// judge decides whether a token is good at this moment. s.mu is held.
func (s *Server) judge(t login.Token, rec *login.TokenRecord) *failure {
	switch s.authority.Judge(t, rec, s.app.disableAuthChecks) {
	case login.BadSignature:
		return rejected(codeSignature, "JWTAuth error: signature is not valid. Make sure the token is created using "+
			`the secret for API key "`+s.key()+`"`)
	case login.NotYetValid:
		return rejected(codeNotYetValid, "JWTAuth error: token is not valid yet (nbf)")
	case login.IssuedLater:
		return rejected(codeIssuedLater, "JWTAuth error: token used before issue at (iat)")
	case login.Expired:
		return rejected(codeExpired, "JWTAuth error: token is expired (exp)")
	case login.Revoked:
		return rejected(codeExpired, msgRevoked)
	}
	if t.User != "" && s.cutOff(t) {
		return rejected(codeExpired, msgRevoked)
	}
	return nil
}

// sentToken returns the token that a request carries, or "". Stream wants it bare, without
// "Bearer".
func sentToken(r *http.Request) string {
	if v := r.Header.Get("Authorization"); v != "" {
		return v
	}
	return r.URL.Query().Get("authorization")
}
