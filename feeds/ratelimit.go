package feeds

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/stayauth/stayauth/transport"
)

const (
	// maxRateLimitWaits is how many times one call waits for a rate limit.
	maxRateLimitWaits = 3

	// maxRateLimitWait is the longest wait of a call whose context has no deadline. Stream's limits
	// count by the minute.
	maxRateLimitWait = 5 * time.Minute

	// rateLimitSpread spreads the callers that were told to come back in the same second.
	rateLimitSpread = time.Second
)

// rateLimited reports whether the call exceeded a rate limit.
func (e *Error) rateLimited() bool {
	return e.StatusCode == http.StatusTooManyRequests || e.Code == CodeRateLimited
}

// awaitReset waits until the API takes calls again. It returns the refusal at once if the API does
// not say when that is, or if the caller's deadline comes first.
func (s *Session) awaitReset(ctx context.Context, refusal *Error) error {
	if refusal.RetryAt.IsZero() {
		return refusal
	}
	now := time.Now()
	limit, ok := ctx.Deadline()
	if !ok {
		limit = now.Add(maxRateLimitWait)
	}
	wait := max(refusal.RetryAt.Sub(now), 0) + rand.N(rateLimitSpread)
	if now.Add(wait).After(limit) {
		return refusal
	}
	if l := s.client.Logger; l != nil {
		l.LogAttrs(ctx, slog.LevelWarn, "stayauth: rate limited, will call again", slog.String("operation", refusal.Operation),
			slog.String("request", refusal.RequestID), slog.Duration("retry_in", wait))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("feeds: %s: %w while it waited for a rate limit: %w", refusal.Operation, ctx.Err(), refusal)
	case <-s.closed:
		return fmt.Errorf("feeds: %s: %w", refusal.Operation, transport.ErrClosed)
	}
}

// retryAt returns when the server takes calls again, by this machine's clock, or the zero time if
// it does not say. It reads Retry-After (RFC 9110 section 10.2.3), or else X-Ratelimit-Reset, which
// is in unix seconds. A time by the server's clock is converted: the server's clock is in Date.
func retryAt(h http.Header) time.Time {
	now := time.Now()
	theirs := now
	if t, err := http.ParseTime(h.Get("Date")); err == nil {
		theirs = t
	}
	after := h.Get("Retry-After")
	if n, err := strconv.ParseUint(after, 10, 31); err == nil {
		return now.Add(time.Duration(n) * time.Second)
	}
	if t, err := http.ParseTime(after); err == nil {
		return now.Add(t.Sub(theirs))
	}
	if n, err := strconv.ParseUint(h.Get("X-Ratelimit-Reset"), 10, 40); err == nil {
		return now.Add(time.Unix(int64(n), 0).Sub(theirs))
	}
	return time.Time{}
}
