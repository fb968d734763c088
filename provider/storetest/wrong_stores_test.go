package storetest_test

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"sync"
	"time"

	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

// ahead returns the version at which a write would succeed.
func ahead(ctx context.Context, m *storetest.Memory, key string) uint64 {
	_, version, _ := m.Load(ctx, key)
	return version
}

type racy struct{ *storetest.Memory }

func (s *racy) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	if ahead(ctx, s.Memory, key) != version {
		return 0, shared.ErrConflict
	}
	time.Sleep(time.Millisecond)
	return s.Memory.CompareAndSwap(ctx, key, record, ahead(ctx, s.Memory, key))
}

type overwriting struct{ *storetest.Memory }

func (s overwriting) CompareAndSwap(ctx context.Context, key string, record []byte, _ uint64) (uint64, error) {
	return s.Memory.CompareAndSwap(ctx, key, record, ahead(ctx, s.Memory, key))
}

type writesOnConflict struct{ *storetest.Memory }

func (s writesOnConflict) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	v, err := s.Memory.CompareAndSwap(ctx, key, record, version)
	if err != nil {
		_, _ = s.Memory.CompareAndSwap(ctx, key, record, ahead(ctx, s.Memory, key))
	}
	return v, err
}

type checksummed struct{ *storetest.Memory }

func (s checksummed) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	record, version, err := s.Memory.Load(ctx, key)
	if version != 0 {
		version = 1 + uint64(crc32.ChecksumIEEE(record))
	}
	return record, version, err
}

func (s checksummed) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	if _, v, err := s.Load(ctx, key); err != nil || v != version {
		return 0, shared.ErrConflict
	}
	_, err := s.Memory.CompareAndSwap(ctx, key, record, ahead(ctx, s.Memory, key))
	return 1 + uint64(crc32.ChecksumIEEE(record)), err
}

type lazy struct{ *storetest.Memory }

func (s lazy) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	if was, v, _ := s.Load(ctx, key); v == version && v != 0 && bytes.Equal(was, record) {
		return version, nil
	}
	return s.Memory.CompareAndSwap(ctx, key, record, version)
}

type cached struct {
	record  []byte
	version uint64
}

type caching struct {
	*storetest.Memory
	mu    sync.Mutex
	cache map[string]cached
}

func (s *caching) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.cache[key]; ok {
		return bytes.Clone(c.record), c.version, ctx.Err()
	}
	record, version, err := s.Memory.Load(ctx, key)
	if version != 0 {
		s.cache[key] = cached{bytes.Clone(record), version}
	}
	return record, version, err
}

type trimming struct{ *storetest.Memory }

func (s trimming) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	return s.Memory.CompareAndSwap(ctx, key, bytes.TrimSpace(record), version)
}

type short struct{ *storetest.Memory }

func (s short) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	return s.Memory.CompareAndSwap(ctx, key, record[:min(len(record), 64<<10)], version)
}

type aliasing struct {
	mu      sync.Mutex
	last    uint64
	records map[string]cached
}

func (s *aliasing) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.records[key].record, s.records[key].version, ctx.Err()
}

func (s *aliasing) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.records[key].version != version {
		return 0, shared.ErrConflict
	}
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	s.last++
	s.records[key] = cached{record, s.last}
	return s.last, nil
}

type rekeying struct {
	*storetest.Memory
	change func(key string) string
}

func (s rekeying) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	return s.Memory.Load(ctx, s.change(key))
}

func (s rekeying) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	return s.Memory.CompareAndSwap(ctx, s.change(key), record, version)
}

type deaf struct{ *storetest.Memory }

func (s deaf) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	return s.Memory.Load(context.WithoutCancel(ctx), key)
}

func (s deaf) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	return s.Memory.CompareAndSwap(context.WithoutCancel(ctx), key, record, version)
}

type wrongWord struct{ *storetest.Memory }

func (s wrongWord) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	v, err := s.Memory.CompareAndSwap(ctx, key, record, version)
	if ctx.Err() != nil {
		return 0, fmt.Errorf("%w: %w", shared.ErrConflict, ctx.Err())
	}
	return v, err
}

// dirty shows a record for a moment before it is decided whether it is written.
type dirty struct {
	*storetest.Memory
	mu      sync.Mutex
	pending []byte
}

func (s *dirty) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	record, version, err := s.Memory.Load(ctx, key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending != nil {
		return bytes.Clone(s.pending), version + 1_000_000, err
	}
	return record, version, err
}

func (s *dirty) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	s.set(bytes.Clone(record))
	time.Sleep(100 * time.Microsecond)
	s.set(nil)
	return s.Memory.CompareAndSwap(ctx, key, record, version)
}

func (s *dirty) set(pending []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = pending
}

// cut waits a little and reports whether ctx ended meanwhile.
func cut(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return true
	case <-time.After(4 * time.Millisecond):
		return false
	}
}

type hopeful struct{ *storetest.Memory }

func (s hopeful) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if cut(ctx) {
		return ahead(context.WithoutCancel(ctx), s.Memory, key) + 1_000_000, nil
	}
	return s.Memory.CompareAndSwap(ctx, key, record, version)
}

type afraid struct{ *storetest.Memory }

func (s afraid) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	v, err := s.Memory.CompareAndSwap(ctx, key, record, version)
	if cut(ctx) {
		return 0, shared.ErrConflict
	}
	return v, err
}
