package filestore

import (
	"errors"
	"os"
)

var (
	FileName  = fileName
	StateHome = stateHome
)

// AtMost is how many calls of the system can be under way.
const AtMost = atMost

// Settle waits until no call of the system is under way: one whose context has ended goes on unseen.
func (s *Store) Settle() {
	for range cap(s.busy) { // nil: it was never used
		s.busy <- struct{}{}
	}
	for range cap(s.busy) {
		<-s.busy
	}
}

// Steps are the points at which a write can be interrupted.
var Steps = []string{"the temporary file", "the fsync", "the rename", "the fsync of the folder"}

// A Writing is what CompareAndSwap does, a step at a time.
type Writing struct{ r *replacement }

// Begin begins to write under key, and returns with the lock held.
func (s *Store) Begin(key string, record []byte, version uint64) (*Writing, error) {
	r, err := s.begin(key, record, version)
	return &Writing{r}, err
}

// Step takes the step of the given number.
func (w *Writing) Step(i int) error { return w.r.steps()[i]() }

// End gives the lock back.
func (w *Writing) End() { _ = w.r.lock.Close() }

// LockRemoved locks a file that is removed after it was opened, and reports whether that was taken
// for a lock.
func LockRemoved(path string) (bool, error) {
	h, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return false, err
	}
	l := &fileLock{path, h}
	defer l.Close()
	if err := os.Remove(path); err != nil {
		return false, err
	}
	if err := l.check(file{path: path}); !errors.Is(err, errLocked) {
		return err == nil, err
	}
	return false, nil
}
