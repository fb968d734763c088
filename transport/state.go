package transport

import (
	"math/rand/v2"
	"time"

	"github.com/stayauth/stayauth/provider"
)

// A state is what requests go out under: the current token and what is known of it. States are never changed, only replaced
// (by the Transport's methods, under its lock), so whoever has loaded one may use it without asking anybody.
//
// Times of the token's life are wall-clock times: the monotonic clock stops while a machine is suspended, and tokens don't.
type state struct {
	token  provider.Token
	header []string // the Authorization header's value, shared by all requests

	live    bool      // there is a token, and it was not rejected
	arrived time.Time // when the token was last received
	expiry  time.Time // when the token ends by this machine's clock; zero: unknown, it is used until it is rejected
	early   time.Time // when to refresh before that; zero: never, or not again
	asked   int       // early refreshes begun in this token's life
	asking  bool      // one of them is under way
	check   time.Time // fresh has nothing to look at before this: the sooner of early and expiry; zero: never

	why *rejection // why it is not live: what was known of the response when it came, or nil

	ended *RefreshError // the session is over, for this reason
}

const (
	maxEarlyRefreshes = 2         // in the life of one token
	maxEarlyWindow    = time.Hour // however long the token lives

	// An end that is nearer than this on arrival is not believed. Where nobody says how long the token was meant to live, a
	// wrong clock can look like any short life, and a refresh a second is the most that believing it may cost.
	minLife        = 50 * time.Millisecond
	minLifeGuessed = time.Second
)

// received returns the state for a token that has just arrived. lastCall is how long it took to get it.
func received(tok provider.Token, now time.Time, lastCall time.Duration) *state {
	s := &state{token: tok, header: []string{"Bearer " + tok.Value()}, live: true, arrived: now}
	if tok.Expiry().IsZero() {
		return s
	}
	wall := now.Round(0)
	left := tok.Expiry().Sub(wall)
	whole, least := tok.Lifetime(), minLife
	if whole <= 0 {
		whole, least = left, minLifeGuessed
	}
	if left < least || left < whole/10 {
		// Expired on arrival, or nearly so: far more often this machine's clock is ahead than that a provider hands out dead
		// tokens. Believing the clock would mean a refresh for every request, so it is the API that decides.
		return s
	}
	// A clock that is behind shows a longer life than the token ever had. Life counts from now, not from its minting.
	life := min(left, whole)
	window := max(min(life/5, maxEarlyWindow), 2*lastCall)
	window = min(life/2, window+rand.N(window/4+1))
	s.expiry = wall.Add(life)
	s.early = s.expiry.Add(-window)
	s.check = s.early
	return s
}

// fresh reports whether a request may go out under s with nothing else to think of. It is all that stands between a request
// under a live token and the network.
func (s *state) fresh() bool {
	return s != nil && s.live && (s.check.IsZero() || time.Now().Before(s.check))
}

// usable reports whether s has a token that is neither rejected nor known to have expired.
func (s *state) usable(now time.Time) bool {
	return s != nil && s.live && (s.expiry.IsZero() || now.Before(s.expiry))
}

// earlyDue reports whether the token is about to end and an early refresh may be begun.
func (s *state) earlyDue(now time.Time) bool {
	return !s.early.IsZero() && !now.Before(s.early)
}

// askingEarly returns s for the time of an early refresh, in which requests need not look at the clock for another.
func (s *state) askingEarly() *state {
	n := *s.askNoMore()
	n.asked++
	n.asking = true
	return &n
}

// askNoMore returns s for the rest of its life, without any early refresh.
func (s *state) askNoMore() *state {
	n := *s
	n.asking = false
	n.early, n.check = time.Time{}, s.expiry
	return &n
}

// askAgain returns s after an early refresh that brought nothing: the next is due after half of the life that is left, and
// not before notBefore.
func (s *state) askAgain(now, notBefore time.Time) *state {
	n := s.askNoMore()
	if s.expiry.IsZero() || s.asked >= maxEarlyRefreshes {
		return n
	}
	wall := now.Round(0)
	early := wall.Add(s.expiry.Sub(wall) / 2)
	if notBefore = notBefore.Round(0); early.Before(notBefore) {
		early = notBefore
	}
	if early.Before(n.expiry) {
		n.early, n.check = early, early
	}
	return n
}

// prolongedBy reports whether tok, which has the same value as the live token of s, brings it a longer life. An end that
// wobbles, as one does that is counted from each answer in whole seconds, does not.
func (s *state) prolongedBy(tok provider.Token, now time.Time) bool {
	if s.expiry.IsZero() || tok.Expiry().IsZero() {
		return tok.Expiry().IsZero() != s.token.Expiry().IsZero()
	}
	return tok.Expiry().Sub(s.token.Expiry()) > max(time.Second, s.expiry.Sub(now.Round(0))/2)
}

// rejected returns s without its life.
func (s *state) rejected(why *rejection) *state {
	n := *s
	n.why = why
	n.live, n.asking, n.early, n.check = false, false, time.Time{}, time.Time{}
	return &n
}

// pauses is how long after a rejected token's arrival the provider may be asked again, by the number of strikes.
var pauses = [...]time.Duration{0, 0, 250 * time.Millisecond, time.Second, 4 * time.Second, 16 * time.Second, 30 * time.Second}

// patience is the number of strikes through which requests wait for the next token; after more they go out under the last.
const patience = 3

func pauseAfter(strikes int) time.Duration { return pauses[min(strikes, len(pauses)-1)] }
