package testserver

import "net/http"

// metadataPath is where an OAuth 2.0 server describes itself; the issuer's own path comes after it
// (RFC 8414 section 3.1).
const metadataPath = "/.well-known/oauth-authorization-server"

// serveMetadata tells where the endpoints are, for clients that know the issuer alone: it is the
// guard's address, and Prefix.
func (g *Guard) serveMetadata(w http.ResponseWriter, v *visit) {
	r := v.r
	issuer := "http://" + r.Host + g.Prefix
	if r.TLS != nil {
		issuer = "https://" + r.Host + g.Prefix
	}
	methods := []string{clientBasic, clientPost, "none"}
	if g.ClientAuth != "" {
		methods = []string{g.ClientAuth, "none"}
	}
	writeJSON(w, http.StatusOK, object{
		"issuer": issuer, "token_endpoint": issuer + tokenPath, "revocation_endpoint": issuer + "/revoke",
		"authorization_endpoint": issuer + "/authorize", "device_authorization_endpoint": issuer + "/device_authorization",
		"grant_types_supported":    []string{"authorization_code", "refresh_token", "client_credentials", deviceGrant},
		"response_types_supported": []string{"code"}, "code_challenge_methods_supported": []string{"S256"},
		"token_endpoint_auth_methods_supported": methods,
	})
}
