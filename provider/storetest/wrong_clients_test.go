package storetest_test

import (
	"bytes"
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

// lockingAlone has a lock for each client.
func lockingAlone(m *storetest.Memory) shared.Store {
	return &patient{&racy{Memory: m}, make(chan struct{}, 1)}
}

// opening opens a wrong store anew for each client.
func opening(wrong func(*storetest.Memory) shared.Store) func() func(*testing.T) shared.Store {
	return func() func(*testing.T) shared.Store {
		m := new(storetest.Memory)
		return func(*testing.T) shared.Store { return wrong(m) }
	}
}

// openedOnce opens its lock file once for each client.
func openedOnce() func(*testing.T) shared.Store {
	m, file := new(storetest.Memory), new(lockFile)
	return func(*testing.T) shared.Store { return &descriptor{Memory: m, file: file} }
}

// descriptor locks and checks and writes.
type descriptor struct {
	*storetest.Memory
	file *lockFile
}

func (s *descriptor) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	for !s.file.lock(s) {
		if err := wait(ctx, 100*time.Microsecond); err != nil {
			return 0, err
		}
	}
	defer s.file.unlock()
	if ahead(ctx, s.Memory, key) != version {
		return 0, shared.ErrConflict
	}
	if err := wait(ctx, time.Millisecond); err != nil {
		return 0, err
	}
	return s.Memory.CompareAndSwap(ctx, key, record, ahead(ctx, s.Memory, key))
}

// lockFile is locked as by flock(2): that excludes other descriptors, and not whoever has the same.
type lockFile struct {
	mu     sync.Mutex // guards holder; held for a moment
	holder *descriptor
}

func (f *lockFile) lock(by *descriptor) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.holder != nil && f.holder != by {
		return false
	}
	f.holder = by
	return true
}

func (f *lockFile) unlock() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.holder = nil
}

// scratch returns its own buffer, and uses it again.
type scratch struct {
	*storetest.Memory
	perKey bool // each key has one

	mu      sync.Mutex // guards buffers, and not what is in them
	buffers map[string][]byte
}

func (s *scratch) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	record, version, err := s.Memory.Load(ctx, key)
	if record == nil {
		return nil, version, err
	}
	if !s.perKey {
		key = ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buffers == nil {
		s.buffers = make(map[string][]byte)
	}
	s.buffers[key] = append(s.buffers[key][:0], record...)
	return s.buffers[key], version, err
}

// buffered reads into a buffer, and copies that when another may have read.
type buffered struct {
	*storetest.Memory
	mu     sync.Mutex // guards buffer; held for a moment
	buffer []byte
}

func (s *buffered) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	record, version, err := s.Memory.Load(ctx, key)
	if record == nil {
		return nil, version, err
	}
	s.mu.Lock()
	s.buffer = record
	s.mu.Unlock()
	runtime.Gosched()
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.buffer), version, err
}
