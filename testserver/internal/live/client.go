package live

import (
	"fmt"
	"time"
)

// What a client tells of itself. The server can't see it.

// teller returns the lane of a user whose client tells of itself. f.mu is held.
func (f *Feed) teller(user string, now time.Time) *lane {
	l := f.lane(user, now)
	l.told = true
	return l
}

// PauseBegan says that the client's requests wait for a token from now on.
func (f *Feed) PauseBegan(user string) {
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.teller(user, now)
	if l.paused.IsZero() {
		l.paused = now
	}
}

// PauseEnded says that they don't any more, that so many had waited, and what went wrong, if
// anything did.
func (f *Feed) PauseEnded(user string, waited int, failure string) {
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.teller(user, now)
	if l.paused.IsZero() {
		return
	}
	words := fmt.Sprintf("%d requests waited", waited)
	if waited == 1 {
		words = "1 request waited"
	}
	if failure != "" {
		words += ", and no token came: " + failure
	}
	f.endPause(l, now, words)
}

// RequestWaited says that the client has held a request back for so long.
func (f *Feed) RequestWaited(user string, d time.Duration) {
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.teller(user, now)
	if f.admit(l, Held, now) {
		f.push(Event{Begin: TimeOf(now.Add(-d)), Length: LengthOf(d), User: user, Kind: Held, Words: "held back by the client"})
	}
}

// CallBegan says that somebody asks for a token. The user may not be known yet: it is "" then, and
// the call shows when it has ended.
func (f *Feed) CallBegan(user string) {
	if user == "" {
		return
	}
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.lane(user, now)
	if l.calling == 0 {
		l.called = now
	}
	l.calling++
}

// CallEnded says how that ended. began is the user that CallBegan was given.
func (f *Feed) CallEnded(began string, r Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l, ok := f.lanes[began]; ok && began != "" && l.calling > 0 {
		l.calling--
	}
	r.Kind = Call
	f.keep(f.lane(r.User, r.End), r)
}
