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
	pageSize  = 100             // the most that the API gives at once
	readLimit = 2 * time.Minute // for one page, refreshes of the token included

	// maxRecoveredBytes bounds what of all feeds together is read and yet to be told, as the API
	// wrote it.
	maxRecoveredBytes = 32 << 20
)

var errSlowRead = fmt.Errorf("feeds: events: a watched feed could not be read within %s", readLimit)

// A reading is one feed being read for news: from the newest on, page by page, until the last on a
// page is no news. Events of the new connection lie in the queue meanwhile and are not known yet;
// otherwise they would be met first, and be taken for the end of what was missed.
type reading struct {
	stream *stream
	w      *watched

	connection string // the feed is to be watched by it as well; "" once it is, or if it need not be
	only       bool   // what is in the feed is to be noted as known, not told: the first page is enough

	next   string // the page to read next
	limit  int    // how much may be on it
	begun  bool   // the first page was read
	listed bool   // it is no longer the feed that is read, but the list of its activities: see list
	done   bool

	missed []found         // the newest first
	have   map[string]bool // ids of those
	old    map[string]bool // ids of what was read over an earlier connection and has yet to be told
	bytes  int64           // of what was found, and of groups
	full   bool            // there is room for no more
	short  bool            // there is more than was found

	groups []json.RawMessage // in which there is news
	counts []*group          // whose number is to be noted
	status json.RawMessage
	shown  []found // what the groups showed, once the list is read
}

// run reads on, to the end or an error.
func (r *reading) run(ctx context.Context) error {
	for !r.done {
		p, err := r.page(ctx)
		switch {
		case errors.Is(err, errLongAnswer) && r.limit > 1:
			r.limit /= 4 // of 100: 25, 6, 1
		case err != nil && r.listed && refusesList(err):
			r.end() // and the gap names the feed
		case err != nil:
			return err
		default:
			r.take(p)
		}
	}
	return nil
}

// take makes of a page what there is to make of it.
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
	more := false // the last on the page is news, so the next page may have some too
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
	more = more && len(r.missed) > before // or the pages go in a circle
	switch {
	case p.Next != "" && more && !r.full:
	case r.listed:
		// A list that lacks what the groups show is no list of this feed's activities.
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

// list goes on with the list of the feed's activities, because groups don't show all of theirs.
func (r *reading) list() {
	r.listed, r.next = true, ""
	r.shown, r.missed = r.missed, nil
	clear(r.have)
}

// refusesList reports whether err says that the activities of a feed can't be listed. The feed
// itself can be read all the same.
func refusesList(err error) bool {
	e, ok := err.(*Error)
	return ok && !e.rateLimited() && e.StatusCode/100 == 4 && e.Code != 0 && e.Code != CodeTokenExpired
}

// news reports whether f has neither been told nor read.
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

// afford reports whether there is room for so much more, and takes it.
func (r *reading) afford(bytes int) bool {
	if r.stream.held.Add(int64(bytes)) > maxRecoveredBytes {
		r.stream.held.Add(-int64(bytes))
		return false
	}
	r.bytes += int64(bytes)
	return true
}

// end leaves what was found with the feed.
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
		slices.SortStableFunc(r.missed, older) // groups overlap in time
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

// request returns the call for the next page, and the gate that it goes through: the API's limits
// are by operation.
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

// page reads the next page, and has the feed watched if that is asked for. It waits for rate
// limits.
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
