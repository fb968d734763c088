package keychain

import (
	"context"
	"errors"
	"fmt"
	"time"

	keyring "github.com/zalando/go-keyring"
)

// untilMended is how soon it is worth asking again after what a person has to mend. It is longer
// than a transport waits, so that callers are told at once.
const untilMended = time.Minute

// A Keychain keeps short texts by the names of a service and an account. Its methods may wait for a
// person, and are called one at a time.
type Keychain interface {
	// Get returns what was set. If there is nothing for sure, the error is or wraps
	// [keyring.ErrNotFound]; if the keychain is locked, say, it must be another one.
	Get(service, account string) (string, error)

	// Set keeps value. It replaces what is there.
	Set(service, account, value string) error

	// Delete removes what is there.
	Delete(service, account string) error
}

// system is the system's keychain.
type system struct{}

func (system) Get(service, account string) (string, error) { return keyring.Get(service, account) }
func (system) Set(service, account, value string) error    { return keyring.Set(service, account, value) }
func (system) Delete(service, account string) error        { return keyring.Delete(service, account) }

func (s *Store) keychain() Keychain {
	if s.Keychain != nil {
		return s.Keychain
	}
	return system{}
}

// account is a key's account in the keychain.
func account(id string) string { return "stayauth login " + id }

// fetch gets a key from the keychain.
func (s *Store) fetch(ctx context.Context, id string) (key, error) {
	return ask(ctx, s, func() (key, error) {
		text, err := s.keychain().Get(s.App, account(id))
		switch {
		case errors.Is(err, keyring.ErrNotFound):
			return key{}, ErrKeyLost
		case err != nil:
			return key{}, err
		}
		return parseKey(id, text)
	})
}

// create makes a key, and returns it when the keychain has it for sure.
func (s *Store) create(ctx context.Context) (key, error) {
	return ask(ctx, s, func() (key, error) {
		k, text := newKey()
		if err := s.keychain().Set(s.App, account(k.id), text); err != nil {
			return key{}, err
		}
		switch kept, err := s.keychain().Get(s.App, account(k.id)); {
		case err != nil:
			return key{}, fmt.Errorf("it has not kept the new key: %w", err)
		case kept != text:
			return key{}, errors.New("it has not kept the new key as it was")
		}
		return k, nil
	})
}

// forget removes a key that nothing was sealed with. One that stays does no harm.
func (s *Store) forget(ctx context.Context, id string) {
	_, _ = ask(ctx, s, func() (struct{}, error) { return struct{}{}, s.keychain().Delete(s.App, account(id)) })
}

// ask puts a question to the keychain, and returns its answer, or an error as soon as ctx is done:
// a keychain may wait for a person to unlock it. The question's goroutine ends when the keychain
// has answered. One that panics, as a client of D-Bus may when its session ends, does not take the
// program with it.
func ask[T any](ctx context.Context, s *Store, question func() (T, error)) (T, error) {
	s.turn.Do(func() { s.busy = make(chan struct{}, 1) })
	type result struct {
		value T
		err   error
	}
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	select {
	case s.busy <- struct{}{}:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	answer := make(chan result, 1)
	go func() {
		defer func() { <-s.busy }()
		r := result{err: errors.New("it has ended without an answer")}
		defer func() {
			if p := recover(); p != nil {
				r.err = fmt.Errorf("it has panicked: %v", p)
			}
			answer <- r
		}()
		r.value, r.err = question()
	}()
	select {
	case r := <-answer:
		return r.value, r.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}
