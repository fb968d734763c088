package storetest

import (
	"bytes"
	"context"
	"sync"

	"github.com/stayauth/stayauth/provider/shared"
)

// Memory is a Store in memory, for the tests of programs that share a login: several [shared.Login]
// on one Memory behave like several processes. The zero value is empty and ready. It must not be
// copied after its first use.
type Memory struct {
	mu      sync.Mutex // guards the fields below; never held across a call
	last    uint64     // the last version given out, of any key: none is used twice
	records map[string]memoryRecord
}

type memoryRecord struct {
	data    []byte
	version uint64
}

// Load implements [shared.Store].
func (m *Memory) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.records[key]
	return bytes.Clone(r.data), r.version, nil
}

// CompareAndSwap implements [shared.Store].
func (m *Memory) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.records[key].version != version {
		return 0, shared.ErrConflict
	}
	if m.records == nil {
		m.records = make(map[string]memoryRecord)
	}
	m.last++
	m.records[key] = memoryRecord{bytes.Clone(record), m.last}
	return m.last, nil
}

// Lose forgets all records, as a Redis without persistence does that is restarted. Versions go on
// growing.
func (m *Memory) Lose() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records = nil
}
