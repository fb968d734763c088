package testserver_test

import (
	"net/http"
	"strings"
	"sync"

	api "github.com/stayauth/stayauth/testserver/internal/published"
)

// loadAPI returns what Stream has published. Each answer and each event that the tests of this
// package provoke is held against it.
var loadAPI = sync.OnceValue(api.Load)

// published returns an error that names what is wrong with an answer. A redirect, which a test's
// fault has made up, is none of the API's, nor are the paths without /api/v2.
func published(req *http.Request, resp *http.Response, body []byte) error {
	if !strings.HasPrefix(req.URL.Path, "/api/v2/") || resp.StatusCode/100 == 3 {
		return nil
	}
	return loadAPI().Answer(req.Method, req.URL.Path, resp.StatusCode, body)
}

// publishedEvent returns an error that names what is wrong with an event. The older protocol's have
// dates as strings.
func publishedEvent(event map[string]any, frame []byte) error {
	if _, older := event["created_at"].(string); older || event["type"] == nil {
		return nil
	}
	return loadAPI().Event(frame)
}
