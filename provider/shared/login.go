package shared

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared/internal/lease"
)

// A Login is a [provider.TokenProvider] for several processes that use one login: copies of a
// command-line tool, or the hosts of a fleet. It keeps the token in a [Store], where it survives
// the process, and lets one of them at a time ask the Provider, so that each expiry costs one call
// in total and a single-use refresh token is spent once. The others wait and get the same token.
//
// # How it works
//
// Token loads the record. A token in it that is not the one the caller wants replaced is handed
// over, whatever the clock says: clocks differ, and one rejection tells the truth. Otherwise the
// process claims the lease in the record, asks the Provider with the record's token (the caller's
// only says what was rejected), saves the answer and returns it. While the Provider works the lease
// is renewed every fifth of its length.
//
// A process that died stops renewing. The others note its silence in the record, step by step, and
// take over one Lease after it has written last, and a moment for the looks in between. Only what
// a process has watched counts as silence: not the time in which the store could not be reached or
// took no writes, nor what another machine's clock says. Since the steps are in the record it makes
// no difference whether one process watches for long or many do for two fifths of the Lease each.
// For less they see nothing, unless the store is an [Ager] or a [Locker], which knows better.
//
// Those who waited for an attempt, in this process or another, share its result, also where it is
// the old token again or a bad one: a temporary error, with its [provider.RetryAfter], is returned
// to all who waited for it instead of being repeated by each of them.
//
// A permanent rejection ends the login for all: see WaitForLogin, and [Login.Login] for a new one.
//
// # What can be lost
//
// Killing a process at any point loses nothing but its own work, with one exception that no client
// can close: when the backend has spent a single-use refresh token and its answer never reaches the
// store, because the process was killed in between, or because for two thirds of its Lease or
// longer it wrote in vain to a store that the others could write. A process that is
// suspended during the call for longer than its Lease looks dead to the others, which has the same
// effect; its answer, should it come at last, is saved if no other has replaced it. Choose a Lease
// that is longer than machines stand still: a laptop's lid is longer than any. Where the store is a
// [Locker], as on one machine, a suspended process is waited for five times as long.
//
// An answer is saved before it is used. If the Store fails, saving is tried again for as long as
// the lease is held, unless a person has to mend it first: see [ErrUnwritable]. The same goes for
// a token that is not UTF-8, which no record can hold. After that this process alone uses the
// token and logs a warning each time Token hands it out. It goes on saving in the background for
// ten minutes, and after that whenever Token is called. It does not ask for the next token until
// it is saved: a failed save may have been carried out all the same, and then others hold that
// refresh token too.
//
// Where no refresh token is at stake nothing can be lost, and a Store that fails keeps no process
// from a token that has once read the record: it asks the Provider for its own, and says so once.
// With a refresh token, a Store that can't be written is an error that says so, because the next one
// could not be kept. Both go for a Store in which the silence of a holder can't be noted: after one
// Lease of that, and at once if a person has to mend the Store. While a holder is heard it is
// waited for, also by who can only read: one process that refreshes is enough for a fleet of those.
// A rejected token of a process's own ends nothing: the shared one counts again.
//
// The newest token is also kept in memory. If the Store has lost it (a Redis that failed over, or
// lost its memory) it is written back, by the next call of Token in a process that knows it, and
// if the Store can't be read it serves those in this process who don't have it yet. So deleting
// the record behind a running process's back does not log it out; [Login.Forget] does. The same
// goes for a logout that the Store has lost, and for a permanent rejection that could not be saved:
// this process does not send again what was rejected. Of two logins, or of a login and a logout, the
// later one counts, for all who know of it. An epoch in the record says which that is, and each
// counts it on from the one before; only where that was lost as well do the clocks of those who
// logged in tell.
//
// When the Store has lost writes the claim of a refresh that is under way may be among them, so
// the next step is its holder's for one Lease, in which the time when the Store could not be
// reached does not count. A store can lose three things without anyone's notice, and then the
// login may be lost: a claim that no other process has seen, an answer that none has but the one
// that saved it, and the whole login while no process runs that knows it.
//
// # Load on the store
//
// A refresh costs two writes, and a write for every fifth of the Lease that the Provider takes. A
// process that waits, or comes after another has refreshed, costs a load, or a write that fails and
// a load. While it waits it loads the record after at most 1/300 of the Lease (50 ms by default),
// then after twice as long each time up to 1/15 (1 s), with jitter; if the Store is a [Watcher] it
// is told, and looks after 1/15 only. An operation that has no answer within 1/15 of the Lease is
// sent again beside itself.
//
// A Login must not be copied after its first use. Its methods are safe for concurrent use; calls of
// Token take turns.
type Login struct {
	// Provider is asked for the next token. Required. It gets the zero Token when there is no
	// login: one that can't log in by itself answers with a Permanent error then.
	//
	// Its context carries the values of Token's but not its end: once asked, the Provider is not
	// disturbed by callers that give up, or a rotated refresh token would be lost on its way. Token
	// does not return before the Provider has and the answer is saved, so that a program that waits
	// for it can exit in peace.
	Provider provider.TokenProvider

	// Store keeps the record. Required.
	Store Store

	// Key names the login in the Store. Required. It must differ for each user and application:
	// everyone with the same key becomes the same user.
	Key string

	// Lease is how long a process may be silent before the others take over from it; 0 means 15
	// seconds, half of the time that a transport gives a refresh by default. It should be fifteen
	// times what a write to the Store usually takes or more, and longer than anything suspends a
	// process while it refreshes; each operation of the Store may take a third of it. Processes
	// with different Leases go together, but where the Store may lose writes the same is safer: the
	// place of a lost claim with a long one is kept for so long only by those who have seen it.
	Lease time.Duration

	// Timeout is how long one call of the Provider may take; 0 means a minute. Then its context is
	// cancelled and the lease is no longer renewed.
	Timeout time.Duration

	// WaitForLogin is for services that should outlive a login. When it has ended (the backend
	// rejected it for good, or it was forgotten) Token fails with a temporary error, to be tried
	// again 8 seconds later, and does not ask the Provider, until a new login is in the Store. If
	// the Store is a [Watcher], Token waits for that before it fails, for a Lease or half of its
	// context's time, and has it at once. To a transport this is a provider that fails: it logs a
	// Warn, and no Error. By default the error is permanent, and the session of the caller is over.
	WaitForLogin bool

	// Logger gets a Warn when a token could not be saved, and when the record was found to be older
	// than what this process knows. A person has to know of both, so nil means slog.Default(), as
	// it does in a transport.Transport; to silence it use slog.New(slog.DiscardHandler). Each
	// message begins with "stayauth: ". No token or secret is logged.
	Logger *slog.Logger

	once sync.Once
	turn chan struct{} // holds an element while a call of Token runs, or a save in the background. Made by once
	id   string        // begins the claims of this Login. Set by once

	// These belong to the call that has the turn.
	claims uint64       // made so far: no claim is made twice
	sight  lease.Sight  // of the record
	last   lease.Record // as it was seen or written last
	at     uint64       // the version of last

	warned  atomic.Bool             // that tokens can't be saved, none of which would be missed
	outcome atomic.Pointer[outcome] // of the last call that brought nothing new; stored by the one that has the turn

	mu     sync.Mutex    // guards the fields below; never held across a call
	saving chan struct{} // closed when the last save in the background has ended; nil: there was none
	newest struct {      // what this process knows to be current
		lease.Record
		unsaved error // why it is not in the Store; nil once it is
	}
}

