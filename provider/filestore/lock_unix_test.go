//go:build unix

package filestore_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider/filestore"
	"github.com/stayauth/stayauth/provider/shared"
)

// TestLockRemoved: a lock file that was removed locks no one out, and its owner must notice.
// The same for its folder.
func TestLockRemoved(t *testing.T) {
	for name, remove := range map[string]func(s *filestore.Store, path string) error{
		"the lock file": func(_ *filestore.Store, path string) error { return os.Remove(path + ".lock") },
		"the folder":    func(s *filestore.Store, _ string) error { return os.RemoveAll(s.Dir) },
	} {
		t.Run("under a write: "+name, func(t *testing.T) {
			for last := range len(filestore.Steps) {
				s, path, version := saved(t)
				w, err := s.Begin("alice", []byte("of the first"), version)
				if err != nil {
					t.Fatal(err)
				}
				for i := range last {
					if err := w.Step(i); err != nil {
						t.Fatal(err)
					}
				}
				if err := remove(s, path); err != nil {
					t.Fatal(err)
				}
				record, found, err := s.Load(t.Context(), "alice")
				if err != nil {
					t.Fatal(err)
				}
				second, err := s.CompareAndSwap(t.Context(), "alice", []byte("of the second"), found)
				if err != nil {
					t.Fatalf("a write after the removal, over %q: %v", record, err)
				}
				renamed := last > 2
				for i := last; i < len(filestore.Steps) && err == nil; i++ {
					err = w.Step(i)
				}
				w.End()
				if err == nil && !renamed {
					t.Errorf("removed before %s: the first write took itself for done", filestore.Steps[last])
				}
				if record, found, err = s.Load(t.Context(), "alice"); string(record) != "of the second" || found != second || err != nil {
					t.Errorf("removed before %s: Load = %q, version %d, %v; want what the second wrote", filestore.Steps[last], record, found, err)
				}
			}
		})
		t.Run("again and again: "+name, func(t *testing.T) {
			s, path, version := saved(t)
			var mu sync.Mutex // guards replaced
			replaced := make(map[uint64]int)
			ctx, stop := context.WithCancel(t.Context())
			var writing sync.WaitGroup
			for i := range 4 {
				other := &filestore.Store{Dir: s.Dir}
				writing.Go(func() { // ends with ctx, after an operation: one that is called off goes on, unseen
					for n := 0; ctx.Err() == nil; n++ {
						_, version, err := other.Load(t.Context(), "alice")
						if err != nil {
							continue
						}
						if _, err := other.CompareAndSwap(t.Context(), "alice", fmt.Appendf(nil, "%d of %d", n, i), version); err == nil && version != 0 {
							mu.Lock()
							replaced[version]++
							mu.Unlock()
						}
					}
				})
			}
			for range rounds(50, 2000) {
				for written := uint64(0); written <= version; { // by one of them, since the last removal
					if _, found, err := s.Load(ctx, "alice"); err == nil {
						written = found
					}
				}
				_ = remove(s, path) // a folder may be written to meanwhile
				_, version, _ = s.Load(ctx, "alice")
			}
			stop()
			writing.Wait()
			if len(replaced) == 0 {
				t.Error("nothing was written")
			}
			for version, n := range replaced {
				if n > 1 {
					t.Errorf("%d writes over version %d succeeded", n, version)
				}
			}
			if _, version, err := s.Load(t.Context(), "alice"); err != nil {
				t.Errorf("Load afterwards = version %d, %v", version, err)
			}
		})
	}
}

// TestLockRemovedBeforeItIsLocked: who opens the next one would find it free.
func TestLockRemovedBeforeItIsLocked(t *testing.T) {
	if locked, err := filestore.LockRemoved(filepath.Join(t.TempDir(), "lock")); locked || err != nil {
		t.Errorf("the lock on a file that was removed after it was opened: %v, %v; want none", locked, err)
	}
}

