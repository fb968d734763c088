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

// learn keeps rec as the newest that this process knows, unless it knows a newer one, and reports
// whether it does. It is in the store, or unsaved says why it is not.
//
// So a login or a logout that the store loses is not lost to those who saw it, whoever made it, and
// a token that comes after one is void.
func (l *Login) learn(rec lease.Record, unsaved error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.newest.Newer(rec) {
		return false
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
