package storetest_test

import (
	"context"
	"sync"
	"time"

	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

// extras is a Store that implements all that a Store may.
type extras struct {
	*storetest.Memory
	shared.Watcher
	shared.Ager
	shared.Locker
}

// watching looks every millisecond.
type watching struct {
	*storetest.Memory
	blind bool // sees nothing
	deaf  bool // to its context
}

func (s watching) Watch(ctx context.Context, key string, version uint64) error {
	for {
		_, found, err := s.Load(context.WithoutCancel(ctx), key)
		if err != nil || found != version && !s.blind {
			return err
		}
		select {
		case <-ctx.Done():
			if !s.deaf {
				return ctx.Err()
			}
			time.Sleep(time.Millisecond)
		case <-time.After(time.Millisecond):
		}
	}
}

// aging can't tell how old a record is, which is 0, and adds what it is off by.
type aging struct {
	*storetest.Memory
	off time.Duration
}

func (s aging) Age(ctx context.Context, key string, version uint64) (time.Duration, error) {
	if _, found, err := s.Load(ctx, key); err != nil || found != version {
		return 0, err
	}
	return s.off, nil
}

type anyVersion struct{}

func (anyVersion) Age(context.Context, string, uint64) (time.Duration, error) {
	return time.Microsecond, nil
}

// trying has one lock for each key.
type trying struct {
	open     bool // lets everyone in
	careless bool // unlocks it for any owner
	coarse   bool // all keys are one

	mu     sync.Mutex // guards the fields below; held for a moment
	last   int
	holder map[string]int
}

func (s *trying) TryLock(_ context.Context, key string) (unlock func(), ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.coarse {
		key = ""
	}
	if s.holder[key] != 0 && !s.open {
		return nil, false, nil
	}
	if s.holder == nil {
		s.holder = make(map[string]int)
	}
	s.last++
	me := s.last
	s.holder[key] = me
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.holder[key] == me || s.careless {
			delete(s.holder, key)
		}
	}, true, nil
}
