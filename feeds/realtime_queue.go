package feeds

import (
	"bytes"
	"context"
	"sync"
)

// What is held for a loop that is busy. Both are counted, because one message may have a megabyte.
const (
	maxQueued      = 1000    // messages
	maxQueuedBytes = 8 << 20 // of memory for them: they are held as they came, and decoded when it is their turn
)

// A queue stands between a socket, which must not be kept waiting, and a loop that may take its
// time. Its wake has to be made with room for one.
//
// Once it has overflowed it takes nothing more until the loop has seen all that is in it and was
// told. So what was dropped lies in one place, and what is told after it is newer.
type queue struct {
	wake chan struct{} // holds a value when there may be something new for next

	mu       sync.Mutex // guards the fields below; never held across a wait
	messages []*message // added by put, taken by next
	bytes    int        // that they take
	dropped  dropped    // counted by put and drop, taken by next
	err      error      // why there will be no more; set once, by end
}

// dropped is what a queue had no room for.
type dropped struct {
	events int
	feeds  map[string]bool // of which feeds they told
	all    bool            // of some of them that is not known
}

// put adds m, or counts it as dropped. It never waits. m may be changed no more.
func (q *queue) put(m *message) {
	m.raw = bytes.Clone(m.raw) // it was read into something larger
	q.mu.Lock()
	if q.dropped.events > 0 || len(q.messages) == maxQueued || q.bytes+cap(m.raw) > maxQueuedBytes {
		q.drop(m.FID)
	} else {
		q.messages = append(q.messages, m)
		q.bytes += cap(m.raw)
	}
	q.mu.Unlock()
	q.signal()
}

// putTooLong counts a message that was too long to be read, and might have told of any feed.
func (q *queue) putTooLong() {
	q.mu.Lock()
	q.drop("")
	q.mu.Unlock()
	q.signal()
}

// drop counts one event of the feed, or of any if fid is empty. q.mu is held.
func (q *queue) drop(fid string) {
	d := &q.dropped
	d.events++
	switch {
	case fid == "" || len(d.feeds) >= maxQueued: // the names have to be held too
		d.all, d.feeds = true, nil
	case !d.all:
		if d.feeds == nil {
			d.feeds = make(map[string]bool)
		}
		d.feeds[fid] = true
	}
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

// next waits for a message, for the number of those that were dropped in its place, or for the end.
// With the end may come a last number too.
func (q *queue) next(ctx context.Context) (*message, dropped, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, dropped{}, err
		}
		if m, d, err, ok := q.take(); ok {
			return m, d, err
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
		}
	}
}

// take is next without the wait.
func (q *queue) take() (m *message, d dropped, err error, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.messages) > 0 {
		m, q.messages[0] = q.messages[0], nil // or the array would hold on to it
		q.messages = q.messages[1:]
		q.bytes -= cap(m.raw)
		return m, dropped{}, nil, true
	}
	d, q.dropped = q.dropped, dropped{}
	return nil, d, q.err, d.events > 0 || q.err != nil
}
