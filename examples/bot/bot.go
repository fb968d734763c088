package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
)

// patience is how long the API may take over a login, an answer, or a look at the timeline. What
// takes longer is tried again.
const patience = time.Minute

// A bot follows feeds and answers their activities by commenting on them, once each. What it has
// answered is written in the API alone: an activity that has a comment of the bot's has its answer.
// So there is nothing to save here.
type bot struct {
	client *feeds.Client
	tokens provider.TokenProvider
	user   feeds.User
	follow []string                     // feeds, as "group:id"
	reply  func(*feeds.Activity) string // what to answer; "" is nothing
	log    *slog.Logger

	// Written by run alone:
	logins, answered int
	done             map[string]bool // activities that need no answer any more; see settle
}

// run logs in and answers until ctx is done, which is no error, or until something is wrong that
// takes a person to mend.
//
// Package feeds sees to expired and revoked tokens and to lost connections, and provider.HTTP to
// refresh tokens that the token endpoint has forgotten: it goes on with the session secret. What is
// left is a session that is over because the endpoint was away at the wrong moment. It takes a new
// login.
func (b *bot) run(ctx context.Context) error {
	pace := newPace(time.Second, 30*time.Second)
	for {
		began, logins := time.Now(), b.logins
		err := b.live(ctx)
		loggedIn := b.logins > logins
		switch {
		case ctx.Err() != nil:
			return nil
		case feeds.IsSessionOver(err) && loggedIn: // the next login may well succeed
		case !temporary(err):
			return err
		}
		if loggedIn && time.Since(began) > time.Minute {
			pace.Reset()
		}
		pause := pace.NextBackOff()
		b.log.Warn("no session, will log in again", "in", pause.Round(time.Millisecond), "err", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// live is one session, from login to end.
func (b *bot) live(ctx context.Context) error {
	connecting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	session, err := b.client.ConnectUser(connecting, b.user, b.tokens)
	if err != nil {
		return err
	}
	b.logins++
	b.log.Info("logged in", "user", b.user.ID)
	defer func() {
		if err := session.Close(); err != nil {
			b.log.Error("a token may be lost", "err", err)
		}
	}()

	ctx, stop := context.WithCancel(ctx)
	events := make(chan delivery)
	var listening sync.WaitGroup
	listening.Go(func() { // ends with ctx, at the latest when live returns
		for event, err := range session.Events(ctx, b.timeline()) {
			select {
			case events <- delivery{event, err}:
			case <-ctx.Done():
				return
			}
		}
	})
	defer listening.Wait()
	defer stop()

	s := &shift{bot: b, session: session}
	pace := newPace(250*time.Millisecond, 5*time.Second)
	var again <-chan time.Time // nil unless there is something to be tried again
	var told string            // why, as last logged
	for {
		select {
		case d := <-events:
			switch {
			case d.err != nil:
				return d.err
			case d.event.Type == feeds.EventConnected, d.event.Type == feeds.EventReconnected:
				s.look, again = true, nil
				pace.Reset()
			case d.event.Type == feeds.EventActivityAdded:
				s.add(d.event.Activity)
			}
		case <-again:
			again = nil
		case <-ctx.Done():
			return ctx.Err()
		}
		if again != nil {
			continue // what came has to wait its turn as well
		}
		switch err := s.work(ctx); {
		case err == nil:
			pace.Reset()
			told = ""
		case !temporary(err):
			return err
		default:
			if said := err.Error(); said != told { // the same once more is no news
				b.log.Warn("will try again", "unanswered", len(s.todo), "err", err)
				told = said
			}
			again = time.After(pace.NextBackOff())
		}
	}
}

// A delivery is one round of the loop over Session.Events.
type delivery struct {
	event feeds.Event
	err   error
}

// timeline is the bot's feed in which everything appears that it follows.
func (b *bot) timeline() string { return "timeline:" + b.user.ID }

// maxDone bounds what settle remembers.
const maxDone = 10_000

// settle remembers that an activity needs no answer any more. It only saves asking the API, so it
// may forget.
func (b *bot) settle(activityID string) {
	if len(b.done) >= maxDone {
		clear(b.done)
	}
	if b.done == nil {
		b.done = make(map[string]bool)
	}
	b.done[activityID] = true
}

// temporary reports whether err may be gone in a while: the API or the token endpoint can't be
// reached, is overloaded, or is being restarted.
func temporary(err error) bool {
	if feeds.IsSessionOver(err) || errors.Is(err, feeds.ErrEventsEnded) || errors.Is(err, context.Canceled) {
		return false
	}
	if e, ok := errors.AsType[*feeds.Error](err); ok {
		return e.StatusCode >= http.StatusInternalServerError || e.Code == feeds.CodeRateLimited || e.Code == feeds.CodeTokenExpired
	}
	return true
}

// newPace returns pauses that grow from about first to about longest, for ever.
func newPace(first, longest time.Duration) *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(backoff.WithInitialInterval(first), backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(0.5), backoff.WithMaxInterval(longest), backoff.WithMaxElapsedTime(0))
}
