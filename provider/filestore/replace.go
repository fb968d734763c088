package filestore

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A replacement is a record on its way into a file. Its creator holds the lock.
type replacement struct {
	file    file
	lock    *fileLock
	version uint64
	data    []byte
	temp    *os.File
}

func newReplacement(f file, l *fileLock, record []byte, version uint64) *replacement {
	// Versions follow the clock, so that none comes twice even if the file was deleted in between.
	next := max(version+1, uint64(max(time.Now().UnixMicro(), 0)))
	return &replacement{file: f, lock: l, version: next, data: append([]byte(header(record, next)+"\n"), record...)}
}

// steps returns what is to be done, in order. Until the third the old record is in place, from then
// on the new one.
func (r *replacement) steps() []func() error {
	return []func() error{r.write, r.sync, r.rename, r.syncDir}
}

// write puts the new contents in a temporary file. There is one name for it, as its creator holds
// the lock: what is there under that name was left behind by a process that was killed.
func (r *replacement) write() error {
	name := r.file.path + ".tmp"
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	temp, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, r.file.mode())
	if err != nil {
		return err
	}
	r.temp = temp
	r.file.share(temp)
	_, err = temp.Write(r.data)
	return err
}

// sync brings the temporary file to the disk.
func (r *replacement) sync() error { return r.temp.Sync() }

// errLockLost is what a write fails with whose lock was removed under it, with its folder or alone.
var errLockLost = errors.New("the lock was removed meanwhile")

// rename puts the temporary file in the place of the old one. If the lock was removed under it,
// others may be at the same: then it does not, or can't tell whether it has.
func (r *replacement) rename() error {
	mine, err := r.temp.Stat()
	if err := errors.Join(err, r.temp.Close()); err != nil {
		return err
	}
	there, err := os.Stat(r.temp.Name())
	if err != nil {
		return err
	}
	if !os.SameFile(mine, there) || !r.lock.valid() {
		return errLockLost
	}
	if err := replaceFile(r.temp.Name(), r.file.path); err != nil {
		return err
	}
	if !r.lock.valid() {
		return errLockLost
	}
	// The record is as old as its place, not as its bytes: the sync may have taken long.
	now := time.Now()
	_ = os.Chtimes(r.file.path, now, now)
	return nil
}

// syncDir brings the rename to the disk.
func (r *replacement) syncDir() error { return syncFolder(filepath.Dir(r.file.path)) }

// failed cleans up and describes err. After a failed syncDir the temporary file has its new name,
// and there is nothing to remove.
func (r *replacement) failed(err error) error {
	if r.temp != nil {
		_ = r.temp.Close()
		if !errors.Is(err, errLockLost) { // or it may be another's by now
			_ = os.Remove(r.temp.Name())
		}
	}
	return notWritten("saving the login", err)
}
