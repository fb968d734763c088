package feeds

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// A gate keeps the reading of many feeds within the API's rate limit. It lets in as many calls as
// the API's answers say are left. When none are left, all readers wait for the time at which the
// limit ends, instead of finding out one by one.
//
// If the API's answers name no limit, the gate is open.
type gate struct {
	mu      sync.Mutex    // guards the fields below; never held across a wait
	inside  int           // calls under way
	left    int           // how many more calls the API takes before reset: the least that an answer has said
	reset   time.Time     // when the limit ends, by this machine's clock; in the past: no limit is known
	changed chan struct{} // closed when a call leaves; nil if no call waits for that
}

// enter waits until a call may begin, or until ctx ends. After enter has returned nil, leave must
// be called.
func (g *gate) enter(ctx context.Context) error {
	for {
		g.mu.Lock()
		wait := time.Until(g.reset)
		if wait <= 0 || g.inside < g.left { // perhaps the API has not counted any of those inside yet
			g.inside++
			g.mu.Unlock()
			return nil
		}
		if g.changed == nil {
			g.changed = make(chan struct{})
		}
		changed := g.changed
		g.mu.Unlock()

		timer := time.NewTimer(wait + rand.N(rateLimitSpread)) // other clients were told the same second
		select {
		case <-timer.C:
		case <-changed:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
		timer.Stop()
	}
}

// leave ends a call and notes what its answer says about the limit. h is nil if there was no
// answer.
func (g *gate) leave(h http.Header, refusal *Error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.changed != nil {
		close(g.changed)
		g.changed = nil
	}
	longest := time.Now().Add(maxRateLimitWait) // an end that is further away is not believed
	if refusal != nil && refusal.rateLimited() {
		g.left, g.reset = 0, earlier(refusal.RetryAt, longest)
		return
	}
	n, err := strconv.Atoi(h.Get("X-Ratelimit-Remaining"))
	reset := retryAt(h)
	if err != nil || reset.IsZero() {
		return
	}
	reset = earlier(reset, longest)
	if another := reset.Sub(g.reset).Abs() > rateLimitSpread; another || n < g.left {
		g.left = n
	}
	g.reset = reset
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// sleep waits for d, or returns why ctx has ended before.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
