package lease_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared/internal/lease"
)

const length = 15 * time.Second // of the leases here

func token(value string) provider.Token {
	return provider.NewToken(value, time.Time{}).WithRefreshToken("of " + value)
}

// second is the record of the second token of a login.
func second() lease.Record {
	return lease.Record{Login: "L", Epoch: 7, Generation: 2, Attempts: 2, Token: token("two")}
}

// TestDecide is the table in the documentation of Decide, row by row, and the order of the rows.
func TestDecide(t *testing.T) {
	third := second()
	third.Generation, third.Token = 3, token("three")
	dead := second().Rejected(second().Token, errors.New("revoked"))
	logout := lease.Record{Login: "M", Epoch: 8, Generation: 1, Attempts: 3, Forgotten: true}
	refreshed := lease.Record{Login: "L", Epoch: 7, Generation: 9, Attempts: 9, Token: token("nine")}
	failed := second()
	failed.Attempts, failed.Failure = 3, &lease.Failure{Reason: "503"}
	expired := second()
	expired.Token = provider.NewToken("two", time.Unix(1, 0))
	held := func(silent time.Duration) lease.Record {
		r := second().Claimed("other/1", length, true)
		r.Silent = silent
		return r
	}

	for _, test := range []struct {
		name    string
		record  lease.Record
		old     provider.Token
		known   lease.Known
		watched time.Duration
		lost    bool // the store has lost writes
		aged    bool // the store says that the claim is old
		blind   bool // and could not be reached a moment ago
		lock    lease.Lock
		want    lease.Verb
		holder  string // of what is to be written
		silent  time.Duration
		within  time.Duration
	}{
		{name: "behind", record: second(), old: token("two"), known: lease.Known{Newest: third}, want: lease.Mend, holder: lease.Lost},
		{name: "behind, and would be usable", record: second(), known: lease.Known{Newest: third}, want: lease.Mend, holder: lease.Lost},
		{name: "behind an answer that could not be saved", record: held(0), old: token("two"), known: lease.Known{Newest: third, Unsaved: true}, want: lease.Mend},
		{name: "behind a logout", record: second(), old: token("two"), known: lease.Known{Newest: logout}, want: lease.Mend},
		{name: "behind a logout, refreshed by one who does not know of it", record: refreshed, old: token("two"), known: lease.Known{Newest: logout}, want: lease.Mend},
		{name: "behind its end", record: second(), old: token("two"), known: lease.Known{Newest: dead}, want: lease.Mend},
		{name: "behind its end, and another works on it", record: held(0), old: token("two"), known: lease.Known{Newest: dead}, want: lease.Wait, within: 6 * time.Second},
		{name: "behind its end, and abandoned", record: held(12 * time.Second), old: token("two"), known: lease.Known{Newest: dead}, watched: 3 * time.Second, want: lease.Mend},
		{name: "behind its end, and robbed", record: second(), old: token("two"), known: lease.Known{Newest: dead}, lost: true, want: lease.Mend},
		{name: "behind its end, and has an own claim", record: second().Claimed("me/1", length, false), old: token("two"), known: lease.Known{Newest: dead}, want: lease.Mend},
		{name: "the whole record is lost", old: token("two"), known: lease.Known{Newest: second()}, want: lease.Mend, holder: lease.Lost},
		{name: "a later login than what it knows", record: second(), old: token("one"), known: lease.Known{Newest: lease.Record{Login: "K", Epoch: 6, Generation: 9, Token: token("one")}}, want: lease.Use},
		{name: "as new as an answer that could not be saved", record: second(), old: token("own"), known: lease.Known{Newest: lease.Record{Login: "L", Epoch: 7, Generation: 2, Token: token("own")}, Unsaved: true}, want: lease.Use},

		{name: "usable", record: second(), old: token("one"), want: lease.Use},
		{name: "usable, for a new session", record: second(), want: lease.Use},
		{name: "usable, while another works on the next", record: held(0), old: token("one"), want: lease.Use},
		{name: "usable, though the clock says no", record: expired, old: token("one"), want: lease.Use},

		{name: "ended", record: dead, old: token("two"), want: lease.End},
		{name: "logged out", record: logout, old: token("two"), want: lease.End},
		{name: "ended, for one who waits", record: dead, known: lease.Known{Waits: true}, want: lease.End},
		{name: "ended before a new session", record: dead, known: lease.Known{Since: 3}, want: lease.Claim},
		{name: "ended while a new session waited", record: dead, known: lease.Known{Since: 2}, want: lease.End},

		{name: "failed", record: failed, old: token("two"), known: lease.Known{Since: 2}, want: lease.Share},
		{name: "failed before", record: failed, old: token("two"), known: lease.Known{Since: 3}, want: lease.Claim},

		{name: "unchanged", record: second(), old: token("two"), known: lease.Known{Was: &lease.Record{Login: "L", Epoch: 7, Generation: 1}}, want: lease.Use},
		{name: "unchanged before", record: second(), old: token("two"), known: lease.Known{Was: new(second())}, want: lease.Claim},
		{name: "a first login without a token", record: lease.Record{Login: "M", Generation: 2, Token: provider.Token{}.WithRefreshToken("secret")}, known: lease.Known{Was: new(lease.Record{})}, want: lease.Claim},

		{name: "robbed", record: second(), old: token("two"), lost: true, want: lease.Mend, holder: lease.Lost},
		{name: "robbed, and an old claim came back", record: second().Claimed("me/1", length, false), old: token("two"), lost: true, want: lease.Mend, holder: lease.Lost},
		{name: "robbed, and an old note came back", record: held(6 * time.Second), old: token("two"), lost: true, want: lease.Mend, holder: lease.Lost},
		{name: "robbed, but another has claimed it", record: held(0), old: token("two"), lost: true, want: lease.Wait, within: 6 * time.Second},

		{name: "free", record: second(), old: token("two"), want: lease.Claim},
		{name: "no login", want: lease.Claim},
		{name: "own", record: second().Claimed("me/1", length, false), old: token("two"), want: lease.Claim},
		{name: "another's, whose name begins alike", record: second().Claimed("me2/1", length, false), old: token("two"), want: lease.Wait, within: 6 * time.Second},

		{name: "held", record: held(0), old: token("two"), watched: 5 * time.Second, want: lease.Wait, within: time.Second},
		{name: "quiet", record: held(0), old: token("two"), watched: 6 * time.Second, want: lease.Note, holder: "other/1", silent: 6 * time.Second},
		{name: "quiet, watched for long", record: held(0), old: token("two"), watched: 14 * time.Second, want: lease.Note, holder: "other/1", silent: 6 * time.Second},
		{name: "noted", record: held(6 * time.Second), old: token("two"), watched: 2 * time.Second, want: lease.Wait, within: time.Second},
		{name: "quiet still", record: held(6 * time.Second), old: token("two"), watched: 3 * time.Second, want: lease.Note, holder: "other/1", silent: 9 * time.Second},
		{name: "the last step", record: held(12 * time.Second), old: token("two"), watched: 2 * time.Second, want: lease.Wait, within: time.Second},
		{name: "abandoned", record: held(12 * time.Second), old: token("two"), watched: 3 * time.Second, want: lease.Claim},
		{name: "quiet for a whole lease, and no process could note it", record: held(0), old: token("two"), watched: 15 * time.Second, want: lease.Note, holder: "other/1", silent: 6 * time.Second},

		{name: "old", record: held(0), old: token("two"), aged: true, want: lease.Note, holder: "other/1", silent: 9 * time.Second},
		{name: "old, and told once", record: held(9 * time.Second), old: token("two"), aged: true, want: lease.Note, holder: "other/1", silent: 12 * time.Second},
		{name: "old, but the store was away", record: held(0), old: token("two"), aged: true, blind: true, want: lease.Wait, within: 6 * time.Second},
		{name: "old, and told", record: held(12 * time.Second), old: token("two"), aged: true, want: lease.Claim},
		{name: "old, but the holder is suspended", record: held(0), old: token("two"), aged: true, lock: lease.Taken, want: lease.Wait, within: 30 * time.Second},
		{name: "old, told, but the holder is suspended", record: held(12 * time.Second), old: token("two"), aged: true, lock: lease.Taken, want: lease.Wait, within: 15 * time.Second},
		{name: "the holder is dead", record: held(0), old: token("two"), lock: lease.Free, want: lease.Note, holder: "other/1", silent: 9 * time.Second},
		{name: "the holder is dead, and told", record: held(9 * time.Second), old: token("two"), lock: lease.Free, want: lease.Wait, within: 3 * time.Second},
		{name: "the holder is suspended", record: held(0), old: token("two"), lock: lease.Taken, watched: 15 * time.Second, want: lease.Wait, within: 15 * time.Second},
		{name: "the holder is suspended for long", record: held(12 * time.Second), old: token("two"), lock: lease.Taken, watched: 15 * time.Second, want: lease.Claim},
	} {
		t.Run(test.name, func(t *testing.T) {
			now := time.Unix(0, 0)
			sight := new(lease.Sight)
			if test.lost {
				sight.Look(test.record, 9, "me", now)
			}
			sight.Look(test.record, 8, "me", now)
			for left := test.watched; left > 0; left -= time.Second {
				now = now.Add(time.Second)
				sight.Look(test.record, 8, "me", now)
			}
			if test.blind {
				sight.Blind(now.Add(1-length), length)
			}
			if test.aged {
				sight.Age(test.record, length, now)
			}
			sight.Lock(test.record, test.lock)
			known := test.known
			known.ID, known.Lease, known.Sight = "me", length, sight
			got := lease.Decide(test.record, known, test.old, now)
			if got.Do != test.want || got.Record.Holder != test.holder || got.Record.Silent != test.silent || got.Within != test.within {
				t.Errorf("Decide: verb %d, holder %q, silent %v, within %v; want %d, %q, %v, %v",
					got.Do, got.Record.Holder, got.Record.Silent, got.Within, test.want, test.holder, test.silent, test.within)
			}
			if got.Do == lease.Mend && got.Record.Token.IsZero() != test.known.Newest.Ended() {
				t.Error("what is written back is not what this process knows")
			}
		})
	}
}

