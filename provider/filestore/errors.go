package filestore

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
)

// mendable marks what stays wrong until a person has done something, and can be put right while
// the program runs: callers are told at once, and soon after it is put right the next one finds
// out. A permanent error would end their session for good.
func mendable(err error) error { return provider.RetryAfter(provider.NoRetry(err), 5*time.Second) }

// notFound describes an error of looking at a folder or a file. fs.ErrNotExist is to be handled
// before where it means that there is no login.
func notFound(err error) error {
	described := fmt.Errorf("filestore: %w", err)
	if errors.Is(err, fs.ErrPermission) || isMisplaced(err) {
		return mendable(described)
	}
	return described
}

// notWritten describes an error of a write. If it is one that stays, it is shared.ErrUnwritable.
func notWritten(doing string, err error) error {
	described := fmt.Errorf("filestore: %s: %w", doing, err)
	if isBusy(err) {
		described = fmt.Errorf("filestore: %s: %w: a file that is mounted can't be replaced: mount the folder that it is in", doing, err)
	}
	if errors.Is(err, fs.ErrPermission) || isUnwritable(err) || isBusy(err) {
		return &unwritableError{described}
	}
	if isMisplaced(err) {
		return mendable(described)
	}
	return described
}

// An unwritableError is shared.ErrUnwritable in the words of err.
type unwritableError struct{ err error }

func (e *unwritableError) Error() string   { return e.err.Error() }
func (e *unwritableError) Unwrap() []error { return []error{e.err, shared.ErrUnwritable} }
