package lease

import "time"

// A Sight is what one process has seen of the record, look by look. It outlives the calls that
// look, so that short ones, one after the other, see as much as a long one.
type Sight struct {
	version uint64
	last    time.Time     // of the last look
	watched time.Duration // for how long it has been seen at version
	lostAt  time.Time     // when the store was last seen to have lost writes, or could be reached again after that; zero: never
	blindAt time.Time     // when it last could not be reached, or written; zero: never
	blind   bool          // and since then it has not been reached
	mark    mark          // what tells a record that came back from a new one
	claim   time.Duration // the lease of the last claim of another process, which may be the one that is lost

	// What the store itself says about the holder, where it can.
	aged   bool // the record is older than what is left of the lease
	locked Lock
}

// A mark is what can't come back in a record unless the store has lost writes. A smaller version
// says so, too, but only until a process writes over what came back.
type mark struct {
	login      string
	generation uint64
	attempts   uint64 // that had ended under that login and generation
	gone       uint64 // the claims of this process up to this one were replaced
}

// older reports whether r was in the store before what left the mark.
func (m mark) older(r Record, id string) bool {
	if n := r.claimOf(id); n > 0 && n <= m.gone {
		return true
	}
	return r.Login == m.login && r.Generation == m.generation && r.Attempts < m.attempts
}

// A Lock is what is known of a store's lock.
type Lock int

// The zero Lock says that nothing is known.
const (
	Unknown Lock = iota
	Taken        // a process has it: the holder lives, and may be suspended
	Free         // no process has it
)

// Look takes in that the process that id names sees r at version now. The time since the last look
// counts as watched, but no more of it than a tenth of the lease: a process that was suspended, or
// that could not reach the store, has not watched.
func (s *Sight) Look(r Record, version uint64, id string, now time.Time) {
	s.regain(now)
	gone := s.mark.gone
	switch {
	case version < s.version: // versions grow
		s.lostAt = now
	case s.mark.older(r, id):
		s.lostAt, gone = now, 0 // which is news once
	case version > s.version && r.Holder != "" && r.Silent == 0 && !r.ownedBy(id) && (r.Holder != Lost || r.Lease >= s.claim):
		s.lostAt = time.Time{} // the holder has written it again, or its place is kept
	}
	switch {
	case r.Holder == "" || r.ownedBy(id):
	case s.lostAt.IsZero():
		s.claim = r.Lease
	default: // this may be an older one
		s.claim = max(s.claim, r.Lease)
	}
	if version != s.version || s.last.IsZero() {
		*s = Sight{version: version, lostAt: s.lostAt, blindAt: s.blindAt, claim: s.claim}
	} else {
		s.watched += min(now.Sub(s.last), r.Lease/10)
	}
	s.last, s.mark = now, mark{r.Login, r.Generation, r.Attempts, gone}
}

// Wrote takes in that the process that id names has written r as version now. It has made so many
// claims so far.
func (s *Sight) Wrote(r Record, version uint64, id string, claims uint64, now time.Time) {
	s.regain(now)
	var lostAt time.Time
	if r.Holder == "" && r.Login == s.mark.login && r.Generation == s.mark.generation {
		lostAt = s.lostAt // what was lost may be a claim of this token, and nothing keeps its place
	}
	*s = Sight{version: version, last: now, lostAt: lostAt, blindAt: s.blindAt, claim: s.claim, mark: mark{r.Login, r.Generation, r.Attempts, claims}}
	if n := r.claimOf(id); n > 0 {
		s.mark.gone = n - 1
	}
}

// Blind takes in that the store could not be reached, or not be written. The holder may not have
// been able to either.
func (s *Sight) Blind(now time.Time, lease time.Duration) {
	if !s.Lost(now, lease) {
		s.lostAt = time.Time{} // that was over before
	}
	s.blindAt, s.blind, s.aged = now, true, false
}

// regain takes in that the store can be reached now. If it has lost a claim, the holder's time to
// write that again begins only now.
func (s *Sight) regain(now time.Time) {
	if s.blind && !s.lostAt.IsZero() {
		s.lostAt = now
	}
	s.blind = false
}

// Doubt takes in that this process could not take over, because it could not write: what it has
// watched proves nothing.
func (s *Sight) Doubt(now time.Time, lease time.Duration) {
	s.Blind(now, lease)
	s.watched = 0
}

// Age takes in how long the record has been there by the store's own clock. That counts the time,
// too, in which no process could reach the store; so it proves nothing to a process that has met
// such a time less than a lease ago.
func (s *Sight) Age(r Record, age time.Duration, now time.Time) {
	blind := !s.blindAt.IsZero() && now.Sub(s.blindAt) < r.Lease
	s.aged = !blind && r.Silent+age >= r.Lease
}

// Lock takes in how the store's lock stands. It means something if the holder has taken it.
func (s *Sight) Lock(r Record, l Lock) {
	s.locked = Unknown
	if r.Locked {
		s.locked = l
	}
}

// Lost reports whether the store has lost writes less than a lease ago, not counting the time in
// which it could not be reached: a claim may be among them, of which its holder does not know yet.
func (s *Sight) Lost(now time.Time, lease time.Duration) bool {
	return !s.lostAt.IsZero() && (s.blind || now.Sub(s.lostAt) < s.grace(lease))
}

// grace is how long the place of a claim that may be lost is kept by a process with the given lease:
// for the holder's, where that is longer.
func (s *Sight) grace(lease time.Duration) time.Duration { return max(lease, s.claim) }

// patience is how much longer than its lease a holder that has the store's lock may be silent: it
// is alive and may be suspended, but no process waits for ever.
const patience = 5

// silence returns for how long the holder has been silent, as far as this process can count it.
func (s *Sight) silence(r Record) time.Duration {
	if s.locked == Taken {
		return r.Silent + s.watched/patience
	}
	return r.Silent + s.watched
}