// TestSight is about what counts as watched.
func TestSight(t *testing.T) {
	r := second().Claimed("other/1", length, false)
	silent := func(s *lease.Sight, now time.Time) time.Duration {
		a := lease.Decide(r, lease.Known{ID: "me", Lease: length, Sight: s}, token("two"), now)
		return 6*time.Second - a.Within
	}
	for _, test := range []struct {
		name  string
		looks []time.Duration // after the first
		want  time.Duration
	}{
		{"nothing at first", nil, 0},
		{"look by look", []time.Duration{time.Second, 2 * time.Second, 2500 * time.Millisecond}, 2500 * time.Millisecond},
		{"an hour without a look is no hour of silence", []time.Duration{time.Second, time.Hour, time.Hour + time.Second}, 3500 * time.Millisecond},
	} {
		now, s := time.Unix(0, 0), new(lease.Sight)
		s.Look(r, 5, "me", now)
		for _, at := range test.looks {
			now = time.Unix(0, 0).Add(at)
			s.Look(r, 5, "me", now)
		}
		if got := silent(s, now); got != test.want {
			t.Errorf("%s: watched for %v; want %v", test.name, got, test.want)
		}
		s.Look(r, 6, "me", now)
		if got := silent(s, now); got != 0 {
			t.Errorf("%s: watched for %v at a new version; want 0", test.name, got)
		}
	}

	s := new(lease.Sight)
	s.Look(r, 5, "me", time.Unix(0, 0))
	s.Look(r, 5, "me", time.Unix(1, 0))
	s.Doubt(time.Unix(1, 0), 15*time.Second)
	if got := silent(s, time.Unix(1, 0)); got != 0 {
		t.Errorf("after a write that failed it was watched for %v; want 0", got)
	}

	// What was lost a lease ago is no news.
	free := second()
	s.Look(free, 3, "me", time.Unix(20, 0))
	for after, want := range map[time.Duration]lease.Verb{0: lease.Mend, length - 1: lease.Mend, length: lease.Claim} {
		if a := lease.Decide(free, lease.Known{ID: "me", Lease: length, Sight: s}, token("two"), time.Unix(20, 0).Add(after)); a.Do != want {
			t.Errorf("%v after the loss: verb %d; want %d", after, a.Do, want)
		}
	}
}

