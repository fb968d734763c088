package filestore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

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
	if n := runtime.NumGoroutine() - before; n > filestore.AtMost {
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

// TestOpenedByGroup is a Kubernetes volume with an fsGroup: each time that a pod starts, all that
// is in it is given to the group, and may belong to another user.
func TestOpenedByGroup(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to another user")
	}
	const fsGroup = 4242
	for _, test := range []struct {
		name          string
		group         uint32 // that the process is in
		folder, file  os.FileMode
		without, with string // what the error says, without AllowGroup and with it; "" for none
	}{
		{"as Kubernetes leaves it", fsGroup, 0o775 | os.ModeSetgid, 0o660, "belongs to the user 0", ""},
		{"closed to others", fsGroup, 0o770, 0o660, "belongs to the user 0", ""},
		{"not the process's group", 4243, 0o775 | os.ModeSetgid, 0o660, "belongs to the user 0", "belongs to the user 0"},
		{"others can write to the folder", fsGroup, 0o777 | os.ModeSetgid, 0o660, "belongs to the user 0", "run chmod 0775"},
		{"others can read the file", fsGroup, 0o770, 0o664, "belongs to the user 0", "run chmod 0660"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, path, _ := saved(t)
			for _, name := range []string{s.Dir, path, path + ".lock"} {
				mode := test.file
				if name == s.Dir {
					mode = test.folder
				}
				if err := errors.Join(os.Chown(name, 0, fsGroup), os.Chmod(name, mode)); err != nil {
					t.Fatal(err)
				}
			}
			for up := filepath.Dir(s.Dir); strings.HasPrefix(up, os.TempDir()+"/"); up = filepath.Dir(up) {
				if err := os.Chmod(up, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for allow, want := range map[string]string{"": test.without, "1": test.with} {
				cmd := exec.CommandContext(t.Context(), testBinary(t), "-test.run=^TestOpenedByGroupChild$", "-test.v")
				cmd.Env = append(os.Environ(), dirEnv+"="+s.Dir, allowEnv+"="+allow, wantEnv+"="+want)
				cmd.Dir = "/"
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534, Groups: []uint32{test.group}}}
				if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestOpenedByGroupChild") {
					t.Errorf("with AllowGroup %q: %v\n%s", allow, err, out)
				}
			}
		})
	}
}

const (
	allowEnv = "FILESTORE_ALLOW_GROUP"
	wantEnv  = "FILESTORE_WANT"
)

func TestOpenedByGroupChild(t *testing.T) {
	if os.Getenv(dirEnv) == "" {
		t.Skip("only as a process of another test")
	}
	syscall.Umask(0o077)
	s := &filestore.Store{Dir: os.Getenv(dirEnv), AllowGroup: os.Getenv(allowEnv) != ""}
	_, version, err := s.Load(t.Context(), "alice")
	if want := os.Getenv(wantEnv); want != "" {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("Load: %v; want an error that says %q", err, want)
		}
		return
	}
	if err == nil {
		_, err = s.CompareAndSwap(t.Context(), "alice", []byte("geheim"), version) // as it was, for the next test
	}
	if err == nil {
		_, err = s.CompareAndSwap(t.Context(), "bob", []byte("x"), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"alice", "bob"} {
		path := filepath.Join(s.Dir, filestore.FileName(key))
		for _, name := range []string{path, path + ".lock"} {
			if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o660 {
				t.Errorf("%s: mode %v, %v; want 0660, whatever the umask", name, info.Mode(), err)
			}
		}
	}
	made := &filestore.Store{Dir: filepath.Join(s.Dir, "made"), AllowGroup: true}
	if _, err := made.CompareAndSwap(t.Context(), "alice", []byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(made.Dir); err != nil || info.Mode().Perm() != 0o770 {
		t.Errorf("%s: mode %v, %v; want 0770", made.Dir, info.Mode(), err)
	}
}

// testBinary returns this test's program where any user can run it.
func testBinary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test")
	in, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Close()); err != nil {
		t.Fatal(err)
	}
	for up := filepath.Dir(path); strings.HasPrefix(up, os.TempDir()+"/"); up = filepath.Dir(up) {
		if err := os.Chmod(up, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return path
}
