//go:build unix

package filestore_test

import (
	"context"
	"errors"
	"net"
	"os"
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
				if !provider.IsNoRetry(err) || provider.IsPermanent(err) {
					t.Errorf("%v, permanent: %t; want to be told at once, and asked again later: a person can mend it", err, provider.IsPermanent(err))
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
