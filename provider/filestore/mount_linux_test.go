package filestore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/filestore"
	"github.com/stayauth/stayauth/provider/shared"
)

// mount mounts something for the length of the test, or skips it.
func mount(t *testing.T, source, target, kind string, flags uintptr, data string) {
	t.Helper()
	err := syscall.Mount(source, target, kind, flags, data)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		t.Skipf("only who may mount can run this: %v", err)
	}
	if err != nil {
		t.Fatalf("mounting %s: %v", target, err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(target, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmounting %s: %v", target, err)
		}
	})
}

// tmpfs returns a store whose folder is a file system of its own, of so many KiB, with a record
// under alice.
func tmpfs(t *testing.T, kib int) (s *filestore.Store, version uint64) {
	t.Helper()
	s = &filestore.Store{Dir: folder(t)}
	if err := os.Mkdir(s.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	mount(t, "tmpfs", s.Dir, "tmpfs", 0, fmt.Sprintf("mode=0700,size=%dk", kib))
	version, err := s.CompareAndSwap(t.Context(), "alice", []byte("geheim"), 0)
	if err != nil {
		t.Fatal(err)
	}
	return s, version
}

// unwritable checks that writes under alice, and under a key that has no record yet, are
// shared.ErrUnwritable and want says why, and that what was there is still there.
func unwritable(t *testing.T, s *filestore.Store, version uint64, want error) {
	t.Helper()
	for key, over := range map[string]uint64{"alice": version, "bob": 0} {
		_, err := s.CompareAndSwap(t.Context(), key, []byte(strings.Repeat("x", 4096)), over)
		if !errors.Is(err, shared.ErrUnwritable) || !errors.Is(err, want) || !strings.Contains(err.Error(), s.Dir) {
			t.Errorf("CompareAndSwap of %s: %v; want shared.ErrUnwritable, %v and the place", key, err, want)
		}
	}
	kept(t, s, version)
}

func TestReadOnlyMount(t *testing.T) {
	s, version := tmpfs(t, 64)
	if err := syscall.Mount("", s.Dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	unwritable(t, s, version, syscall.EROFS)
	if _, _, err := s.TryLock(t.Context(), "alice"); !errors.Is(err, shared.ErrUnwritable) {
		t.Errorf("TryLock: %v; want shared.ErrUnwritable", err)
	}
	if age, err := s.Age(t.Context(), "alice", version); age <= 0 || err != nil {
		t.Errorf("Age = %v, %v; it needs no write access", age, err)
	}
	below := &filestore.Store{Dir: filepath.Join(s.Dir, "below")} // a folder that is not there yet
	if _, err := below.CompareAndSwap(t.Context(), "alice", []byte("x"), 0); !errors.Is(err, shared.ErrUnwritable) {
		t.Errorf("CompareAndSwap in a folder that can't be made: %v; want shared.ErrUnwritable", err)
	}
	if record, found, err := below.Load(t.Context(), "alice"); record != nil || found != 0 || err != nil {
		t.Errorf("Load from a folder that is not there = %q, %d, %v; want none", record, found, err)
	}
}

// TestReaderOfAReadOnlyMount: a service reads the login through a read-only mount, and sees each that
// is made on the other side.
func TestReaderOfAReadOnlyMount(t *testing.T) {
	s, _ := tmpfs(t, 64)
	inside := t.TempDir()
	mount(t, s.Dir, inside, "", syscall.MS_BIND, "")
	if err := syscall.Mount("", inside, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	login := func(dir string) *shared.Login {
		return &shared.Login{
			Provider: provider.Func(func(context.Context) (string, error) { return "", provider.Permanent(errors.New("log in first")) }),
			Store:    &filestore.Store{Dir: dir}, Key: "bob",
		}
	}
	person, service := login(s.Dir), login(inside)
	var old provider.Token
	for _, value := range []string{"one", "two", "three"} {
		if err := person.Login(t.Context(), provider.NewToken(value, time.Time{})); err != nil {
			t.Fatal(err)
		}
		got, err := service.Token(t.Context(), old)
		if err != nil || got.Value() != value {
			t.Fatalf("Token = %q, %v; want %q", got.Value(), err, value)
		}
		old = got
	}
	if _, err := service.Token(t.Context(), old); !errors.Is(err, shared.ErrEnded) {
		t.Errorf("Token after the last: %v; want ErrEnded", err)
	}
}

// TestFullFileSystem fills a file system to its last byte. What can't be written leaves nothing
// behind, and as soon as there is room it goes on.
func TestFullFileSystem(t *testing.T) {
	s, version := tmpfs(t, 64)
	release := fill(t, s)
	unwritable(t, s, version, syscall.ENOSPC)
	if left, _ := filepath.Glob(filepath.Join(s.Dir, "*.tmp")); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
	release()
	if _, err := s.CompareAndSwap(t.Context(), "alice", []byte("new"), version); err != nil {
		t.Errorf("CompareAndSwap after room was made: %v", err)
	}
}

// TestMountedFile: a container's volume that is the login's file itself.
func TestMountedFile(t *testing.T) {
	s, path, version := saved(t)
	outside := filepath.Join(t.TempDir(), "outside")
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(outside, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	mount(t, outside, path, "", syscall.MS_BIND, "")
	_, err = s.CompareAndSwap(t.Context(), "alice", []byte("new"), version)
	if !errors.Is(err, shared.ErrUnwritable) || !strings.Contains(err.Error(), "mount the folder") || !strings.Contains(err.Error(), path) {
		t.Errorf("CompareAndSwap: %v; want shared.ErrUnwritable and what to do", err)
	}
	kept(t, s, version)
	if left, _ := filepath.Glob(filepath.Join(s.Dir, "*.tmp")); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}

// From the kernel's linux/fs.h.
const (
	ioctlFreeze = 0xC0045877
	ioctlThaw   = 0xC0045878
)

// TestFrozen: writes to a frozen file system hang in the kernel, and can't be called off.
func TestFrozen(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount and freeze a file system")
	}
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		t.Skip("there is no mkfs.ext4 to make a file system that can be frozen")
	}
	dir := t.TempDir()
	image, at := filepath.Join(dir, "image"), filepath.Join(dir, "mounted")
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 4<<20), os.Mkdir(at, 0o700)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "mkfs.ext4", "-q", "-F", image).CombinedOutput(); err != nil {
		t.Skipf("mkfs.ext4: %v: %s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), "mount", "-o", "loop", image, at).CombinedOutput(); err != nil {
		t.Skipf("only who may mount a file can run this: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(at, syscall.MNT_DETACH); err != nil { // what hung may not be done yet
			t.Errorf("unmounting: %v", err)
		}
	})
	s := &filestore.Store{Dir: filepath.Join(at, "logins")}
	version, err := s.CompareAndSwap(t.Context(), "alice", []byte("geheim"), 0)
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.Open(at)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	ioctl := func(request uintptr) error {
		var zero int32
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, root.Fd(), request, uintptr(unsafe.Pointer(&zero))); errno != 0 {
			return errno
		}
		return nil
	}
	if err := ioctl(ioctlFreeze); err != nil {
		t.Skipf("this file system can't be frozen: %v", err)
	}
	thawed := false
	thaw := func() {
		if !thawed {
			thawed = true
			if err := ioctl(ioctlThaw); err != nil {
				t.Fatalf("thawing: %v", err)
			}
		}
	}
	defer thaw()

	before, hung := runtime.NumGoroutine(), 0
	for i := range 3 * filestore.AtMost {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Millisecond)
		var err error
		if i%2 == 0 {
			_, err = s.CompareAndSwap(ctx, "alice", []byte("late"), version)
		} else {
			_, _, err = s.TryLock(ctx, "alice")
		}
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a write to a frozen file system: %v; want the context's error", err)
		}
		if strings.Contains(err.Error(), "has not answered") {
			hung++
		}
	}
	if hung < filestore.AtMost {
		t.Errorf("%d calls were left behind; want %d at least", hung, filestore.AtMost)
	}
	hanging := func() int { return runtime.NumGoroutine() - before }
	for range 1000 { // what has let another begin may not have ended yet
		if hanging() <= filestore.AtMost {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if n := hanging(); n > filestore.AtMost {
		t.Errorf("%d goroutines hang; want at most %d: each holds a thread", n, filestore.AtMost)
	}
	thaw()

	// What hung has ended, and has neither written nor kept a lock. It may take its time.
	for {
		unlock, ok, err := s.TryLock(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			unlock()
			break
		}
		runtime.Gosched()
	}
	if _, err := s.CompareAndSwap(t.Context(), "alice", []byte("new"), version); err != nil {
		t.Errorf("CompareAndSwap after the file system was thawed: %v", err)
	}
	if record, _, err := s.Load(t.Context(), "alice"); string(record) != "new" || err != nil {
		t.Errorf("Load = %q, %v", record, err)
	}
}