// TestFate is what a holder makes of a record that is not as it left it.
func TestFate(t *testing.T) {
	claim := second().Claimed("me/2", length, false)
	earlier := second().Claimed("me/1", length, false)
	before := second().Claimed("other/1", length, false)
	before.Attempts, before.Silent = 1, 9*time.Second
	noted := claim
	noted.Silent = 6 * time.Second
	first := lease.Record{Login: "L", Epoch: 7, Generation: 1, Token: token("one")}
	third := second()
	third.Generation = 3
	for _, test := range []struct {
		name    string
		found   lease.Record
		version uint64 // the claim was at 10
		want    lease.Fate
	}{
		{"as it was, renewed", claim, 11, lease.Held},
		{"noted", noted, 11, lease.Held},
		{"the claim is lost", second(), 9, lease.Held},
		{"all is lost", lease.Record{}, 0, lease.Held},
		{"the token is lost, too", first, 5, lease.Held},
		{"lost, and its place is kept", second().Claimed(lease.Lost, length, false), 11, lease.Held},
		{"lost with the token, and its place is kept", first.Claimed(lease.Lost, length, false), 11, lease.Held},
		{"an older claim came back", first.Claimed("other/1", length, false), 5, lease.Held},
		{"taken over", second().Claimed("other/1", length, false), 11, lease.TakenOver},
		{"given back by one who took over and did not ask", second(), 11, lease.Held},
		{"answered", third, 12, lease.TakenOver},
		{"answered in a store that has lost the claim", third, 9, lease.TakenOver},
		{"another login", lease.Record{Login: "M", Epoch: 8, Generation: 3}, 11, lease.TakenOver},
		{"another login in an emptied store", lease.Record{Login: "M", Epoch: 8, Generation: 1}, 9, lease.TakenOver},
		{"a logout", lease.Record{Login: "M", Epoch: 8, Generation: 3, Forgotten: true}, 11, lease.TakenOver},
		{"marked dead", lease.Record{Login: "L", Epoch: 7, Generation: 2, Dead: "revoked"}, 9, lease.TakenOver},
		{"the login before came back, and had been refreshed more often", lease.Record{Login: "K", Epoch: 6, Generation: 9}, 5, lease.Held},
		{"an earlier claim of its own came back, and was noted", earlier, 11, lease.Held},
		{"a record of an earlier attempt came back, and was noted", before, 11, lease.Held},
	} {
		if got := claim.Fate(10, test.found, test.version); got != test.want {
			t.Errorf("%s: %d; want %d", test.name, got, test.want)
		}
	}
	ended := lease.Record{Login: "K", Epoch: 6, Generation: 1, Dead: "revoked"}
	if got := claim.Fate(10, ended, 5); got != lease.Held {
		t.Errorf("the login before came back, which had ended: %d; want Held", got)
	}
	none := lease.Record{}.Claimed("me/1", length, false) // a first login
	if got := none.Fate(10, lease.Record{}, 0); got != lease.Held {
		t.Errorf("the claim of a first login is lost: %d; want held", got)
	}
}

