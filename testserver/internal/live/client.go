package live

import (
	"fmt"
	"time"
)

// What a client tells of itself. The server can't see it.

// PauseBegan says that the client's requests wait for a token from now on.
func (f *Feed) PauseBegan(user string) {
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.lane(user, now)
	l.told = true
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
	l := f.lane(user, now)
	l.told = true
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
	l := f.lane(user, now)
	l.told = true
	if f.admit(l, Held, now) {
		f.push(Event{Begin: since1970(now.Add(-d)), Length: length(d), User: user, Kind: Held, Words: "held back by the client"})
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
	l := f.lane(r.User, r.End)
	if f.admit(l, Call, r.End) {
		f.push(Event{
			Begin: since1970(r.Begin), Length: length(r.End.Sub(r.Begin)), User: r.User, Kind: Call, Token: r.Token, Status: r.Status,
			Words: clip(r.Op, r.Detail),
		})
	}
}
