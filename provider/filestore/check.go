package filestore

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A file is where a record is.
type file struct {
	path  string // of the file itself, at the end of any symbolic links: those are kept
	lock  string // of the file that is locked
	group bool   // Store.AllowGroup
}

// mode is what files are created with.
func (f file) mode() fs.FileMode {
	if f.group {
		return 0o660
	}
	return 0o600
}

// share opens a file that was created to its group, in spite of the umask. One that is another
// user's can't be changed and need not be.
func (f file) share(h *os.File) {
	if f.group {
		_ = h.Chmod(f.mode())
	}
}

// locate finds the file of key and checks that others can't reach it. It returns fs.ErrNotExist if
// there is no folder yet.
func (s *Store) locate(key string) (file, error) {
	dir, err := s.dir()
	if err != nil {
		return file{}, err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return file{}, notFound(err)
	}
	if !info.IsDir() {
		return file{}, mendable(fmt.Errorf("filestore: %s is not a folder", dir))
	}
	if err := checkPrivate(s.AllowGroup, dir, info, 0o077, 0o002); err != nil {
		return file{}, err
	}
	path := filepath.Join(dir, fileName(key))
	for range 40 { // as many links as Linux follows
		target, err := os.Readlink(path)
		if err != nil {
			// Not a link, or not there yet.
			return file{path: path, lock: path + ".lock", group: s.AllowGroup}, s.checkTarget(dir, path)
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return file{}, mendable(fmt.Errorf("filestore: too many symbolic links from %s", filepath.Join(dir, fileName(key))))
}

// checkTarget checks the folder that a link leads to: others must not be able to put something else
// in the file's place.
func (s *Store) checkTarget(dir, path string) error {
	target := filepath.Dir(path)
	if target == dir {
		return nil
	}
	info, err := os.Stat(target)
	if err != nil {
		return mendable(fmt.Errorf("filestore: following a symbolic link: %v", err)) // not fs.ErrNotExist: that would be no login
	}
	return checkPrivate(s.AllowGroup, target, info, 0o022, 0o002)
}

// checkPrivate rejects what belongs to another user, and what others can get at by the forbidden
// bits of its mode. With group, what belongs to a group of this process may belong to any user, and
// the bits forbidden to it are those of toGroup.
func checkPrivate(group bool, path string, info fs.FileInfo, forbidden, toGroup fs.FileMode) error {
	if group && ofOurGroup(info) {
		forbidden = toGroup
	} else if err := checkOwner(path, info); err != nil {
		return mendable(err)
	}
	mode := info.Mode().Perm()
	if checkModes && mode&forbidden != 0 {
		return mendable(fmt.Errorf("filestore: %s has mode %04o, so other users can get at the login: run chmod %04o on it, and "+
			"consider the login stolen if they could", path, mode, mode&^forbidden))
	}
	return nil
}
