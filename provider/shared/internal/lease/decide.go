package lease

import (
	"strings"
	"time"

	"github.com/stayauth/stayauth/provider"
)

// A Known is what a process knows by itself when it sees the record.
type Known struct {
	ID      string        // names the process; its claims are this, a slash and a number
	Lease   time.Duration // its own
	Newest  Record        // the newest that it has had to do with: read, written, or not yet saved
	Unsaved bool          // Newest is its own and never reached the store
	Sight   *Sight
	Since   uint64  // the attempts that had ended when its call began
	Was     *Record // the newest that it knew of then; nil: it has not looked
	Waits   bool    // it outlives a login that has ended
}

// A Verb is what a process does about the record.
type Verb int

// The verbs, with the state of the record that each answers.
const (
	Use   Verb = iota // hand the record's token over
	End               // the login is over: say so
	Share             // the attempt that this call waited for has failed: share its result
	Mend              // write Action.Record over it: it is behind, or robbed
	Note              // write Action.Record over it: the holder is quiet
	Claim             // claim the lease and ask the provider
	Wait              // look again within Action.Within
)

// An Action is what Decide decides.
type Action struct {
	Do     Verb
	Record Record        // for Mend and Note
	Within time.Duration // for Wait: when something is due if the record does not change; 0 if nothing is
}

// Decide says what a process does that sees r and wants another token than old. From the top, the
// first state that fits:
//
//	state      the record                                                    action
//	behind     is older than what this process knows                         Mend: write that back
//	usable     has a token that is not old, whatever the clock says, and     Use
//	           that was not rejected for good
//	ended      is that of a login that is over, for a process that had it    End
//	failed     tells of an attempt that failed during this call              Share, or End
//	unchanged  has a token that is old, and was brought during this call     Use
//	robbed     has lost writes less than a lease ago, maybe a claim, and     Mend: keep the place, as if another held it
//	           has none, or one that says nothing: this process's, or noted
//	free       has no claim                                                  Claim
//	own        has a claim that this process left behind                     Claim
//	abandoned  has a claim whose holder has missed all steps                 Claim
//	quiet      has a claim whose holder has missed the next step             Note
//	held       has a claim                                                   Wait
//
// A record that lacks only the rejection of its token is behind, too. But another who has claimed it
// may know better, and is left alone: the rejection is written where the claim is abandoned.
//
// Silence is counted in steps that are written into the record: the first after two fifths of the
// lease, when a holder that lives has missed a renewal, and then one for each fifth. So those who
// watch need not live as long as a lease; who notes a step has shown that the store takes writes,
// so that the holder's silence means something; and a holder that only could not be heard sees the
// note and answers it. Where the store itself can tell that the holder is dead the first note says
// three fifths: the rest is watched by a process, or the holder is told twice, because the store
// may have been away for everyone until now.
func Decide(r Record, known Known, old provider.Token, now time.Time) Action {
	own := r.ownedBy(known.ID)
	rejected := known.Newest.Rejects(r)
	switch {
	case known.Newest.Newer(r) && !(rejected && r.Holder != "" && !own): // behind
		return Action{Do: Mend, Record: known.mended(r)}
	case !r.Token.IsZero() && r.Token.Value() != old.Value() && !rejected: // usable
		return Action{Do: Use}
	case r.Ended() && (known.Waits || !old.IsZero()): // ended
		return Action{Do: End}
	case r.Attempts > known.Since && r.Failure != nil: // failed
		return Action{Do: Share}
	case r.Attempts > known.Since && r.Ended(): // failed, for good
		return Action{Do: End}
	case known.Was != nil && r.Newer(*known.Was) && !r.Token.IsZero(): // unchanged
		return Action{Do: Use}
	case (own || r.Holder == "" || r.Silent > 0) && known.Sight.Lost(now, known.Lease): // robbed
		return Action{Do: Mend, Record: r.Claimed(Lost, known.Sight.grace(known.Lease), false)}
	case own, r.Holder == "":
		return Action{Do: Claim}
	}
	do := watch(r, known.Sight)
	if do.Do == Claim && rejected {
		return Action{Do: Mend, Record: known.mended(r)}
	}
	return do
}

// watch decides about a record that another process has claimed.
func watch(r Record, s *Sight) Action {
	fifth := r.Lease / 5
	silence := s.silence(r)
	noted := r
	told := r.Silent >= 4*fifth
	aged := s.aged && s.locked != Taken // that the holder lives says more
	switch {
	case told && (silence >= r.Lease || aged): // abandoned
		return Action{Do: Claim}
	case r.Silent < 3*fifth && (aged || s.locked == Free): // quiet, and the store knows why
		noted.Silent = 3 * fifth
	case !told && aged: // told once more
		noted.Silent = 4 * fifth
	case silence >= nextStep(r): // one step, however long no process could write
		noted.Silent = nextStep(r)
	default: // held
		left := nextStep(r) - silence
		if s.locked == Taken {
			left *= patience
		}
		return Action{Do: Wait, Within: left}
	}
	return Action{Do: Note, Record: noted}
}

// nextStep is the silence that is noted next, or at which the lease is over.
func nextStep(r Record) time.Duration {
	fifth := r.Lease / 5
	switch {
	case r.Silent >= 4*fifth:
		return r.Lease
	case r.Silent < 2*fifth:
		return 2 * fifth
	}
	return r.Silent + fifth
}

// mended is what this process writes over r, which is behind.
func (k Known) mended(r Record) Record {
	next := k.Newest.Unclaimed()
	next.Attempts, next.Failure = max(next.Attempts, r.Attempts), nil
	if next.Ended() {
		return next
	}
	next.Attempts = max(next.Attempts, r.Attempts+1)
	if !k.Unsaved {
		// The store has lost writes. Another's claim may be among them: it gets the time to write
		// it again.
		next = next.Claimed(Lost, k.Sight.grace(k.Lease), false)
	}
	return next
}

// A Fate is what has become of a claim.
type Fate int

// What can become of a claim.
const (
	Held      Fate = iota // it is there, or was and is not lost to anyone: its holder writes it again
	TakenOver             // another has the place, or it is not the same login any more
)

// Fate says what has become of the claim c, which was last seen at version over, where found is now
// at version.
//
// Held includes a claim that others have noted as quiet, one for whose holder the place is kept,
// and one that the store has lost: a smaller version can't hold anything that came after it, nor
// can a record in which fewer attempts have ended, or an earlier claim of the same process. And
// where there is no claim and no attempt has ended since, none but this one's call can be under
// way.
func (c Record) Fate(over uint64, found Record, version uint64) Fate {
	switch {
	case found.Holder == c.Holder && found.Login == c.Login && found.Generation == c.Generation:
		return Held
	case found.Ended() && !c.Ended() && !c.Newer(found):
		return TakenOver
	case version < over, found.Holder == Lost, found.Attempts < c.Attempts, c.later(found),
		found.Holder == "" && found.Attempts == c.Attempts:
		if found.Generation == c.Generation && found.Login == c.Login || c.Newer(found) {
			return Held
		}
	}
	return TakenOver
}

// later reports whether c is a claim of the same process as the one in found, and a later one.
func (c Record) later(found Record) bool {
	id, _, _ := strings.Cut(c.Holder, "/")
	n := found.claimOf(id)
	return n > 0 && n < c.claimOf(id)
}
