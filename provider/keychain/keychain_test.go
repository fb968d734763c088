package keychain_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
