package storetest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

// apart reads twice, and is overtaken between.
type apart struct{ *storetest.Memory }

func (s apart) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	record, _, err := s.Memory.Load(ctx, key)
	if err != nil {
		return nil, 0, err
	}
	_, version, err := s.Memory.Load(ctx, key)
	if record == nil {
		version = 0
	}
	return record, version, err
}

// unlocked checks and then writes, with nothing between but its own next instruction.
type unlocked struct{ *storetest.Memory }

func (s unlocked) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if ahead(ctx, s.Memory, key) != version {
		return 0, shared.ErrConflict
	}
	for {
		next, err := s.Memory.CompareAndSwap(ctx, key, record, ahead(ctx, s.Memory, key))
		if !errors.Is(err, shared.ErrConflict) {
			return next, err
		}
	}
}

// signed takes what is not positive for no version.
type signed struct{ *numbered }

func (s signed) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	record, version, err := s.numbered.Load(ctx, key)
	if int64(version) <= 0 {
		return nil, 0, err
	}
	return record, version, err
}

// noUnsigned is like a database whose numbers have a sign.
type noUnsigned struct{ *storetest.Memory }

func (s noUnsigned) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	if version >= 1<<63 {
		return 0, errors.New("uint64 values with high bit set are not supported")
	}
	return s.Memory.CompareAndSwap(ctx, key, record, version)
}

// perKey counts the writes of each key.
type perKey struct {
	*storetest.Memory
	mu     sync.Mutex // guards counts, and is held for a whole operation
	counts map[string]uint64
}

func (s *perKey) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	record, _, err := s.Memory.Load(ctx, key)
	return record, s.counts[key], err
}

func (s *perKey) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts[key] != version {
		return 0, shared.ErrConflict
	}
	if _, err := s.Memory.CompareAndSwap(ctx, key, record, ahead(ctx, s.Memory, key)); err != nil {
		return 0, err
	}
	if s.counts == nil {
		s.counts = make(map[string]uint64)
	}
	s.counts[key]++
	return s.counts[key], nil
}

// forgetful loses its counter with its records.
type forgetful struct{ numbered }

func (s *forgetful) lose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Memory.Lose()
	s.count, s.seen = nil, nil
}

// talkative says in its errors what they are about.
type talkative struct {
	*storetest.Memory
	says func(there, given []byte) string
}

func (s talkative) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	next, err := s.Memory.CompareAndSwap(ctx, key, record, version)
	if err != nil {
		there, _, _ := s.Memory.Load(context.WithoutCancel(ctx), key)
		err = fmt.Errorf("%w: %s", err, s.says(there, record))
	}
	return next, err
}

// hanging does nothing while another does something.
type hanging struct {
	*storetest.Memory
	mu     sync.Mutex // guards inside; held for a moment
	inside int
}

func (s *hanging) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	s.inside++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.inside--
		s.mu.Unlock()
	}()
	for alone := false; !alone; {
		time.Sleep(time.Millisecond)
		s.mu.Lock()
		alone = s.inside == 1
		s.mu.Unlock()
	}
	return s.Memory.CompareAndSwap(ctx, key, record, version)
}

// locking writes for 4 ms under a lock.
type locking struct {
	*storetest.Memory
	mu sync.Mutex // held for a whole operation
}

func (s *locking) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	time.Sleep(4 * time.Millisecond)
	return s.Memory.CompareAndSwap(ctx, key, record, version)
}

// deafFor takes so long to load and to write, whatever its context.
type deafFor struct {
	*storetest.Memory
	load, write time.Duration
}

func (s deafFor) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	time.Sleep(s.load)
	return s.Memory.Load(ctx, key)
}

func (s deafFor) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	time.Sleep(s.write)
	return s.Memory.CompareAndSwap(ctx, key, record, version)
}
