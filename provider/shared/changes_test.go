package shared_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
)

// TestLoginsAndLogouts: three processes use a login, replace it and log out as they like, while
// operations of the store fail, hang, and are carried out without an answer. A process that knows of
// a login or a logout gets no token from a login that was there before, at any time, and in the end
// the last word counts, for all. No refresh token is spent twice.
//
// In some of the schedules there are no refresh tokens, in some the Provider logs in by itself, and in
// some the store loses writes. Then what only it knew may be lost, but no process's knowledge is.
//
// STAYAUTH_MODEL=n runs n schedules, and others each time; STAYAUTH_SEED=n runs one.
func TestLoginsAndLogouts(t *testing.T) {
	schedules, first := 300, uint64(1)
	if raceEnabled {
		schedules = 30 // which take as long
	}
	if n, err := strconv.Atoi(os.Getenv("STAYAUTH_MODEL")); err == nil {
		schedules, first = n, rand.Uint64()>>1
	}
	if seed, err := strconv.ParseUint(os.Getenv("STAYAUTH_SEED"), 10, 64); err == nil {
		schedules, first = 1, seed
	}
	for seed := first; seed < first+uint64(schedules) && !t.Failed(); seed++ {
		synctest.Test(t, func(t *testing.T) {
			c := &changes{dice: diceOf(seed), backend: new(singleUse), store: new(forgetful), words: make(map[string]word)}
			c.run(t)
			if t.Failed() {
				t.Logf("STAYAUTH_SEED=%d tells this story:\n%s", seed, strings.Join(c.story, "\n"))
			}
		})
	}
}

// changes is one schedule.
type changes struct {
	*dice
	store   *forgetful
	bare    bool // there are no refresh tokens
	own     bool // the Provider logs in by itself
	faulty  bool // operations fail
	backend *singleUse

	mu      sync.Mutex // guards the fields below
	fails   float64
	late    float64 // of the writes are answered up to 4 seconds later
	forgets float64 // of the writes are the last before the store loses up to three
	logins  int
	words   map[string]word // the logins, by the names that their tokens begin with
	logouts []word
	story   []string
}

// A word is a login or a logout that has succeeded, and when.
type word struct{ from, to time.Duration }

func (c *changes) tell(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.story = append(c.story, fmt.Sprintf("%12v  ", time.Since(begin))+fmt.Sprintf(format, args...))
}

// trouble draws what becomes of an operation.
func (c *changes) trouble(string) (bool, error) {
	c.mu.Lock()
	fails := c.fails
	c.mu.Unlock()
	switch x := c.share(); {
	case x < fails:
		return x < fails/2, errLost
	case x < 2*fails:
		return false, errHang
	}
	return true, nil
}

// A changing store is one process's, which tells of what it writes.
type changing struct {
	shared.Store
	c    *changes
	name string
}

func (s changing) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	next, err := s.Store.CompareAndSwap(ctx, key, record, version)
	if err == nil {
		s.c.tell("%s writes version %d: %s", s.name, next, record)
		s.c.mu.Lock()
		late, forgets := s.c.late, s.c.forgets
		s.c.mu.Unlock()
		if s.c.share() < forgets {
			n := 1 + int(s.c.share()*3)
			s.c.store.forget(n)
			s.c.tell("the store loses %d writes", n)
		}
		if s.c.share() < late {
			select {
			case <-time.After(s.c.below(4 * time.Second)):
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
	}
	return next, err
}

func (c *changes) run(t *testing.T) {
	c.fails = []float64{0, 0.03, 0.1}[int(c.share()*3)]
	if c.share() < 0.5 {
		c.late = 0.1
	}
	c.bare = c.share() < 0.3
	c.own = c.share() < 0.4
	c.faulty = c.fails > 0
	if c.share() < 0.5 {
		c.forgets = 0.05
	}
	loses := c.forgets > 0
	delay := c.below(300 * time.Millisecond)
	var all []*shared.Login
	var wg sync.WaitGroup
	for _, name := range []string{"A", "B", "C"} {
		net := &network{Store: changing{c.store, c, name}, delay: delay}
		net.set(c.trouble)
		m := &member{
			Login: &shared.Login{Provider: &slowly{c}, Store: net, Key: "alice", WaitForLogin: !c.own, Logger: new(journal).logger()},
			c:     c, name: name,
		}
		all = append(all, m.Login)
		for range 1 + int(c.share()*2) {
			wg.Go(func() { m.use(t) })
		}
	}
	wg.Wait()

	c.mu.Lock()
	c.fails, c.late, c.forgets = 0, 0, 0
	c.mu.Unlock()
	c.tell("from here on all is well")
	last := bare("last").WithRefreshToken("last-secret")
	if err := all[0].Login(t.Context(), last); err != nil {
		t.Errorf("Login: %v", err)
	}
	for _, p := range all {
		if err := p.Wait(t.Context()); err != nil {
			t.Errorf("Wait: %v", err)
		}
		wantToken(t, p, provider.Token{}, "last")
	}
	if err := all[1].Forget(t.Context()); err != nil {
		t.Errorf("Forget: %v", err)
	}
	for _, p := range all {
		if token, err := p.Token(t.Context(), last); !errors.Is(err, shared.ErrEnded) {
			t.Errorf("Token after the logout = %q, %v; want ErrEnded", token.Value(), err)
		}
	}
	if c.backend.reused != 0 && !loses {
		t.Error("a refresh token was spent twice")
	}
	time.Sleep(time.Hour) // for what goes on in the background
}

// A member is one process, which has some callers.
type member struct {
	*shared.Login
	c    *changes
	name string

	mu     sync.Mutex // guards latest
	latest time.Duration
}

// knows takes in that the process knows of a word that was begun then, and returns when the latest
// was that it knows of.
func (m *member) knows(from time.Duration) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.latest = max(m.latest, from)
	return m.latest
}

