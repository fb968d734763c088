package filestore

import "context"

var (
	FileName  = fileName
	StateHome = stateHome
)

// Steps are the points at which a write can be interrupted.
var Steps = []string{"the temporary file", "the fsync", "the rename", "the fsync of the folder"}

// SwapUntil does what CompareAndSwap does, up to the step of the given number, and stops there with the lock held: a process that
// is killed does no more.
func (s *Store) SwapUntil(ctx context.Context, key string, record []byte, version uint64, last int) error {
	r, _, err := s.begin(ctx, key, record, version)
	if err != nil {
		return err
	}
	for _, step := range r.steps()[:last+1] {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
