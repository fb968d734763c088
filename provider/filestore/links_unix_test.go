//go:build unix

package filestore_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/filestore"
)

// TestRelativeLinks: links are followed as the system follows them, also where the folder, or a
// folder on the way, is a link itself. All ways lead to one login.
func TestRelativeLinks(t *testing.T) {
	for name, target := range map[string]string{
		"above":                  "../alice.json",
		"through another folder": "way/../alice.json", // way leads to data/deep/er
		"absolute":               "ROOT/way/../alice.json",
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			data := filepath.Join(root, "data")
			folder := filepath.Join(data, "app")
			for _, dir := range []string{folder, filepath.Join(data, "deep", "er")} {
				mustDo(t, os.MkdirAll(dir, 0o700))
			}
			mustDo(t, os.Symlink(folder, filepath.Join(root, "app")))
			for _, dir := range []string{root, folder} {
				mustDo(t, os.Symlink(filepath.Join(data, "deep", "er"), filepath.Join(dir, "way")))
			}
			mustDo(t, os.Symlink(strings.Replace(target, "ROOT", root, 1), filepath.Join(folder, filestore.FileName("alice"))))

			version := uint64(0)
			for n, dir := range []string{folder, filepath.Join(root, "app")} {
				s := &filestore.Store{Dir: dir}
				found, at, err := s.Load(t.Context(), "alice")
				if err != nil || at != version || (n > 0) != (string(found) == "record") {
					t.Errorf("Load by %s = %q, %d, %v; want version %d", dir, found, at, err, version)
				}
				if version, err = s.CompareAndSwap(t.Context(), "alice", []byte("record"), at); err != nil {
					t.Fatal(err)
				}
			}
			system, err := os.ReadFile(filepath.Join(root, "app", filestore.FileName("alice")))
			if err != nil || !strings.HasSuffix(string(system), "record") {
				t.Errorf("the system finds %q, %v", system, err)
			}
		})
	}
}

func mustDo(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestLinkThatOthersCanReplace: a link on the way lies where everybody can put another.
func TestLinkThatOthersCanReplace(t *testing.T) {
	s, path, _ := saved(t)
	public := filepath.Join(s.Dir, "public")
	mustDo(t, os.Mkdir(public, 0o700))
	mustDo(t, os.Rename(path, filepath.Join(s.Dir, "real")))
	mustDo(t, os.Symlink(filepath.Join(public, "link"), path))
	mustDo(t, os.Symlink("../real", filepath.Join(public, "link")))
	if record, _, err := s.Load(t.Context(), "alice"); string(record) != "geheim" || err != nil {
		t.Fatalf("Load by links = %q, %v", record, err)
	}
	mustDo(t, os.Chmod(public, 0o777))
	if _, _, err := s.Load(t.Context(), "alice"); err == nil || !strings.Contains(err.Error(), "chmod 0755") {
		t.Errorf("Load by a link that others can replace: %v; want an error that says what to do", err)
	}
}

// TestFolderLeadsNowhere: a folder that is a link to nothing is no place without a login.
func TestFolderLeadsNowhere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "app")
	mustDo(t, os.Symlink("nowhere", dir))
	s := &filestore.Store{Dir: dir}
	_, _, loadErr := s.Load(t.Context(), "alice")
	_, swapErr := s.CompareAndSwap(t.Context(), "alice", []byte("x"), 0)
	for _, err := range []error{loadErr, swapErr} {
		if !provider.IsNoRetry(err) || !strings.Contains(err.Error(), "symbolic link to nowhere") {
			t.Errorf("%v; want an error that says so, for a person to mend", err)
		}
	}
}

// TestRelativeHome: the login stays where it is when the process goes to another folder.
func TestRelativeHome(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("XDG_STATE_HOME", "")
	t.Setenv("HOME", "home")
	s := &filestore.Store{App: "mytool"}
	version, err := s.CompareAndSwap(t.Context(), "alice", []byte("record"), 0)
	mustDo(t, err)
	mustDo(t, os.Mkdir("elsewhere", 0o700))
	t.Chdir("elsewhere")
	if record, at, err := s.Load(t.Context(), "alice"); string(record) != "record" || at != version || err != nil {
		t.Errorf("Load = %q, %d, %v", record, at, err)
	}
}