// says logs in or out, and takes in that it did.
func (m *member) says(name string, do func() error) {
	from := time.Since(begin)
	m.c.tell("%s: %s", m.name, name)
	err := do()
	m.c.tell("%s: %s, %v", m.name, name, err)
	if err != nil {
		return
	}
	m.c.mu.Lock()
	w := word{from, time.Since(begin)}
	if m.c.words[name] = w; name == "logout" {
		m.c.logouts = append(m.c.logouts, w)
	}
	m.c.mu.Unlock()
	m.knows(from)
}

// use is one caller.
func (m *member) use(t *testing.T) {
	c, ctx := m.c, context.Background()
	var token provider.Token
	for range 25 {
		time.Sleep(c.below(6 * time.Second))
		switch x := c.share(); {
		case x < 0.1:
			c.mu.Lock()
			c.logins++
			name := fmt.Sprintf("login-%d", c.logins)
			next := provider.Token{}.WithRefreshToken(name)
			if c.bare {
				next = bare(name)
			} else if c.logins%2 == 0 {
				next = bare(name + "/given").WithRefreshToken(name)
			}
			c.mu.Unlock()
			m.says(name, func() error { return m.Login.Login(ctx, next) })
		case x < 0.14:
			m.says("logout", func() error { return m.Forget(ctx) })
		default:
			old := token
			if c.share() < 0.3 {
				old = provider.Token{}
			}
			known := m.knows(0)
			ctx, cancel := context.WithTimeout(ctx, time.Second+c.below(30*time.Second))
			next, err := m.Token(ctx, old)
			cancel()
			c.tell("%s has %q in place of %q: %v", m.name, next.Value(), old.Value(), err)
			if err != nil {
				continue
			}
			token = next
			c.mu.Lock()
			of, ok := c.words[origin(next)]
			void := strings.HasPrefix(origin(next), "own-") && c.forgets == 0 && slices.ContainsFunc(c.logouts, func(w word) bool {
				return ok && of.from < w.from && w.to < of.to
			})
			c.mu.Unlock()
			if void {
				t.Errorf("%s got %q, and there was a logout while the Provider logged in", m.name, next.Value())
			}
			if ok && of.to < known {
				t.Errorf("%s got %q of a login from before %v, when the login or logout began that it knew of", m.name, next.Value(), known)
			}
			if ok {
				m.knows(of.from)
			}
		}
	}
}

// origin returns the name of the login that t comes from.
func origin(t provider.Token) string {
	name, _, _ := strings.Cut(cmp.Or(t.RefreshToken(), t.Value()), "/")
	return name
}

// slowly is the backend, which takes up to 5 seconds and knows no one without a token.
type slowly struct{ c *changes }

func (s slowly) Token(ctx context.Context, old provider.Token) (provider.Token, error) {
	began := time.Since(begin)
	begins := s.c.bare && old.IsZero() || !s.c.bare && old.RefreshToken() == ""
	if begins && !s.c.own {
		return provider.Token{}, provider.Permanent(errors.New("backend: who is it?"))
	}
	if begins {
		s.c.mu.Lock()
		s.c.logins++
		name := fmt.Sprintf("own-%d", s.c.logins)
		s.c.mu.Unlock()
		old = bare(name).WithRefreshToken(name)
	}
	token, err := s.c.backend.Token(ctx, old)
	s.c.tell("the backend takes %q: %q, %v", origin(old), token.Value(), err)
	time.Sleep(s.c.below(5 * time.Second))
	if err != nil {
		return token, err
	}
	if begins && !s.c.faulty { // else it may be alone, and give way to any other
		s.c.mu.Lock()
		s.c.words[origin(old)] = word{began, time.Since(begin)}
		s.c.mu.Unlock()
	}
	next := bare(origin(old) + "/" + token.Value())
	if !s.c.bare {
		next = next.WithRefreshToken(origin(old) + "/" + token.RefreshToken())
	}
	return next, nil
}
