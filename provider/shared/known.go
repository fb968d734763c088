package shared

import (
	"github.com/stayauth/stayauth/provider/shared/internal/lease"
)

// saw keeps what is in the store, as this process has just read or written it. It belongs to
// the call that has the turn.
func (l *Login) saw(rec lease.Record, version uint64) {
	l.last, l.at = rec, version
	l.learn(rec, version, nil)
}

// learn keeps rec as the newest that this process knows, if it is, and reports whether it is. It is
// in the store at version, or unsaved says why it is not.
//
// What a login has replaced is not in its record. It is known from having been there, or if it comes
// back: at a smaller version it can't be newer. So a login or a logout that the store loses is not
// lost to those who saw it, whoever made it.
func (l *Login) learn(rec lease.Record, version uint64, unsaved error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.newest.Record
	switch {
	case was.Generation > 0 && was.Follows(rec):
		return false // the store is behind
	case unsaved == nil && version < l.newest.at && rec.Generation < was.Generation:
		l.newest.Base = rec.Login
		return false // the store is behind, by more than a login
	case unsaved != nil && was.Login != rec.Login && (was.Base == rec.Login || was.Base == rec.Base) && rec.Generation <= was.Generation:
		return false // a token that came after the logout, or after the next login
	}
	switch {
	case rec.Login == was.Login:
		rec.Base = was.Base
	case rec.Base == rec.Login: // as it comes from the store
		rec.Base = was.Login
	}
	if unsaved == nil {
		l.newest.at = version
	}
	l.newest.Record, l.newest.unsaved = rec.Unclaimed(), unsaved
	return true
}

// based returns rec with the login that its own has replaced, as far as learn knows by now.
func (l *Login) based(rec lease.Record) lease.Record {
	if newest, _ := l.current(); newest.Login == rec.Login {
		rec.Base = newest.Base
	}
	return rec
}

// current returns what learn kept.
func (l *Login) current() (rec lease.Record, unsaved error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.newest.Record, l.newest.unsaved
}
