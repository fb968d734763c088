package keychain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stayauth/stayauth/provider/shared"
)

// Watch implements [shared.Watcher] where the store below does.
func (s *Store) Watch(ctx context.Context, name string, version uint64) error {
	if w, ok := s.Store.(shared.Watcher); ok {
		return w.Watch(ctx, name, version)
	}
	return fmt.Errorf("keychain: the store below can't watch: %w", errors.ErrUnsupported)
}

// Age implements [shared.Ager] where the store below does.
func (s *Store) Age(ctx context.Context, name string, version uint64) (time.Duration, error) {
	if a, ok := s.Store.(shared.Ager); ok {
		return a.Age(ctx, name, version)
	}
	return 0, fmt.Errorf("keychain: the store below knows no ages: %w", errors.ErrUnsupported)
}

// TryLock implements [shared.Locker] where the store below does.
func (s *Store) TryLock(ctx context.Context, name string) (unlock func(), ok bool, err error) {
	if l, ok := s.Store.(shared.Locker); ok {
		return l.TryLock(ctx, name)
	}
	return nil, false, fmt.Errorf("keychain: the store below has no locks: %w", errors.ErrUnsupported)
}
