package filestore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A file is where a record is.
type file struct {
	path string // of the file itself, at the end of any symbolic links: those are kept
	lock string // of the file that is locked, which is never deleted
}

// locate finds the file of key and checks that others can't reach it. It returns fs.ErrNotExist if there is no folder yet.
func (s *Store) locate(ctx context.Context, key string) (file, error) {
	if err := ctx.Err(); err != nil {
		return file{}, err
	}
	dir, err := s.dir()
	if err != nil {
		return file{}, err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return file{}, fmt.Errorf("filestore: %w", err)
	}
	if !info.IsDir() {
		return file{}, fmt.Errorf("filestore: %s is not a folder", dir)
	}
	if err := checkPrivate(dir, info, 0o077, "0700"); err != nil {
		return file{}, err
	}
	path := filepath.Join(dir, fileName(key))
	for range 40 { // as many links as Linux follows
		target, err := os.Readlink(path)
		if err != nil {
			// Not a link, or not there yet.
			return file{path: path, lock: path + ".lock"}, checkTarget(dir, path)
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return file{}, fmt.Errorf("filestore: too many symbolic links from %s", filepath.Join(dir, fileName(key)))
}

// checkTarget checks the folder that a link leads to: others must not be able to put something else in the file's place.
func checkTarget(dir, path string) error {
	target := filepath.Dir(path)
	if target == dir {
		return nil
	}
	info, err := os.Stat(target)
	if err != nil {
		return fmt.Errorf("filestore: following a symbolic link: %v", err) // not fs.ErrNotExist: that would be no login
	}
	return checkPrivate(target, info, 0o022, "0755")
}

// checkPrivate refuses what belongs to another user, and what others can get at by the forbidden bits of its mode.
func checkPrivate(path string, info fs.FileInfo, forbidden fs.FileMode, want string) error {
	if err := checkOwner(path, info); err != nil {
		return err
	}
	if checkModes && info.Mode().Perm()&forbidden != 0 {
		return fmt.Errorf("filestore: %s has mode %04o, so other users can get at the login: run chmod %s on it, and consider the "+
			"login stolen if they could", path, info.Mode().Perm(), want)
	}
	return nil
}

// The file begins with a line that tells a whole file from a damaged one:
//
//	stayauth-record 1 <version> <length of the record> <SHA-256 of the line so far and the record>
//
// and then comes the record.
const (
	magic  = "stayauth-record"
	format = "1"
	most   = 16 << 20 // bytes of a file: more is no record
)

// read returns what is in the file; nil, 0, nil if there is none.
func (f file) read() ([]byte, uint64, error) {
	h, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("filestore: %w", err)
	}
	defer h.Close()
	info, err := h.Stat()
	if err != nil {
		return nil, 0, fmt.Errorf("filestore: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("filestore: %s is not a file", f.path)
	}
	if err := checkPrivate(f.path, info, 0o077, "0600"); err != nil {
		return nil, 0, err
	}
	data, err := io.ReadAll(io.LimitReader(h, most+1))
	if err != nil {
		return nil, 0, fmt.Errorf("filestore: %w", err)
	}
	record, version, err := parse(data)
	if err != nil {
		return nil, 0, fmt.Errorf("filestore: %s %w; it is left as it is: move it away to log in anew", f.path, err)
	}
	return record, version, nil
}

// parse takes a file apart. Its errors show nothing of the file.
func parse(data []byte) (record []byte, version uint64, err error) {
	damaged := errors.New("is damaged")
	line, record, _ := bytes.Cut(data, []byte("\n"))
	fields := strings.Fields(string(line))
	if len(fields) < 2 || fields[0] != magic || len(data) > most {
		return nil, 0, damaged
	}
	if _, err := strconv.ParseUint(fields[1], 10, 16); err == nil && fields[1] != format {
		return nil, 0, fmt.Errorf("has format %s, and this program knows format %s only", fields[1], format)
	}
	if len(fields) != 5 {
		return nil, 0, damaged
	}
	version, err = strconv.ParseUint(fields[2], 10, 64)
	if err != nil || version == 0 || string(line) != header(record, version) {
		return nil, 0, damaged
	}
	return record, version, nil
}

func header(record []byte, version uint64) string {
	line := fmt.Sprintf("%s %s %d %d ", magic, format, version, len(record))
	sum := sha256.New()
	sum.Write([]byte(line))
	sum.Write(record)
	return line + hex.EncodeToString(sum.Sum(nil))
}

// A replacement is a record on its way into a file. Its creator holds the lock.
type replacement struct {
	file    file
	version uint64
	data    []byte
	temp    *os.File
}

func newReplacement(f file, record []byte, version uint64) *replacement {
	// Versions follow the clock, so that none comes twice even if the file was deleted in between.
	next := max(version+1, uint64(max(time.Now().UnixMicro(), 0)))
	return &replacement{file: f, version: next, data: append([]byte(header(record, next)+"\n"), record...)}
}

// steps returns what is to be done, in order. Until the third the old record is in place, from then on the new one.
func (r *replacement) steps() []func() error {
	return []func() error{r.write, r.sync, r.rename, r.syncDir}
}

// write puts the new contents in a temporary file. There is one name for it, as its creator holds the lock: what is there under
// that name was left behind by a process that was killed.
func (r *replacement) write() error {
	name := r.file.path + ".tmp"
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	temp, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	r.temp = temp
	_, err = temp.Write(r.data)
	return err
}

// sync brings the temporary file to the disk.
func (r *replacement) sync() error {
	if err := r.temp.Sync(); err != nil {
		return err
	}
	return r.temp.Close()
}

// rename puts the temporary file in the place of the old one.
func (r *replacement) rename() error { return replaceFile(r.temp.Name(), r.file.path) }

// syncDir brings the rename to the disk.
func (r *replacement) syncDir() error { return syncFolder(filepath.Dir(r.file.path)) }

// failed cleans up and describes err. After a failed syncDir the temporary file has its new name, and there is nothing to remove.
func (r *replacement) failed(err error) error {
	if r.temp != nil {
		_ = r.temp.Close()
		_ = os.Remove(r.temp.Name())
	}
	return fmt.Errorf("filestore: saving the login: %w", err)
}
