package keychain_test

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/keychain"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

// failures are the ways in which a keychain can't be used.
var failures = map[string]struct {
	spoil func(*fake)
	says  string
}{
	"none":   {func(f *fake) { f.fail(errors.New("dial unix /run/bus: no such file")) }, "no such file"},
	"locked": {func(f *fake) { f.fail(errors.New("failed to unlock correct collection")) }, "failed to unlock"},
	"lost":   {func(f *fake) { clear(f.values) }, "is not in the keychain"},
	"overwritten": {func(f *fake) {
		for name := range f.values {
			f.values[name] = "c2hvcnQ="
		}
	}, "is not in the keychain: what it has under the key's name is none"},
}

// A keychain that fails is an error at once, for a shared login too; the provider is not asked, and
// nothing is changed.
func TestFailures(t *testing.T) {
	for name, tt := range failures {
		t.Run(name, func(t *testing.T) {
			below, keys := new(storetest.Memory), new(fake)
			asked := 0
			login := func() *shared.Login {
				return &shared.Login{
					Provider: provider.Func(func(context.Context) (string, error) { asked++; return "token-2", nil }),
					Store:    &keychain.Store{Store: below, App: "test", Keychain: keys}, Key: "alice",
				}
			}
			first := provider.NewToken("token-1", time.Time{}).WithRefreshToken("refresh-1")
			if err := login().Login(t.Context(), first); err != nil {
				t.Fatal(err)
			}
			before, _ := mustLoad(t, below, "alice")
			tt.spoil(keys)
			kept := keys.all()

			_, err := login().Token(t.Context(), provider.Token{})
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Token: %v, want an error that says %q", err, tt.says)
			}
			if after, ok := provider.RetryDelay(err); !ok || after != time.Minute || provider.IsPermanent(err) {
				t.Errorf("to be retried after %v, permanent %v; want 1m0s, false", after, provider.IsPermanent(err))
			}
			if err := login().Login(t.Context(), first); err == nil {
				t.Error("Login: no error")
			}
			if errors.Is(err, keychain.ErrKeyLost) != (name == "lost" || name == "overwritten") {
				t.Errorf("%v is ErrKeyLost: %v", err, errors.Is(err, keychain.ErrKeyLost))
			}
			if now, _ := mustLoad(t, below, "alice"); now != before || asked != 0 || !maps.Equal(keys.all(), kept) {
				t.Errorf("the record was changed: %v; the keychain: %v; the provider was asked %d times",
					now != before, !maps.Equal(keys.all(), kept), asked)
			}
			for _, secret := range append([]string{"refresh-1", "token-1"}, values(kept)...) {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error holds a secret: %v", err)
				}
			}
		})
	}
}

func values(m map[string]string) (all []string) {
	for _, v := range m {
		all = append(all, v)
	}
	return all
}

// A first login needs the keychain too: without it nothing is written, and nothing is stored that
// could not be opened.
func TestFirstLoginFails(t *testing.T) {
	for name, tt := range map[string]struct {
		keys *fake
		says string
	}{
		"none":       {&fake{err: errors.New("no bus")}, "no bus"},
		"forgetting": {&fake{loses: true}, "it has not kept the new key: secret not found"},
		"changing":   {&fake{changes: true}, "it has not kept the new key as it was"},
	} {
		below, keys := new(storetest.Memory), tt.keys
		s := &keychain.Store{Store: below, App: "test", Keychain: keys}
		if record, version, err := s.Load(t.Context(), "alice"); record != nil || version != 0 || err != nil {
			t.Errorf("%s: Load = %q, %d, %v; want none", name, record, version, err)
		}
		_, err := s.CompareAndSwap(t.Context(), "alice", []byte("x"), 0)
		if after, ok := provider.RetryDelay(err); !ok || after != time.Minute || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: CompareAndSwap: %v, to be retried after %v; want an error that says %q", name, err, after, tt.says)
		}
		if record, _ := mustLoad(t, below, "alice"); record != "" {
			t.Errorf("%s: something was stored", name)
		}
	}
}

