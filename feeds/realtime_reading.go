package feeds

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"
)

const (
	pageSize  = 100             // the most activities that the API sends at once
	readLimit = 2 * time.Minute // for one page, refreshes of the token included

	// maxRecoveredBytes is how much is held, of all feeds together, that was read and that the loop
	// has yet to get: in bytes as the API wrote them.
	maxRecoveredBytes = 32 << 20
)

var errSlowRead = fmt.Errorf("feeds: events: a watched feed could not be read within %s", readLimit)

// A reading reads one feed for news: page by page from the newest activity on, until the last one
// on a page is not news. Events of the new connection wait in the queue until it is done. If the
// loop took them first, they would be known, and would look like the end of what was missed.
type reading struct {
	stream *stream
	w      *watched

	connection string // the connection that is to watch the feed; "" for none, and once it does
	only       bool   // what is in the feed only becomes known, and is not told: the first page is enough

	next   string // the cursor of the page to read
	limit  int    // how many activities it may have
	begun  bool   // the first page was read
	listed bool   // what is read is no longer the feed, but the list of its activities: see list
	done   bool

	missed []found         // the newest first
	have   map[string]bool // their ids
	old    map[string]bool // ids of what was read over an earlier connection and the loop has yet to get
	bytes  int64           // of missed and groups
	full   bool            // there is no more room
	short  bool            // there is more news than was found

	groups []json.RawMessage // those that hold news
	counts []*group          // those whose activity count is to be noted
	status json.RawMessage
	shown  []found // once the list is read: what the groups showed
}

// run reads until the reading is done, or until an error. After an error it may be called again.
func (r *reading) run(ctx context.Context) error {
	for !r.done {
		p, err := r.page(ctx)
		switch {
		case errors.Is(err, errLongAnswer) && r.limit > 1:
			r.limit /= 4 // of 100: 25, 6, 1
		case err != nil && r.listed && refusesList(err):
			r.end() // it is short, so the gap names the feed
		case err != nil:
			return err
		default:
			r.take(p)
		}
	}
	return nil
}

// take takes the news from a page, and decides what to read next.
func (r *reading) take(p *page) {
	first := !r.begun
	r.begun, r.connection, r.next = true, "", p.Next
	if r.only {
		r.w.begin(p)
		r.done = true
		return
	}
	if first {
		r.w.shownAs(p.Activities, p.Groups)
		r.status = p.Status
	}
	before := len(r.missed)
	more := false // the last on the page is news, so the next page may have news too
	for _, raw := range p.Activities {
		f := findActivity(raw)
		if more = r.news(f); more {
			r.found(f)
		}
	}
	for _, raw := range p.Groups {
		g := readGroup(raw)
		fresh, all := r.w.lookInto(g, r.news)
		more = len(fresh) > 0
		r.short = r.short || !all
		for _, f := range slices.Backward(fresh) {
			r.found(f)
		}
		if g.Activities = nil; more && r.afford(len(raw)) {
			r.groups = append(r.groups, raw)
		}
		r.counts = append(r.counts, g)
	}
	r.full = r.full || len(r.missed) > maxRecovered
	more = more && len(r.missed) > before // otherwise the pages go in a circle
	switch {
	case p.Next != "" && more && !r.full:
	case r.listed:
		// A list without the activities that the groups show is not the list of this feed.
		lacks := slices.ContainsFunc(r.shown, func(f found) bool { return !r.have[f.id] })
		r.short = r.full || lacks
		r.end()
	case r.short && !r.full:
		r.list()
	default:
		r.short = r.short || r.full
		r.end()
	}
}

// list makes the reading go on with the list of the feed's activities, because the groups do not
// show all that is in them.
func (r *reading) list() {
	r.listed, r.next = true, ""
	r.shown, r.missed = r.missed, nil
	clear(r.have)
}

