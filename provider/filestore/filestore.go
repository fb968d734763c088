// Package filestore keeps shared logins in files: one login for all processes of a user on one
// machine, kept across restarts.
//
//	login := &shared.Login{Provider: backend, Store: &filestore.Store{App: "mytool"}, Key: "alice"}
//
// Each login is a file of its own, readable by its owner only, which is replaced atomically under a
// kernel lock. A process that is killed at any point leaves either the old record or the new one,
// and no lock.
//
// # Requirements
//
// The folder must be on a local file system: locks over a network are as good as that network's. It
// works on Linux, macOS, the BSDs, illumos and Windows. On Windows files are protected by the
// access list of the user's own application data folder, not by a mode; a Dir elsewhere is not
// checked there.
//
// In a container mount the folder, never the login's file itself: a file that is mounted can't be
// replaced.
//
// # When something is wrong
//
// What can't be mended while the program runs is marked by [provider.Permanent]: neither App nor
// Dir is set, App is not a name, there is no home directory. What a person can mend meanwhile is
// marked by [provider.RetryAfter] with a minute, so that callers are told at once and the login
// goes on by itself afterwards: a folder or a file that others can reach, or that belongs to
// another user; something else than a file or a folder in its place; a damaged file. A damaged file
// is never overwritten, for it may be half of the only copy: put it right, or move it away to log
// in anew. Where nothing can be written the error is [shared.ErrUnwritable].
//
// Should the folder, or the lock in it, be removed under running processes, they make them again.
// The record is lost with the folder; [shared.Login] writes back the one that it has in memory.
// Versions follow the machine's clock, so that they grow across a loss as well.
package filestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"sync"

	"github.com/stayauth/stayauth/provider/shared"
)

// A Store is a [shared.Store] in a folder, and a [shared.Watcher], [shared.Ager] and
// [shared.Locker]. Set App or Dir. Other Stores, and other processes, with the same folder share
// its logins. It may be used by several goroutines at once, and must not be copied after its first
// use.
//
// Its methods return when their contexts are done, also where the system does not, as on a file
// system that is frozen. What they leave behind then ends when the system answers, and changes
// nothing if it has not come to the last step by then.
type Store struct {
	// App names the program. Its folder is where programs keep state, as opposed to configuration:
	// $XDG_STATE_HOME/App or ~/.local/state/App, on macOS ~/Library/Application Support/App, on
	// Windows %LocalAppData%\App. It is created with mode 0700 when the first login is saved.
	App string

	// Dir is the folder to use instead. It is created likewise. If it is there already, it must
	// belong to the user whom the process runs as, and be closed to others.
	Dir string

	// AllowGroup lets a group share the logins: folders and files may belong to any user and be
	// open to their group, if that is a group of this process. Everyone in the group can use the
	// logins then. Files are created with mode 0660 and the folder with 0770. False means that the
	// user's own are the only good ones.
	//
	// It is for Kubernetes' volumes with an fsGroup, which are made the group's each time that a
	// pod starts. It has no effect on Windows.
	AllowGroup bool

	once sync.Once
	busy chan struct{} // holds an element for each call of the system under way. Made by once

	found    sync.Once
	folder   string // set by found
	notFound error  // set by found
}

// Load implements [shared.Store]. It needs no write access.
func (s *Store) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	found, err := obey(ctx, s, "loading the login", func() (contents, error) { return s.read(key) })
	return found.record, found.version, err
}

// read returns what is under key; the zero contents if there is nothing.
func (s *Store) read(key string) (contents, error) {
	f, err := s.locate(key)
	if errors.Is(err, fs.ErrNotExist) {
		return contents{}, nil
	}
	if err != nil {
		return contents{}, err
	}
	if lockToRead {
		l, err := f.tryLock(f.lock)
		if err != nil {
			return contents{}, err
		}
		defer l.Close()
	}
	return f.read()
}

// CompareAndSwap implements [shared.Store]. It waits for its turn among all processes that write
// under the same key; the record is on the disk when it returns.
func (s *Store) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	record = bytes.Clone(record)
	return obey(ctx, s, "saving the login", func() (uint64, error) {
		r, err := s.begin(key, record, version)
		if err != nil {
			return 0, err
		}
		defer r.lock.Close()
		for _, step := range r.steps() {
			// A caller that is gone takes the outcome for unknown, and has others look: rather
			// nothing is written now than something later.
			err := ctx.Err()
			if err == nil {
				err = step()
			}
			if err != nil {
				return 0, r.failed(err)
			}
		}
		return r.version, nil
	})
}

// begin locks the file of key, checks that it is at version, and returns what will replace it. It
// returns errLocked if another holds the lock.
func (s *Store) begin(key string, record []byte, version uint64) (*replacement, error) {
	if len(header(record, math.MaxUint64))+1+len(record) > most {
		return nil, fmt.Errorf("filestore: a record of %d bytes is too long to be kept: %w", len(record), shared.ErrUnwritable)
	}
	if err := s.create(); err != nil {
		return nil, err
	}
	f, err := s.locate(key)
	if err != nil {
		return nil, err
	}
	l, err := f.tryLock(f.lock)
	if err != nil {
		return nil, err
	}
	found, err := f.read()
	if err == nil && found.version != version {
		err = shared.ErrConflict
	}
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	return newReplacement(f, l, record, version), nil
}
