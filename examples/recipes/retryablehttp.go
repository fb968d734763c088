package recipes

import (
	"context"
	"errors"
	"net/http"

	"github.com/hashicorp/go-retryablehttp"
	"github.com/stayauth/stayauth/transport"
)

// Retrying returns a client of go-retryablehttp above a Transport: the Transport sees to rejected
// tokens, the client to servers that fail. In this order each retry gets the token of its moment.
//
// A Transport that has no token has asked the provider for as long as it makes sense, so its error
// ends the retries: with the default policy a login that is over would cost 15 seconds of
// pauses before the caller learns of it.
func Retrying(t *transport.Transport) *http.Client {
	c := retryablehttp.NewClient()
	c.HTTPClient = &http.Client{Transport: t}
	c.Logger = nil // it logs each request by default
	c.CheckRetry = func(ctx context.Context, resp *http.Response, err error) (bool, error) {
		if _, ok := errors.AsType[*transport.RefreshError](err); ok {
			return false, err
		}
		return retryablehttp.DefaultRetryPolicy(ctx, resp, err)
	}
	return c.StandardClient()
}