// refusesList reports whether err says that the user may not list the activities of a feed. The
// feed itself can be read.
func refusesList(err error) bool {
	e, ok := err.(*Error)
	return ok && !e.rateLimited() && e.StatusCode/100 == 4 && e.Code != 0 && e.Code != CodeTokenExpired
}

// news reports whether f was neither told nor read before.
func (r *reading) news(f found) bool { return r.w.news(f) && !r.old[f.id] }

func (r *reading) found(f found) {
	if r.have[f.id] {
		return
	}
	if r.full = r.full || !r.afford(len(f.raw)); r.full {
		return
	}
	r.have[f.id] = true
	r.missed = append(r.missed, f)
}

// afford takes room for so many bytes, and reports whether there was enough.
func (r *reading) afford(bytes int) bool {
	if r.stream.held.Add(int64(bytes)) > maxRecoveredBytes {
		r.stream.held.Add(-int64(bytes))
		return false
	}
	r.bytes += int64(bytes)
	return true
}

// end ends the reading and gives what was found to the feed.
func (r *reading) end() {
	w := r.w
	r.done = true
	for _, f := range r.shown {
		if !r.have[f.id] {
			r.missed = append(r.missed, f)
		}
	}
	slices.Reverse(r.missed)
	if w.form == formGroups {
		slices.SortStableFunc(r.missed, older) // the groups overlap in time
	}
	w.missed = append(w.missed, r.missed...)
	if many := len(w.missed) - maxRecovered; many > 0 {
		w.missed = slices.Delete(w.missed, 0, many)
		r.short = true
	}
	for _, g := range r.counts {
		w.count(g)
	}
	w.updated = append(w.updated, r.groups...)
	w.incomplete = w.incomplete || r.short
	if status := decoded[*NotificationStatus](r.status); status != nil && !status.equal(w.status) {
		w.changed = status
	}
}

// request returns the call for the next page, and its gate: each operation of the API has a rate
// limit of its own.
func (r *reading) request() (call, *gate) {
	if r.listed {
		in := QueryActivitiesRequest{Filter: map[string]any{"feed": r.w.fid}, Sort: []SortParam{{Field: "created_at", Direction: -1}}, Limit: r.limit, Next: r.next}
		return call{method: http.MethodPost, path: feedsPath("activities", "query"), in: in}, &r.stream.listGate
	}
	in := struct {
		Watch bool   `json:"watch,omitempty"`
		Limit int    `json:"limit"`
		Next  string `json:"next,omitempty"`
	}{r.connection != "", r.limit, r.next}
	c := call{method: http.MethodPost, path: feedsPath("feed_groups", r.w.group, "feeds", r.w.id), in: in}
	if r.connection != "" {
		c.query = url.Values{"connection_id": {r.connection}}
	}
	return c, &r.stream.readGate
}

// page reads the next page, and makes r.connection watch the feed. It waits for rate limits.
func (r *reading) page(ctx context.Context) (*page, error) {
	st := r.stream
	c, gate := r.request()
	out, id := new(page), rand.Text()
	var header http.Header
	c.out, c.header = out, func(h http.Header) { header = h }
	for waits := 0; ; waits++ {
		if err := gate.enter(ctx); err != nil {
			return nil, err
		}
		limited, cancel := context.WithTimeoutCause(ctx, readLimit, errSlowRead)
		err := st.session.attempt(limited, c, id)
		if cause := context.Cause(limited); err != nil && cause != nil {
			err = cause
		}
		cancel()
		refusal, _ := err.(*Error)
		gate.leave(header, refusal)
		if err == nil {
			return out, nil
		}
		if refusal == nil || !refusal.rateLimited() {
			return nil, err
		}
		wait := time.Until(refusal.RetryAt)
		if refusal.RetryAt.IsZero() || wait > maxRateLimitWait || waits == maxRateLimitWaits {
			return nil, err
		}
		st.log(slog.LevelWarn, "events: rate limited, will go on reading the feeds", "feed", r.w.fid, "retry_in", wait)
	}
}