// A keychain that is locked later stops nobody who is logged in, and a process asks it once.
func TestLockedLater(t *testing.T) {
	below, keys := new(storetest.Memory), new(fake)
	first := &keychain.Store{Store: below, App: "test", Keychain: keys}
	version := mustSwap(t, first, "alice", "one", 0)
	s := &keychain.Store{Store: below, App: "test", Keychain: keys}
	if _, err := s.CompareAndSwap(t.Context(), "alice", []byte("x"), version+1); !errors.Is(err, shared.ErrConflict) || keys.count() != 2 {
		t.Errorf("CompareAndSwap: %v, and the keychain was asked %d times; want a conflict, and 2 for the new key", err, keys.count())
	}
	mustLoad(t, s, "alice")
	asked := keys.count()
	keys.fail(errors.New("locked"))
	if record, _ := mustLoad(t, first, "alice"); record != "one" {
		t.Errorf("Load by the process that made the key = %q", record)
	}
	version = mustSwap(t, s, "alice", "two", version)
	if record, v := mustLoad(t, s, "alice"); record != "two" || v != version {
		t.Errorf("Load = %q, %d", record, v)
	}
	if n := keys.count() - asked; n != 0 {
		t.Errorf("the keychain was asked %d times more", n)
	}
	// Writing without having read is as good: the record says which key it is.
	fresh := &keychain.Store{Store: below, App: "test", Keychain: keys}
	if _, err := fresh.CompareAndSwap(t.Context(), "alice", []byte("x"), version); err == nil {
		t.Error("a process that doesn't know the key has written")
	}
	keys.fail(nil)
	mustSwap(t, fresh, "alice", "three", version)
	if record, _ := mustLoad(t, s, "alice"); record != "three" {
		t.Errorf("Load = %q", record)
	}
}

func TestDiscard(t *testing.T) {
	below, keys := new(storetest.Memory), new(fake)
	open := func() *keychain.Store { return &keychain.Store{Store: below, App: "test", Keychain: keys} }
	if err := open().Discard(t.Context(), "alice"); err != nil {
		t.Errorf("Discard of nothing: %v", err)
	}
	knows, writes := open(), open() // since before the key was lost
	v1 := mustSwap(t, knows, "alice", "one", 0)
	mustLoad(t, writes, "alice")
	if err := open().Discard(t.Context(), "alice"); err == nil || !strings.Contains(err.Error(), "can be opened") {
		t.Errorf("Discard of a good record: %v", err)
	}
	keys.fail(errors.New("locked"))
	if err := open().Discard(t.Context(), "alice"); err == nil || !strings.Contains(err.Error(), "locked") {
		t.Errorf("Discard under a locked keychain: %v", err)
	}
	keys.fail(nil)
	if record, v := mustLoad(t, open(), "alice"); record != "one" || v != v1 {
		t.Errorf("Load = %q, %d; want what was there", record, v)
	}

	clear(keys.values)
	for range 2 {
		if err := open().Discard(t.Context(), "alice"); err != nil {
			t.Errorf("Discard of a lost record: %v", err)
		}
	}
	s := open()
	if record, v, err := s.Load(t.Context(), "alice"); record != nil || v != 0 || err != nil {
		t.Errorf("Load = %q, %d, %v; want none", record, v, err)
	}
	if _, err := s.CompareAndSwap(t.Context(), "alice", []byte("x"), v1); !errors.Is(err, shared.ErrConflict) {
		t.Errorf("CompareAndSwap over the lost version: %v, want a conflict", err)
	}
	v2 := mustSwap(t, writes, "alice", "two", 0)
	if record, _ := mustLoad(t, knows, "alice"); record != "two" {
		t.Errorf("Load by a process that knows the lost key = %q", record)
	}
	if record, v := mustLoad(t, open(), "alice"); record != "two" || v != v2 || v2 <= v1 {
		t.Errorf("Load = %q, %d; want two, above %d", record, v, v1)
	}
	if _, err := open().CompareAndSwap(t.Context(), "alice", []byte("x"), 0); !errors.Is(err, shared.ErrConflict) {
		t.Errorf("CompareAndSwap of a second first record: %v, want a conflict", err)
	}

	sealed, _ := mustLoad(t, below, "alice")
	mustSwap(t, below, "bob", sealed, 0)
	if err := open().Discard(t.Context(), "bob"); err != nil {
		t.Errorf("Discard of a damaged record: %v", err)
	}
	mustSwap(t, below, "carol", `{"not":"sealed"}`, 0)
	if err := open().Discard(t.Context(), "carol"); err == nil {
		t.Error("Discard of a record that was never sealed: no error")
	}
}

