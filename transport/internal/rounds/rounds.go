// Package rounds compares two pieces of work in a benchmark, as a ratio. The machines that
// benchmarks run on are shared and noisy, so a figure of one run says little; the median ratio of
// many short rounds, each measuring both within milliseconds of the other, says a lot.
package rounds

import (
	"slices"
	"testing"
	"time"
)

// Compare runs rounds of base and ours in turn until the benchmark's time is up and at least least
// of them are done. Each function does its work n times; n is chosen so that a round takes about 10
// ms. It reports the time of ours for one piece of work, and logs and reports the median, the
// lowest and the highest ratio of ours to base.
func Compare(b *testing.B, least int, base, ours func(n int)) {
	b.Helper()
	n := 1
	for min(timed(n, ours), timed(n, ours), timed(n, ours)) < 10*time.Millisecond { // one alone may have been held up
		n *= 2
	}
	timed(n, base) // warm
	var r Ratios
	var took []float64
	measure := func() {
		var x, y time.Duration
		if len(r) == 0 || len(r)%2 == 0 { // neither is always the one that comes after the other
			x, y = timed(n, base), timed(n, ours)
		} else {
			y, x = timed(n, ours), timed(n, base)
		}
		r = append(r, float64(y)/float64(x))
		took = append(took, float64(y.Nanoseconds())/float64(n))
	}
	for b.Loop() {
		measure()
	}
	for len(r) < least {
		measure()
	}
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2], "ns/op")
	r.Report(b, "time")
}

func timed(n int, f func(int)) time.Duration {
	began := time.Now()
	f(n)
	return time.Since(began)
}

// Ratios are the results of several rounds, each of ours divided by the baseline.
type Ratios []float64

// Report logs the median with its range, and reports the median as the metric "<what>-ratio".
func (r Ratios) Report(b *testing.B, what string) {
	b.Helper()
	s := slices.Sorted(slices.Values(r))
	median := s[len(s)/2]
	b.Logf("%s: median %.2fx of the baseline, from %.2fx to %.2fx in %d interleaved rounds", what, median, s[0], s[len(s)-1], len(s))
	b.ReportMetric(median, what+"-ratio")
}
