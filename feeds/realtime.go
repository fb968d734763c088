package feeds

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

const (
	// The pauses between two connections, less and plus half of themselves at random, so that the clients of a server that
	// restarts do not come back as one.
	firstPause   = 500 * time.Millisecond
	longestPause = 16 * time.Second

	// held is how long a connection has to last for the next pause to be the first again. A server that takes every login
	// and hangs up is backed off from.
	held = time.Second
)

var (
	errLoopLeft     = errors.New("feeds: the loop was left") // never seen by a caller
	errStillRefused = errors.New("feeds: the API has refused the token, and the token provider is not due to be asked for another yet")
)

// A stream is one loop over [Session.Events]. All of it runs in the goroutine of that loop, save the reading and keepalive of
// its socket, so what it knows needs no lock.
type stream struct {
	session *Session
	user    json.RawMessage // the session's, as the login takes it; nil for nobody
	feeds   []*watched
	yield   func(Event, error) bool

	pace    *backoff.ExponentialBackOff
	refused provider.Token // the token that the API refused last on a socket
	began   bool           // EventConnected was told
	gap     Gap            // what to tell with the next connection
}

// run is the life of the loop's connections, from before the first to after the last. Its error says why there will be no other:
// errLoopLeft if the loop was left.
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
			// The pace is the transport's: it decides when the token provider may be asked for the next.
			st.refused = r.token
			st.log(slog.LevelInfo, "events: the API refused the token, will dial with the next", "err", err)
			continue
		}
		pause := st.pace.NextBackOff()
		if e, ok := errors.AsType[*Error](err); ok && !e.RetryAt.IsZero() {
			pause += min(max(time.Until(e.RetryAt), 0), maxRateLimitWait)
		}
		st.log(slog.LevelWarn, "events: no connection, will dial again", "retry_in", pause, "err", err)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// connect is the life of one connection: it logs in, watches, recovers what was missed, and passes on what comes.
func (st *stream) connect(ctx context.Context) error {
	tok, err := st.token(ctx)
	if err != nil {
		return err
	}
	k, err := st.dial(ctx, tok)
	if err != nil {
		return err
	}
	defer func() {
		if k.close(); k.lasted >= held {
			st.pace.Reset()
		}
	}()

	missed, err := st.watch(k)
	if err != nil {
		return err
	}
	if err := st.tellConnected(); err != nil {
		return err
	}
	if err := st.deliver(missed...); err != nil {
		return err
	}
	for {
		ev, dropped, err := k.queue.next(ctx)
		switch {
		case err != nil:
			st.gap.Dropped += dropped
			return err
		case dropped > 0:
			err = st.recover(k, dropped)
		default:
			err = st.deliver(ev)
		}
		if err != nil {
			return err
		}
	}
}

// token returns the live token of the session, which HTTP calls use as well.
//
// A token that was refused on the socket is only reported if the transport still believes in it: if it has been replaced, or
// has ended by the clock, there is nothing to report, and an ordinary expiry is not taken for a dead token.
func (st *stream) token(ctx context.Context) (provider.Token, error) {
	t := st.session.transport
	tok, err := t.Token(ctx)
	if err == nil && st.wasRefused(tok) {
		t.Reject(tok)
		tok, err = t.Token(ctx)
	}
	switch {
	case err != nil:
		return provider.Token{}, fmt.Errorf("feeds: events: the token provider: %w", err)
	case st.wasRefused(tok):
		return provider.Token{}, errStillRefused
	}
	return tok, nil
}

func (st *stream) wasRefused(tok provider.Token) bool {
	return !st.refused.IsZero() && tok.Value() == st.refused.Value()
}

// tellConnected tells that the feeds are being watched, for the first time or again.
func (st *stream) tellConnected() error {
	ev := Event{Type: EventConnected}
	if st.began {
		gap := st.gap
		ev = Event{Type: EventReconnected, Gap: &gap}
		st.log(slog.LevelInfo, "events: connected again", "because", gap.Err, "dropped", gap.Dropped, "incomplete", gap.Incomplete)
	} else {
		st.log(slog.LevelDebug, "events: connected", "feeds", len(st.feeds))
	}
	st.began, st.gap = true, Gap{}
	return st.deliver(ev)
}

// recover makes up for events that were dropped because the loop was busy.
func (st *stream) recover(k *socket, dropped int) error {
	st.gap.Dropped += dropped
	missed, err := st.readAll(k, "")
	if err != nil {
		return err // and the gap is told with the next connection
	}
	gap := st.gap
	st.log(slog.LevelWarn, "events: the loop is too slow, events were dropped", "dropped", gap.Dropped, "incomplete", gap.Incomplete)
	st.gap = Gap{}
	if err := st.deliver(Event{Type: EventDropped, Gap: &gap}); err != nil {
		return err
	}
	return st.deliver(missed...)
}

// deliver hands events to the loop, save activities that it has been told of.
func (st *stream) deliver(events ...Event) error {
	for _, ev := range events {
		if ev.Type == EventActivityAdded && ev.Activity != nil {
			i := slices.IndexFunc(st.feeds, func(w *watched) bool { return w.fid == ev.FID })
			if i >= 0 && !st.feeds[i].remember(ev.Activity) {
				continue
			}
		}
		if !st.yield(ev, nil) {
			return errLoopLeft
		}
	}
	return nil
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
	e, ok := errors.AsType[*Error](err)
	if !ok {
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
