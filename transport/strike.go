package transport

import "github.com/stayauth/stayauth/provider"

// strike notes that the API refused tok. The refused token itself is the witness of what has to be replaced: late says that
// it has been already. Strikes is the count after this refusal, 0 once the session is over.
func (t *Transport) strike(tok provider.Token) (late bool, strikes int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.state.Load()
	switch {
	case t.closed || s == nil || s.ended != nil:
		return false, 0
	case s.token.Value() != tok.Value():
		return true, t.strikes
	case s.live:
		t.strikes++
		t.state.Store(s.rejected())
	}
	return false, t.strikes
}

// accepted notes that a replay under s was accepted, which clears its token of all suspicion. A first sending proves nothing:
// an endpoint that answers 401 to everybody would be absolved by every other one, and cost a refresh for each of its
// requests.
func (t *Transport) accepted(s *state) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := t.state.Load(); now != nil && now.live && now.token.Value() == s.token.Value() {
		t.strikes = 0
	}
}

func (t *Transport) isClosed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}
