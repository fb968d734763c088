package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
)

func tailCommand() command {
	return command{name: "tail", short: "follow a feed", long: `Prints the last activities of a feed, and then each new one as it comes, until it is interrupted. It outlives the tokens, and waits for a
server that is away.`,
		setup: func(t *tool, flags *flag.FlagSet) work {
			feed, last := feedFlag(flags), flags.Int("n", 10, "how many activities to begin with")
			return func(ctx context.Context, _ []string) error { return t.tail(ctx, *feed, *last) }
		}}
}

func (t *tool) tail(ctx context.Context, feed string, last int) error {
	if err := checkFeed(feed); err != nil {
		return err
	}
	if last < 0 {
		return usageError{"", "-n must not be negative"}
	}
	t.waits = true
	return t.connected(ctx, func(c *connection) error {
		following, end := context.WithCancelCause(ctx)
		defer end(nil)
		go c.watchLogin(following, end) // ends with following
		err := t.follow(following, c, feed, last)
		switch {
		case ctx.Err() != nil:
			return nil // interrupted, as it is meant to be
		case following.Err() != nil:
			return context.Cause(following)
		}
		return err
	})
}

// follow prints the last activities of a feed and then what is added to it, until ctx ends.
func (t *tool) follow(ctx context.Context, c *connection, feed string, last int) error {
	listed := make(map[string]bool) // what may be told once more, because it came while the list was read
	for event, err := range c.Events(ctx, c.feed(feed)) {
		if err != nil {
			return err
		}
		switch event.Type {
		case feeds.EventConnected: // from here on no activity is missed
			activities, err := c.list(ctx, feed, last)
			if err != nil {
				return err
			}
			for _, a := range slices.Backward(activities) {
				listed[a.ID] = true
				if err := t.printActivity(a); err != nil {
					return err
				}
			}
		case feeds.EventReconnected:
			t.say("it is back")
		case feeds.EventActivityAdded:
			if event.Activity != nil && !listed[event.Activity.ID] {
				if err := t.printActivity(*event.Activity); err != nil {
					return err
				}
			}
		}
		if event.Gap != nil && len(event.Gap.Incomplete) > 0 {
			t.say("too much has happened meanwhile: some of it is missing here")
		}
	}
	return ctx.Err()
}

// watchLogin ends what goes on as soon as the login is over, in another terminal for one: its last
// token may still work for a while.
func (c *connection) watchLogin(ctx context.Context, end context.CancelCauseFunc) {
	for ctx.Err() == nil {
		_, version, err := c.store.Load(ctx, c.login.Key)
		if err == nil {
			if _, err := c.login.Token(ctx, provider.Token{}); errors.Is(err, shared.ErrEnded) {
				end(err)
				return
			}
			err = c.store.Watch(ctx, c.login.Key, version)
		}
		if err != nil {
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	}
}

// A plainLog tells a person what a session has to say in its log.
type plainLog struct{ t *tool }

// Enabled is for warnings alone: an error ends the command, which says it.
func (plainLog) Enabled(_ context.Context, level slog.Level) bool { return level == slog.LevelWarn }

func (l plainLog) Handle(_ context.Context, r slog.Record) error {
	text := strings.TrimPrefix(r.Message, "stayauth: ")
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "err" {
			text += ": " + a.Value.String()
		}
		return true
	})
	l.t.say("%s", text)
	return nil
}

func (l plainLog) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l plainLog) WithGroup(string) slog.Handler      { return l }
