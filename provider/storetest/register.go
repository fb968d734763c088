package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider/shared"
)

// testRegister is the contract in a single thread: two clients take turns.
func testRegister(t *testing.T, a, b shared.Store) {
	ctx, key := t.Context(), newKey()

	record, version, err := a.Load(ctx, key)
	if record != nil || version != 0 || err != nil {
		t.Fatalf("Load of a key without a record = %d bytes, version %d, %v; want nil, 0, nil", len(record), version, err)
	}
	wantConflict(t, a, key, 7, "a version where there is no record")
	if record, version, err = b.Load(ctx, key); record != nil || version != 0 || err != nil {
		t.Fatalf("Load after a conflict = %d bytes, version %d, %v; want nil, 0, nil: a conflict writes nothing", len(record), version, err)
	}

	v1 := mustSwap(t, a, key, "one", 0)
	wantLoad(t, b, key, "one", v1)
	wantConflict(t, b, key, 0, "no version where there is a record")
	wantLoad(t, a, key, "one", v1)

	v2 := mustSwap(t, b, key, "two", v1)
	wantLoad(t, a, key, "two", v2)
	wantConflict(t, a, key, v1, "a version that has passed")
	wantLoad(t, b, key, "two", v2)
}

// testVersions checks that versions grow, also where the bytes are the same: a lease is renewed by
// writing it again. It makes more writes than an 8-bit counter can tell apart, and more than a
// 16-bit one can where they take no time.
func testVersions(t *testing.T, a, b shared.Store) {
	const least, most, enough = 300, 70_000, 250 * time.Millisecond
	first := mustSwap(t, a, newKey(), "the first of its key", 0)

	key, version, began := newKey(), uint64(0), time.Now()
	for i := 0; i < least || i < most && time.Since(began) < enough; i++ {
		s := a
		if i%2 == 1 {
			s = b
		}
		version = mustSwap(t, s, key, "the same", version)
	}
	wantLoad(t, a, key, "the same", version)

	for bit := range 64 {
		wantConflict(t, a, key, version^1<<bit, fmt.Sprintf("a version that differs from %d in bit %d", version, bit))
	}
	wantLoad(t, b, key, "the same", version)

	if again := mustSwap(t, b, newKey(), "the first of its key", 0); again == first {
		t.Fatalf("every key begins with version %d: a record that is lost, and written anew, would have its old versions again", first)
	}
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
	testKept(t, s)
}

// testKept checks that what Load returned stays as it is when the store goes on.
func testKept(t *testing.T, s shared.Store) {
	key, other := newKey(), newKey()
	version := mustSwap(t, s, key, "kept", 0)
	kept, _, err := s.Load(t.Context(), key)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	unchanged := func(by string) {
		t.Helper()
		if string(kept) != "kept" {
			t.Fatalf("a slice that Load had returned was changed from %q to %q by %s", "kept", kept, by)
		}
	}
	first := mustSwap(t, s, other, "else", 0)
	version = mustSwap(t, s, key, "next", version)
	unchanged("a CompareAndSwap")
	wantConflict(t, s, key, 0, "no version where there is a record")
	unchanged("a conflict")
	wantLoad(t, s, other, "else", first)
	unchanged("a Load of another key")
	wantLoad(t, s, key, "next", version)
	unchanged("a Load of the same key")
}

func isConflict(err error) bool { return errors.Is(err, shared.ErrConflict) }
