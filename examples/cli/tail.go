package main

import (
	"context"
	"errors"
	"flag"
	"slices"
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
)

func tailCommand() command {
	return command{name: "tail", short: "follow a feed", long: `Prints the last activities of a feed, and then each new one, until it is interrupted. It outlives the tokens, and waits for a server that
is away.`,
		setup: func(t *tool, flags *flag.FlagSet) work {
			feed, last := feedFlag(flags), flags.Int("n", 10, "how many activities to begin with")
			every := flags.Duration("every", 2*time.Second, "how often to look")
			return func(ctx context.Context, _ []string) error { return t.tail(ctx, *feed, *last, *every) }
		}}
}

// maxPause is the longest pause between two looks while the server is away, unless they are farther apart anyway.
const maxPause = 30 * time.Second

func (t *tool) tail(ctx context.Context, feed string, last int, every time.Duration) error {
	if err := checkFeed(feed); err != nil {
		return err
	}
	if last < 0 || every <= 0 {
		return usageError{"", "-n must not be negative, and -every must be more than 0"}
	}
	c, err := t.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()

	f := &follower{page: func(ctx context.Context, next string) ([]feeds.Activity, string, error) {
		return c.page(ctx, feed, next, maxPage)
	}}
	pause, away := every, false
	for first := true; ; {
		news, err := c.look(ctx, f, last)
		switch {
		case ctx.Err() != nil:
			return nil // interrupted, as it is meant to be
		case err != nil && isFinal(err):
			return err
		case err != nil && away:
			pause = max(every, min(2*pause, maxPause))
		case err != nil:
			t.say("%v; waiting for it to come back", err)
			away = true
		case away:
			t.say("it is back")
			pause, away = every, false
		}
		if first && err == nil {
			news, first = news[max(0, len(news)-last):], false
		}
		for _, a := range news {
			if err := t.printActivity(a); err != nil {
				return err
			}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// look returns what is new to f. A login that another terminal has ended is over here too, although its last token may still
// work: so the login comes first.
func (c *connection) look(ctx context.Context, f *follower, last int) ([]feeds.Activity, error) {
	limit, cancel := limited(ctx)
	defer cancel()
	if _, err := c.login.Token(limit, provider.Token{}); err != nil {
		return nil, err
	}
	return f.look(ctx, last)
}

// isFinal reports whether there is no point in waiting: the session is over, or the API does not want the call.
func isFinal(err error) bool {
	if errors.Is(err, shared.ErrEnded) || feeds.IsSessionOver(err) {
		return true
	}
	e, ok := errors.AsType[*feeds.Error](err)
	return ok && e.StatusCode/100 == 4 && e.Code != feeds.CodeRateLimited && e.Code != feeds.CodeTokenExpired
}

// late is how much later than another an activity may appear in a feed although it is the older one.
const late = time.Minute

// A follower finds the new activities of a feed, each once.
type follower struct {
	page func(ctx context.Context, next string) (activities []feeds.Activity, more string, err error) // the newest first

	newest time.Time            // of the activities so far
	seen   map[string]time.Time // those that are no more than late older than newest, by id
}

// look returns what is new, the oldest first. The first look goes back by least activities, if there are as many, and may return
// more. One that fails has seen nothing.
func (f *follower) look(ctx context.Context, least int) ([]feeds.Activity, error) {
	since, first := f.newest, f.newest.IsZero()
	found := make(map[string]time.Time)
	var fresh []feeds.Activity
	for next, end := "", false; !end; {
		activities, more, err := f.page(ctx, next)
		if err != nil {
			return nil, err
		}
		next, end = more, more == ""
		for _, a := range activities {
			if since.IsZero() {
				since = a.CreatedAt.Time
			}
			if a.CreatedAt.Before(since.Add(-late)) && (!first || len(fresh) >= least) {
				end = true
				break
			}
			_, before := f.seen[a.ID]
			_, now := found[a.ID] // the list may have moved between two pages
			if !before && !now {
				found[a.ID] = a.CreatedAt.Time
				fresh = append(fresh, a)
			}
		}
	}
	f.note(found)
	slices.Reverse(fresh)
	return fresh, nil
}

// note adds to what was seen, and forgets what is too old to come again.
func (f *follower) note(found map[string]time.Time) {
	if f.seen == nil {
		f.seen = make(map[string]time.Time)
	}
	for id, at := range found {
		f.seen[id] = at
		if f.newest.Before(at) {
			f.newest = at
		}
	}
	for id, at := range f.seen {
		if at.Before(f.newest.Add(-late)) {
			delete(f.seen, id)
		}
	}
}
