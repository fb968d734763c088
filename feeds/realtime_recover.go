package feeds

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"
)

const (
	maxRecovered  = 1000            // activities of one feed that are recovered in one go
	maxRemembered = 2000            // of one feed: what was just recovered, and what the queue may hold of the same
	pageSize      = 100             // the most that the API gives at once
	readLimit     = 2 * time.Minute // for reading all feeds, refreshes of the token and waits for rate limits included
)

var errSlowRead = fmt.Errorf("feeds: events: the watched feeds could not be read within %s", readLimit)

// A watched feed knows what the loop has been told of it.
type watched struct {
	fid, group, id string

	known map[string]bool // ids of the newest activities that the loop knows of, or that were there before it
	order []seen          // the same in the order in which they came, as a ring once it is full
	next  int             // where the ring is written next

	// floor is a time up to which everything is known, even if its id is forgotten: what is older is not news.
	floor time.Time
}

type seen struct {
	id string
	at time.Time
}

// remember notes that the loop is being told of a. It returns false if it had been before.
func (w *watched) remember(a *Activity) bool {
	switch {
	case a.ID == "":
		return true // nothing to know it by
	case w.known[a.ID]:
		return false
	case w.known == nil:
		w.known = make(map[string]bool)
	}
	w.known[a.ID] = true
	k := seen{a.ID, a.CreatedAt.Time}
	if len(w.order) < maxRemembered {
		w.order = append(w.order, k)
		return true
	}
	gone := w.order[w.next]
	delete(w.known, gone.id)
	if !gone.at.Before(w.floor) {
		w.floor = gone.at.Add(1) // or it would be news itself
	}
	w.order[w.next] = k
	w.next = (w.next + 1) % maxRemembered
	return true
}

// begin notes what is in the feed when the watching begins: page is its newest.
func (w *watched) begin(page []Activity) {
	for _, a := range slices.Backward(page) {
		w.remember(&a)
		if a.CreatedAt.After(w.floor) {
			w.floor = a.CreatedAt.Time
		}
	}
}

// news reports whether the loop has yet to be told of a.
func (w *watched) news(a *Activity) bool { return !w.known[a.ID] && !a.CreatedAt.Before(w.floor) }

// watch has the API send the events of all feeds over k. It returns what was added to them since the last connection, which on
// the first is nothing.
func (st *stream) watch(k *socket) ([]Event, error) {
	if st.began {
		return st.readAll(k, k.id)
	}
	ctx, cancel := context.WithTimeoutCause(k.ctx, readLimit, errSlowRead)
	defer cancel()
	for _, w := range st.feeds {
		page, _, err := st.page(ctx, w, k.id, "")
		if err != nil {
			return nil, because(ctx, err)
		}
		w.begin(page)
	}
	return nil, nil
}

// readAll reads the feeds for news, in order of time. With a connection it has them watched as well.
func (st *stream) readAll(k *socket, connection string) ([]Event, error) {
	ctx, cancel := context.WithTimeoutCause(k.ctx, readLimit, errSlowRead)
	defer cancel()
	var events []Event
	var incomplete []string
	for _, w := range st.feeds {
		missed, complete, err := st.read(ctx, w, connection)
		if err != nil {
			return nil, because(ctx, err)
		}
		if !complete {
			incomplete = append(incomplete, w.fid)
		}
		for _, a := range missed {
			events = append(events, Event{Type: EventActivityAdded, FID: w.fid, Activity: &a, CreatedAt: a.CreatedAt, Recovered: true})
		}
	}
	st.gap.Incomplete = incomplete
	// Stable, so that of one feed's activities of the same time the order is the feed's.
	slices.SortStableFunc(events, func(a, b Event) int { return a.CreatedAt.Compare(b.CreatedAt.Time) })
	return events, nil
}

// because returns why ctx has ended, if it has, and else err.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// read returns what is news in a feed, the oldest first, and whether that is all of it.
//
// It reads from the newest on, page by page, until the last on a page is no news. Events of the new connection lie in the
// queue meanwhile and are not known yet; otherwise they would be met first, and be taken for the end of what was missed.
func (st *stream) read(ctx context.Context, w *watched, connection string) (missed []Activity, complete bool, err error) {
	for next := ""; ; connection = "" {
		var page []Activity
		if page, next, err = st.page(ctx, w, connection, next); err != nil {
			return nil, false, err
		}
		for _, a := range page {
			if w.news(&a) {
				missed = append(missed, a)
			}
		}
		switch {
		case len(missed) > maxRecovered:
			missed = missed[:maxRecovered]
		case next != "" && len(page) > 0 && w.news(&page[len(page)-1]):
			continue
		default:
			complete = true
		}
		slices.Reverse(missed)
		return missed, complete, nil
	}
}

// page reads one page of a feed, the newest first, and has the feed watched by the connection, if one is given.
func (st *stream) page(ctx context.Context, w *watched, connection, next string) ([]Activity, string, error) {
	in := struct {
		Watch bool   `json:"watch,omitempty"`
		Limit int    `json:"limit"`
		Next  string `json:"next,omitempty"`
	}{connection != "", pageSize, next}
	var out struct {
		Activities []Activity `json:"activities"`
		Next       string     `json:"next"`
	}
	c := call{method: http.MethodPost, path: feedsPath("feed_groups", w.group, "feeds", w.id), in: in, out: &out}
	if connection != "" {
		c.query = url.Values{"connection_id": {connection}}
	}
	err := st.session.do(ctx, c)
	return out.Activities, out.Next, err
}
