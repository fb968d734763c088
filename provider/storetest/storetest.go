// Package storetest checks implementations of [shared.Store].
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) shared.Store { return &mystore.Store{Addr: addr} })
//	}
//
// A Store that passes can carry a [shared.Login]. One that does not would lose logins, and usually
// only under load.
//
// # What no test can tell
//
// Run sees a Store from outside and for a few seconds. It can't tell
//
//   - a counter of versions that wraps, or turns negative, after more writes than Run makes: it
//     makes 300, and 70,000 where they take no time. One that keeps or compares fewer than 64 bits
//     is found all the same: Run asks for versions that differ from the right one in a single bit;
//   - versions that go back when the storage has lost everything: [RunLoss] does, where a test can
//     make it forget;
//   - a check and a write that are only a few instructions apart, on a machine with one core;
//   - an operation that ignores its context and takes less than 10 ms: it returns too soon to be
//     told from one that obeys, and to do harm; nor one that hangs only when the network or the
//     disk does: cut those off in a test of the Store's own;
//   - that a lock of a [shared.Locker] ends with its process: kill one in a test of the Store's
//     own;
//   - errors that quote a record and that Run can't provoke, such as those of a storage that is
//     full.
package storetest

import (
	"context"
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/stayauth/stayauth/provider/shared"
)

// Run checks that a Store keeps the promises of the interface, in subtests that say which one is
// broken; also those of [shared.Watcher], [shared.Ager] and [shared.Locker], of each that it
// implements.
//
// open returns a client of the store. Run calls it several times, and the clients it gets must
// share one storage without sharing state in the process, as clients in different processes would:
// several file handles, several connections. Run also uses one client in two goroutines at a time.
// Whatever open needs to clean up it registers with t.Cleanup. The keys that Run uses are its own
// and random, so the storage need not be empty; the records stay in it.
//
// Run takes about three seconds where a write takes a few milliseconds. It is worth running under
// the race detector. What it does at random comes from a seed, which a failure prints; with that in
// the environment variable STORETEST_SEED it does the same again, as far as concurrent calls ever
// do.
func Run(t *testing.T, open func(t *testing.T) shared.Store) {
	t.Run("register", func(t *testing.T) { testRegister(t, open(t), open(t)) })
	t.Run("cancelled", func(t *testing.T) { testCancelled(t, open(t)) })
	obeys := t.Run("context", func(t *testing.T) { testContext(t, open, 0) })
	obeys = t.Run("context under contention", func(t *testing.T) { testContext(t, open, 8) }) && obeys
	if !obeys {
		t.Log("the rest was not run: it has to rely on contexts")
		return
	}
	t.Run("versions", func(t *testing.T) { testVersions(t, open(t), open(t)) })
	t.Run("bytes", func(t *testing.T) { testBytes(t, open(t), open(t)) })
	t.Run("aliasing", func(t *testing.T) { testAliasing(t, open(t)) })
	t.Run("keys", func(t *testing.T) { testKeys(t, open(t)) })
	t.Run("errors", func(t *testing.T) { testErrors(t, open(t), open(t)) })
	t.Run("one winner", func(t *testing.T) { testOneWinner(t, open) })
	t.Run("contention", func(t *testing.T) { testContention(t, open) })
	t.Run("linearizable", func(t *testing.T) { testLinearizable(t, open, false) })
	t.Run("linearizable when cut off", func(t *testing.T) { testLinearizable(t, open, true) })

	a, b := open(t), open(t)
	if w, ok := a.(shared.Watcher); ok {
		t.Run("watcher", func(t *testing.T) { testWatcher(t, w, a, b) })
	}
	if ager, ok := a.(shared.Ager); ok {
		t.Run("ager", func(t *testing.T) { testAger(t, ager, b.(shared.Ager), a) })
	}
	if l, ok := a.(shared.Locker); ok {
		t.Run("locker", func(t *testing.T) { testLocker(t, l, b.(shared.Locker), a) })
	}
}

// RunLoss checks that no version is used twice, and that versions grow, across a loss of the
// storage's memory: a flush, a restart without persistence, files deleted by hand. A counter that
// starts at 1 again does not know an old version from a new one. lose makes the storage forget at
// least all that was written under the keys of RunLoss.
func RunLoss(t *testing.T, open func(t *testing.T) shared.Store, lose func(t *testing.T)) {
	s, key, version := open(t), newKey(), uint64(0)
	for range 5 {
		version = mustSwap(t, s, key, "to be lost", version)
	}
	lose(t)
	s = open(t)
	if record, found, err := s.Load(t.Context(), key); record != nil || found != 0 || err != nil {
		t.Fatalf("Load after the loss = %d bytes, version %d, %v; want nil, 0, nil", len(record), found, err)
	}
	wantConflict(t, s, key, version, "a version of before the loss")
	if again := mustSwap(t, s, key, "new", 0); again <= version {
		t.Fatalf("the first write after the loss got version %d, and before it there was version %d: versions grow, also across a loss",
			again, version)
	}
}

// newKey returns a key that was not used before.
func newKey() string { return "storetest " + rand.Text() }

func mustSwap(t *testing.T, s shared.Store, key, record string, version uint64) uint64 {
	t.Helper()
	next, err := s.CompareAndSwap(t.Context(), key, []byte(record), version)
	if err != nil {
		t.Fatalf("CompareAndSwap of %d bytes at version %d, key %s: %v", len(record), version, shown(key), err)
	}
	if next <= version {
		t.Fatalf("CompareAndSwap at version %d returned version %d; want a greater one: versions grow", version, next)
	}
	return next
}

func wantConflict(t *testing.T, s shared.Store, key string, version uint64, what string) {
	t.Helper()
	if _, err := s.CompareAndSwap(t.Context(), key, []byte("x"), version); !isConflict(err) {
		t.Fatalf("CompareAndSwap with %s (%d): %v; want ErrConflict", what, version, err)
	}
}

func wantLoad(t *testing.T, s shared.Store, key, record string, version uint64) {
	t.Helper()
	got, v, err := s.Load(t.Context(), key)
	if err != nil {
		t.Fatalf("Load of %s: %v", shown(key), err)
	}
	if string(got) != record || v != version {
		t.Fatalf("Load of %s = %s, version %d; want %s, version %d", shown(key), shown(string(got)), v, shown(record), version)
	}
}

// shown is a record or a key as a message can bear it.
func shown(s string) string {
	if len(s) > 80 {
		return fmt.Sprintf("%q...%q (%d bytes)", s[:40], s[len(s)-10:], len(s))
	}
	return fmt.Sprintf("%q", s)
}

// An operation is one call of a Store, for tests of both methods.
type operation struct {
	name string
	run  func(ctx context.Context, s shared.Store, key string) error
}

var operations = []operation{
	{"Load", func(ctx context.Context, s shared.Store, key string) error {
		_, _, err := s.Load(ctx, key)
		return err
	}},
	{"CompareAndSwap", func(ctx context.Context, s shared.Store, key string) error {
		_, err := s.CompareAndSwap(ctx, key, []byte("x"), 0)
		return err
	}},
}
