//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package filestore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
)

const (
	checkModes = true
	lockToRead = false // a file that is being replaced can be read

	openFlags = syscall.O_NONBLOCK // a FIFO in the place of a file would hold up the process that opens it
)

// tryLock locks f with flock(2). The lock belongs to the open file, so two goroutines of one
// process exclude each other too.
func tryLock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			return errLocked
		default:
			return os.NewSyscallError("flock", err)
		}
	}
}

func checkOwner(path string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if ok && int64(stat.Uid) != int64(os.Geteuid()) {
		return fmt.Errorf("filestore: %s belongs to the user %d, and this process runs as %d: run it as that user, or set another "+
			"folder", path, stat.Uid, os.Geteuid())
	}
	return nil
}

// ofOurGroup reports whether a file belongs to a group of this process.
func ofOurGroup(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	groups, err := os.Getgroups()
	return int64(stat.Gid) == int64(os.Getegid()) || err == nil && slices.Contains(groups, int(stat.Gid))
}

// isUnwritable reports whether err says that nothing can be written, for now at least.
func isUnwritable(err error) bool {
	return errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// isBusy reports whether err says that a file is mounted in its place.
func isBusy(err error) bool { return errors.Is(err, syscall.EBUSY) }

// isMisplaced reports whether err says that there is something else than a folder or a file.
func isMisplaced(err error) bool {
	return errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.EISDIR) || errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENXIO)
}

func replaceFile(from, to string) error { return os.Rename(from, to) }

// syncFolder makes a rename in the folder last. Some file systems can't sync folders and say
// EINVAL; they need not.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	return nil
}