// TestCameBack: a record that came back, and was written over since, says that the store has lost
// writes: once.
func TestCameBack(t *testing.T) {
	noted := second().Claimed("other/1", length, false)
	noted.Silent = 9 * time.Second
	released := second()
	released.Attempts++
	own := second().Claimed("me/1", length, false)
	own.Silent = 9 * time.Second
	for _, test := range []struct {
		name   string
		before func(*lease.Sight, time.Time)
		sees   lease.Record
		want   lease.Verb
	}{
		{"fewer attempts have ended", func(s *lease.Sight, now time.Time) { s.Look(released, 10, "me", now) }, noted, lease.Mend},
		{"as many have", func(s *lease.Sight, now time.Time) { s.Look(second(), 10, "me", now) }, noted, lease.Wait},
		{"fewer, of another login", func(s *lease.Sight, now time.Time) {
			other := released
			other.Login = "M"
			s.Look(other, 10, "me", now)
		}, noted, lease.Wait},
		{"its own claim, which it gave back", func(s *lease.Sight, now time.Time) { s.Wrote(second(), 10, "me", 1, now) }, own, lease.Mend},
		{"its own claim, which it made anew", func(s *lease.Sight, now time.Time) {
			s.Wrote(second().Claimed("me/2", length, false), 10, "me", 2, now)
		}, own, lease.Mend},
		{"its own claim, which it could not give back", func(s *lease.Sight, now time.Time) { s.Wrote(own, 10, "me", 1, now) }, own, lease.Claim},
	} {
		now, s := time.Unix(0, 0), new(lease.Sight)
		test.before(s, now)
		for version, after := range map[uint64]time.Duration{14: 0, 15: length} {
			s := *s
			s.Look(test.sees, 14, "me", now)
			s.Look(test.sees, version, "me", now.Add(after))
			want := test.want
			if want == lease.Mend && after == length {
				want = lease.Wait // what was lost a lease ago is no news
				if test.sees.Holder == own.Holder {
					want = lease.Claim
				}
			}
			got := lease.Decide(test.sees, lease.Known{ID: "me", Lease: length, Sight: &s}, token("two"), now.Add(after))
			if got.Do != want || want == lease.Mend && got.Record.Holder != lease.Lost {
				t.Errorf("%s, %v later: verb %d, holder %q; want verb %d", test.name, after, got.Do, got.Record.Holder, want)
			}
		}
	}
}

