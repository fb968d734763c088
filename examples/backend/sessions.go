package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/stayauth/stayauth/provider"
)

// maxSessions is how many sessions a user may have. The next login ends the oldest, so that a
// program that logs in over and over can't fill the memory.
const maxSessions = 100

// memorySessions keeps sessions in memory, by the hash of their secret: the time that a look-up
// takes then tells nothing about the secrets, and they are not in a core dump.
//
// A session ends a fixed time after its login, however much it is used, so that a stolen one ends
// as well.
type memorySessions struct {
	life time.Duration // never changed

	mu   sync.Mutex // guards the field below
	open map[[sha256.Size]byte]memorySession
}

type memorySession struct {
	userID string
	ends   time.Time
}

func (m *memorySessions) start(_ context.Context, userID string) (string, time.Duration, error) {
	secret := rand.Text()
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.makeRoom(userID, now)
	if m.open == nil {
		m.open = make(map[[sha256.Size]byte]memorySession)
	}
	m.open[sha256.Sum256([]byte(secret))] = memorySession{userID, now.Add(m.life)}
	return secret, m.life, nil
}

// makeRoom forgets the sessions that have ended, and the user's oldest if there are too many. mu is
// held.
func (m *memorySessions) makeRoom(userID string, now time.Time) {
	var oldest [sha256.Size]byte
	n := 0
	for hash, s := range m.open {
		switch {
		case !now.Before(s.ends):
			delete(m.open, hash)
		case s.userID == userID:
			if n++; n == 1 || s.ends.Before(m.open[oldest].ends) {
				oldest = hash
			}
		}
	}
	if n >= maxSessions {
		delete(m.open, oldest)
	}
}

func (m *memorySessions) owner(_ context.Context, secret string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.open[sha256.Sum256([]byte(secret))]
	if !ok || !time.Now().Before(s.ends) {
		return "", provider.ErrDenied
	}
	return s.userID, nil
}

func (m *memorySessions) end(_ context.Context, secret string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.open, sha256.Sum256([]byte(secret)))
	return nil
}
