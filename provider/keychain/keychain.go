// Package keychain seals the records of any store with keys from the system's keychain: macOS's
// Keychain, Windows' Credential Manager, or on Linux and the BSDs a Secret Service such as
// gnome-keyring or KWallet. A stolen disk, a backup or a folder that is synchronized to elsewhere
// then gives no login away.
//
//	login := &shared.Login{
//		Provider: backend,
//		Store:    &keychain.Store{Store: &filestore.Store{App: "mytool"}, App: "mytool"},
//		Key:      "alice",
//	}
//
// It is a module of its own, so that programs without it don't depend on the keychain's client.
//
// # What it protects
//
// Records are encrypted and authenticated (AES-256-GCM), together with the key that they are stored
// under: what was changed, or moved to another login's place, is not opened. It protects from
// anyone who has the store without the keychain. It doesn't protect from programs that run as the
// same user, because most keychains open to all of them, nor from someone who puts an old record
// back in its place.
//
// # Keys
//
// Each login has a key of its own, which is made when its first record is saved; the record names
// it, so that processes which begin at the same moment never seal with different ones. A process
// asks the keychain once for each key and keeps it: a keychain that is locked later, when the
// screen is, stops no one who is logged in.
//
// # When the keychain fails
//
// There is an error at once, and neither the store nor the keychain is changed: where there is no
// keychain, as in most containers and cron jobs; where it is locked and no one unlocks it; where it
// doesn't have the key, because that was deleted or the record was copied from another machine
// ([ErrKeyLost]). These errors are marked with [provider.RetryAfter], one minute: trying again
// sooner won't help, and a person may mend it meanwhile.
//
// Some keychains ask the person at the screen to unlock them. That is waited for until the context
// is done; a [shared.Login] gives it a third of its Lease.
package keychain

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
)

// A Store is a [shared.Store] that seals the records of another one. Set Store and App before the
// first use and leave them alone then. It may be used by several goroutines at once, and must not
// be copied.
//
// It is a [shared.Watcher], [shared.Ager] and [shared.Locker] as far as the store below is;
// otherwise their methods return [errors.ErrUnsupported].
type Store struct {
	// Store keeps the sealed records. Required.
	Store shared.Store

	// App names the program in the keychain, where people see it. Required.
	App string

	// Keychain is where the keys are kept. Nil: the system's.
	Keychain Keychain

	turn sync.Once
	busy chan struct{} // holds an element during a question to the keychain: one prompt at a time

	mu   sync.Mutex     // guards the field below; never held across a call
	keys map[string]key // that this process knows, by the login's key

	unused sync.Map // by the login's key, the key that was made for a record of which it is not known to be saved
}

// ErrKeyLost is what a [Store] wraps when the keychain works and doesn't have the key of a record:
// no one can open that any more. [Store.Discard] gives it up.
var ErrKeyLost = errors.New("the key that the record is sealed with is not in the keychain")

// Load implements [shared.Store].
func (s *Store) Load(ctx context.Context, name string) ([]byte, uint64, error) {
	if err := s.check(); err != nil {
		return nil, 0, err
	}
	data, version, err := s.Store.Load(ctx, name)
	if err != nil || data == nil {
		return nil, version, err
	}
	record, err := s.open(ctx, name, data)
	switch {
	case err != nil:
		return nil, 0, explain(ctx, name, err)
	case record == nil:
		return nil, 0, nil
	}
	return record, version, nil
}

// CompareAndSwap implements [shared.Store].
func (s *Store) CompareAndSwap(ctx context.Context, name string, record []byte, version uint64) (uint64, error) {
	if err := s.check(); err != nil {
		return 0, err
	}
	k, known := s.known(name)
	if !known || version == 0 {
		data, found, err := s.Store.Load(ctx, name)
		if err != nil {
			return 0, err
		}
		if isDiscarded(data) && version == 0 {
			version = found // to its readers there is no record
		}
		if found != version {
			return 0, shared.ErrConflict
		}
		if data == nil || isDiscarded(data) {
			return s.first(ctx, name, record, version)
		}
		if _, err := s.open(ctx, name, data); err != nil {
			return 0, explain(ctx, name, err)
		}
		k, _ = s.known(name)
	}
	return s.Store.CompareAndSwap(ctx, name, k.seal(name, record), version)
}

