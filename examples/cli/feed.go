package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/stayauth/stayauth/feeds"
)

// maxPage is the most activities that the API gives at a time.
const maxPage = 100

func postCommand() command {
	return command{name: "post", args: "text...", short: "post to a feed", long: `Posts the text to a feed. Without one, it is read from standard input.`,
		setup: func(t *tool, flags *flag.FlagSet) work {
			feed := feedFlag(flags)
			return func(ctx context.Context, args []string) error { return t.post(ctx, *feed, strings.Join(args, " ")) }
		}}
}

func feedFlag(flags *flag.FlagSet) *string {
	return flags.String("feed", "", "the feed, as `group:id`; your own, user:<id>, if there is none")
}

func (t *tool) post(ctx context.Context, feed, text string) error {
	if err := checkFeed(feed); err != nil {
		return err
	}
	if text == "" {
		var err error
		if text, err = t.typed(ctx); err != nil {
			return err
		}
	}
	if strings.TrimSpace(text) == "" {
		return usageError{"", "the text is empty"}
	}
	return t.connected(ctx, func(c *connection) error {
		ctx, cancel := limited(ctx)
		defer cancel()
		added, err := c.AddActivity(ctx, &feeds.AddActivityRequest{Type: "post", Feeds: []string{c.feed(feed)}, Text: text})
		if err != nil {
			return err
		}
		return t.print(entryOf(added.Activity), fmt.Sprintf("Posted to %s.", c.feed(feed)))
	})
}

// typed returns what is on standard input, without the end of its last line. A person at a terminal
// is told how to end it.
func (t *tool) typed(ctx context.Context) (string, error) {
	if f, ok := t.stdin.(*os.File); ok && isTerminal(f) {
		t.say("type the text; Ctrl-D at the beginning of a line ends it")
	}
	data, err := reading(ctx, func() ([]byte, error) { return io.ReadAll(t.stdin) })
	if err != nil {
		return "", fmt.Errorf("reading the text: %w", err)
	}
	return strings.TrimRight(string(data), "\r\n"), nil
}

func listCommand() command {
	return command{name: "list", short: "list a feed", long: `Lists a feed, the newest activity first.`,
		setup: func(t *tool, flags *flag.FlagSet) work {
			feed, most := feedFlag(flags), flags.Int("n", 20, "how many activities at most")
			return func(ctx context.Context, _ []string) error { return t.list(ctx, *feed, *most) }
		}}
}

func (t *tool) list(ctx context.Context, feed string, most int) error {
	if err := checkFeed(feed); err != nil {
		return err
	}
	if most < 1 {
		return usageError{"", "-n must be at least 1"}
	}
	return t.connected(ctx, func(c *connection) error {
		activities, err := c.list(ctx, feed, most)
		for _, a := range activities {
			if err := t.printActivity(a); err != nil {
				return err
			}
		}
		return err
	})
}

// list returns the newest activities of a feed, the newest first.
func (c *connection) list(ctx context.Context, feed string, most int) (found []feeds.Activity, err error) {
	for next := ""; len(found) < most; {
		activities, more, err := c.page(ctx, feed, next, min(most-len(found), maxPage))
		if err != nil {
			return found, err
		}
		found = append(found, activities[:min(most-len(found), len(activities))]...)
		if more == "" {
			break
		}
		next = more
	}
	return found, nil
}

// page returns a page of a feed, the newest activity first, and where the next one begins.
func (c *connection) page(ctx context.Context, feed, next string, limit int) ([]feeds.Activity, string, error) {
	group, id, _ := strings.Cut(c.feed(feed), ":")
	ctx, cancel := limited(ctx)
	defer cancel()
	page, err := c.GetOrCreateFeed(ctx, group, id, &feeds.GetOrCreateFeedRequest{Limit: limit, Next: next})
	if err != nil {
		return nil, "", err
	}
	return page.Activities, page.Next, nil
}

// feed returns the feed of that name, or the user's own.
func (c *connection) feed(name string) string {
	if name == "" {
		return "user:" + c.settings.User
	}
	return name
}

// checkFeed returns what is wrong with the flag -feed.
func checkFeed(name string) error {
	group, id, _ := strings.Cut(name, ":")
	if name != "" && (group == "" || id == "") {
		return usageError{"", fmt.Sprintf("-feed %q is not of the form group:id", name)}
	}
	return nil
}

// print writes a result: the text to a person, the value in JSON to a program.
func (t *tool) print(value any, text string) error {
	if !t.json {
		_, err := fmt.Fprintln(t.stdout, printable(text, false))
		return err
	}
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.stdout, "%s\n", data)
	return err
}

// An entry is an activity as JSON.
type entry struct {
	ID        string    `json:"id"`
	User      string    `json:"user"`
	Feeds     []string  `json:"feeds"`
	Text      string    `json:"text"`
	CreatedAt time.Time `json:"created_at"`
}

func entryOf(a feeds.Activity) entry {
	return entry{a.ID, a.User.ID, a.Feeds, a.Text, a.CreatedAt.Time}
}

func (t *tool) printActivity(a feeds.Activity) error {
	return t.print(entryOf(a), fmt.Sprintf("%s  %s  %s", a.CreatedAt.Local().Format(time.DateTime), a.User.ID, a.Text))
}

// printable returns s without what could do something to the terminal: it may come from anybody.
// Lines are joined unless they are to stay.
func printable(s string, lines bool) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' && lines:
			return r
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r):
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