// TestOddFiles: what is no file in a place of ours is said, and holds no one up.
func TestOddFiles(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, end := range []string{".lock", ".held"} {
		s, path, version := saved(t)
		_ = os.Remove(path + end)
		if err := syscall.Mkfifo(path+end, 0o600); err != nil {
			t.Fatal(err)
		}
		var err error
		if end == ".lock" {
			_, err = s.CompareAndSwap(ctx, "alice", []byte("new"), version)
		} else {
			_, _, err = s.TryLock(ctx, "alice")
		}
		if want := path + end + " is not a file"; err == nil || err.Error() != "filestore: "+want {
			t.Errorf("with a FIFO as %s: %v; want an error that says %q", end, err, want)
		}
		kept(t, s, version)
	}
	s, path, version := saved(t)
	if err := syscall.Mkfifo(path+".tmp", 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CompareAndSwap(ctx, "alice", []byte("new"), version); err != nil {
		t.Errorf("with a FIFO as .tmp: %v; want it to be replaced, as all that is left behind there", err)
	}
}

// TestHolder: the lock of a process lasts while it is suspended, and no longer than it lives.
func TestHolder(t *testing.T) {
	s, _, version := saved(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHolderChild$")
	cmd.Env = append(os.Environ(), dirEnv+"="+s.Dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "locked\n" {
		t.Fatalf("the process says %q, %v", line, err)
	}
	held := func(when string) {
		t.Helper()
		if _, ok, err := s.TryLock(t.Context(), "alice"); ok || err != nil {
			t.Errorf("TryLock while a process has the lock and is %s = %v, %v; want false", when, ok, err)
		}
	}
	held("running")
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	held("suspended")
	if _, err := s.CompareAndSwap(t.Context(), "alice", []byte("geheim"), version); err != nil {
		t.Errorf("CompareAndSwap while a process has the lock: %v; the lock has nothing to do with it", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	unlock, ok, err := s.TryLock(t.Context(), "alice")
	if !ok || err != nil {
		t.Fatalf("TryLock after the process was killed = %v, %v; want true", ok, err)
	}
	unlock()
}

func TestHolderChild(t *testing.T) {
	if os.Getenv(dirEnv) == "" {
		t.Skip("only as a process of another test")
	}
	s := &filestore.Store{Dir: os.Getenv(dirEnv)}
	unlock, ok, err := s.TryLock(t.Context(), "alice")
	if !ok || err != nil {
		t.Fatalf("TryLock = %v, %v; want true", ok, err)
	}
	defer unlock()
	fmt.Println("locked")
	<-t.Context().Done() // it is killed before
}

// TestAge: a record's age is that of its place, however long the write took, and never negative.
func TestAge(t *testing.T) {
	s, path, version := saved(t)
	age := func() time.Duration {
		t.Helper()
		age, err := s.Age(t.Context(), "alice", version)
		if err != nil {
			t.Fatal(err)
		}
		return age
	}
	hourAgo := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, hourAgo, hourAgo); err != nil {
		t.Fatal(err)
	}
	if got := age(); got < time.Hour || got > time.Since(hourAgo) {
		t.Errorf("the age of a record of an hour ago is %v", got)
	}
	soon := time.Now().Add(time.Hour) // the clock was set back since
	if err := os.Chtimes(path, soon, soon); err != nil {
		t.Fatal(err)
	}
	if got := age(); got != 0 {
		t.Errorf("the age of a record of the future is %v; want 0", got)
	}
	before := time.Now()
	w, err := s.Begin("alice", []byte("new"), version)
	if err != nil {
		t.Fatal(err)
	}
	defer w.End()
	written := filepath.Join(path + ".tmp")
	for i := range filestore.Steps {
		if err := w.Step(i); err != nil {
			t.Fatal(err)
		}
		if i == 1 { // the sync took an hour
			if err := os.Chtimes(written, hourAgo, hourAgo); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, version, err = s.Load(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	if got := age(); got > time.Since(before) {
		t.Errorf("the age of a record whose write took an hour is %v", got)
	}
}

var _ interface {
	shared.Store
	shared.Watcher
	shared.Ager
	shared.Locker
} = (*filestore.Store)(nil)
