package filestore

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

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

// The contents of a file; the zero contents if there is none.
type contents struct {
	record  []byte
	version uint64
	written time.Time
	info    fs.FileInfo
}

// read returns what is in the file.
func (f file) read() (contents, error) {
	h, err := os.OpenFile(f.path, os.O_RDONLY|openFlags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return contents{}, nil
	}
	if err != nil {
		return contents{}, notFound(err)
	}
	defer h.Close()
	info, err := h.Stat()
	if err != nil {
		return contents{}, fmt.Errorf("filestore: %w", err)
	}
	if !info.Mode().IsRegular() {
		return contents{}, mendable(fmt.Errorf("filestore: %s is not a file", f.path))
	}
	if err := checkPrivate(f.group, f.path, info, 0o077, 0o007); err != nil {
		return contents{}, err
	}
	data, err := io.ReadAll(io.LimitReader(h, most+1))
	if err != nil {
		return contents{}, fmt.Errorf("filestore: %w", err)
	}
	record, version, err := parse(data)
	if err != nil {
		return contents{}, mendable(fmt.Errorf("filestore: %s %w; it is left as it is: move it away to log in anew", f.path, err))
	}
	return contents{record, version, info.ModTime(), info}, nil
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
