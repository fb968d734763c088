package recipes_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/examples/recipes"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
	"github.com/stayauth/stayauth/transport"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func TestTraced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var parents []string // what the server was told, for each attempt
		guard := &testserver.Guard{Fault: func(r *http.Request) testserver.Fault {
			parents = append(parents, r.Header.Get("Traceparent"))
			return testserver.Fault{Latency: time.Second}
		}}
		defer guard.Close()
		over := false
		tr := &transport.Transport{Base: guard, Provider: provider.Func(func(context.Context) (string, error) {
			time.Sleep(3 * time.Second)
			if over {
				return "", provider.Permanent(errors.New("the session was revoked"))
			}
			return guard.Issue("alice"), nil
		})}
		recorder := tracetest.NewSpanRecorder()
		client := recipes.Traced(tr, sdk.NewTracerProvider(sdk.WithSpanProcessor(recorder)))

		want(t, "first", get(t, client), "200 OK alice")
		guard.Revoke("alice")
		want(t, "second", get(t, client), "200 OK alice")
		over = true
		guard.Revoke("alice")
		if _, err := client.Get(api); err == nil {
			t.Error("the third request has an answer")
		}
		tr.Close()
		synctest.Wait()

		var got []string
		for _, s := range recorder.Ended() {
			line := fmt.Sprint(s.StartTime().Format("05"), "-", s.EndTime().Format("05"), " ", s.Name(), " ", s.Status().Code)
			for _, a := range s.Attributes() {
				if a.Key == "stayauth.reason" || a.Key == "stayauth.session_ended" || a.Key == "http.response.status_code" {
					line += " " + a.Value.String()
				}
			}
			got = append(got, line)
			if strings.HasPrefix(s.Name(), "attempt") {
				traceparent := fmt.Sprintf("00-%s-%s-01", s.SpanContext().TraceID(), s.SpanContext().SpanID())
				if !s.Parent().IsValid() || !slices.Contains(parents, traceparent) {
					t.Errorf("%s: its parent is %v, and the server was told %q", line, s.Parent().SpanID(), parents)
				}
			}
		}
		slices.Sort(got)
		lines := strings.Join(got, "\n")
		want(t, "spans", "\n"+lines, `
00-03 refresh Unset initial false
00-04 request GET Unset 200
03-04 attempt GET Unset 200
04-05 attempt GET Error 401
04-09 request GET Unset 200
05-08 refresh Unset rejected false
08-09 attempt GET Unset 200
09-10 attempt GET Error 401
09-13 request GET Error
10-13 refresh Error rejected true`)
	})
}
