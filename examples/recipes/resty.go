package recipes

import (
	"errors"
	"net/http"

	"github.com/go-resty/resty/v2"
	"github.com/stayauth/stayauth/transport"
)

// Resty returns a resty client above a Transport. Retries, if any are wanted, are set on it as
// usual, by SetRetryCount; a login that is over ends them.
//
// What resty sets on an *http.Transport (SetProxy, SetTLSClientConfig, certificates) it can't set
// here: set it on the Transport's Base. SetAuthToken is needed no more, and has no effect. A
// SetTimeout counts the time in which a request waits for a token, too.
func Resty(t *transport.Transport) *resty.Client {
	return resty.NewWithClient(&http.Client{Transport: t}).
		AddRetryCondition(func(_ *resty.Response, err error) bool {
			_, noToken := errors.AsType[*transport.RefreshError](err)
			return err != nil && !noToken
		})
}
