package recipes_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stayauth/stayauth/examples/recipes"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
	"github.com/stayauth/stayauth/transport"
)

func TestGraphQL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const forbidden = `{"data":null,"errors":[{"message":"not yours","extensions":{"code":"FORBIDDEN"}}]}`
		gate := false // whether the 401 of something in front of the API is due
		guard := &testserver.Guard{
			Next: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if query, _ := io.ReadAll(r.Body); string(query) == "{theirs}" {
					_, _ = io.WriteString(w, forbidden)
				} else {
					_, _ = io.WriteString(w, `{"data":{"me":"`+testserver.UserOf(r)+`"}}`)
				}
			}),
			Reject: func(w http.ResponseWriter, _ *http.Request, reason testserver.Reason) {
				if gate {
					w.Header().Set("WWW-Authenticate", reason.Challenge())
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				w.Header().Set("Content-Type", "application/graphql-response+json")
				_, _ = io.WriteString(w, `{"data":null,"errors":[{"message":"`+string(reason)+`","extensions":{"code":"UNAUTHENTICATED"}}]}`)
			},
		}
		defer guard.Close()
		calls := 0
		client := recipes.GraphQL(provider.Func(func(context.Context) (string, error) {
			calls++
			return guard.Issue("alice"), nil
		}), guard)
		defer client.Transport.(*transport.Transport).Close()
		query := func(q string) string { return answer(client.Post(api, "application/graphql", strings.NewReader(q))) }

		const me = `200 OK {"data":{"me":"alice"}}`
		want(t, "first", query("{me}"), me)
		guard.Revoke("alice")
		want(t, "after the revocation", query("{me}"), me)
		want(t, "provider calls", calls, 2)

		want(t, "an error that is not the token's", query("{theirs}"), "200 OK "+forbidden)
		want(t, "provider calls", calls, 2)

		gate = true
		guard.Revoke("alice")
		want(t, "after a rejection by the gate", query("{me}"), me)
		want(t, "provider calls", calls, 3)
	})
}
