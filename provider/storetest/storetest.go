// Package storetest checks implementations of [shared.Store].
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) shared.Store { return &mystore.Store{Addr: addr} })
//	}
//
// A Store that passes can carry a [shared.Login]. One that does not would lose logins, and usually only under load.
package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"

	"github.com/stayauth/stayauth/provider/shared"
)

// Run checks that a Store keeps the promises of the interface, in subtests that say which one is broken.
//
// open returns a client of the store. Run calls it several times, and the clients it gets must share one storage without
// sharing state in the process, as clients in different processes would: several file handles, several connections. Whatever
// open needs to clean up it registers with t.Cleanup. The keys that Run uses are its own and random, so the storage need not be
// empty; the records stay in it.
//
// Run takes about a second where a write takes a few milliseconds. It is worth running under the race detector.
func Run(t *testing.T, open func(t *testing.T) shared.Store) {
	t.Run("register", func(t *testing.T) { testRegister(t, open(t), open(t)) })
	t.Run("versions", func(t *testing.T) { testVersions(t, open(t), open(t)) })
	t.Run("bytes", func(t *testing.T) { testBytes(t, open(t), open(t)) })
	t.Run("aliasing", func(t *testing.T) { testAliasing(t, open(t)) })
	t.Run("keys", func(t *testing.T) { testKeys(t, open(t)) })
	t.Run("cancelled", func(t *testing.T) { testCancelled(t, open(t)) })
	t.Run("one winner", func(t *testing.T) { testOneWinner(t, open) })
	t.Run("linearizable", func(t *testing.T) { testLinearizable(t, open, false) })
	t.Run("linearizable when cut off", func(t *testing.T) { testLinearizable(t, open, true) })
}

// newKey returns a key that nobody used before.
func newKey() string { return "storetest " + rand.Text() }

// testRegister is the contract in a single thread: two clients take turns.
func testRegister(t *testing.T, a, b shared.Store) {
	ctx, key := t.Context(), newKey()

	record, version, err := a.Load(ctx, key)
	if record != nil || version != 0 || err != nil {
		t.Fatalf("Load of a key without a record = %d bytes, version %d, %v; want nil, 0, nil", len(record), version, err)
	}
	if _, err := a.CompareAndSwap(ctx, key, []byte("x"), 7); !errors.Is(err, shared.ErrConflict) {
		t.Fatalf("CompareAndSwap with version 7 where there is no record: %v; want ErrConflict", err)
	}
	if record, version, err = b.Load(ctx, key); record != nil || version != 0 || err != nil {
		t.Fatalf("Load after a conflict = %d bytes, version %d, %v; want nil, 0, nil: a conflict writes nothing", len(record), version, err)
	}

	v1 := mustSwap(t, a, key, "one", 0)
	wantLoad(t, b, key, "one", v1)
	if _, err := b.CompareAndSwap(ctx, key, []byte("x"), 0); !errors.Is(err, shared.ErrConflict) {
		t.Fatalf("CompareAndSwap with version 0 where there is a record: %v; want ErrConflict", err)
	}
	wantLoad(t, a, key, "one", v1)

	v2 := mustSwap(t, b, key, "two", v1)
	wantLoad(t, a, key, "two", v2)
	if _, err := a.CompareAndSwap(ctx, key, []byte("x"), v1); !errors.Is(err, shared.ErrConflict) {
		t.Fatalf("CompareAndSwap with a version that has passed: %v; want ErrConflict", err)
	}
	wantLoad(t, b, key, "two", v2)
}

// testVersions checks that no version comes twice, also where the bytes do: a lease is renewed by writing it again.
func testVersions(t *testing.T, a, b shared.Store) {
	key, version := newKey(), uint64(0)
	used := map[uint64]bool{0: true}
	for i := range 30 {
		s := a
		if i%2 == 1 {
			s = b
		}
		next := mustSwap(t, s, key, "the same", version)
		if used[next] {
			t.Fatalf("write %d returned version %d, which was used before", i+1, next)
		}
		used[next] = true
		version = next
	}
	wantLoad(t, a, key, "the same", version)
}

// testBytes checks that records of all kinds arrive as they were.
func testBytes(t *testing.T, a, b shared.Store) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, record := range [][]byte{
		{0}, []byte("\n"), []byte(" x "), []byte("a\r\nb\n"), {0xff, 0xfe}, all, bytes.Repeat(all, 4), bytes.Repeat(all, 1024),
		bytes.Repeat([]byte("\x00"), 100), []byte(`{"json":"<&>\u2028"}`), []byte("short again"),
	} {
		key := newKey()
		version := mustSwap(t, a, key, string(record), 0)
		wantLoad(t, b, key, string(record), version)
	}

	key := newKey() // a long record and then a short one in its place
	version := mustSwap(t, a, key, string(bytes.Repeat(all, 256)), 0)
	version = mustSwap(t, b, key, "short", version)
	wantLoad(t, a, key, "short", version)
}

