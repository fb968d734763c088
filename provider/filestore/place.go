package filestore

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/stayauth/stayauth/provider"
)

// dir returns the folder, which stays the same where the process goes to another.
func (s *Store) dir() (string, error) {
	s.found.Do(func() { s.folder, s.notFound = s.find() })
	return s.folder, s.notFound
}

func (s *Store) find() (string, error) {
	switch {
	case s.Dir != "":
		return filepath.Abs(s.Dir)
	case s.App == "":
		return "", provider.Permanent(errors.New("filestore: neither Store.App nor Store.Dir is set: there is no place for the login"))
	case s.App == "." || s.App == ".." || s.App != filepath.Base(s.App) || strings.ContainsAny(s.App, "/\x00"):
		return "", provider.Permanent(fmt.Errorf("filestore: Store.App %q is not the name of a folder", s.App))
	}
	state, err := stateHome(runtime.GOOS, os.Getenv, os.UserHomeDir)
	if err != nil {
		return "", err
	}
	return filepath.Abs(filepath.Join(state, s.App)) // the home directory may be a relative path
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
		return "", provider.Permanent(fmt.Errorf("filestore: no place for the login: set Store.Dir, or the home directory: %w", err))
	}
	return filepath.Join(append([]string{dir}, below...)...), nil
}

// create makes the folder if there is none.
func (s *Store) create() error {
	dir, err := s.dir()
	if err != nil {
		return err
	}
	const doing = "creating the folder for the login"
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return nil // whatever is wrong with it, locate says it
	}
	mode := fs.FileMode(0o700)
	if s.AllowGroup {
		mode = 0o770
	}
	if err := os.MkdirAll(dir, mode); err != nil {
		return notWritten(doing, err)
	}
	if !s.AllowGroup {
		return nil
	}
	info, err := os.Stat(dir)
	if err == nil {
		err = os.Chmod(dir, info.Mode()|mode) // in spite of the umask
	}
	if err != nil {
		return notWritten(doing, err)
	}
	return nil
}

// fileName returns the name of the file of key. Different keys have different names, also where
// upper and lower case are the same and where names are normalized: what is not a lower-case
// letter, a digit, '-', '_', '.' or '@' is written as %XX. A long key is cut and ends in ~ and its
// hash.
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
