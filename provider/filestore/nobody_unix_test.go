//go:build unix

package filestore_test

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stayauth/stayauth/provider/filestore"
)

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
