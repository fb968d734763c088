package lease

import (
	"strconv"
	"strings"
	"time"

	"github.com/stayauth/stayauth/provider"
)

// A Record is what the processes that share a login know about it. Its secrets sit in a Token, so
// that it shows none when it is printed. The zero Record is what a store without one stands
// for.
type Record struct {
	Login      string // names one login: made anew at each login, kept through its refreshes
	Epoch      uint64 // grows with each login and logout under the key: see NextEpoch
	Generation uint64 // counts the tokens, logins and logouts under the key

	Token     provider.Token
	Spent     provider.Token // what Token was got for, or what the backend rejected; known in memory only, to who did it
	Dead      string         // why the backend rejected the login for good; "" if it did not
	Forgotten bool           // logged out: the tombstone

	Attempts uint64   // counts the attempts that have ended, however they did
	Failure  *Failure // how the last one failed; nil if it brought a token or a permanent rejection

	Holder string        // the claim of the process that works on the next token: its process, a slash and a number; "" for none
	Lease  time.Duration // how long the holder may be silent
	Silent time.Duration // how much of it others have noted
	Locked bool          // the holder has the store's lock, too, for as long as it lives
}

// A Failure is how an attempt failed that may be made again.
type Failure struct {
	Reason     string
	RetryAfter time.Duration // 0 if there was none
	NoRetry    bool
}

// Lost is the Holder of a place that is kept for a holder whose claim the store may have lost.
const Lost = "lost"

// Empty reports whether there is nothing to refresh with.
func (r Record) Empty() bool { return r.Token.IsZero() && r.Token.RefreshToken() == "" }

// Ended reports whether the login is over: rejected for good, or forgotten.
func (r Record) Ended() bool { return r.Forgotten || r.Dead != "" }

// Why says how the login ended.
func (r Record) Why() string {
	switch {
	case r.Forgotten && r.Dead != "":
		return "it was logged out, and a new session was rejected: " + r.Dead
	case r.Forgotten:
		return "it was logged out"
	}
	return r.Dead
}

// NextEpoch returns the epoch of a login or a logout that is made now, by a process that knows of
// the records before it: one more than theirs. The clock, in microseconds, counts where a store has
// lost them, for those who still know them: it is wrong seldom enough, and nothing else is left.
func NextEpoch(now time.Time, before ...Record) uint64 {
	next := uint64(max(0, now.UnixMicro()))
	for _, r := range before {
		next = max(next, r.Epoch+1)
	}
	return next
}

// Newer reports whether r came after s and may take its place, no matter which process holds the
// lease in s and also if s was marked dead: r is of a later login, or of a logout, or r's token came
// from the backend while s holds the refresh token that was spent on it. Of two that are as new
// neither is newer, and the one in the store stays there.
func (r Record) Newer(s Record) bool {
	switch {
	case (r.Generation == 0) != (s.Generation == 0): // there was no login yet, or the store lost it
		return r.Generation > 0
	case r.Epoch != s.Epoch:
		return r.Epoch > s.Epoch
	case r.Generation != s.Generation:
		return r.Generation > s.Generation
	}
	return r.Rejects(s)
}

// Rejects reports whether r is s, marked dead. Its token has to be the same, if it has one: where the
// store has lost a token another may have its generation.
func (r Record) Rejects(s Record) bool {
	return r.Login == s.Login && r.Epoch == s.Epoch && r.Generation == s.Generation && r.Dead != "" && s.Dead == "" &&
		(s.Empty() || r.HasSpent(s))
}

// HasSpent reports whether r came of asking with the token of s, by what this process knows, and is
// not the same token again.
func (r Record) HasSpent(s Record) bool {
	return same(r.Spent, s.Token) && (r.Token.IsZero() || !same(r.Spent, r.Token))
}

func same(a, b provider.Token) bool {
	return a.Value() == b.Value() && a.RefreshToken() == b.RefreshToken()
}

// AtStake reports whether something is lost with r: the next refresh token, or that one is spent.
func (r Record) AtStake() bool {
	return r.Token.RefreshToken() != "" || r.Dead != "" && r.Spent.RefreshToken() != ""
}

// Same reports whether r and s hold the very same token of the same login, or the same end of it.
func (r Record) Same(s Record) bool {
	return r.Login == s.Login && r.Generation == s.Generation && r.Forgotten == s.Forgotten && r.Dead == s.Dead && r.Token.Equal(s.Token)
}

// Claimed returns r with a claim in it.
func (r Record) Claimed(holder string, lease time.Duration, locked bool) Record {
	r.Holder, r.Lease, r.Silent, r.Locked = holder, lease, 0, locked
	return r
}

// Rejected returns r as it is after cause, for good, was the answer to given: r's token, or the
// caller's where r has none. The secrets go: the backend takes them no more.
func (r Record) Rejected(given provider.Token, cause error) Record {
	return Record{
		Login: r.Login, Epoch: r.Epoch, Generation: r.Generation, Spent: given, Dead: Reason(cause), Forgotten: r.Forgotten,
		Attempts: r.Attempts + 1,
	}
}

// ownedBy reports whether the claim in r is one of the process that id names.
func (r Record) ownedBy(id string) bool { return r.claimOf(id) > 0 }

// claimOf returns the number of the claim in r if it is one of the process that id names, or 0.
func (r Record) claimOf(id string) uint64 {
	number, _ := strings.CutPrefix(r.Holder, id+"/")
	n, _ := strconv.ParseUint(number, 10, 64)
	return n
}

// Unclaimed returns r without a claim.
func (r Record) Unclaimed() Record { return r.Claimed("", 0, false) }
