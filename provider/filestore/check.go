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
		if target, lerr := os.Readlink(dir); lerr == nil { // which is something else than no folder
			return file{}, mendable(fmt.Errorf("filestore: %s is a symbolic link to %s: %v", dir, target, err))
		}
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
		if err := s.checkTarget(dir, path); err != nil {
			return file{}, err
		}
		target, err := os.Readlink(path)
		if err != nil { // not a link, or not there yet
			return file{path: path, lock: path + ".lock", group: s.AllowGroup}, nil
		}
		if path, err = follow(path, target); err != nil {
			return file{}, mendable(fmt.Errorf("filestore: following a symbolic link: %v", err)) // not fs.ErrNotExist: that would be no login
		}
	}
	return file{}, mendable(fmt.Errorf("filestore: too many symbolic links from %s", filepath.Join(dir, fileName(key))))
}

// follow returns where the link at path leads, as the system finds it: ".." is the folder above the
// one that a link to a folder stands for, not above the link.
func follow(path, target string) (string, error) {
	if !filepath.IsAbs(target) {
		target = filepath.Dir(path) + string(filepath.Separator) + target
	}
	folder, name := filepath.Split(target)
	folder, err := filepath.EvalSymlinks(folder)
	return filepath.Join(folder, name), err
}

// checkTarget checks the folder of a link, or of what it leads to: others must not be able to put
// something else in the place of either.
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
