package feeds

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/stayauth/stayauth/transport"
)

const (
	// The pauses between two connections, less and plus half of themselves at random, so that the
	// clients of a server that restarts do not come back as one.
	firstPause   = 500 * time.Millisecond
	longestPause = 16 * time.Second

	// held is how long a connection has to last for the next pause to be the first again, if it
	// brings no news. A server that takes every login and hangs up is backed off from.
	held = time.Second
)

var (
	errLoopLeft = errors.New("feeds: the loop was left") // never seen by a caller
)

// A stream is one loop over [Session.Events]. All of it runs in the goroutine of that loop, except
// the reading and keepalive of its socket and the reading of feeds, which end before the loop goes
// on. So what it knows needs no lock.
type stream struct {
	session *Session
	user    json.RawMessage // the session's, as the login takes it; nil for nobody
	feeds   []*watched
	byFID   map[string]*watched // the same
	yield   func(Event, error) bool

	pace     *backoff.ExponentialBackOff
	rejected rejected
	began    bool // EventConnected was told
	told     bool // what happened in a feed was told, since the connection was made
	gap      Gap  // what to tell with the next connection

	readGate gate         // of the reading of feeds
	listGate gate         // of the listing of their activities
	held     atomic.Int64 // bytes of what was read and is yet to be told
}

// run is the life of the loop's connections, from before the first to after the last. Its error
// says why there will be no other: errLoopLeft if the loop was left.
func (st *stream) run(ctx context.Context) error {
	inner, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { // ends with run
		select {
		case <-st.session.closed:
			cancel(transport.ErrClosed)
		case <-inner.Done():
		}
	})
	defer watching.Wait()
	defer cancel(nil)

	err := st.reconnect(inner)
	switch {
	case errors.Is(err, errLoopLeft):
	case ctx.Err() != nil:
		return ctx.Err()
	case inner.Err() != nil:
		return fmt.Errorf("feeds: events: %w", transport.ErrClosed)
	}
	return err
}

// reconnect connects, again and again, until there is a reason not to.
func (st *stream) reconnect(ctx context.Context) error {
	st.pace = backoff.NewExponentialBackOff(backoff.WithInitialInterval(firstPause), backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(0.5), backoff.WithMaxInterval(longestPause), backoff.WithMaxElapsedTime(0))
	for {
		err := st.connect(ctx)
		switch {
		case errors.Is(err, errLoopLeft), errors.Is(err, transport.ErrClosed), ctx.Err() != nil:
			return err
		case st.final(err):
			st.log(slog.LevelError, "events ended", "err", err)
			return err
		}
		if st.gap.Err == nil {
			st.gap.Err = err // what ended the connection; why the next attempts failed is another matter
		}
		if r, ok := errors.AsType[*refusal](err); ok && r.err.Code == CodeTokenExpired {
			// The pace is the transport's: it decides when the token provider may be asked for the
			// next, and until the provider has answered nothing is dialed.
			st.rejected.note(r.token, st.session.transport.Stats())
			st.log(slog.LevelInfo, "events: the API rejected the token, will dial with the next", "err", err)
			continue
		}
		pause := st.pace.NextBackOff()
		if e := refusalOf(err); e != nil && !e.RetryAt.IsZero() {
			pause += min(max(time.Until(e.RetryAt), 0), maxRateLimitWait)
		}
		st.log(slog.LevelWarn, "events: no connection, will dial again", "retry_in", pause, "err", err)
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// connect is the life of one connection: it logs in, watches, recovers what was missed, and passes
// on what comes.
func (st *stream) connect(ctx context.Context) error {
	tok, err := st.token(ctx)
	if err != nil {
		return err
	}
	k, err := st.dial(ctx, tok)
	if err != nil {
		return err
	}
	st.told = false
	defer func() {
		if k.close(); k.lasted >= held || st.told {
			st.pace.Reset()
		}
		if k.lasted >= silence {
			st.rejected = rejected{} // it has shown itself to be valid again
		}
	}()

	if err := st.readFeeds(k, st.feeds, true); err != nil {
		return err
	}
	if err := st.tellConnected(); err != nil {
		return err
	}
	for {
		m, d, err := k.queue.next(ctx)
		switch {
		case err != nil:
			st.gap.Dropped += d.events
			return err
		case d.events > 0:
			err = st.recover(k, d)
		default:
			err = st.tell(k, m)
		}
		if err != nil {
			return err
		}
	}
}

func (st *stream) log(level slog.Level, msg string, args ...any) {
	if l := st.session.client.Logger; l != nil {
		l.Log(context.Background(), level, "stayauth: "+msg, args...)
	}
}

// final reports whether dialing again would not help.
func (st *stream) final(err error) bool {
	if IsSessionOver(err) || errors.Is(err, ErrEventsEnded) || errors.Is(err, errNoUpgrade) {
		return true
	}
	e := refusalOf(err)
	if e == nil {
		return false
	}
	switch e.Code {
	case CodeBadKey, CodeMalformedToken, CodeNotAllowed, CodeTokenNotYetValid, CodeTokenFromFuture, CodeBadSignature:
		return true
	case CodeBadInput, CodeNotFound:
		return !st.began // later it may be the connection, which is gone, that is not found
	}
	return false // an answer without a code is a proxy's, perhaps, and may be another in a minute
}

// refusalOf returns the API's refusal of the login or of a feed, if err is one, and not what the
// token provider met with.
func refusalOf(err error) *Error {
	switch err := err.(type) {
	case *Error:
		return err
	case *refusal:
		return err.err
	}
	return nil
}
