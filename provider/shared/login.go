package shared

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/stayauth/stayauth/provider"
)

// A Login is a [provider.TokenProvider] for several processes that use one login: copies of a command-line tool, or the hosts of
// a fleet. It keeps the token in a [Store], where it survives the process, and lets one of them at a time ask the Provider, so
// that each expiry costs one call in total and a single-use refresh token is spent once. The others wait and get the same token.
//
// # How it works
//
// Token loads the record. A token in it that has not expired and is not the one the caller wants replaced is handed over.
// Otherwise the process claims the lease in the record, asks the Provider with the record's token (the caller's only says
// what was rejected), saves the answer and returns it. While the Provider works the lease is renewed every third of its length. A
// process that died stops renewing; the others take over one Lease after the record last changed, as measured on their own
// clocks. No timestamp of another machine is ever believed.
//
// Whoever waited for an attempt shares its result, also a bad one: a temporary error, with its [provider.RetryAfter], is returned to
// all who waited for it instead of being repeated by each of them.
//
// A permanent refusal ends the login for all: see WaitForLogin, and [Login.Login] for a new one.
//
// # What can be lost
//
// Killing a process at any point loses nothing but its own work, with one exception that nobody can close: when the backend has
// spent a single-use refresh token and its answer never reaches the store, because the process was killed or the network cut in
// between. A process that is suspended during the call for longer than its Lease looks dead to the others, which has the same
// effect; its answer, should it come at last, is saved if no other has replaced it.
//
// An answer is saved before it is used. If the Store fails, saving is tried again for as long as the lease is held. After that
// this process alone uses the token, logs a warning each time Token hands it out, and tries to save it first whenever Token is
// called. It does not ask for the next token until that is done: a failed save may have been carried out all the same, and then
// others hold that refresh token too.
//
// The newest token is also kept in memory. If the Store has lost it (a Redis that failed over, or lost its memory) it is written
// back, and if the Store can't be read it serves those in this process who don't have it yet. So deleting the record behind a
// running process's back does not log it out; [Login.Forget] does.
//
// # Load on the store
//
// A refresh costs one load and two writes, and a write for every third of the Lease that the Provider takes. A process that
// waits loads the record after at most 1/300 of the Lease (50 ms by default), then after twice as long each time up to 1/15
// (1 s), with jitter.
//
// A Login must not be copied after its first use. Its methods are safe for concurrent use; calls of Token take turns.
type Login struct {
	// Provider is asked for the next token. Required. It gets the zero Token when there is no login: one that can't log in by
	// itself answers with a Permanent error then.
	//
	// Its context carries the values of Token's but not its end: once asked, the Provider is not disturbed by callers that
	// give up, or a rotated secret would be lost on its way. Token does not return before the Provider has and the answer is
	// saved, so that a program that waits for it can exit in peace.
	Provider provider.TokenProvider

	// Store keeps the record. Required.
	Store Store

	// Key names the login in the Store. Required. It must differ for each user and application: everyone with the same key
	// becomes the same user.
	Key string

	// Lease is how long a process may be silent before the others take over from it; 0 means 15 seconds, half of the time
	// that a transport gives a refresh by default. It should be several times what a write to the Store takes at worst: each
	// operation of the Store may take a third of the Lease. Processes with different Leases go together.
	Lease time.Duration

	// Timeout is how long one call of the Provider may take; 0 means a minute. Then its context is cancelled and the lease
	// is no longer renewed.
	Timeout time.Duration

	// WaitForLogin is for services that should outlive a login. When it has ended (the backend refused it for good, or it was
	// forgotten) Token fails with a temporary error, to be tried again a minute later, and does not ask the Provider, until a
	// new login is in the Store. By default the error is permanent, and the session of the caller is over.
	WaitForLogin bool

	// Logger gets a warning when a token could not be saved, and when the record was found to be older than what this process
	// knows; nil means slog.Default(). No token or secret is logged.
	Logger *slog.Logger

	once sync.Once
	turn chan struct{} // holds an element while a call of Token runs. Made by once
	id   string        // names this Login as the holder of a lease. Set by once

	// How long the record has been at the version seen last; it belongs to the call of Token whose turn it is.
	seen struct {
		version uint64
		since   time.Time
	}

	mu     sync.Mutex // guards newest; never held across a call
	newest struct {   // what this process knows to be current: set by Token, Login and Forget
		loginRecord
		unsaved error // why it is not in the Store; nil once it is
	}
}

// ErrEnded is in the errors of [Login.Token] when the shared login is over: the backend refused it for good, or it
// was forgotten. A program that can should log in again, and call [Login.Login].
var ErrEnded = errors.New("shared: the shared login has ended")

