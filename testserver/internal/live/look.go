package live

import "time"

// A News is what a reader gets: the events since the last one, and how all stands.
type News struct {
	Now     Milliseconds
	Next    uint64 // pass it to the next call
	Events  []Event
	Tokens  []Token
	Users   []User
	Counted uint64 // requests so far
	Shown   uint64 // of them, those that became events
	View    View
}

// News returns what has happened from the sequence number on. What a slow reader has missed is
// gone: it reads on with the oldest event that is left.
func (f *Feed) News(s Subject, from uint64) News {
	n := f.copy(from)
	n.View = s.Look(n.Tokens, n.Users)
	f.cut(n.Tokens, time.Now())
	return n
}

func (f *Feed) copy(from uint64) News {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := News{Now: TimeOf(time.Now()), Next: f.next, Counted: f.counted, Shown: f.shown, Tokens: []Token{}, Users: []User{}}
	oldest := uint64(1)
	if f.next > maxEvents {
		oldest = f.next - maxEvents
	}
	for q := max(from, oldest); q < f.next; q++ {
		n.Events = append(n.Events, f.ring[q%maxEvents])
	}
	for e := f.recent.Front(); e != nil; e = e.Next() {
		l := e.Value.(*lane)
		u := User{
			ID: l.user, Told: l.told, Paused: TimeOf(l.paused), Served: l.served, Rejected: l.rejected, Replayed: l.replayed,
			Failed: l.failed, Seen: TimeOf(l.seen),
		}
		if l.calling > 0 {
			u.Calling = TimeOf(l.called)
		}
		n.Users = append(n.Users, u)
		for _, t := range l.tokens {
			n.Tokens = append(n.Tokens, Token{
				ID: t.id, User: t.user, Issued: TimeOf(t.met), Used: TimeOf(t.used), Uses: t.uses,
				Cut: TimeOf(t.cut), Mine: t.mine, Claims: t.claims, Record: t.record,
			})
		}
	}
	return n
}

// cut writes down at which moment each life has ended, so that the page can show until when a token
// was valid, and which tokens are valid again. When a token was revoked, Look may have said.
func (f *Feed) cut(tokens []Token, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range tokens {
		t := &tokens[i]
		kept, ok := f.tokens[t.ID]
		if !ok {
			continue
		}
		at := now
		switch t.State {
		case "revoked":
			if t.Cut > 0 {
				at = time.UnixMicro(int64(t.Cut * 1000))
			}
		case "expired":
			at = time.UnixMicro(int64(t.Ends * 1000))
			if at.Before(f.moved) {
				at = f.moved
			}
		default:
			kept.cut, t.Cut = time.Time{}, 0
			continue
		}
		if kept.cut.IsZero() {
			if at.Before(kept.met) || at.After(now) {
				at = now
			}
			kept.cut = at
		}
		t.Cut = TimeOf(kept.cut)
	}
}

// clockMoved notes that from now on ends lie elsewhere.
func (f *Feed) clockMoved() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.moved = time.Now()
}
