//go:build unix

package filestore_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/filestore"
	"github.com/stayauth/stayauth/provider/shared"
)

// holdLock locks the file of alice as another process would, says so by returning, and lets go when
// ctx is done.
func holdLock(ctx context.Context, dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, filestore.FileName("alice")+".lock"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = f.Close() })
	return nil
}

// TestLockIsHeld: a write waits for the lock, until its context ends, and goes on where the holder
// is gone.
func TestLockIsHeld(t *testing.T) {
	s, _, version := saved(t)
	holding, release := context.WithCancel(t.Context())
	defer release()
	if err := holdLock(holding, s.Dir); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.CompareAndSwap(ctx, "alice", []byte("new"), version); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("CompareAndSwap while another holds the lock: %v; want the context's error", err)
	}
	if record, _, err := s.Load(t.Context(), "alice"); string(record) != "geheim" || err != nil {
		t.Errorf("Load while another holds the lock = %q, %v; want the record", record, err)
	}
	if _, err := s.CompareAndSwap(t.Context(), "bob", []byte("x"), 0); err != nil {
		t.Errorf("CompareAndSwap of another key while the lock is held: %v", err)
	}
	release()
	if _, err := s.CompareAndSwap(t.Context(), "alice", []byte("new"), version); err != nil {
		t.Errorf("CompareAndSwap after the lock was released: %v", err)
	}
}

func TestModes(t *testing.T) {
	s, path, _ := saved(t)
	for name, want := range map[string]os.FileMode{s.Dir: 0o700 | os.ModeDir, path: 0o600, path + ".lock": 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode() != want {
			t.Errorf("%s: mode %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
}

// TestRefused is about everything that lets others at the login, and about what is not a place for
// one.
func TestRefused(t *testing.T) {
	nobody := func(t *testing.T, path string) {
		if os.Geteuid() != 0 {
			t.Skip("only root can give files to another user")
		}
		if err := os.Chown(path, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	chmod := func(mode os.FileMode) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, test := range []struct {
		name   string
		spoil  func(t *testing.T, path string)
		folder bool   // spoil the folder instead of the file
		want   string // in the error
	}{
		{"others can enter the folder", chmod(0o701), true, "chmod 0700"},
		{"others can write to the folder", chmod(0o722), true, "chmod 0700"},
		{"the group can read the folder", chmod(0o740), true, "chmod 0700"},
		{"others can read the file", chmod(0o604), false, "chmod 0600"},
		{"the group can read the file", chmod(0o640), false, "chmod 0600"},
		{"others can write to the file", chmod(0o602), false, "chmod 0600"},
		{"the folder is another user's", nobody, true, "belongs to the user 65534"},
		{"the file is another user's", nobody, false, "belongs to the user 65534"},
		{"the file is a folder", func(t *testing.T, path string) {
			if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
				t.Fatal(err)
			}
		}, false, "is not a file"},
		{"the file is a FIFO", func(t *testing.T, path string) {
			if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)); err != nil {
				t.Fatal(err)
			}
		}, false, "is not a file"},
		{"the file is a socket", func(t *testing.T, path string) {
			t.Chdir(filepath.Dir(path)) // a socket's path must be short
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			l, err := net.Listen("unix", filepath.Base(path))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
		}, false, filestore.FileName("alice")},
		{"the folder is a file", func(t *testing.T, path string) {
			if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, nil, 0o600)); err != nil {
				t.Fatal(err)
			}
		}, true, "not a "},
		{"the file is a link to itself", func(t *testing.T, path string) {
			if err := errors.Join(os.Remove(path), os.Symlink(path, path)); err != nil {
				t.Fatal(err)
			}
		}, false, "too many symbolic links"},
		{"the link leads to where others can write", func(t *testing.T, path string) {
			open := filepath.Join(t.TempDir(), "open")
			if err := errors.Join(os.Mkdir(open, 0o700), os.Chmod(open, 0o777), os.Remove(path), os.Symlink(filepath.Join(open, "x"), path)); err != nil {
				t.Fatal(err)
			}
		}, false, "chmod 0755"},
		{"the link leads nowhere", func(t *testing.T, path string) {
			if err := errors.Join(os.Remove(path), os.Symlink("/nowhere/at/all", path)); err != nil {
				t.Fatal(err)
			}
		}, false, "symbolic link"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, path, version := saved(t)
			at := path
			if test.folder {
				at = s.Dir
			}
			test.spoil(t, at)
			_, _, loadErr := s.Load(t.Context(), "alice")
			_, swapErr := s.CompareAndSwap(t.Context(), "alice", []byte("new"), version)
			if loadErr == nil || !strings.Contains(loadErr.Error(), test.want) || strings.Contains(loadErr.Error(), "geheim") {
				t.Errorf("Load: %v; want an error that says %q", loadErr, test.want)
			}
			if swapErr == nil || errors.Is(swapErr, shared.ErrConflict) {
				t.Errorf("CompareAndSwap: %v; want an error", swapErr)
			}
			for _, err := range []error{loadErr, swapErr} {
				if pause, ok := provider.RetryDelay(err); !ok || pause < 30*time.Second || provider.IsPermanent(err) {
					t.Errorf("%v: a pause of %v, permanent %v; want to be told at once, and asked again later: a person can mend it",
						err, pause, provider.IsPermanent(err))
				}
			}
			if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
				return
			}
			if left, err := os.ReadFile(path); err == nil && !strings.Contains(string(left), "geheim") {
				t.Error("the file was overwritten")
			}
		})
	}
}