// Token returns the shared token, or gets a new one if it has expired or is old. It implements [provider.TokenProvider].
//
// The zero Token as old stands for a new session: if the login had ended before this call, the Provider is asked to log in,
// unless WaitForLogin is set. Errors of the Store are temporary.
func (l *Login) Token(ctx context.Context, old provider.Token) (provider.Token, error) {
	if err := l.prepare(); err != nil {
		return provider.Token{}, provider.Permanent(err)
	}
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return provider.Token{}, l.gaveUp(ctx)
	}

	var (
		first   uint64      // the attempts that had been made before this call
		refused loginRecord // what this call was refused for good with, after it had lost the lease
		refusal error       // how
	)
	for looks := 0; ; looks++ {
		if ctx.Err() != nil {
			return provider.Token{}, l.gaveUp(ctx)
		}
		rec, version, err := l.current(ctx)
		if err != nil {
			return l.remembered(ctx, old, err)
		}
		if looks == 0 {
			first = rec.attempts
		}
		switch {
		case rec.live() && rec.token.Value() != old.Value():
			l.remember(rec, nil)
			return rec.token, nil
		case rec.ended() && (l.WaitForLogin || !old.IsZero()):
			return provider.Token{}, l.endedError(rec.why(), nil)
		case rec.attempts > first && rec.failure != nil:
			return provider.Token{}, l.sharedError(rec.failure)
		case rec.attempts > first && rec.ended():
			return provider.Token{}, l.endedError(rec.why(), nil)
		}
		if rec.holder == "" || rec.holder == l.id || l.lapsed(rec, version) {
			if rec.login != refused.login || rec.generation != refused.generation {
				refusal = nil
			}
			t, done, err := l.refresh(ctx, rec, version, old, refusal)
			if done {
				return t, err
			}
			refused, refusal = rec, err
		}
		if l.pause(ctx, l.pollInterval(looks)) != nil {
			return provider.Token{}, l.gaveUp(ctx)
		}
	}
}

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

// refresh claims the lease and asks the Provider. done is false when another process got ahead: the caller looks again. A
// permanent refusal is returned then, too: should the other one leave the record as it is, the next refresh gets it, and
// does not ask again.
func (l *Login) refresh(ctx context.Context, rec loginRecord, version uint64, old provider.Token, refusal error) (t provider.Token, done bool, err error) {
	c, err := l.claim(ctx, rec, version)
	switch {
	case errors.Is(err, ErrConflict):
		return provider.Token{}, false, refusal
	case err != nil:
		return provider.Token{}, true, err
	case refusal != nil:
		return c.refused(context.WithoutCancel(ctx), refusal)
	}
	given := rec.token
	if rec.empty() {
		given = old
	}

	// From here on the caller's end no longer counts: the backend may have spent the refresh token.
	ctx = context.WithoutCancel(ctx)
	t, err = c.ask(ctx, given)
	switch {
	case err == nil && !t.IsZero():
		return c.answered(ctx, given, t)
	case provider.IsPermanent(err):
		return c.refused(ctx, err)
	case err == nil: // an empty token is for the caller to complain about; to the others it is a failure
		c.release(ctx, errors.New("the token provider returned an empty token"))
	default:
		c.release(ctx, err)
	}
	return provider.Token{}, true, err
}

// remember keeps rec as the newest that this process knows; unsaved says why it is not in the store. What was forgotten
// meanwhile stays forgotten.
func (l *Login) remember(rec loginRecord, unsaved error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.newest.forgotten && rec.generation <= l.newest.generation {
		return
	}
	if unsaved == nil {
		rec.base = rec.login
	}
	l.newest.loginRecord, l.newest.unsaved = rec, unsaved
}

// known returns what remember kept.
func (l *Login) known() (rec loginRecord, unsaved error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.newest.loginRecord, l.newest.unsaved
}

// remembered answers a call of Token that can't have the record because of err: with the newest token that this process
// knows, if that is one the caller does not have yet.
func (l *Login) remembered(ctx context.Context, old provider.Token, err error) (provider.Token, error) {
	rec, unsaved := l.known()
	if ctx.Err() != nil || !rec.live() || rec.token.Value() == old.Value() {
		return provider.Token{}, err
	}
	if unsaved != nil {
		l.warnUnsaved(ctx, err)
	}
	return rec.token, nil
}

func (l *Login) warnUnsaved(ctx context.Context, err error) {
	l.logger().WarnContext(ctx, "shared: the shared login's new token could not be saved: only this process has it, and "+
		"if it ends before the store works again the login may be lost", "login", l.Key, "error", err)
}

func (l *Login) logger() *slog.Logger {
	if l.Logger != nil {
		return l.Logger
	}
	return slog.Default()
}

// endedError says that the login is over. cause, if there is one, is the Provider's own error.
func (l *Login) endedError(why string, cause error) error {
	err := fmt.Errorf("%w: %s (login %q)", ErrEnded, why, l.Key)
	if cause != nil {
		err = fmt.Errorf("%w: %w (login %q)", ErrEnded, unmarked(cause), l.Key)
	}
	if l.WaitForLogin {
		return provider.RetryAfter(err, time.Minute)
	}
	return provider.Permanent(err)
}

// unmarked returns what [provider.Permanent] was given.
func unmarked(err error) error {
	for provider.IsPermanent(err) {
		inner := errors.Unwrap(err)
		if several, ok := err.(interface{ Unwrap() []error }); ok {
			inner = several.Unwrap()[slices.IndexFunc(several.Unwrap(), provider.IsPermanent)]
		}
		err = inner
	}
	return err
}

// sharedError is the result of an attempt that another process made while this one waited for it.
func (l *Login) sharedError(f *loginFailure) error {
	err := fmt.Errorf("shared: another process tried to refresh the shared login %q: %s", l.Key, f.reason)
	if f.retryAfter > 0 {
		return provider.RetryAfter(err, f.retryAfter)
	}
	return err
}

func (l *Login) gaveUp(ctx context.Context) error {
	return fmt.Errorf("shared: gave up waiting for the shared login %q: %w", l.Key, context.Cause(ctx))
}
