package feeds

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	readers   = 8               // feeds that are read at once
	pageSize  = 100             // the most that the API gives at once
	readLimit = 2 * time.Minute // for one page, refreshes of the token included

	// maxRecoveredBytes bounds what of all feeds together is read and yet to be told, as the API wrote it.
	maxRecoveredBytes = 32 << 20
)

var errSlowRead = fmt.Errorf("feeds: events: a watched feed could not be read within %s", readLimit)

// A reading is one feed being read for news: from the newest on, page by page, until the last on a page is no news. Events of
// the new connection lie in the queue meanwhile and are not known yet; otherwise they would be met first, and be taken for the
// end of what was missed.
type reading struct {
	stream *stream
	w      *watched

	connection string // the feed is to be watched by it as well; "" once it is, or if it need not be
	only       bool   // what is in the feed is to be noted as known, not told: the first page is enough

	read   bool   // the first page
	next   string // the page to read next
	done   bool
	missed []found // the newest first
	bytes  int64   // of them, and of groups
	groups []json.RawMessage
	counts []*group // whose number is to be noted
	status json.RawMessage
	old    map[string]bool // ids of what was read over an earlier connection and has yet to be told
	full   bool            // there is room for no more
	short  bool            // there is more than was found
}

// readFeeds reads feeds for news, several at once and within the API's rate limit, and leaves what it finds with each of them.
// With watch it has them watched over k as well.
//
// A feed that can't be read for now is tried again as long as that goes better for others. What was found in one feed is kept
// if the connection breaks while others are read.
func (st *stream) readFeeds(k *socket, feeds []*watched, watch bool) error {
	var todo []*reading
	for _, w := range feeds {
		r := &reading{stream: st, w: w, only: !st.began, old: make(map[string]bool)}
		if watch {
			r.connection = k.id
		}
		for _, f := range w.missed {
			r.old[f.id] = true
		}
		todo = append(todo, r)
	}
	defer func() {
		for _, r := range todo {
			st.held.Add(-r.bytes) // of what was not read to its end
		}
	}()
	for {
		left, err := st.readAtOnce(k.ctx, todo)
		progress := len(left) < len(todo)
		todo = left
		switch {
		case len(left) == 0:
			return nil
		case k.ctx.Err() != nil:
			return context.Cause(k.ctx)
		case !progress || !worthAnother(err):
			return err
		}
		st.log(slog.LevelWarn, "events: some feeds could not be read, will try them again", "feeds", len(left), "err", err)
		if err := sleep(k.ctx, firstPause); err != nil {
			return err
		}
	}
}

// readAtOnce reads what is to do, with a few goroutines that end with it. It returns what is left to do, and why: the reason
// that nothing can be done about, if there is one, and then at once.
func (st *stream) readAtOnce(ctx context.Context, todo []*reading) (left []*reading, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var taken atomic.Int64
	var mu sync.Mutex // guards err
	var working sync.WaitGroup
	for range min(readers, len(todo)) {
		working.Go(func() {
			for ctx.Err() == nil {
				i := int(taken.Add(1)) - 1
				if i >= len(todo) {
					return
				}
				failed := todo[i].run(ctx)
				if failed == nil {
					continue
				}
				mu.Lock()
				if ctx.Err() == nil {
					err = failed
					if !worthAnother(failed) {
						stop()
					}
				}
				mu.Unlock()
			}
		})
	}
	working.Wait()
	return slices.DeleteFunc(todo, func(r *reading) bool { return r.done }), err
}

// worthAnother reports whether a feed that could not be read because of err may be readable in a moment, over the same connection.
func worthAnother(err error) bool {
	if IsSessionOver(err) {
		return false
	}
	e, ok := err.(*Error)
	return !ok || e.StatusCode/100 != 4 || e.Code == 0 || e.Code == CodeTokenExpired
}

// run reads on, to the end or an error.
func (r *reading) run(ctx context.Context) error {
	for !r.done {
		p, err := r.page(ctx)
		if err != nil {
			return err
		}
		r.take(p)
	}
	return nil
}

// take makes of a page what there is to make of it.
func (r *reading) take(p *page) {
	first := !r.read
	r.read, r.connection, r.next = true, "", p.Next
	if r.only {
		r.w.begin(p)
		r.done = true
		return
	}
	if first {
		r.w.shownAs(p.Activities, p.Groups)
		r.status = p.Status
	}
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
	switch {
	case len(r.missed) > maxRecovered:
		r.short = true
	case p.Next != "" && more && !r.full:
		return
	}
	r.end()
}

// news reports whether f has neither been told nor read.
func (r *reading) news(f found) bool { return r.w.news(f) && !r.old[f.id] }

func (r *reading) found(f found) {
	if r.full = r.full || !r.afford(len(f.raw)); r.full {
		r.short = true
		return
	}
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

// page reads one page, and has the feed watched if that is asked for.
func (r *reading) page(ctx context.Context) (*page, error) {
	in := struct {
		Watch bool   `json:"watch,omitempty"`
		Limit int    `json:"limit"`
		Next  string `json:"next,omitempty"`
	}{r.connection != "", pageSize, r.next}
	st := r.stream
	out := new(page)
	var header http.Header
	c := call{method: http.MethodPost, path: feedsPath("feed_groups", r.w.group, "feeds", r.w.id), in: in, out: out,
		header: func(h http.Header) { header = h }}
	if r.connection != "" {
		c.query = url.Values{"connection_id": {r.connection}}
	}
	id := rand.Text()
	for waits := 0; ; waits++ {
		if err := st.gate.enter(ctx); err != nil {
			return nil, err
		}
		limited, cancel := context.WithTimeoutCause(ctx, readLimit, errSlowRead)
		err := st.session.attempt(limited, c, id)
		if cause := context.Cause(limited); err != nil && cause != nil {
			err = cause
		}
		cancel()
		refusal, _ := err.(*Error)
		st.gate.leave(header, refusal)
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