// testAliasing checks that the store and its callers don't share memory.
func testAliasing(t *testing.T, s shared.Store) {
	key, record := newKey(), []byte("mine")
	version, err := s.CompareAndSwap(t.Context(), key, record, 0)
	if err != nil {
		t.Fatalf("CompareAndSwap: %v", err)
	}
	record[0] = 'X'
	wantLoad(t, s, key, "mine", version)
	loaded, _, err := s.Load(t.Context(), key)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	loaded[0] = 'X'
	wantLoad(t, s, key, "mine", version)
}

// testKeys checks that keys which a file system or a separator might take for the same are not.
func testKeys(t *testing.T, s shared.Store) {
	run := newKey()
	long := string(bytes.Repeat([]byte("k"), 400))
	keys := []string{
		run, run + "A", run + "a", run + "/", run + "//", run + "/..", run + "/../" + run, run + `\`, run + ":", run + "%41",
		run + "%2f", run + "{a}", run + "{b}", run + "*", run + "?", run + " ", run + ".", run + "..", run + ".lock", run + ".tmp",
		run + ".json", run + "\x00", run + "\n", run + "\xff", run + "\u00e9", run + "e\u0301", run + "ß", run + "ss", run + "\u0130", run + "i\u0307",
		"../" + run, "/" + run, "./" + run, "~" + run, "con" + run, run + long, run + long + "1", run + long + "2",
	}
	versions := make(map[string]uint64)
	for _, key := range keys {
		if record, version, err := s.Load(t.Context(), key); err != nil || version != 0 {
			t.Fatalf("Load of the unused key %q = %q, version %d, %v; want none", key, record, version, err)
		}
		versions[key] = mustSwap(t, s, key, "of "+key, 0)
	}
	for _, key := range keys {
		wantLoad(t, s, key, "of "+key, versions[key])
	}
}

// testCancelled checks that a call with a context that is done does nothing but say so.
func testCancelled(t *testing.T, s shared.Store) {
	key := newKey()
	version := mustSwap(t, s, key, "kept", 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Load(ctx, key); err == nil {
		t.Error("Load with a cancelled context returned no error")
	}
	if _, err := s.CompareAndSwap(ctx, key, []byte("x"), version); err == nil {
		t.Error("CompareAndSwap with a cancelled context returned no error")
	} else if errors.Is(err, shared.ErrConflict) {
		t.Errorf("CompareAndSwap with a cancelled context and the right version: %v; it is no conflict", err)
	}
	wantLoad(t, s, key, "kept", version)
}

// testOneWinner lets many clients write over the same version at once: exactly one may succeed.
func testOneWinner(t *testing.T, open func(t *testing.T) shared.Store) {
	const clients, rounds = 8, 10
	stores := make([]shared.Store, clients)
	for i := range stores {
		stores[i] = open(t)
	}
	key, version := newKey(), uint64(0)
	for round := range rounds {
		type result struct {
			version uint64
			err     error
			record  string
		}
		results := make(chan result)
		for i, s := range stores {
			go func() { // ends when its result is received, below
				record := fmt.Sprintf("round %d client %d", round, i)
				v, err := s.CompareAndSwap(t.Context(), key, []byte(record), version)
				results <- result{v, err, record}
			}()
		}
		var winners []result
		for range stores {
			switch r := <-results; {
			case r.err == nil:
				winners = append(winners, r)
			case !errors.Is(r.err, shared.ErrConflict):
				t.Errorf("CompareAndSwap under contention: %v", r.err)
			}
		}
		if len(winners) != 1 {
			t.Fatalf("%d of %d concurrent writes over one version succeeded; want exactly 1", len(winners), clients)
		}
		version = winners[0].version
		wantLoad(t, stores[0], key, winners[0].record, version)
	}
}

func mustSwap(t *testing.T, s shared.Store, key, record string, version uint64) uint64 {
	t.Helper()
	next, err := s.CompareAndSwap(t.Context(), key, []byte(record), version)
	if err != nil {
		t.Fatalf("CompareAndSwap of %d bytes at version %d, key %q: %v", len(record), version, key, err)
	}
	if next == 0 || next == version {
		t.Fatalf("CompareAndSwap at version %d returned version %d; want a new one", version, next)
	}
	return next
}

func wantLoad(t *testing.T, s shared.Store, key, record string, version uint64) {
	t.Helper()
	got, v, err := s.Load(t.Context(), key)
	if err != nil {
		t.Fatalf("Load of %q: %v", key, err)
	}
	if string(got) != record || v != version {
		t.Fatalf("Load of %q = %s, version %d; want %s, version %d", key, shown(got), v, shown([]byte(record)), version)
	}
}

// shown is a record as a message can bear it.
func shown(record []byte) string {
	if len(record) > 40 {
		return fmt.Sprintf("%q... (%d bytes)", record[:40], len(record))
	}
	return fmt.Sprintf("%q", record)
}
