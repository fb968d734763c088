package shared

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/stayauth/stayauth/provider/shared/internal/lease"
)

const (
	defaultLease   = 15 * time.Second
	defaultTimeout = time.Minute
)

func (l *Login) leaseLength() time.Duration {
	if l.Lease > 0 {
		return l.Lease
	}
	return defaultLease
}

func (l *Login) timeout() time.Duration {
	if l.Timeout > 0 {
		return l.Timeout
	}
	return defaultTimeout
}

// opLimit is how long one operation of the store may take.
func (l *Login) opLimit() time.Duration { return l.leaseLength() / 3 }

// pollInterval is the pause after so many looks at a record under the given lease.
func pollInterval(lease time.Duration, looks int) time.Duration {
	most := lease / 15
	d := min(most, most/20<<min(looks, 5))
	return d/2 + rand.N(d/2+1)
}

// pause waits for d and returns nil, or ctx.Err() once ctx is done.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// breathe waits a moment after so many conflicts in a row: a store that always says so, against its
// contract, is not to be asked without end.
func (l *Login) breathe(ctx context.Context, conflicts int) {
	if conflicts >= 10 {
		_ = pause(ctx, pollInterval(l.leaseLength(), conflicts))
	}
}

// A lookout waits for the record to change while one call of Token lasts.
type lookout struct {
	l       *Login
	looks   int
	due     time.Duration // when something is due if the record does not change; 0 if nothing is
	version uint64        // that the store was asked about last, if watched
	watched bool
	changed chan struct{} // gets an element when the store has told of a change; nil where it can't
	unable  chan struct{} // closed when it has turned out that it can't
	stop    context.CancelFunc
}

// wait returns nil when it is time to look again: when something is due, when the store tells of a
// change, or after a while.
func (o *lookout) wait(ctx context.Context, rec lease.Record, version uint64) error {
	o.watch(ctx, version)
	length := o.l.leaseLength()
	if rec.Lease > 0 {
		length = min(length, rec.Lease)
	}
	if o.told() {
		o.looks = max(o.looks, 5) // there is no hurry
	}
	d := pollInterval(length, o.looks)
	o.looks++
	if o.due > 0 {
		d = min(d, o.due)
	}
	o.due = 0
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-o.changed:
		o.changed = nil
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// watch has the store tell when the record is no longer at version, if it can. It asks once for
// each version: a store that keeps telling of changes that are none is not listened to.
func (o *lookout) watch(ctx context.Context, version uint64) {
	w, ok := o.l.Store.(Watcher)
	if !ok || o.watched && o.version == version {
		return
	}
	o.end()
	ctx, o.stop = context.WithCancel(ctx)
	changed, unable := make(chan struct{}, 1), make(chan struct{})
	o.version, o.watched, o.changed, o.unable = version, true, changed, unable
	go func() { // ends with ctx: with the call, or with the next version
		switch err := w.Watch(ctx, o.l.Key, version); {
		case err == nil:
			changed <- struct{}{}
		case ctx.Err() == nil:
			close(unable)
		}
	}()
}

// told reports whether the store will tell of the next change.
func (o *lookout) told() bool {
	select {
	case <-o.unable:
		return false
	default:
		return o.changed != nil
	}
}

// end ends the watching.
func (o *lookout) end() {
	if o.stop != nil {
		o.stop()
	}
}

// hold is how long a call is held back whose login has ended, if it is to wait for the next and the
// store tells of changes: for as long as a lease, or half of the caller's time.
func (l *Login) hold(ctx context.Context) time.Duration {
	if _, tells := l.Store.(Watcher); !tells || !l.WaitForLogin {
		return 0
	}
	if deadline, ok := ctx.Deadline(); ok {
		return min(l.leaseLength(), time.Until(deadline)/2)
	}
	return l.leaseLength()
}

// awaitLogin holds a call back whose login has ended. It returns true if the store has told of a
// change.
func (c *call) awaitLogin(ctx context.Context, version uint64) bool {
	left := time.Until(c.until)
	if left <= 0 {
		return false
	}
	c.lookout.watch(ctx, version)
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-c.lookout.changed:
		c.lookout.changed = nil
		return true
	case <-c.lookout.unable:
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}
