package transport

import (
	"sync/atomic"
	"time"
)

// Stats is a snapshot of what a Transport has done and is doing. The counts begin with the
// Transport and never go down.
type Stats struct {
	Refreshed         int64 // refreshes that returned a new token, the first one included
	Unchanged         int64 // refreshes that returned the token that they were to replace
	Failed            int64 // refreshes that failed, temporarily
	FailedPermanently int64 // refreshes that failed permanently; more than 0 means that the session is over or about to be

	Rejected      int64 // responses that rejected a token
	Other401      int64 // 401s that IsRejected did not take for a rejected token; the callers got them
	OtherOrigin   int64 // requests that went out without the token, because their origin may not have it
	Replayed      int64 // requests sent again
	NotReplayable int64 // rejected requests whose body was gone, so that the caller got the 401

	Waited      int64         // requests that have waited for a token
	WaitTime    time.Duration // how long they have, in sum
	LongestWait time.Duration // and at most
	NoToken     int64         // requests that failed because there was no token, at once or after waiting
	GaveUp      int64         // requests whose own context ended while they waited; they are not in NoToken
	QueueFull   int64         // requests that failed because MaxWaiting others waited; they are not in NoToken either

	Waiting int       // requests that wait for a token now
	Strikes int       // rejections of current tokens since a replay was last accepted
	Expiry  time.Time // of the current token, by this machine's clock; zero: unknown, or there is none

	Refreshing time.Time // since when a refresh has been under way; zero: none is
	Hung       time.Time // when the provider was called, if a refresh has given it up and it has not returned; else zero
}

// counters are those counts behind Stats that the session does not keep.
type counters struct {
	rejected, other401, otherOrigin, replayed, notReplayable  atomic.Int64
	waited, waitTime, longestWait, noToken, gaveUp, queueFull atomic.Int64
}

// failed returns how many requests got no token.
func (c *counters) failed() int64 { return c.noToken.Load() + c.gaveUp.Load() + c.queueFull.Load() }

// Stats returns a snapshot. It is cheap enough for a metrics endpoint. Each number is right by
// itself; between two of them time may have passed.
func (t *Transport) Stats() Stats {
	if t.configured() != nil {
		return Stats{}
	}
	st := t.status()
	return Stats{
		Refreshed:         st.Refreshed,
		Unchanged:         st.Unchanged,
		Failed:            st.Failed,
		FailedPermanently: st.FailedPermanently,
		Rejected:          t.counters.rejected.Load(),
		Other401:          t.counters.other401.Load(),
		OtherOrigin:       t.counters.otherOrigin.Load(),
		Replayed:          t.counters.replayed.Load(),
		NotReplayable:     t.counters.notReplayable.Load(),
		QueueFull:         t.counters.queueFull.Load(),
		Waited:            t.counters.waited.Load(),
		WaitTime:          time.Duration(t.counters.waitTime.Load()),
		LongestWait:       time.Duration(t.counters.longestWait.Load()),
		NoToken:           t.counters.noToken.Load(),
		GaveUp:            t.counters.gaveUp.Load(),
		Waiting:           int(t.waiting.Load()),
		Strikes:           st.Strikes,
		Expiry:            st.Expiry,
		Refreshing:        st.Refreshing.Wall,
		Hung:              st.Hung.Wall,
	}
}
