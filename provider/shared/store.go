package shared

import (
	"context"
	"errors"
)

// A Store keeps one small record for each key and replaces it atomically: a compare-and-swap register. It is all that
// [Login] needs of an engine, so that a login can be shared through whatever a program has at hand: package filestore
// keeps records in files, package redisstore in Redis. Package storetest checks an implementation; every Store must pass it.
//
// A record is opaque to the Store, never empty, usually a few KiB, and holds secrets. A key is any string but the empty one.
// Keys don't touch one another. All methods are safe for concurrent use, return when ctx is done, and keep no reference to a
// slice that they were given or gave. An error must not contain any part of a record.
type Store interface {
	// Load returns the record and its version; nil, 0, nil when there is none. It sees every write that was reported as done
	// before it was called, also by another process.
	Load(ctx context.Context, key string) (record []byte, version uint64, err error)

	// CompareAndSwap writes record if the version is still version (0: none), and returns the new version. It returns
	// [ErrConflict] if it is not. Writing the bytes that are there already is a write like any other.
	//
	// After any other error the outcome is unknown: the caller loads and compares.
	//
	// No version is used twice for a key, not even after its record was lost.
	CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error)
}

// ErrConflict is what [Store.CompareAndSwap] returns, possibly wrapped, when the record is no longer the one that the caller
// saw: it has certainly not been written.
var ErrConflict = errors.New("shared: the stored record has changed")
