package storetest_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "12"); err != nil { // stores that are far away, or hang, leave the processor to others
		panic(err)
	}
	m.Run()
}

// rightStores keep all promises, and must pass however slow they and the machine are.
var rightStores = []struct {
	name string
	open func() func(*testing.T) shared.Store
}{
	{"in memory", sharing(func(m *storetest.Memory) shared.Store { return m })},
	{"far away", sharing(func(m *storetest.Memory) shared.Store {
		return delayed{m, func() time.Duration { return 12 * time.Millisecond }}
	})},
	{"on a shaky network", sharing(func(m *storetest.Memory) shared.Store {
		return delayed{m, func() time.Duration { return rand.N(4 * time.Millisecond) }}
	})},
	{"one at a time, which takes long", sharing(func(m *storetest.Memory) shared.Store {
		return &patient{delayed{m, func() time.Duration { return 2 * time.Millisecond }}, make(chan struct{}, 1)}
	})},
	{"watched, aging and locked", sharing(func(m *storetest.Memory) shared.Store {
		return extras{m, watching{Memory: m}, aging{Memory: m}, &trying{}}
	})},
	{"versions by the clock", sharing(func(m *storetest.Memory) shared.Store {
		start := uint64(time.Now().UnixNano())
		return &numbered{Memory: m, number: func(n uint64) uint64 { return start + n*1000 }}
	})},
	{"versions that pass 2^63", sharing(func(m *storetest.Memory) shared.Store {
		return &numbered{Memory: m, number: func(n uint64) uint64 { return 1<<63 - 5 + n }} // which pass 2^63 as they should
	})},
}

func TestRightStores(t *testing.T) {
	for _, r := range rightStores {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, r.open())
		})
	}
}

func TestMemoryAfterLoss(t *testing.T) {
	var m storetest.Memory
	storetest.RunLoss(t, func(*testing.T) shared.Store { return &m }, func(*testing.T) { m.Lose() })
}

// delayed takes its time, half of it before the operation and half after it, and leaves when its
// context is done.
type delayed struct {
	shared.Store
	by func() time.Duration
}

func (s delayed) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	if err := wait(ctx, s.by()/2); err != nil {
		return nil, 0, err
	}
	record, version, err := s.Store.Load(ctx, key)
	if err := wait(ctx, s.by()/2); err != nil {
		return nil, 0, err
	}
	return record, version, err
}

func (s delayed) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	if err := wait(ctx, s.by()/2); err != nil {
		return 0, err
	}
	next, err := s.Store.CompareAndSwap(ctx, key, record, version)
	if err := wait(ctx, s.by()/2); err != nil {
		return 0, err
	}
	return next, err
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// patient lets writes take turns.
type patient struct {
	shared.Store
	turn chan struct{}
}

func (s *patient) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	defer func() { <-s.turn }()
	return s.Store.CompareAndSwap(ctx, key, record, version)
}

// numbered gives each write a number of its own making, from its count.
type numbered struct {
	*storetest.Memory
	number func(n uint64) uint64
	same   func(a, b uint64) bool // compares versions; nil: ==

	mu    sync.Mutex // guards the fields below, and is held for a whole operation
	count map[string]uint64
	seen  map[string]uint64
}

func (s *numbered) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	record, _, err := s.Memory.Load(ctx, key)
	return record, s.seen[key], err
}

func (s *numbered) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, inner, err := s.Memory.Load(ctx, key)
	if err != nil {
		return 0, err
	}
	if s.seen[key] != version && (s.same == nil || !s.same(s.seen[key], version)) {
		return 0, shared.ErrConflict
	}
	if _, err := s.Memory.CompareAndSwap(ctx, key, record, inner); err != nil {
		return 0, err
	}
	if s.seen == nil {
		s.seen, s.count = make(map[string]uint64), make(map[string]uint64)
	}
	s.count[""]++ // of all keys
	s.count[key]++
	s.seen[key] = s.number(s.count[""])
	return s.seen[key], nil
}

func ExampleMemory() {
	login := &shared.Login{
		Provider: provider.Func(func(context.Context) (string, error) { return "a token", nil }),
		Store:    new(storetest.Memory),
		Key:      "alice",
	}
	token, err := login.Token(context.Background(), provider.Token{})
	fmt.Println(token.Value(), err)
	// Output: a token <nil>
}
