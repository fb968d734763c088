package feeds

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// A gate keeps the reading of many feeds within the API's rate limit: it lets in as many calls as
// the API's answers say are left, and when none are the readers wait together for the time at which
// the limit ends, instead of finding out one by one.
//
// An API that says nothing of limits is asked as fast as the readers go.
type gate struct {
	mu      sync.Mutex    // guards the fields below; never held across a wait
	inside  int           // calls under way
	left    int           // how many more the API takes before reset, by the least that an answer has said
	reset   time.Time     // when the limit ends, by this machine's clock; past: there is none, as far as is known
	changed chan struct{} // closed when a call leaves; nil if nobody waits for that
}

// enter waits until a call may begin, or until ctx ends. A call that was let in has to leave.
func (g *gate) enter(ctx context.Context) error {
	for {
		g.mu.Lock()
		wait := time.Until(g.reset)
		if wait <= 0 || g.inside < g.left { // for all that is known, none of those inside has been counted yet
			g.inside++
			g.mu.Unlock()
			return nil
		}
		if g.changed == nil {
			g.changed = make(chan struct{})
		}
		changed := g.changed
		g.mu.Unlock()

		timer := time.NewTimer(wait + rand.N(rateLimitSpread)) // others were told the same second
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

// leave notes what the answer to a call says of the limit. Its header is nil if there was none.
func (g *gate) leave(h http.Header, refusal *Error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.changed != nil {
		close(g.changed)
		g.changed = nil
	}
	longest := time.Now().Add(maxRateLimitWait) // however far away the API says that it is
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
