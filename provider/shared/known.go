package shared

import (
	"github.com/stayauth/stayauth/provider/shared/internal/lease"
)

// saw keeps what is in the store, as this process has just read or written it. It belongs to
// the call that has the turn.
func (l *Login) saw(rec lease.Record, version uint64) {
	l.last, l.at = rec, version
	l.learn(rec, nil)
}

// learn keeps rec as the newest that this process knows, if it is, and reports whether it is.
// unsaved says why it is not in the store.
func (l *Login) learn(rec lease.Record, unsaved error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.newest.Record
	switch {
	case was.Generation > 0 && was.Follows(rec):
		return false // the store is behind
	case was.Base == rec.Login && was.Login != rec.Login && rec.Generation <= was.Generation:
		return false // a token that came after the logout, or after the next login
	}
	if unsaved == nil && rec.Login == was.Login {
		rec.Base = was.Base
	}
	l.newest.Record, l.newest.unsaved = rec.Unclaimed(), unsaved
	return true
}

// current returns what learn kept.
func (l *Login) current() (rec lease.Record, unsaved error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.newest.Record, l.newest.unsaved
}
