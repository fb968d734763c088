package main

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
)

func TestSessionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memorySessions{life: sessionLife}
		secret := func(userID string) string {
			s, _, err := m.start(t.Context(), userID)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		first := secret("alice")
		time.Sleep(sessionLife - time.Nanosecond)
		if got, err := m.owner(t.Context(), first); got != "alice" || err != nil {
			t.Errorf("just before its end the session is that of %q, %v, want alice", got, err)
		}
		second := secret("bob")
		time.Sleep(time.Nanosecond)
		if got, err := m.owner(t.Context(), first); got != "" || !errors.Is(err, provider.ErrDenied) {
			t.Errorf("at its end the session is that of %q, %v, want nobody", got, err)
		}
		third := secret("carol")
		if n := len(m.open); n != 2 {
			t.Errorf("%d sessions are remembered, want 2: the first has ended", n)
		}
		if second == third || len(third) < 26 {
			t.Errorf("secrets of %d characters, want some that nobody can guess", len(third))
		}
	})
}

func TestSessionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memorySessions{life: sessionLife}
		bob, _, _ := m.start(t.Context(), "bob")
		var alice []string
		for range maxSessions + 3 {
			time.Sleep(time.Second)
			s, _, _ := m.start(t.Context(), "alice")
			alice = append(alice, s)
		}
		for i, s := range alice {
			if _, err := m.owner(t.Context(), s); (err != nil) != (i < 3) {
				t.Errorf("alice's session %d: %v, want only the oldest 3 to have ended", i, err)
			}
		}
		if _, err := m.owner(t.Context(), bob); err != nil {
			t.Errorf("bob's session: %v", err)
		}
	})
}
