package recipes

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stayauth/stayauth/transport"
)

// A Collector shows a Transport to Prometheus. Where there are several, register each under a
// label:
//
//	prometheus.WrapRegistererWith(prometheus.Labels{"login": "billing"}, registry).MustRegister(Collector{t})
//
// Three queries are worth an alert. The login is over, and someone has to log in:
//
//	increase(stayauth_refreshes_total{result="ended"}[15m]) > 0
//
// No token comes, and requests wait or fail:
//
//	min_over_time(stayauth_waiting_requests[1m]) > 0 or increase(stayauth_failed_requests_total[5m]) > 0
//
// New tokens don't help, or IsRejected doesn't know how this API says that one has expired:
//
//	stayauth_strikes > 3 or increase(stayauth_other_401s_total[15m]) > 0
type Collector struct{ Transport *transport.Transport }

// Describe implements prometheus.Collector.
func (c Collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector. All that it sends it sends each time.
func (c Collector) Collect(ch chan<- prometheus.Metric) {
	s := c.Transport.Stats()

	refreshes := prometheus.NewDesc("stayauth_refreshes_total", "Refreshes by what came of them.", []string{"result"}, nil)
	for result, n := range map[string]int64{"renewed": s.Refreshed, "unchanged": s.Unchanged, "failed": s.Failed, "ended": s.FailedPermanently} {
		ch <- prometheus.MustNewConstMetric(refreshes, prometheus.CounterValue, float64(n), result)
	}

	failed := prometheus.NewDesc("stayauth_failed_requests_total", "Requests that got no token, by why.", []string{"reason"}, nil)
	for reason, n := range map[string]int64{"no_token": s.NoToken, "gave_up": s.GaveUp, "queue_full": s.QueueFull} {
		ch <- prometheus.MustNewConstMetric(failed, prometheus.CounterValue, float64(n), reason)
	}

	count := func(n int64, name, help string) {
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue, float64(n))
	}
	count(s.Rejected, "stayauth_rejected_total", "Responses that rejected a token.")
	count(s.Other401, "stayauth_other_401s_total", "401s that were not taken for a rejected token.")
	count(s.OtherOrigin, "stayauth_other_origin_total", "Requests without the token, because of where they went.")
	count(s.Replayed, "stayauth_replayed_total", "Requests that were sent again.")
	count(s.NotReplayable, "stayauth_not_replayable_total", "Rejected requests that could not be sent again.")
	count(s.Waited, "stayauth_waited_total", "Requests that waited for a token.")
	ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("stayauth_wait_seconds_total", "How long they waited, in all.", nil, nil),
		prometheus.CounterValue, s.WaitTime.Seconds())

	gauge := func(v float64, name, help string) {
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue, v)
	}
	gauge(float64(s.Waiting), "stayauth_waiting_requests", "Requests that wait for a token.")
	gauge(float64(s.Strikes), "stayauth_strikes", "Tokens rejected since one was last seen to be good.")
	expiry, refreshing := 0.0, 0.0
	if !s.Expiry.IsZero() {
		expiry = float64(s.Expiry.Unix())
	}
	if !s.Refreshing.IsZero() {
		refreshing = time.Since(s.Refreshing).Seconds()
	}
	gauge(expiry, "stayauth_token_expiry_timestamp_seconds", "When the token ends; 0: unknown, or there is none.")
	gauge(refreshing, "stayauth_refreshing_seconds", "For how long a refresh has been under way; 0: none is.")
}
