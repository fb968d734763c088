package recipes_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/examples/recipes"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
	"github.com/stayauth/stayauth/transport"
)

func TestRetrying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var guard *testserver.Guard
		requests := 0
		guard = &testserver.Guard{
			Next: http.HandlerFunc(echo),
			Fault: func(*http.Request) (f testserver.Fault) {
				switch requests++; requests {
				case 1:
					f.Status = http.StatusServiceUnavailable
				case 2:
					guard.Revoke("alice")
				}
				return f
			},
		}
		defer guard.Close()
		over := false
		tr := &transport.Transport{Base: guard, Provider: provider.Func(func(context.Context) (string, error) {
			if over {
				return "", provider.Permanent(errors.New("the session was revoked"))
			}
			return guard.Issue("alice"), nil
		})}
		defer tr.Close()
		client := recipes.Retrying(tr)

		// The first attempt gets a 503, the second a 401, and the replay of that the answer.
		want(t, "POST", answer(client.Post(api, "text/plain", strings.NewReader("hello"))), "200 OK hello")
		want(t, "requests", requests, 3)

		over = true
		guard.Revoke("alice")
		start := time.Now()
		_, err := client.Get(api)
		if e, ok := errors.AsType[*transport.RefreshError](err); !ok || !e.Permanent {
			t.Errorf("after the session's end: %v", err)
		}
		want(t, "time lost", time.Since(start), 0)
		want(t, "requests", requests, 4)
	})
}
