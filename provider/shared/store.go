package shared

import (
	"context"
	"errors"
	"time"
)

// A Store keeps one small record for each key and replaces it atomically: a compare-and-swap
// register. It is all that [Login] needs of an engine, so that a login can be shared through
// whatever a program has at hand: package filestore keeps records in files, package redisstore in
// Redis. Package storetest checks an implementation; every Store must pass it.
//
// A record is opaque to the Store, never empty, usually a few KiB, and holds secrets. A key is any
// string but the empty one. Keys don't touch one another. All methods are safe for concurrent use,
// return when ctx is done, and keep no reference to a slice that they were given or gave. An error
// must not contain any part of a record.
//
// Versions grow. Each is greater than every version that the key had before, also if its record was
// lost in between: a clock in the store serves. So a smaller version than one that was seen, or
// none, says that the store has lost writes; the processes take notice of that.
//
// Two kinds of errors have a word of their own, because trying again won't help: what
// [provider.Permanent] marks is a mistake in the configuration, such as a field that is not set,
// and [ErrUnwritable] says that nothing can be written here.
//
// A Store may also implement [Watcher], [Ager] and [Locker]: each makes waiting shorter, none is
// needed for a login to be safe.
type Store interface {
	// Load returns the record and its version; nil, 0, nil when there is none. It sees every write
	// that was reported as done before it was called, also by another process.
	Load(ctx context.Context, key string) (record []byte, version uint64, err error)

	// CompareAndSwap writes record if the version is still version (0: none), and returns the new
	// version, which is greater. It returns [ErrConflict] if it is not. Writing the bytes that are
	// there already is a write like any other.
	//
	// After any other error the outcome is unknown: the caller loads and compares. The same write
	// may be sent twice, also at the same time, when there was no answer to the first; at most one
	// of them is carried out, as with any two over one version.
	CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error)
}

// A Watcher is a [Store] that tells of a change as it happens. Those who wait for another process's
// refresh learn of the new token at once then, instead of at their next look. They look all the
// same, less often.
type Watcher interface {
	// Watch returns nil when the record of key is at another version than the given one, also if it
	// was from the beginning. It may return nil early, too. It returns an error if it can't tell,
	// and when ctx is done.
	Watch(ctx context.Context, key string, version uint64) error
}

// An Ager is a [Store] that knows how long ago a record was written, by a clock of its own and
// never by that of a process that uses it. A holder that died is then found dead by processes, too,
// that live shorter than a lease.
type Ager interface {
	// Age returns for how long the record of key has been at the given version, rather too little
	// than too much; 0 if it is at another version by now, or if the store can't tell.
	Age(ctx context.Context, key string, version uint64) (time.Duration, error)
}

// A Locker is a [Store] on one machine whose kernel can tell a process that is dead from one that
// is only silent, because it takes the locks of the dead away. The holder of a lease keeps the lock
// while it works. One that was suspended is waited for then, and one that was killed for two fifths
// of its lease.
type Locker interface {
	// TryLock takes the lock of key, and returns ok false at once if anyone else has it, in this
	// process or another. The lock ends with unlock, which may be called twice, or with the
	// process. It has nothing to do with CompareAndSwap, which must work for everyone meanwhile.
	TryLock(ctx context.Context, key string) (unlock func(), ok bool, err error)
}

// ErrConflict is what [Store.CompareAndSwap] returns, possibly wrapped, when the record is no
// longer the one that the caller saw: it has certainly not been written by this call.
var ErrConflict = errors.New("shared: the stored record has changed")

// ErrUnwritable is what [Store.CompareAndSwap] wraps when nothing can be written here until a person
// mends it: a file system that is read-only or full, a permission that is missing. [Login] says what
// it does then.
var ErrUnwritable = errors.New("shared: the store can't be written")
