package feeds

import (
	"encoding/json"
	"slices"
)

const (
	maxRecovered  = 1000 // activities of one feed that are recovered in one go
	maxRemembered = 2000 // of one feed: what was just recovered, and what the queue may hold of the same
)

// A watched feed knows what the loop has been told of it, and what it has yet to be told. It
// belongs to the goroutine of the loop, except that while feeds are read it belongs to the one that
// reads it.
type watched struct {
	fid, group, id string

	known map[string]bool // ids of the newest activities that the loop knows of, or that were there before it
	order []seen          // the same in the order in which they came, as a ring once it is full
	next  int             // where the ring is written next

	// floor is a time up to which everything is known, even if its id is forgotten: what is older
	// is not news.
	floor Timestamp

	form   form
	counts map[string]int      // of a grouped feed: how many activities each group had when the loop was last told
	status *NotificationStatus // of a notification feed: as the loop was last told, or as it was when the watching began

	// What was read and is yet to be told. It outlives the connection over which it was read.
	missed     []found           // the oldest first
	updated    []json.RawMessage // groups in which some of them stand
	changed    *NotificationStatus
	incomplete bool // more was missed than that
}

// A form is how the API shows a feed.
type form int

const (
	formUnknown form = iota // nothing was ever in it
	formFlat                // activities
	formGroups              // aggregated activities
)

type seen struct {
	id string
	at Timestamp
}

// remember notes that the loop is being told of f. It returns false if it had been before.
func (w *watched) remember(f found) bool {
	switch {
	case w.known[f.id]:
		return false
	case w.known == nil:
		w.known = make(map[string]bool)
	}
	w.known[f.id] = true
	k := seen{f.id, f.at}
	if len(w.order) < maxRemembered {
		w.order = append(w.order, k)
		return true
	}
	gone := w.order[w.next]
	delete(w.known, gone.id)
	if !gone.at.Before(w.floor.Time) {
		w.floor.Time = gone.at.Add(1) // or it would be news itself
	}
	w.order[w.next] = k
	w.next = (w.next + 1) % maxRemembered
	return true
}

// news reports whether the loop has yet to be told of f.
func (w *watched) news(f found) bool { return !w.known[f.id] && !f.at.Before(w.floor.Time) }

// A page of a feed, the newest first.
type page struct {
	Activities []json.RawMessage `json:"activities"`
	Groups     []json.RawMessage `json:"aggregated_activities"`
	Status     json.RawMessage   `json:"notification_status"`
	Next       string            `json:"next"`
}

// begin notes what is in the feed when the watching begins: p is its newest page.
func (w *watched) begin(p *page) {
	w.shownAs(p.Activities, p.Groups)
	w.status = decoded[*NotificationStatus](p.Status)
	all := make([]found, 0, len(p.Activities))
	for _, raw := range p.Activities {
		all = append(all, findActivity(raw))
	}
	for _, raw := range p.Groups {
		g := readGroup(raw)
		w.count(g)
		for _, raw := range g.Activities {
			all = append(all, findActivity(raw))
		}
	}
	slices.Reverse(all)
	slices.SortStableFunc(all, older)
	for _, f := range all {
		w.remember(f)
		if f.at.After(w.floor.Time) {
			w.floor = f.at
		}
	}
}

func older(a, b found) int { return a.at.Compare(b.at.Time) }

// shownAs notes the form of the feed, once something is in it.
func (w *watched) shownAs(activities, groups []json.RawMessage) {
	switch {
	case len(groups) > 0:
		w.form = formGroups
	case len(activities) > 0:
		w.form = formFlat
	}
}

// count notes how many activities are in a group, of which the loop has been told, or is about to
// be.
func (w *watched) count(g *group) {
	if w.counts == nil || len(w.counts) >= maxRemembered {
		w.counts = make(map[string]int) // what is forgotten is judged by what is shown: see lookInto
	}
	w.counts[g.Group] = g.ActivityCount
}

// lookInto returns what is news in a group, the oldest first, and whether that is all that is new
// in it, for the API shows only the newest of a group's activities. It is if one of those is old;
// and otherwise if there are no more than the loop will then have been told of, by the count.
func (w *watched) lookInto(g *group, news func(found) bool) (fresh []found, all bool) {
	for _, raw := range g.Activities {
		if f := findActivity(raw); news(f) {
			fresh = append(fresh, f)
		}
	}
	slices.Reverse(fresh)
	slices.SortStableFunc(fresh, older)
	before, known := w.counts[g.Group]
	return fresh, len(fresh) < len(g.Activities) || g.ActivityCount <= len(fresh) || known && g.ActivityCount-before <= len(fresh)
}

// forget drops what was read and has now been told.
func (w *watched) forget() {
	w.missed, w.updated, w.changed, w.incomplete = nil, nil, nil, false
}
