package shared

import (
	"time"

	"github.com/stayauth/stayauth/provider"
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
	was := &l.newest
	switch {
	case was.Newer(rec):
		return false
	case was.unsaved != nil && unsaved == nil && !rec.Empty() && !was.Ended() && was.HasSpent(rec):
		// What was there once more has been spent meanwhile: a login that was made with the same
		// token, say.
		was.Epoch = lease.NextEpoch(time.Time{}, was.Record, rec)
		return false
	case rec.Dead != "" && rec.Spent.Equal(provider.Token{}) && was.Login == rec.Login && was.Generation == rec.Generation:
		rec.Spent = was.Spent // of the same rejection, or one of the same token
		if was.Dead == "" {
			rec.Spent = was.Token
		}
	}
	was.Record, was.unsaved = rec.Unclaimed(), unsaved
	return true
}

// dropOwn drops a token of this process's own: what is in the store counts again, as it was seen last.
// It belongs to the call that has the turn.
func (l *Login) dropOwn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.newest.Record, l.newest.unsaved = l.last.Unclaimed(), nil
}

// current returns what learn kept.
func (l *Login) current() (rec lease.Record, unsaved error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.newest.Record, l.newest.unsaved
}
