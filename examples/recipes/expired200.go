package recipes

import (
	"net/http"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// GraphQL returns a client of an API that answers everything with status 200, "expired" too:
//
//	{"errors": [{"message": "...", "extensions": {"code": "UNAUTHENTICATED"}}]}
//
// For Slack it is CodeIn200("error", "token_expired", "token_revoked"). Bearer is there for the
// gate in front of the API, which says it by a 401.
//
// Other answers are not held up: where data that is not null comes first, that is the whole look.
// So an error in one field beside the data of others is the caller's. What is taken for a rejection
// is sent again, mutations too, which is right where the token is judged before anything is done.
func GraphQL(p provider.TokenProvider, base http.RoundTripper) *http.Client {
	return &http.Client{Transport: &transport.Transport{
		Provider:   p,
		Base:       base, // nil is http.DefaultTransport
		Check200:   true,
		IsRejected: transport.AnyOf(transport.Bearer, transport.CodeIn200("errors.extensions.code", "UNAUTHENTICATED")),
	}}
}