// ErrEnded is in the errors of [Login.Token] when the shared login is over: the backend rejected it
// for good, or it was forgotten. A program that can should log in again, and call [Login.Login].
var ErrEnded = errors.New("shared: the shared login has ended")

// prepare checks the configuration and makes what the zero value lacks.
func (l *Login) prepare() error {
	switch {
	case l.Provider == nil:
		return errors.New("shared: Login.Provider is nil: set where tokens come from")
	case l.Store == nil:
		return errors.New("shared: Login.Store is nil: set where the login is kept")
	case l.Key == "":
		return errors.New("shared: Login.Key is empty: set the name of the login")
	}
	l.once.Do(func() {
		l.turn = make(chan struct{}, 1)
		l.id = rand.Text()
	})
	return nil
}

func (l *Login) logger() *slog.Logger {
	if l.Logger != nil {
		return l.Logger
	}
	return slog.Default()
}

// untilLogin is how often it is worth looking whether there is a new login.
const untilLogin = 8 * time.Second

// endedError says that the login is over. cause, if there is one, is the Provider's own error.
func (l *Login) endedError(why string, cause error) error {
	err := fmt.Errorf("%w: %s (login %q)", ErrEnded, why, l.Key)
	if cause != nil {
		err = fmt.Errorf("%w: %w (login %q)", ErrEnded, temporary{cause}, l.Key)
	}
	if l.WaitForLogin {
		return provider.RetryAfter(err, untilLogin)
	}
	return provider.Permanent(err)
}

// sharedError is the result of an attempt that another process made while this one waited for it.
func (l *Login) sharedError(f *lease.Failure) error {
	err := fmt.Errorf("shared: another process tried to refresh the login %q: %s", l.Key, f.Reason)
	if f.NoRetry {
		err = provider.NoRetry(err)
	}
	if f.RetryAfter > 0 {
		err = provider.RetryAfter(err, f.RetryAfter)
	}
	return err
}

func (l *Login) gaveUp(ctx context.Context) error {
	return fmt.Errorf("shared: gave up waiting for the login %q: %w", l.Key, whyEnded(ctx))
}
