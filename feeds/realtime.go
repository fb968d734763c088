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
	// The pauses between two connections. Each is changed by up to half of itself at random, so
	// that the clients of a server that restarts do not all come back at the same moment.
	firstPause   = 500 * time.Millisecond
	longestPause = 16 * time.Second

	// held is how long a connection that brings no event has to last before the next pause is the
	// first again. So the pauses grow for a server that takes every login and then hangs up.
	held = time.Second
)

var errLoopLeft = errors.New("feeds: the loop was left") // no caller gets it

// A stream is one loop over [Session.Events]. It runs in the goroutine of that loop, except the
// reading and keepalive of its socket, which share only the queue, and the reading of feeds, which
// ends before the loop goes on. So its fields need no lock.
type stream struct {
	session *Session
	user    json.RawMessage // the session's user, as the login has it; nil for no user
	feeds   []*watched
	byFID   map[string]*watched // the feeds by their names
	yield   func(Event, error) bool

	pace     *backoff.ExponentialBackOff
	rejected rejected
	returned int64 // how often the token provider had returned a token again when one was last sent
	began    bool  // the loop got EventConnected
	told     bool  // the loop got an event of a feed over this connection
	gap      Gap   // what the next EventReconnected or EventDropped has

	readGate gate         // for the reading of feeds
	listGate gate         // for the listing of their activities
	held     atomic.Int64 // bytes that were read and that the loop has yet to get
}

// run makes connections until the loop ends. Its error says why: errLoopLeft if the body broke or
// returned.
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

// reconnect makes one connection after another, with pauses, until one ends for a final reason.
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
			st.gap.Err = err // what ended the connection, and not why the next attempts failed
		}
		if r, ok := errors.AsType[*refusal](err); ok && r.err.Code == CodeTokenExpired {
			// No pause here: the transport decides when the token provider may be asked again, and
			// there is no dialing before the provider has answered.
			st.rejected = rejected{token: r.token}
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

// connect makes one connection and uses it until it ends: it logs in, has the feeds watched,
// recovers what was missed, and passes on what comes. Its error says why the connection ended.
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
			st.rejected = rejected{} // its token is valid again
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

// final reports whether dialing again can't help.
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
		return !st.began // later it may be the connection that is gone, and not the feed
	}
	return false // an answer without a code may be a proxy's, and another one in a minute
}

// refusalOf returns the API's error for the login or for the reading of a feed, if err is one. An
// error inside that of the token provider is not.
func refusalOf(err error) *Error {
	switch err := err.(type) {
	case *Error:
		return err
	case *refusal:
		return err.err
	}
	return nil
}
