package feeds

import (
	"context"
	"sync"
)

// How much is held for a loop that is busy. There is a limit in bytes too, because one message may
// have 1 MiB.
const (
	maxQueued      = 1000    // messages
	maxQueuedBytes = 8 << 20 // of memory: messages are held as they came, and decoded when the loop takes them
)

// A queue stands between a socket, which must not wait, and a loop, which may take its time. Its
// wake must be made with room for one value.
//
// Once it was full it takes no message until the loop has taken all that is in it and the number of
// those that were dropped. So all dropped messages belong to one time, and what comes after is
// newer.
type queue struct {
	wake chan struct{} // holds a value when next may find something new

	mu       sync.Mutex // guards the fields below; never held across a wait
	messages []*message // added by put, taken by next
	bytes    int        // how much memory the messages take
	dropped  dropped    // counted by put and drop, taken by next
	err      error      // why there will be no more; set once, by end
}

// dropped counts the messages that a queue had no room for.
type dropped struct {
	events int
	feeds  map[string]bool // the feeds that they were about
	all    bool            // they may have been about any feed: feeds is not complete, and nil
}

// put adds m, or counts it as dropped. It never waits. The caller must not change m afterwards.
func (q *queue) put(m *message) {
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

// putTooLong counts a message that was too long to be read. It may have been about any feed.
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
	case fid == "" || len(d.feeds) >= maxQueued: // the names take memory too
		d.all, d.feeds = true, nil
	case !d.all:
		if d.feeds == nil {
			d.feeds = make(map[string]bool)
		}
		d.feeds[fid] = true
	}
}

// end says that no more messages come, because of err.
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

// next waits for a message, for the messages that were dropped, or for the end of the connection.
// The error of the end may come with messages that were dropped before it.
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
