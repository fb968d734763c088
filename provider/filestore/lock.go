package filestore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"
)

// errLocked is what tryLock returns when another process, or another goroutine of this one, holds the lock.
var errLocked = errors.New("filestore: the file is locked")

// lock waits until this call holds the kernel's lock on the file at path, which is created for it and never deleted. The kernel
// releases it when the process ends, however it does.
//
// The lock is asked for again and again, because a call that waits for it in the kernel can't be called off. The holder writes
// one small file, so the first pauses are short.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	for pause := time.Millisecond; ; pause = min(2*pause, 32*time.Millisecond) {
		f, err := tryLockPath(path)
		if err == nil {
			return func() { _ = f.Close() }, nil // closing unlocks
		}
		if !errors.Is(err, errLocked) {
			return nil, fmt.Errorf("filestore: locking %s: %w", path, err)
		}
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("filestore: waiting for the lock on %s: %w", path, ctx.Err())
		}
	}
}

// tryLockPath opens and locks the file at path, without waiting.
func tryLockPath(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := tryLock(f); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}
