package filestore

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"
)

// Age implements [shared.Ager]. It goes by the file's time and the machine's clock, which may have
// been set in between: [Store.TryLock] is what tells a dead holder from a living one.
func (s *Store) Age(ctx context.Context, key string, version uint64) (time.Duration, error) {
	found, err := obey(ctx, s, "loading the login", func() (contents, error) { return s.read(key) })
	if err != nil || found.version != version || version == 0 {
		return 0, err
	}
	return max(0, time.Since(found.written)), nil
}

// Watch implements [shared.Watcher]. It looks at the file every few milliseconds at first, and
// later after a sixteenth of the time that it has waited, but at least four times a second.
func (s *Store) Watch(ctx context.Context, key string, version uint64) error {
	began := time.Now()
	var last fs.FileInfo
	for {
		now, err := obey(ctx, s, "watching the login", func() (look, error) { return s.look(key, last) })
		if err != nil {
			return err
		}
		if !now.same && now.version != version {
			return nil
		}
		last = now.info
		timer := time.NewTimer(min(5*time.Millisecond+time.Since(began)/16, 250*time.Millisecond))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// A look is what was found by looking at the file.
type look struct {
	same    bool // it is the file that was there last time
	version uint64
	info    fs.FileInfo // nil if there is no file
}

// look looks at the file of key, and reads it if it is not the one that last is about.
func (s *Store) look(key string, last fs.FileInfo) (look, error) {
	f, err := s.locate(key)
	if err == nil {
		var info fs.FileInfo
		info, err = os.Stat(f.path)
		if err == nil && last != nil && os.SameFile(info, last) && info.ModTime().Equal(last.ModTime()) {
			return look{same: true, info: info}, nil
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return look{}, notFound(err)
	}
	found, err := s.read(key)
	return look{version: found.version, info: found.info}, err
}
