package recipes_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stayauth/stayauth/examples/recipes"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
	"github.com/stayauth/stayauth/transport"
)

func TestCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guard := &testserver.Guard{}
		defer guard.Close()
		calls := 0
		tr := &transport.Transport{Base: guard, Provider: provider.Func(func(context.Context) (string, error) {
			if calls++; calls == 3 {
				time.Sleep(7 * time.Second)
				return "", provider.Permanent(errors.New("the session was revoked"))
			}
			return guard.Issue("alice"), nil
		})}
		defer tr.Close()
		client := &http.Client{Transport: tr}
		registry := prometheus.NewPedanticRegistry()
		prometheus.WrapRegistererWith(prometheus.Labels{"login": "alice"}, registry).MustRegister(recipes.Collector{Transport: tr})
		check := func(when, metrics string, names ...string) {
			t.Helper()
			if err := testutil.GatherAndCompare(registry, strings.NewReader(metrics), names...); err != nil {
				t.Errorf("%s: %v", when, err)
			}
		}

		check("before the first request", `
# HELP stayauth_token_expiry_timestamp_seconds When the token ends; 0: unknown, or there is none.
# TYPE stayauth_token_expiry_timestamp_seconds gauge
stayauth_token_expiry_timestamp_seconds{login="alice"} 0
`, "stayauth_token_expiry_timestamp_seconds")

		want(t, "first", get(t, client), "200 OK alice")
		time.Sleep(time.Second)
		guard.Revoke("alice")
		want(t, "second", get(t, client), "200 OK alice")
		guard.Revoke("alice")
		done := make(chan struct{})
		go func() { defer close(done); _, _ = client.Get(api) }()
		time.Sleep(5 * time.Second)
		check("in the last refresh", `
# HELP stayauth_refreshing_seconds For how long a refresh has been under way; 0: none is.
# TYPE stayauth_refreshing_seconds gauge
stayauth_refreshing_seconds{login="alice"} 5
# HELP stayauth_waiting_requests Requests that wait for a token.
# TYPE stayauth_waiting_requests gauge
stayauth_waiting_requests{login="alice"} 1
`, "stayauth_refreshing_seconds", "stayauth_waiting_requests")
		<-done

		check("at the end", `
# HELP stayauth_failed_requests_total Requests that got no token, by why.
# TYPE stayauth_failed_requests_total counter
stayauth_failed_requests_total{login="alice",reason="gave_up"} 0
stayauth_failed_requests_total{login="alice",reason="no_token"} 1
stayauth_failed_requests_total{login="alice",reason="queue_full"} 0
# HELP stayauth_not_replayable_total Rejected requests that could not be sent again.
# TYPE stayauth_not_replayable_total counter
stayauth_not_replayable_total{login="alice"} 0
# HELP stayauth_other_401s_total 401s that were not taken for a rejected token.
# TYPE stayauth_other_401s_total counter
stayauth_other_401s_total{login="alice"} 0
# HELP stayauth_other_origin_total Requests without the token, because of where they went.
# TYPE stayauth_other_origin_total counter
stayauth_other_origin_total{login="alice"} 0
# HELP stayauth_refreshes_total Refreshes by what came of them.
# TYPE stayauth_refreshes_total counter
stayauth_refreshes_total{login="alice",result="ended"} 1
stayauth_refreshes_total{login="alice",result="failed"} 0
stayauth_refreshes_total{login="alice",result="renewed"} 2
stayauth_refreshes_total{login="alice",result="unchanged"} 0
# HELP stayauth_refreshing_seconds For how long a refresh has been under way; 0: none is.
# TYPE stayauth_refreshing_seconds gauge
stayauth_refreshing_seconds{login="alice"} 0
# HELP stayauth_rejected_total Responses that rejected a token.
# TYPE stayauth_rejected_total counter
stayauth_rejected_total{login="alice"} 2
# HELP stayauth_replayed_total Requests that were sent again.
# TYPE stayauth_replayed_total counter
stayauth_replayed_total{login="alice"} 1
# HELP stayauth_strikes Tokens rejected since one was last seen to be good.
# TYPE stayauth_strikes gauge
stayauth_strikes{login="alice"} 1
# HELP stayauth_token_expiry_timestamp_seconds When the token ends; 0: unknown, or there is none.
# TYPE stayauth_token_expiry_timestamp_seconds gauge
stayauth_token_expiry_timestamp_seconds{login="alice"} 0
# HELP stayauth_wait_seconds_total How long they waited, in all.
# TYPE stayauth_wait_seconds_total counter
stayauth_wait_seconds_total{login="alice"} 7
# HELP stayauth_waited_total Requests that waited for a token.
# TYPE stayauth_waited_total counter
stayauth_waited_total{login="alice"} 1
# HELP stayauth_waiting_requests Requests that wait for a token.
# TYPE stayauth_waiting_requests gauge
stayauth_waiting_requests{login="alice"} 0
`)
		problems, err := testutil.GatherAndLint(registry)
		if err != nil || len(problems) > 0 {
			t.Errorf("the names: %v, %v", problems, err)
		}
	})
}
