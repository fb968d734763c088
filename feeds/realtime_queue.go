package feeds

import (
	"context"
	"sync"
)

// What is held for a loop that is busy. Both are counted, because one message may have a megabyte.
const (
	maxQueued      = 1000    // events
	maxQueuedBytes = 8 << 20 // of their messages
)

// A queue stands between a socket, which must not be kept waiting, and a loop that may take its time. Its wake has to be made
// with room for one.
//
// Once it has overflowed it takes nothing more until the loop has seen all that is in it and was told. So what was dropped
// lies in one place, and what is told after it is newer.
type queue struct {
	wake chan struct{} // holds a value when there may be something new for next

	mu      sync.Mutex // guards the fields below; never held across a wait
	events  []Event    // added by put, taken by next
	bytes   int        // of their messages
	dropped int        // counted by put, taken by next
	err     error      // why there will be no more; set once, by end
}

// put adds ev, or counts it as dropped. It never waits.
func (q *queue) put(ev Event) {
	q.mu.Lock()
	if q.dropped > 0 || len(q.events) == maxQueued || q.bytes+len(ev.Raw) > maxQueuedBytes {
		q.dropped++
	} else {
		q.events = append(q.events, ev)
		q.bytes += len(ev.Raw)
	}
	q.mu.Unlock()
	q.signal()
}

// end says that nothing more will come, because of err.
func (q *queue) end(err error) {
	q.mu.Lock()
	q.err = err
	q.mu.Unlock()
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// next waits for an event, for the number of those that were dropped in its place, or for the end. With the end may come a
// last number too.
func (q *queue) next(ctx context.Context) (ev Event, dropped int, err error) {
	for {
		if err := ctx.Err(); err != nil {
			return Event{}, 0, err
		}
		if ev, dropped, err, ok := q.take(); ok {
			return ev, dropped, err
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
		}
	}
}

// take is next without the wait.
func (q *queue) take() (ev Event, dropped int, err error, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.events) > 0 {
		ev, q.events[0] = q.events[0], Event{} // or the array would hold on to it
		q.events = q.events[1:]
		q.bytes -= len(ev.Raw)
		return ev, 0, nil, true
	}
	dropped, q.dropped = q.dropped, 0
	return Event{}, dropped, q.err, dropped > 0 || q.err != nil
}
