package keychain_test

import (
	"context"
	"maps"
	"sync"
	"testing"
	"time"

	keyring "github.com/zalando/go-keyring"

	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

// only is a store that promises no more than a store must: what else a Store has is the store's
// below, and a Memory has nothing of it.
type only struct{ shared.Store }

// mock is go-keyring's own, which is not safe for concurrent use.
type mock struct{ mu sync.Mutex }

func (m *mock) Get(service, account string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return keyring.Get(service, account)
}

func (m *mock) Set(service, account, value string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return keyring.Set(service, account, value)
}

func (m *mock) Delete(service, account string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return keyring.Delete(service, account)
}

// fake is a keychain that fails as it is told.
type fake struct {
	mu      sync.Mutex // guards the fields below
	values  map[string]string
	err     error         // every call's answer
	loses   bool          // it forgets what it is given
	changes bool          // or keeps something else
	hang    chan struct{} // calls wait until it is closed; nil: they don't
	asked   int
}

func (f *fake) begin() error {
	f.mu.Lock()
	f.asked++
	hang, err := f.hang, f.err
	f.mu.Unlock()
	if hang != nil {
		<-hang
	}
	return err
}

func (f *fake) Get(service, account string) (string, error) {
	if err := f.begin(); err != nil {
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	v, ok := f.values[service+"/"+account]
	if !ok {
		return "", keyring.ErrNotFound
	}
	return v, nil
}

func (f *fake) Set(service, account, value string) error {
	if err := f.begin(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.values == nil {
		f.values = make(map[string]string)
	}
	if f.changes {
		value += " "
	}
	if !f.loses {
		f.values[service+"/"+account] = value
	}
	return nil
}

func (f *fake) Delete(service, account string) error {
	if err := f.begin(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.values, service+"/"+account)
	return nil
}

func (f *fake) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

// count returns how often it was asked.
func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

func (f *fake) all() map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.values)
}

// mustSwap writes and returns the new version.
func mustSwap(t *testing.T, s shared.Store, name, record string, version uint64) uint64 {
	t.Helper()
	next, err := s.CompareAndSwap(t.Context(), name, []byte(record), version)
	if err != nil {
		t.Fatalf("CompareAndSwap of %q at version %d: %v", name, version, err)
	}
	return next
}

func mustLoad(t *testing.T, s shared.Store, name string) (string, uint64) {
	t.Helper()
	record, version, err := s.Load(t.Context(), name)
	if err != nil {
		t.Fatalf("Load of %q: %v", name, err)
	}
	return string(record), version
}

// above is a store with all that a store may promise.
type above struct{ storetest.Memory }

func (*above) Watch(context.Context, string, uint64) error                { return nil }
func (*above) Age(context.Context, string, uint64) (time.Duration, error) { return time.Hour, nil }
func (*above) TryLock(context.Context, string) (func(), bool, error)      { return func() {}, true, nil }

// broken fails as it is told.
type broken struct {
	storetest.Memory
	load, swap error
}

func (b *broken) Load(ctx context.Context, name string) ([]byte, uint64, error) {
	if b.load != nil {
		return nil, 0, b.load
	}
	return b.Memory.Load(ctx, name)
}

func (b *broken) CompareAndSwap(ctx context.Context, name string, record []byte, version uint64) (uint64, error) {
	if b.swap != nil {
		return 0, b.swap
	}
	return b.Memory.CompareAndSwap(ctx, name, record, version)
}
