package shared_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

// TestLoginsAndLogouts: three processes use a login, replace it and log out as they like, while
// operations of the store fail, hang, and are carried out without an answer. No refresh token is
// spent twice, and in the end the last word counts, for all.
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
			c := &changes{dice: diceOf(seed), backend: new(singleUse), store: new(storetest.Memory)}
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
	store *storetest.Memory

	mu      sync.Mutex // guards the fields below
	backend *singleUse
	fails   float64
	late    float64 // of the writes are answered up to 4 seconds later
	logins  int
	story   []string
}

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
		late := s.c.late
		s.c.mu.Unlock()
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
	delay := c.below(300 * time.Millisecond)
	var all []*shared.Login
	var wg sync.WaitGroup
	for _, name := range []string{"A", "B", "C"} {
		net := &network{Store: changing{c.store, c, name}, delay: delay}
		net.set(c.trouble)
		p := &shared.Login{Provider: &slowly{c}, Store: net, Key: "alice", WaitForLogin: true, Logger: new(journal).logger()}
		all = append(all, p)
		for range 1 + int(c.share()*2) {
			wg.Go(func() { c.use(p, name) })
		}
	}
	wg.Wait()

	c.mu.Lock()
	c.fails, c.late = 0, 0
	c.mu.Unlock()
	c.tell("from here on all is well")
	last := provider.NewToken("last", time.Time{}).WithRefreshToken("last-secret")
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
	if c.backend.reused != 0 {
		t.Error("a refresh token was spent twice")
	}
	time.Sleep(time.Hour) // for what goes on in the background
}

// use is one caller of a process.
func (c *changes) use(p *shared.Login, name string) {
	ctx := context.Background()
	var token provider.Token
	for range 25 {
		time.Sleep(c.below(6 * time.Second))
		switch x := c.share(); {
		case x < 0.1:
			c.mu.Lock()
			c.logins++
			next := provider.Token{}.WithRefreshToken(fmt.Sprintf("login-%d", c.logins))
			if c.logins%2 == 0 {
				next = provider.NewToken(fmt.Sprintf("given-%d", c.logins), time.Time{}).WithRefreshToken(next.RefreshToken())
			}
			c.mu.Unlock()
			c.tell("%s logs in with %s", name, next.RefreshToken())
			c.tell("%s has logged in: %v", name, p.Login(ctx, next))
		case x < 0.14:
			c.tell("%s logs out", name)
			c.tell("%s has logged out: %v", name, p.Forget(ctx))
		default:
			old := token
			if c.share() < 0.3 {
				old = provider.Token{}
			}
			ctx, cancel := context.WithTimeout(ctx, time.Second+c.below(30*time.Second))
			next, err := p.Token(ctx, old)
			cancel()
			c.tell("%s has %q in place of %q: %v", name, next.Value(), old.Value(), err)
			if err == nil {
				token = next
			}
		}
	}
}

// slowly is the backend, which takes up to 5 seconds and knows no one without a refresh token.
type slowly struct{ c *changes }

func (s slowly) Token(ctx context.Context, old provider.Token) (provider.Token, error) {
	if old.RefreshToken() == "" {
		return provider.Token{}, provider.Permanent(errors.New("backend: who is it?"))
	}
	token, err := s.c.backend.Token(ctx, old)
	s.c.tell("the backend takes %q: %q, %v", old.RefreshToken(), token.Value(), err)
	time.Sleep(s.c.below(5 * time.Second))
	return token, err
}
