package recipes_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/examples/recipes"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
	"github.com/stayauth/stayauth/transport"
)

func TestResty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cut := 1 // requests whose connection breaks
		guard := &testserver.Guard{
			Next: http.HandlerFunc(echo),
			Fault: func(*http.Request) (f testserver.Fault) {
				if cut > 0 {
					cut--
					f.Cut = testserver.CutBefore
				}
				return f
			},
		}
		defer guard.Close()
		calls, over := 0, false
		tr := &transport.Transport{Base: guard, Provider: provider.Func(func(context.Context) (string, error) {
			if calls++; over {
				return "", provider.Permanent(errors.New("the session was revoked"))
			}
			return guard.Issue("alice"), nil
		})}
		defer tr.Close()
		client := recipes.Resty(tr).SetRetryCount(3)
		post := func() (string, error) {
			resp, err := client.R().SetBody(map[string]string{"say": "hello"}).Post(api)
			return resp.Status() + " " + resp.String(), err
		}

		got, err := post()
		want(t, "POST after a broken connection", got, `200 OK {"say":"hello"}`)
		want(t, "its error", err, nil)

		time.Sleep(time.Second)
		guard.Revoke("alice")
		got, err = post()
		want(t, "POST after the revocation", got, `200 OK {"say":"hello"}`)
		want(t, "its error", err, nil)
		want(t, "provider calls", calls, 2)

		over = true
		guard.Revoke("alice")
		start := time.Now()
		if _, err = post(); !provider.IsPermanent(err) {
			t.Errorf("after the session's end: %v", err)
		}
		want(t, "time lost", time.Since(start), 0)
	})
}

// echo answers with the request's body.
func echo(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }
