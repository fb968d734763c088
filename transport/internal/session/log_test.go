package session_test

import (
	"time"

	"github.com/stayauth/stayauth/transport/internal/journal"
	"github.com/stayauth/stayauth/transport/internal/session"
)

// A log is what the journal makes of a world, with what must hold of every log: what is told to go
// on or to be over was told to begin, nothing begins twice, and what goes on is told once in 30
// seconds at most.
type log struct {
	journal journal.Journal
	open    map[string]bool            // by the message that it began with
	last    map[string]session.Instant // when each message was written
}

// begins says what begins with a message, goesOn what goes on with it, and ends what is over with
// it.
var (
	begins = map[string]string{journal.Fails: journal.Fails, journal.Wait: journal.Wait, journal.Storm: journal.Storm, journal.Ended: journal.Ended}
	goesOn = map[string]string{journal.StillFails: journal.Fails, journal.StillWait: journal.Wait, journal.StillStorm: journal.Storm,
		journal.StillEnded: journal.Ended}
	ends = map[string]string{journal.Works: journal.Fails, journal.ClosedAmid: journal.Fails, journal.StormIsOver: journal.Storm}
)

// tell lets the journal see an event, and reads what it writes.
func (w *world) tell(event func(*journal.Journal, journal.Scene)) {
	l := &w.log
	if l.open == nil {
		l.open, l.last = map[string]bool{}, map[string]session.Instant{}
	}
	status := w.s.Status()
	event(&l.journal, journal.Scene{Now: w.now, Standing: w.s.Standing(w.now), Strikes: status.Strikes, Waiting: w.waiting})
	for _, line := range l.journal.Take() {
		m := line.Message
		if b, ok := begins[m]; ok {
			if l.open[b] {
				w.broken(15, "%q is told twice", m)
			}
			l.open[b] = true
			for on, of := range goesOn { // how long it is since another of its kind does not matter
				if of == b {
					delete(l.last, on)
				}
			}
		}
		if b, ok := goesOn[m]; ok {
			if !l.open[b] {
				w.broken(15, "%q, and that has not begun", m)
			}
			if last, ok := l.last[m]; ok && -w.now.Until(last) < 30*time.Second {
				w.broken(15, "%q is told again after %s", m, -w.now.Until(last))
			}
			l.last[m] = w.now
		}
		if b, ok := ends[m]; ok {
			if !l.open[b] {
				w.broken(15, "%q, and that has not begun", m)
			}
			l.open[b] = false
		}
		switch m {
		case journal.Ended, journal.LastOne, journal.HandedOver: // these end an outage as well
			l.open[journal.Fails] = false
			if m == journal.HandedOver {
				l.open[journal.Ended] = false
			}
		}
	}
}

// read checks the log after each event.
func (w *world) read(status session.Status) {
	l := &w.log
	if status.Refreshing.IsZero() {
		l.open[journal.Wait] = false // it ends with the refresh
	}
	switch {
	case w.closed && (l.open[journal.Fails] || l.open[journal.Wait]):
		w.broken(15, "after Close something goes on")
	case w.closed:
	case l.open[journal.Storm] != (status.Strikes > session.Patience):
		w.broken(15, "%d strikes, and a storm is told: %t", status.Strikes, l.open[journal.Storm])
	case l.open[journal.Fails] && w.worked:
		w.broken(15, "the provider works, and the end of its outage is not told")
	case l.open[journal.Ended] != (w.ended > 0):
		w.broken(15, "the session has ended %d times, and that is told: %t", w.ended, l.open[journal.Ended])
	}
}