// TestLossIsRemembered: a process that has seen a loss and then gives its own claim back still
// leaves the next step to the one whose claim may be lost.
func TestLossIsRemembered(t *testing.T) {
	now, s := time.Unix(0, 0), new(lease.Sight)
	claim := second().Claimed("me/1", length, false)
	s.Look(claim, 12, "me", now)
	s.Look(claim, 10, "me", now) // the store went back
	released := second()
	released.Attempts++
	s.Wrote(released, 14, "me", 1, now)
	if a := lease.Decide(released, lease.Known{ID: "me", Lease: length, Sight: s, Since: 3}, token("two"), now); a.Do != lease.Mend || a.Record.Holder != lease.Lost {
		t.Errorf("Decide: verb %d, holder %q; want the place to be kept", a.Do, a.Record.Holder)
	}
}

// TestLossOutlastsAnOutage: the time in which nobody could reach the store gives no holder a chance
// to write its claim again.
func TestLossOutlastsAnOutage(t *testing.T) {
	at := func(d time.Duration) time.Time { return time.Unix(0, 0).Add(d) }
	free := second()
	decide := func(s *lease.Sight, now time.Time) lease.Verb {
		return lease.Decide(free, lease.Known{ID: "me", Lease: length, Sight: s}, token("two"), now).Do
	}
	for _, test := range []struct {
		name  string
		blind time.Duration // after the loss
		looks time.Duration
		want  lease.Verb
	}{
		{"an outage that begins before the lease is over", length - 1, 4 * length, lease.Mend},
		{"one that begins afterwards", length, length + 1, lease.Claim},
	} {
		s := new(lease.Sight)
		s.Look(free, 12, "me", at(0))
		s.Look(free, 10, "me", at(0)) // the store went back
		s.Blind(at(test.blind), length)
		if lost := s.Lost(at(test.looks), length); lost != (test.want == lease.Mend) {
			t.Errorf("%s: while it lasts, Lost is %t", test.name, lost)
		}
		s.Look(free, 10, "me", at(test.looks))
		if do := decide(s, at(test.looks+length-1)); do != test.want {
			t.Errorf("%s: verb %d; want %d", test.name, do, test.want)
		}
		if do := decide(s, at(test.looks+length)); do != lease.Claim {
			t.Errorf("%s, a lease later: verb %d; want a claim", test.name, do)
		}
	}
}
