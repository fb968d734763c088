package filestore

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// errLocked is what tryLock returns when another process, or another goroutine of this one, holds
// the lock.
var errLocked = errors.New("filestore: the file is locked")

// A fileLock is the kernel's lock on a file, which is created for it and never deleted by us. The
// kernel releases it when the process ends, however it does.
type fileLock struct {
	path string
	file *os.File
}

// tryLock locks the file at path, without waiting: the kernel can't be called off. It returns
// errLocked if another has the lock.
func (f file) tryLock(path string) (*fileLock, error) {
	h, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|openFlags, f.mode())
	if err != nil {
		return nil, notWritten("locking", err)
	}
	l := &fileLock{path, h}
	if err := l.check(f); err != nil {
		_ = h.Close()
		return nil, err
	}
	return l, nil
}

func (l *fileLock) check(f file) error {
	info, err := l.file.Stat()
	switch {
	case err != nil:
		return fmt.Errorf("filestore: locking %s: %w", l.path, err)
	case !info.Mode().IsRegular():
		return mendable(fmt.Errorf("filestore: %s is not a file", l.path))
	}
	f.share(l.file)
	if err := tryLock(l.file); err != nil {
		if !errors.Is(err, errLocked) {
			err = fmt.Errorf("filestore: locking %s: %w", l.path, err)
		}
		return err
	}
	if !l.valid() {
		return errLocked // removed between opening and locking: there may be another by now
	}
	return nil
}

// valid reports whether the locked file is still the one at its path. One that was removed excludes
// only those who have it open, and not those who make another.
func (l *fileLock) valid() bool {
	mine, err := l.file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(l.path)
	return err == nil && os.SameFile(mine, there)
}

// Close releases the lock. Calls after the first do nothing.
func (l *fileLock) Close() error { return l.file.Close() }

// TryLock implements [shared.Locker]. The kernel keeps the lock for as long as the process lives,
// also while it is suspended, and takes it back when the process ends.
func (s *Store) TryLock(ctx context.Context, key string) (unlock func(), ok bool, err error) {
	l, err := attempt(ctx, s, "locking the login", func() (*fileLock, error) {
		if err := s.create(); err != nil {
			return nil, err
		}
		f, err := s.locate(key)
		if err != nil {
			return nil, err
		}
		return f.tryLock(f.path + ".held")
	})
	switch {
	case errors.Is(err, errLocked):
		return nil, false, nil
	case err != nil:
		return nil, false, err
	}
	return func() { _ = l.Close() }, true, nil
}
