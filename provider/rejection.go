package provider

import (
	"context"
	"strings"
)

// A Rejection is what the API said when it rejected the token that is to be replaced. Most
// providers have no use for it. It is for those that must ask for a token of another kind: one with
// more scope, say, or with the claims that the API demands.
type Rejection struct {
	// StatusCode is that of the API's answer, mostly 401; 0 if the rejection came in another way
	// than an HTTP answer, as on a WebSocket.
	StatusCode int

	// Challenges are those of the answer, as [ParseChallenges] returns them.
	Challenges []Challenge
}

// Param returns the parameter of the given name from the first challenge of the given scheme that
// has it, or "". Upper and lower case don't count.
//
//	if claims := rejection.Param("Bearer", "claims"); claims != "" { ... }
func (r Rejection) Param(scheme, name string) string {
	name = strings.ToLower(name)
	for _, c := range r.Challenges {
		if value, ok := c.Params[name]; ok && strings.EqualFold(c.Scheme, scheme) {
			return value
		}
	}
	return ""
}

type rejectionKey struct{}

// WithRejection returns a context that carries r to a [TokenProvider]: for those who call one.
func WithRejection(ctx context.Context, r Rejection) context.Context {
	return context.WithValue(ctx, rejectionKey{}, r)
}

// RejectionFrom returns what the API said when it rejected the old token; ctx is what the
// [TokenProvider] was called with. It reports false if the token was not rejected: there is none
// yet, or it has expired, or is about to.
func RejectionFrom(ctx context.Context) (Rejection, bool) {
	r, ok := ctx.Value(rejectionKey{}).(Rejection)
	return r, ok
}
