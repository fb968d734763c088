package recipes_test

import (
	"context"
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
	"go.opentelemetry.io/otel/trace"
)

func TestTraced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var parents []string // what the API and the token endpoint were told, for each request
		guard := &testserver.Guard{Fault: func(r *http.Request) testserver.Fault {
			parents = append(parents, r.Header.Get("Traceparent"))
			if r.URL.Path != "/token" {
				return testserver.Fault{Latency: time.Second}
			}
			fault := testserver.Fault{Latency: 3 * time.Second}
			if len(parents) == 1 {
				fault.Status = http.StatusServiceUnavailable // the first call of all is made again
			}
			return fault
		}}
		defer guard.Close()
		exporter := tracetest.NewInMemoryExporter()
		tp := sdk.NewTracerProvider(sdk.WithSyncer(exporter))
		tr := &transport.Transport{Base: guard, Provider: provider.OAuth2{
			TokenURL: api + "/token", ClientID: "tool", RefreshToken: provider.NewSecret(guard.LogIn("alice")), Client: recipes.TracedClient(guard, tp),
		}}
		client := recipes.Traced(tr, tp)

		want(t, "first", get(t, client), "200 OK alice")
		guard.Revoke("alice")
		want(t, "second", get(t, client), "200 OK alice")
		guard.LogOut("alice")
		if _, err := client.Get(api); err == nil {
			t.Error("the third request has an answer")
		}
		tr.Close()
		synctest.Wait()

		spans := exporter.GetSpans()
		slices.SortFunc(spans, func(a, b tracetest.SpanStub) int { return a.StartTime.Compare(b.StartTime) })
		names, count := map[trace.SpanID]string{{}: "nothing"}, make(map[string]int)
		for _, s := range spans {
			count[s.Name]++
			names[s.SpanContext.SpanID()] = fmt.Sprint(s.Name, " ", count[s.Name])
		}
		var tree []string
		for _, s := range spans {
			line := fmt.Sprint(names[s.SpanContext.SpanID()], " ", s.Status.Code, " in ", names[s.Parent.SpanID()])
			for _, l := range s.Links {
				line += fmt.Sprint(", waited for ", names[l.SpanContext.SpanID()])
			}
			for _, a := range s.Attributes {
				if a.Key == "stayauth.reason" || a.Key == "stayauth.attempts" || a.Key == "stayauth.session_ended" {
					line += ", " + a.Value.String()
				}
			}
			tree = append(tree, line)
			if strings.HasPrefix(s.Name, "attempt") || strings.HasPrefix(s.Name, "provider") {
				traceparent := fmt.Sprintf("00-%s-%s-01", s.SpanContext.TraceID(), s.SpanContext.SpanID())
				if !slices.Contains(parents, traceparent) {
					t.Errorf("%s is not what a server was told: %q", line, parents)
				}
			}
		}
		slices.Sort(tree)
		want(t, "spans", "\n"+strings.Join(tree, "\n"), `
attempt GET 1 Unset in request GET 1
attempt GET 2 Error in request GET 2
attempt GET 3 Unset in request GET 2
attempt GET 4 Error in request GET 3
provider POST 1 Error in refresh 1
provider POST 2 Unset in refresh 1
provider POST 3 Unset in refresh 2
provider POST 4 Error in refresh 3
refresh 1 Unset in nothing, initial, 2, false
refresh 2 Unset in nothing, rejected, 1, false
refresh 3 Error in nothing, rejected, 1, true
request GET 1 Unset in nothing, waited for refresh 1
request GET 2 Unset in nothing, waited for refresh 2
request GET 3 Error in nothing, waited for refresh 3`)
	})
}

// A provider that outlasts its refreshes: each of them has its own span, and so has the late
// answer.
func TestTracedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guard := &testserver.Guard{}
		defer guard.Close()
		exporter := tracetest.NewInMemoryExporter()
		tr := &transport.Transport{Base: guard, RefreshTimeout: time.Second, Provider: provider.Func(func(context.Context) (string, error) {
			time.Sleep(5 * time.Second)
			return guard.Issue("alice"), nil
		})}
		client := recipes.Traced(tr, sdk.NewTracerProvider(sdk.WithSyncer(exporter)))
		for range 2 {
			if _, err := client.Get(api); err == nil {
				t.Error("a request has an answer before there is a token")
			}
			time.Sleep(time.Second)
		}
		time.Sleep(5 * time.Second)
		want(t, "in the end", get(t, client), "200 OK alice")
		tr.Close()
		synctest.Wait()
		var got []string
		for _, s := range exporter.GetSpans() {
			if s.Name == "refresh" {
				got = append(got, fmt.Sprint(s.EndTime.Sub(s.StartTime), " ", s.Status.Code))
			}
		}
		want(t, "refreshes", strings.Join(got, ", "), "1s Error, 1s Error, 5s Unset")
	})
}
