package filestore_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stayauth/stayauth/provider/filestore"
)

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
