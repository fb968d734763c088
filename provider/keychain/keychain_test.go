package keychain_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	keyring "github.com/zalando/go-keyring"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/filestore"
	"github.com/stayauth/stayauth/provider/keychain"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

func TestConformance(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		below, keys := new(storetest.Memory), new(fake)
		storetest.Run(t, func(*testing.T) shared.Store {
			return only{&keychain.Store{Store: below, App: "test", Keychain: keys}}
		})
	})
	t.Run("files", func(t *testing.T) {
		dir, keys := filepath.Join(t.TempDir(), "logins"), new(fake)
		storetest.Run(t, func(*testing.T) shared.Store {
			return &keychain.Store{Store: &filestore.Store{Dir: dir}, App: "test", Keychain: keys}
		})
	})
}

// TestConformanceMock is the same with go-keyring's own mock. That can't be taken back, so it has a
// process of its own.
func TestConformanceMock(t *testing.T) {
	const variable = "KEYCHAIN_TEST_MOCK"
	if os.Getenv(variable) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestConformanceMock$")
		cmd.Env = append(os.Environ(), variable+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	keyring.MockInit()
	below, keys := new(storetest.Memory), new(mock)
	storetest.Run(t, func(*testing.T) shared.Store {
		return only{&keychain.Store{Store: below, App: "test", Keychain: keys}}
	})
}

// only is a store that promises no more than a store must: what else a Store has is the store's
// below, and a Memory has nothing of it.
type only struct{ shared.Store }

// mock is go-keyring's own, which is not safe for concurrent use.
type mock struct{ mu sync.Mutex }

func (m *mock) Get(service, account string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return keyring.Get(service, account)
}

func (m *mock) Set(service, account, value string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return keyring.Set(service, account, value)
}

func (m *mock) Delete(service, account string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return keyring.Delete(service, account)
}

// fake is a keychain that fails as it is told.
type fake struct {
	mu      sync.Mutex // guards the fields below
	values  map[string]string
	err     error         // every call's answer
	loses   bool          // it forgets what it is given
	changes bool          // or keeps something else
	hang    chan struct{} // calls wait until it is closed; nil: they don't
	asked   int
}

func (f *fake) begin() error {
	f.mu.Lock()
	f.asked++
	hang, err := f.hang, f.err
	f.mu.Unlock()
	if hang != nil {
		<-hang
	}
	return err
}

func (f *fake) Get(service, account string) (string, error) {
	if err := f.begin(); err != nil {
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	v, ok := f.values[service+"/"+account]
	if !ok {
		return "", keyring.ErrNotFound
	}
	return v, nil
}

func (f *fake) Set(service, account, value string) error {
	if err := f.begin(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.values == nil {
		f.values = make(map[string]string)
	}
	if f.changes {
		value += " "
	}
	if !f.loses {
		f.values[service+"/"+account] = value
	}
	return nil
}

func (f *fake) Delete(service, account string) error {
	if err := f.begin(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.values, service+"/"+account)
	return nil
}

func (f *fake) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

// count returns how often it was asked.
func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

func (f *fake) all() map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.values)
}

// mustSwap writes and returns the new version.
func mustSwap(t *testing.T, s shared.Store, name, record string, version uint64) uint64 {
	t.Helper()
	next, err := s.CompareAndSwap(t.Context(), name, []byte(record), version)
	if err != nil {
		t.Fatalf("CompareAndSwap of %q at version %d: %v", name, version, err)
	}
	return next
}

func mustLoad(t *testing.T, s shared.Store, name string) (string, uint64) {
	t.Helper()
	record, version, err := s.Load(t.Context(), name)
	if err != nil {
		t.Fatalf("Load of %q: %v", name, err)
	}
	return string(record), version
}

// What is stored gives nothing away, and what was changed or moved is not opened and not
// overwritten.
func TestSealed(t *testing.T) {
	below, keys := new(storetest.Memory), new(fake)
	s := &keychain.Store{Store: below, App: "test", Keychain: keys}
	mustSwap(t, s, "alice", "a very secret record", 0)
	mustSwap(t, s, "bob", "bob's", 0)
	sealed, _ := mustLoad(t, below, "alice")
	if strings.Contains(sealed, "secret") {
		t.Errorf("the store holds %q", sealed)
	}
	again, version := mustLoad(t, s, "alice")
	if again != "a very secret record" {
		t.Errorf("Load = %q", again)
	}
	mustSwap(t, s, "alice", "a very secret record", version)
	if twice, _ := mustLoad(t, below, "alice"); twice == sealed {
		t.Error("the same record looks the same when it is sealed again")
	}

	for i := range len(sealed) + 1 {
		changed := []byte(sealed)
		if i < len(sealed) {
			changed[i] ^= 1
		} else {
			changed = append(changed, 'x')
		}
		wantUnreadable(t, keys, fmt.Sprintf("changed %d", i), "alice", changed)
	}
	for i := range len(sealed) - 1 {
		wantUnreadable(t, keys, fmt.Sprintf("cut %d", i+1), "alice", []byte(sealed[:i+1]))
	}
	wantUnreadable(t, keys, "moved", "bob", []byte(sealed))
	wantUnreadable(t, keys, "never sealed", "alice", []byte(`{"token":"x"}`))
}

// wantUnreadable puts data into a store of its own, and expects an error from all, and that it
// stays there.
func wantUnreadable(t *testing.T, keys *fake, what, name string, data []byte) {
	t.Helper()
	below := new(storetest.Memory)
	version := mustSwap(t, below, name, string(data), 0)
	s := &keychain.Store{Store: below, App: "test", Keychain: keys}
	record, _, err := s.Load(t.Context(), name)
	if err == nil {
		t.Errorf("%s: Load = %q, want an error", what, record)
	} else if after, ok := provider.RetryDelay(err); !ok || after != time.Minute {
		t.Errorf("%s: %v: to be retried after %v, want 1m0s", what, err, after)
	}
	if _, err := s.CompareAndSwap(t.Context(), name, []byte("x"), version); err == nil || errors.Is(err, shared.ErrConflict) {
		t.Errorf("%s: CompareAndSwap: %v, want an error that is no conflict", what, err)
	}
	if now, _ := mustLoad(t, below, name); now != string(data) {
		t.Errorf("%s: the record was overwritten", what)
	}
}

// Processes that begin at the same moment end up with one key, and all can open what any of them
// writes.
func TestOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below, keys := new(storetest.Memory), &fake{hang: make(chan struct{})}
		var wg sync.WaitGroup
		stores := make([]*keychain.Store, 8)
		for i := range stores {
			stores[i] = &keychain.Store{Store: below, App: "test", Keychain: keys}
			wg.Go(func() {
				_, err := stores[i].CompareAndSwap(t.Context(), "alice", fmt.Append(nil, i), 0)
				if err != nil && !errors.Is(err, shared.ErrConflict) {
					t.Error(err)
				}
			})
		}
		synctest.Wait() // each is about to keep a key of its own
		close(keys.hang)
		wg.Wait()
		_, version := mustLoad(t, stores[0], "alice")
		for i, s := range stores {
			version = mustSwap(t, s, "alice", fmt.Sprint("by ", i), version)
			if got, _ := mustLoad(t, stores[(i+1)%len(stores)], "alice"); got != fmt.Sprint("by ", i) {
				t.Fatalf("Load = %q", got)
			}
		}
		if n := len(keys.all()); n != 1 {
			t.Fatalf("%d keys in the keychain, want 1", n)
		}
	})
}

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