// first saves the first record of a login, with a new key, or one that was made for a try before.
func (s *Store) first(ctx context.Context, name string, record []byte, version uint64) (uint64, error) {
	k, again, err := s.made(ctx, name)
	if err == nil && !again {
		k, err = s.create(ctx)
	}
	if err != nil {
		return 0, explain(ctx, name, err)
	}
	next, err := s.Store.CompareAndSwap(ctx, name, k.seal(name, record), version)
	switch {
	case err == nil:
		s.learn(name, k)
	case errors.Is(err, shared.ErrConflict) && !again: // nothing is sealed with it
		s.forget(ctx, k.id)
	default: // something may be
		s.unused.Store(name, k)
	}
	return next, err
}

// Discard gives up a record that no one can open any more, because its key is lost or because it
// was damaged: from then on there is none, and a person can log in anew. It returns an error, and
// leaves everything as it is, if the record can be opened (that is what [shared.Login.Forget] is
// for), and if the keychain doesn't say for sure that it can't.
func (s *Store) Discard(ctx context.Context, name string) error {
	if err := s.check(); err != nil {
		return err
	}
	data, version, err := s.Store.Load(ctx, name)
	if err != nil || data == nil || isDiscarded(data) {
		return err
	}
	switch _, err := s.open(ctx, name, data); {
	case err == nil:
		return fmt.Errorf("keychain: the record of %q can be opened, and is not discarded: end its login instead", name)
	case !errors.Is(err, ErrKeyLost) && !errors.Is(err, errDamaged):
		return explain(ctx, name, err)
	}
	_, err = s.Store.CompareAndSwap(ctx, name, []byte(discarded), version)
	return err
}

// open returns what is in a sealed record, or nil if it was discarded.
func (s *Store) open(ctx context.Context, name string, data []byte) ([]byte, error) {
	if isDiscarded(data) {
		return nil, nil
	}
	id, ok := keyID(data)
	if !ok {
		return nil, errNotSealed
	}
	k, known := s.known(name)
	if !known || k.id != id {
		var err error
		if k, err = s.fetch(ctx, id); err != nil {
			return nil, err
		}
	}
	record, err := k.open(name, data)
	if err == nil {
		s.learn(name, k)
	}
	return record, err
}

// check returns what is wrong with s.
func (s *Store) check() error {
	switch {
	case s.Store == nil:
		return provider.Permanent(errors.New("keychain: Store.Store is nil: set where the sealed records are kept"))
	case s.App == "":
		return provider.Permanent(errors.New("keychain: Store.App is empty: set the name under which the keychain keeps the keys"))
	}
	return nil
}

// explain says what to do about a record that can't be opened or sealed.
func explain(ctx context.Context, name string, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("keychain: the keychain has not answered, it may be waiting for someone to unlock it: %w", context.Cause(ctx))
	case errors.Is(err, ErrKeyLost):
		err = fmt.Errorf("keychain: the record of %q: %w: it was deleted, or the record comes from another machine or user; the record "+
			"is left as it is, and Store.Discard gives it up", name, err)
	case errors.Is(err, errDamaged), errors.Is(err, errNotSealed):
		err = fmt.Errorf("keychain: the record of %q %w; it is left as it is", name, err)
	default:
		err = fmt.Errorf("keychain: the system's keychain can't be used: %w; unlock or start it (on Linux a Secret Service, such as "+
			"gnome-keyring or KWallet); nothing was changed", err)
	}
	return provider.RetryAfter(err, untilMended)
}

func (s *Store) known(name string) (key, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.keys[name]
	return k, ok
}

// made returns the key that was made for a try before, if it is in the keychain still. Two calls do
// not get the same.
func (s *Store) made(ctx context.Context, name string) (key, bool, error) {
	v, ok := s.unused.LoadAndDelete(name)
	if !ok {
		return key{}, false, nil
	}
	k := v.(key)
	_, err := s.fetch(ctx, k.id)
	switch {
	case errors.Is(err, ErrKeyLost):
		return key{}, false, nil
	case err != nil:
		s.unused.Store(name, k)
	}
	return k, true, err
}

func (s *Store) learn(name string, k key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		s.keys = make(map[string]key)
	}
	s.keys[name] = k
}