// TestLinksAreKept: the folder and the file may be links, as those are who keep their files
// elsewhere like them.
func TestLinksAreKept(t *testing.T) {
	for _, there := range []bool{true, false} {
		s, path, version := saved(t)
		elsewhere := filepath.Join(filepath.Dir(s.Dir), "elsewhere")
		target := filepath.Join(elsewhere, "alice's login")
		if err := errors.Join(os.Mkdir(elsewhere, 0o755), os.Rename(path, target), os.Symlink("../elsewhere/alice's login", path)); err != nil {
			t.Fatal(err)
		}
		if !there {
			if err := os.Remove(target); err != nil {
				t.Fatal(err)
			}
			version = 0
		}
		link := filepath.Join(filepath.Dir(s.Dir), "link")
		if err := os.Symlink(s.Dir, link); err != nil {
			t.Fatal(err)
		}
		s.Dir = link
		if _, err := s.CompareAndSwap(t.Context(), "alice", []byte("new"), version); err != nil {
			t.Fatal(err)
		}
		if to, err := os.Readlink(path); err != nil || to != "../elsewhere/alice's login" {
			t.Errorf("the link to the file is gone: %q, %v", to, err)
		}
		if data, err := os.ReadFile(target); err != nil || !strings.HasSuffix(string(data), "\nnew") {
			t.Errorf("where the link leads there is %q, %v; want the new record", data, err)
		}
		if record, _, err := s.Load(t.Context(), "alice"); string(record) != "new" || err != nil {
			t.Errorf("Load = %q, %v", record, err)
		}
	}
}

// asNobody runs the named test in a process of its own, which is not root, with the environment
// variable dirEnv set to dir.
func asNobody(t *testing.T, name, dir string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+name+"$", "-test.v")
	cmd.Env = append(os.Environ(), dirEnv+"="+dir)
	if os.Geteuid() == 0 {
		cmd.Path = filepath.Join(filepath.Dir(dir), "test") // where that user can run it
		data, err := os.ReadFile(os.Args[0])
		if err == nil {
			err = os.WriteFile(cmd.Path, data, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		for up := filepath.Dir(dir); strings.HasPrefix(up, os.TempDir()+"/"); up = filepath.Dir(up) {
			if err := os.Chmod(up, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		err = filepath.Walk(dir, func(path string, _ os.FileInfo, _ error) error { return os.Chown(path, 65534, 65534) })
		if err != nil {
			t.Fatal(err)
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+name) {
		t.Errorf("%v\n%s", err, out)
	}
}

// childDir returns the folder that the process was given by asNobody, with a record under alice.
func childDir(t *testing.T) (s *filestore.Store, version uint64) {
	t.Helper()
	dir := os.Getenv(dirEnv)
	if dir == "" {
		t.Skip("only as a process of another test")
	}
	s = &filestore.Store{Dir: dir}
	record, version, err := s.Load(t.Context(), "alice")
	if string(record) != "geheim" || err != nil {
		t.Fatalf("Load = %q, %v; want the record", record, err)
	}
	return s, version
}

// kept checks that the record is as it was.
func kept(t *testing.T, s *filestore.Store, version uint64) {
	t.Helper()
	record, found, err := s.Load(t.Context(), "alice")
	if string(record) != "geheim" || found != version || err != nil {
		t.Errorf("Load = %q, version %d, %v; want the record as it was", record, found, err)
	}
}

func TestReadOnly(t *testing.T) {
	s, _, _ := saved(t)
	defer os.Chmod(s.Dir, 0o700)
	if err := os.Chmod(s.Dir, 0o500); err != nil {
		t.Fatal(err)
	}
	asNobody(t, "TestReadOnlyChild", s.Dir)
}

func TestReadOnlyChild(t *testing.T) {
	s, version := childDir(t)
	_, err := s.CompareAndSwap(t.Context(), "alice", []byte("new"), version)
	if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), s.Dir) {
		t.Errorf("CompareAndSwap in a read-only folder: %v; want an error that says so and names the file", err)
	}
	kept(t, s, version)
}

// TestDiskFull lets the system refuse to write more than a few bytes to a file: half of the record
// is written.
func TestDiskFull(t *testing.T) {
	s, _, _ := saved(t)
	asNobody(t, "TestDiskFullChild", s.Dir)
}

func TestDiskFullChild(t *testing.T) {
	s, version := childDir(t)
	signal.Ignore(syscall.SIGXFSZ)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 100, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	_, err := s.CompareAndSwap(t.Context(), "alice", []byte(strings.Repeat("x", 1000)), version)
	if !errors.Is(err, syscall.EFBIG) || !strings.Contains(err.Error(), s.Dir) {
		t.Errorf("CompareAndSwap with no space: %v; want an error that says so and names the file", err)
	}
	kept(t, s, version)
	if left, _ := filepath.Glob(filepath.Join(s.Dir, "*.tmp")); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}
