package filestore

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"
	"unsafe"
)

const (
	checkModes = false // they say nothing there
	lockToRead = true  // a file that is open can't be replaced
	openFlags  = 0
)

// From the documentation of LockFileEx, and of the system's error codes.
const (
	lockfileFailImmediately = 1
	lockfileExclusiveLock   = 2

	errorWriteProtect     = syscall.Errno(19)
	errorSharingViolation = syscall.Errno(32)
	errorLockViolation    = syscall.Errno(33)
	errorHandleDiskFull   = syscall.Errno(39)
	errorDiskFull         = syscall.Errno(112)
)

var lockFileEx = syscall.NewLazyDLL("kernel32.dll").NewProc("LockFileEx")

// tryLock locks the first byte of f.
func tryLock(f *os.File) error {
	var at syscall.Overlapped
	ok, _, err := lockFileEx.Call(f.Fd(), lockfileExclusiveLock|lockfileFailImmediately, 0, 1, 0, uintptr(unsafe.Pointer(&at)))
	switch {
	case ok != 0:
		return nil
	case errors.Is(err, errorLockViolation), errors.Is(err, syscall.ERROR_IO_PENDING):
		return errLocked
	}
	return os.NewSyscallError("LockFileEx", err)
}

// checkOwner checks nothing: the folder's access list decides.
func checkOwner(string, fs.FileInfo) error { return nil }

func ofOurGroup(fs.FileInfo) bool { return false }

// isUnwritable reports whether err says that nothing can be written, for now at least.
func isUnwritable(err error) bool {
	return errors.Is(err, errorWriteProtect) || errors.Is(err, errorDiskFull) || errors.Is(err, errorHandleDiskFull)
}

func isBusy(error) bool { return false }

// isMisplaced reports whether err says that there is something else than a folder.
func isMisplaced(err error) bool { return errors.Is(err, syscall.ENOTDIR) }

// replaceFile tries again for a moment if a virus scanner or a backup has the file open.
func replaceFile(from, to string) error {
	for pause := time.Millisecond; ; pause *= 2 {
		err := os.Rename(from, to)
		if err == nil || pause > 200*time.Millisecond ||
			!errors.Is(err, syscall.ERROR_ACCESS_DENIED) && !errors.Is(err, errorSharingViolation) {
			return err
		}
		time.Sleep(pause)
	}
}

// syncFolder does nothing: Windows keeps its folders in order by itself.
func syncFolder(string) error { return nil }