func TestMisconfigured(t *testing.T) {
	for says, s := range map[string]*keychain.Store{"Store.Store": {App: "test"}, "Store.App": {Store: new(storetest.Memory)}} {
		_, _, loadErr := s.Load(t.Context(), "alice")
		_, swapErr := s.CompareAndSwap(t.Context(), "alice", []byte("x"), 0)
		for _, err := range []error{loadErr, swapErr, s.Discard(t.Context(), "alice")} {
			if !provider.IsPermanent(err) || !strings.Contains(err.Error(), says) {
				t.Errorf("%v: want a permanent error that names %s", err, says)
			}
		}
	}
}

// above is a store with all that a store may promise.
type above struct{ storetest.Memory }

func (*above) Watch(context.Context, string, uint64) error                { return nil }
func (*above) Age(context.Context, string, uint64) (time.Duration, error) { return time.Hour, nil }
func (*above) TryLock(context.Context, string) (func(), bool, error)      { return func() {}, true, nil }

// What the store below promises, the sealed one does.
func TestPromises(t *testing.T) {
	type promises interface {
		shared.Watcher
		shared.Ager
		shared.Locker
	}
	ctx := t.Context()
	var with promises = &keychain.Store{Store: new(above), App: "test"}
	age, ageErr := with.Age(ctx, "alice", 1)
	_, ok, lockErr := with.TryLock(ctx, "alice")
	if err := errors.Join(with.Watch(ctx, "alice", 1), ageErr, lockErr); err != nil || age != time.Hour || !ok {
		t.Errorf("age %v, locked %v, %v", age, ok, err)
	}
	var without promises = &keychain.Store{Store: new(storetest.Memory), App: "test"}
	_, ageErr = without.Age(ctx, "alice", 1)
	_, _, lockErr = without.TryLock(ctx, "alice")
	for _, err := range []error{without.Watch(ctx, "alice", 1), ageErr, lockErr} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%v: want ErrUnsupported", err)
		}
	}
}

// broken fails as it is told.
type broken struct {
	storetest.Memory
	load, swap error
}

func (b *broken) Load(ctx context.Context, name string) ([]byte, uint64, error) {
	if b.load != nil {
		return nil, 0, b.load
	}
	return b.Memory.Load(ctx, name)
}

func (b *broken) CompareAndSwap(ctx context.Context, name string, record []byte, version uint64) (uint64, error) {
	if b.swap != nil {
		return 0, b.swap
	}
	return b.Memory.CompareAndSwap(ctx, name, record, version)
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

// Two processes share a login whose records are sealed, and neither store sees a token.
func TestSharedLogin(t *testing.T) {
	below, keys := new(storetest.Memory), new(fake)
	calls := 0
	login := func() *shared.Login {
		return &shared.Login{
			Provider: provider.Func(func(context.Context) (string, error) { calls++; return fmt.Sprint("token-", calls), nil }),
			Store:    &keychain.Store{Store: below, App: "test", Keychain: keys}, Key: "alice",
		}
	}
	one, err := login().Token(t.Context(), provider.Token{})
	if err != nil {
		t.Fatal(err)
	}
	two, err := login().Token(t.Context(), provider.Token{})
	if err != nil || two.Value() != one.Value() || calls != 1 {
		t.Errorf("Token = %q, %v after %d calls; want the other process's, after 1", two.Value(), err, calls)
	}
	if record, _ := mustLoad(t, below, "alice"); bytes.Contains([]byte(record), []byte("token-1")) {
		t.Error("the store holds the token")
	}
}
