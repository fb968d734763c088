package session

// Ready0 returns the view that Ready would, and forgets nothing: a test wants to look before it
// acts.
func (s *Session) Ready0() *View {
	if s.live && !s.closed && !s.ended {
		return s.view
	}
	return nil
}

// End returns when the token at hand ends by what was believed on its arrival.
func (s *Session) End() Instant { return s.expiry }
