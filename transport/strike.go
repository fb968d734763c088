package transport

import (
	"log/slog"
	"time"

	"github.com/stayauth/stayauth/provider"
)

// A strike is what a rejection came to.
type strike struct {
	late    bool          // the token had been replaced already
	counted bool          // it was the first rejection of the current token
	strikes int           // in a row, with this one
	pause   time.Duration // how long until the provider may be asked
}

// strike notes that the API rejected tok, and why as far as that is known. The rejected token itself is the witness of what has
// to be replaced.
func (t *Transport) strike(tok provider.Token, why *rejection) strike {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.state.Load()
	switch {
	case t.closed || s == nil || s.ended != nil:
		return strike{}
	case s.token.Value() != tok.Value():
		return strike{late: true, strikes: t.strikes}
	case !s.live:
		return strike{strikes: t.strikes}
	}
	t.strikes++
	s = s.rejected(why)
	t.state.Store(s)
	return strike{counted: true, strikes: t.strikes, pause: time.Until(t.due(s))}
}

// accepted notes that a replay under s was accepted, which clears its token of all suspicion. A first sending proves nothing:
// an endpoint that answers 401 to everybody would be absolved by every other one, and cost a refresh for each of its
// requests.
func (t *Transport) accepted(s *state) {
	t.mu.Lock()
	was := t.strikes
	now := t.state.Load()
	current := now != nil && now.live && now.token.Value() == s.token.Value()
	if current {
		t.strikes = 0
	}
	t.mu.Unlock()
	if current && was > patience {
		t.log(slog.LevelInfo, "tokens are accepted again", "strikes", was)
	}
}

func (t *Transport) isClosed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}
