package feeds_test

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/stayauth/stayauth/feeds"
)

// A loop is a range over a session's events, in a goroutine.
type loop struct {
	done chan struct{} // closed when it is over

	mu     sync.Mutex
	events []feeds.Event
	times  []time.Time // when they were told
	errs   []error     // at most one, and then nothing more
	at     time.Time   // when it ended
}

// listen starts a loop, whose body is called for each event; it leaves the loop with false. Nil
// does nothing.
func listen(ctx context.Context, s *feeds.Session, body func(feeds.Event) bool, fids ...string) *loop {
	l := &loop{done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for ev, err := range s.Events(ctx, fids...) {
			l.mu.Lock()
			if err != nil {
				l.errs = append(l.errs, err)
			} else {
				l.events, l.times = append(l.events, ev), append(l.times, time.Now())
			}
			l.mu.Unlock()
			if err == nil && body != nil && !body(ev) {
				break
			}
		}
		l.at = time.Now()
	}()
	return l
}

// seen returns the events so far, each as a word: the text of an activity, "+" before it if it was
// recovered, or else the type.
func (l *loop) seen() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, ev := range l.events {
		switch {
		case ev.Activity == nil:
			out = append(out, ev.Type)
		case ev.Recovered:
			out = append(out, "+"+ev.Activity.Text)
		default:
			out = append(out, ev.Activity.Text)
		}
	}
	return out
}

// last returns the latest event of the type.
func (l *loop) last(typ string) feeds.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ev := range slices.Backward(l.events) {
		if ev.Type == typ {
			return ev
		}
	}
	return feeds.Event{}
}