// A keychain that waits for a person is waited for until the context is done, by one question at a
// time.
func TestHanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below, keys := new(storetest.Memory), new(fake)
		mustSwap(t, &keychain.Store{Store: below, App: "test", Keychain: keys}, "alice", "one", 0)
		keys.hang, keys.asked = make(chan struct{}), 0
		s := &keychain.Store{Store: below, App: "test", Keychain: keys}
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				start := time.Now()
				_, _, err := s.Load(ctx, "alice")
				if took := time.Since(start); took != 3*time.Second || !errors.Is(err, context.DeadlineExceeded) ||
					!strings.Contains(err.Error(), "waiting for someone to unlock it") {
					t.Errorf("Load took %v: %v", took, err)
				}
			})
		}
		wg.Wait()
		if n := keys.count(); n != 1 {
			t.Errorf("the keychain was asked %d times, want 1", n)
		}
		close(keys.hang)
		if record, _ := mustLoad(t, s, "alice"); record != "one" {
			t.Errorf("Load = %q", record)
		}
	})
}

// The store's own errors come through as they are. After one whose outcome is unknown the new key
// stays: it may be needed.
func TestStoreErrors(t *testing.T) {
	below, keys := &broken{swap: shared.ErrUnwritable}, new(fake)
	s := &keychain.Store{Store: below, App: "test", Keychain: keys}
	if _, err := s.CompareAndSwap(t.Context(), "alice", []byte("x"), 0); !errors.Is(err, shared.ErrUnwritable) {
		t.Errorf("CompareAndSwap: %v, want ErrUnwritable", err)
	}
	if n := len(keys.all()); n != 1 {
		t.Errorf("%d keys, want 1", n)
	}
	below.load = errors.New("the disk is gone")
	_, _, loadErr := s.Load(t.Context(), "alice")
	_, swapErr := s.CompareAndSwap(t.Context(), "alice", []byte("x"), 0)
	for _, err := range []error{loadErr, swapErr, s.Discard(t.Context(), "alice")} {
		if !errors.Is(err, below.load) {
			t.Errorf("%v: want the store's error", err)
		}
	}
}

// TestKeysDoNotPileUp: however often the first record can't be saved, there is one key for it, and a
// new one only where a person has deleted that.
func TestKeysDoNotPileUp(t *testing.T) {
	below, keys := &unwritable{Store: new(storetest.Memory), full: true}, new(fake)
	store := &keychain.Store{Store: below, App: "test", Keychain: keys}
	for range 10 {
		if _, err := store.CompareAndSwap(t.Context(), "alice", []byte("record"), 0); !errors.Is(err, shared.ErrUnwritable) {
			t.Fatalf("CompareAndSwap: %v; want ErrUnwritable", err)
		}
	}
	if n := len(keys.all()); n != 1 {
		t.Errorf("%d keys in the keychain; want 1", n)
	}
	clear(keys.values)
	below.full = false
	if _, err := store.CompareAndSwap(t.Context(), "alice", []byte("record"), 0); err != nil {
		t.Fatal(err)
	}
	other := &keychain.Store{Store: below, App: "test", Keychain: keys}
	if record, _, err := other.Load(t.Context(), "alice"); string(record) != "record" || err != nil {
		t.Errorf("Load by another: %q, %v", record, err)
	}
}

type unwritable struct {
	shared.Store
	full bool
}

func (u *unwritable) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	if u.full {
		return 0, shared.ErrUnwritable
	}
	return u.Store.CompareAndSwap(ctx, key, record, version)
}

// TestKeychainPanics: a keychain that panics, or ends its goroutine, is one that can't be used.
func TestKeychainPanics(t *testing.T) {
	for name, ends := range map[string]func(){
		"it has panicked: the session has ended": func() { panic("the session has ended") },
		"it has ended without an answer":         runtime.Goexit,
	} {
		store := &keychain.Store{Store: new(storetest.Memory), App: "test", Keychain: dying{ends}}
		for range 2 {
			if _, err := store.CompareAndSwap(t.Context(), "alice", []byte("record"), 0); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("CompareAndSwap: %v; want an error that says %q", err, name)
			}
		}
	}
}

type dying struct{ ends func() }

func (d dying) Get(string, string) (string, error) { d.ends(); return "", nil }
func (d dying) Set(string, string, string) error   { d.ends(); return nil }
func (d dying) Delete(string, string) error        { d.ends(); return nil }
