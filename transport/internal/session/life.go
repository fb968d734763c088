package session

import (
	"time"

	"github.com/stayauth/stayauth/provider"
)

// A View is what requests go out under. It never changes, so it may be used without asking anybody.
type View struct {
	Token      provider.Token
	Header     []string // the value of the Authorization header, shared by all requests
	Until      Instant  // when to ask the Session again; zero: no need to
	Refreshing bool     // the token is about to end, and the next one is under way
}

// A life is a token and what is known of it.
type life struct {
	view    *View      // the token; nil: there was none yet
	live    bool       // it was not rejected
	why     *Rejection // why it was, as far as that was known when the rejection came; or nil
	arrived Instant    // when it was received, the last time
	expiry  Instant    // when it ends by this machine's clocks; zero: unknown, it is used until it is rejected
	early   Instant    // when to refresh before that; zero: not, or not again
	asked   int        // early refreshes begun
	near    bool       // it seemed to be near its end when it was received
}

const (
	// An end that is nearer than this on arrival is not believed. Where the token does not say how
	// long it was meant to live, a wrong clock can look like any short life, and a refresh a second
	// is the most that believing it may cost.
	minLife        = 50 * time.Millisecond
	minLifeGuessed = time.Second

	// A longer life is as good as one without an end, and would overflow a Duration.
	maxLife = 200 * 365 * 24 * time.Hour

	maxEarlyWindow = time.Hour // however long the token lives

	// An early refresh that brings nothing is tried again. The last try is made as shortly before
	// the end as this: sources that cache tokens return the old one until its last minutes or, as
	// x/oauth2's ReuseTokenSource, its last ten seconds. In pauses shorter than this there are two
	// tries at most.
	maxEarlyTries = 6
	lastMoment    = 5 * time.Second
)

// receive begins the life of a token that took call to get.
func (l *life) receive(now Instant, tok provider.Token, call time.Duration, jitter func(time.Duration) time.Duration) {
	doubtful := l.near
	*l = life{live: true, arrived: now}
	if left, ok := l.believed(now, tok, doubtful); ok {
		window := max(min(left/5, maxEarlyWindow), 2*call)
		window = min(left/2, window+jitter(window/4))
		l.expiry = now.Add(left)
		l.early = now.Add(left - window)
	}
	l.show(tok, false)
}

// believed returns how long tok has left to live from its arrival, unless that is unknown or can't
// be true.
func (l *life) believed(now Instant, tok provider.Token, doubtful bool) (left time.Duration, ok bool) {
	if tok.Expiry().IsZero() {
		return 0, false
	}
	left = tok.Expiry().Sub(now.Wall)
	whole, least := tok.Lifetime(), minLife
	if whole <= 0 {
		whole, least = left, minLifeGuessed
	}
	if left < least || left > maxLife {
		// Expired on arrival: far more often this machine's clock is ahead than that a provider
		// returns dead tokens. Believing the clock would mean a refresh for every request, so it is
		// the API that decides.
		return 0, false
	}
	if left < whole/10 {
		// A token out of a store may well be near its end. The next one may not, or it is the clock
		// that is wrong.
		l.near = true
		return left, !doubtful
	}
	// A clock that is behind shows a longer life than the token ever had. Life counts from its
	// arrival, not from its minting.
	return min(left, whole), true
}

// show makes the view of the life as it is.
func (l *life) show(tok provider.Token, refreshing bool) {
	until := l.early
	if until.IsZero() {
		until = l.expiry
	}
	l.view = &View{Token: tok, Header: []string{"Bearer " + tok.Value()}, Until: until, Refreshing: refreshing}
}

// valid reports whether there is a token that is neither rejected nor known to have expired.
func (l *life) valid(now Instant) bool { return l.live && !l.expired(now) }

func (l *life) expired(now Instant) bool { return !l.expiry.IsZero() && now.Reached(l.expiry) }

// ending reports whether the token is about to end and an early refresh may be begun.
func (l *life) ending(now Instant) bool { return !l.early.IsZero() && now.Reached(l.early) }

// askingEarly is the time of an early refresh, in which requests need not look at the clock for
// another.
func (l *life) askingEarly() {
	l.asked++
	l.early = Instant{}
	l.show(l.view.Token, true)
}

// askNoMore ends early refreshes for the rest of the life.
func (l *life) askNoMore() {
	l.early = Instant{}
	if l.view != nil {
		l.show(l.view.Token, false)
	}
}

// askAgain is what an early refresh leaves that brought nothing: the next is due after half of the
// life that is left, the last of them shortly before its end, and none before notBefore. tok is the
// token with what may be new about it.
func (l *life) askAgain(now Instant, tok provider.Token, notBefore Instant) {
	l.early = Instant{}
	left := now.Until(l.expiry)
	pause := left / 2
	if l.asked == maxEarlyTries-1 {
		pause = max(pause, left-lastMoment)
	}
	if !l.expiry.IsZero() && (l.asked < 2 || l.asked < maxEarlyTries && pause >= lastMoment) {
		if early := now.later(now.Add(pause), notBefore); early.Until(l.expiry) > 0 {
			l.early = early
		}
	}
	l.show(tok, false)
}

// putOff moves an early refresh that is due to until, if the token lives that long.
func (l *life) putOff(until Instant) {
	l.early = Instant{}
	if until.Until(l.expiry) > 0 {
		l.early = until
	}
	l.show(l.view.Token, false)
}

// prolongedBy reports whether tok, which has the same value as the live token, brings it a longer
// life. An end that wobbles, as one does that is counted from each answer in whole seconds, does
// not.
func (l *life) prolongedBy(now Instant, tok provider.Token) bool {
	if l.expiry.IsZero() || tok.Expiry().IsZero() {
		return tok.Expiry().IsZero() != l.view.Token.Expiry().IsZero()
	}
	return tok.Expiry().Sub(l.view.Token.Expiry()) > max(time.Second, now.Until(l.expiry)/2)
}

// reject ends the life.
func (l *life) reject(why *Rejection) {
	l.live, l.why, l.early = false, why, Instant{}
}
