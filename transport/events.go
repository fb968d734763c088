package transport

import "sync"

// An eventQueue calls functions one after the other, in a goroutine that ends when there are none
// left. The Logger and the hooks of the Trace are called by it as far as they are told of
// refreshes, because a hook may wait for the very refresh that it is told of. An event is queued
// under the Transport's lock where the order of events depends on it.
type eventQueue struct {
	mu      sync.Mutex    // guards the fields below; never held across a call
	waiting []func()      // in the order in which they are to be called
	running bool          // the goroutine is there
	idle    chan struct{} // closed when that ends; nil if Close has not asked for it
}

// tell has f called after everything that was told before.
func (q *eventQueue) tell(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, f)
	if !q.running {
		q.running = true
		go q.run()
	}
}

func (q *eventQueue) run() {
	finished := false
	defer func() {
		if !finished { // a hook called runtime.Goexit, as t.Fatal does in a test, or panicked, which ends the program
			go q.run()
		}
	}()
	for {
		q.mu.Lock()
		if len(q.waiting) == 0 {
			q.running, finished = false, true
			if q.idle != nil {
				close(q.idle)
				q.idle = nil
			}
			q.mu.Unlock()
			return
		}
		f := q.waiting[0]
		q.waiting = q.waiting[1:]
		q.mu.Unlock()
		f()
	}
}

// drained returns a channel that is closed once everything has been called, or nil if it has been
// already.
func (q *eventQueue) drained() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.running && q.idle == nil {
		q.idle = make(chan struct{})
	}
	return q.idle
}
