// Package filestore keeps shared logins in files: one login for all processes of a user on one machine, kept across restarts.
//
//	login := &shared.Login{Provider: backend, Store: &filestore.Store{App: "mytool"}, Key: "alice"}
//
// Each login is a file of its own, readable by its owner only, which is replaced atomically under a kernel lock. A process that
// is killed at any point leaves either the old record or the new one, and no lock.
//
// # Requirements
//
// The folder must be on a local file system: locks over a network are as good as that network's. It works on Linux, macOS, the
// BSDs, illumos and Windows. On Windows files are protected by the access list of the user's own application data folder, not by
// a mode; a Dir elsewhere is not checked there.
package filestore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/stayauth/stayauth/provider/shared"
)

// A Store is a [shared.Store] in a folder. Set App or Dir. It has no state of its own: copies, and other processes with the
// same folder, share their logins. It may be used by several goroutines at once.
type Store struct {
	// App names the program. Its folder is where programs keep state, as opposed to configuration: $XDG_STATE_HOME/App or
	// ~/.local/state/App, on macOS ~/Library/Application Support/App, on Windows %LocalAppData%\App. It is created with mode
	// 0700 when the first login is saved.
	App string

	// Dir is the folder to use instead. It is created likewise. If it is there already, it must belong to the user whom the
	// process runs as, and be closed to others.
	Dir string
}

// Load implements [shared.Store]. It needs no write access.
func (s *Store) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	f, err := s.locate(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	if lockToRead {
		unlock, err := lock(ctx, f.lock)
		if err != nil {
			return nil, 0, err
		}
		defer unlock()
	}
	return f.read()
}

// CompareAndSwap implements [shared.Store]. It waits for its turn among all processes that write under the same key; the record is
// on the disk when it returns.
func (s *Store) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	r, unlock, err := s.begin(ctx, key, record, version)
	if err != nil {
		return 0, err
	}
	defer unlock()
	for _, step := range r.steps() {
		if err := step(); err != nil {
			return 0, r.failed(err)
		}
	}
	return r.version, nil
}

// begin locks the file of key, checks that it is at version, and returns what will replace it.
func (s *Store) begin(ctx context.Context, key string, record []byte, version uint64) (_ *replacement, unlock func(), err error) {
	if err := s.create(); err != nil {
		return nil, nil, err
	}
	f, err := s.locate(ctx, key)
	if err != nil {
		return nil, nil, err
	}
	unlock, err = lock(ctx, f.lock)
	if err != nil {
		return nil, nil, err
	}
	_, found, err := f.read()
	if err == nil && found != version {
		err = shared.ErrConflict
	}
	if err != nil {
		unlock()
		return nil, nil, err
	}
	return newReplacement(f, record, found), unlock, nil
}

// dir returns the folder.
func (s *Store) dir() (string, error) {
	switch {
	case s.Dir != "":
		return filepath.Abs(s.Dir)
	case s.App == "":
		return "", errors.New("filestore: neither Store.App nor Store.Dir is set: there is no place for the login")
	case s.App != filepath.Base(s.App) || s.App == "." || s.App == "..":
		return "", fmt.Errorf("filestore: Store.App %q is not the name of a folder", s.App)
	}
	state, err := stateHome(runtime.GOOS, os.Getenv, os.UserHomeDir)
	if err != nil {
		return "", err
	}
	return filepath.Join(state, s.App), nil
}

// stateHome returns where programs keep state on the named system.
func stateHome(system string, getenv func(string) string, home func() (string, error)) (string, error) {
	var below []string
	switch system {
	case "windows":
		if local := getenv("LocalAppData"); local != "" {
			return local, nil
		}
		below = []string{"AppData", "Local"}
	case "darwin", "ios":
		below = []string{"Library", "Application Support"}
	default:
		// The XDG Base Directory Specification: a relative path is invalid and to be ignored.
		if xdg := getenv("XDG_STATE_HOME"); filepath.IsAbs(xdg) {
			return xdg, nil
		}
		below = []string{".local", "state"}
	}
	dir, err := home()
	if err != nil {
		return "", fmt.Errorf("filestore: no place for the login: set Store.Dir, or the home directory: %w", err)
	}
	return filepath.Join(append([]string{dir}, below...)...), nil
}

// create makes the folder if there is none.
func (s *Store) create() error {
	dir, err := s.dir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("filestore: creating the folder for the login: %w", err)
	}
	return nil
}

// fileName returns the name of the file of key. Different keys have different names, also where upper and lower case are the
// same and where names are normalized: what is not a lower-case letter, a digit, '-', '_', '.' or '@' is written as %XX. A long key
// is cut and ends in ~ and its hash.
func fileName(key string) string {
	const most = 150 // of the 255 bytes that most file systems allow
	var b strings.Builder
	b.WriteString("login-") // no reserved name of Windows begins like that
	for i := range len(key) {
		switch c := key[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == '@':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	name := b.String()
	if len(name) > most {
		name = fmt.Sprintf("%s~%x", name[:most-65], sha256.Sum256([]byte(key)))
	}
	return name + ".json"
}
