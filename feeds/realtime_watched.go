package feeds

import (
	"encoding/json"
	"slices"
)

const (
	maxRecovered  = 1000 // activities of one feed that are recovered after one gap
	maxRemembered = 2000 // of one feed: those that were recovered, and as many that the queue may hold
)

// A watched feed knows which of its activities the loop has got, and which it has yet to get. It
// belongs to the goroutine of the loop. While the feed is read, it belongs to the goroutine that
// reads it.
type watched struct {
	fid, group, id string

	known map[string]bool // ids of the newest activities that the loop has got, or that were there at the start
	order []seen          // the same in the order in which they came; a ring once it is full
	next  int             // where the ring is written next

	// floor is a time before which everything is known, even if its id is forgotten: an older
	// activity is not news.
	floor Timestamp

	form   form
	counts map[string]int      // of a feed that shows groups: how many activities each had when the loop last heard
	status *NotificationStatus // of a notification feed: as the loop last got it, or as it was at the start

	// What was read and the loop has yet to get. It is kept if the connection ends.
	missed     []found           // the oldest first
	updated    []json.RawMessage // groups that hold some of them
	changed    *NotificationStatus
	incomplete bool // more was missed
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

// remember notes that the loop gets f now. It returns false if the loop has it already.
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
		w.floor.Time = gone.at.Add(1) // with gone.at alone it would be news again
	}
	w.order[w.next] = k
	w.next = (w.next + 1) % maxRemembered
	return true
}

// news reports whether the loop has yet to get f.
func (w *watched) news(f found) bool { return !w.known[f.id] && !f.at.Before(w.floor.Time) }

// A page of a feed, the newest first.
type page struct {
	Activities []json.RawMessage `json:"activities"`
	Groups     []json.RawMessage `json:"aggregated_activities"`
	Status     json.RawMessage   `json:"notification_status"`
	Next       string            `json:"next"`
}

// begin notes what is in the feed at the start. p is its newest page.
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

// count notes how many activities a group has. The loop has got them, or is about to.
func (w *watched) count(g *group) {
	if w.counts == nil || len(w.counts) >= maxRemembered {
		w.counts = make(map[string]int) // lookInto can do without a count
	}
	w.counts[g.Group] = g.ActivityCount
}

// lookInto returns the activities of a group that are news, the oldest first, and whether these are
// all that is new in the group: the API shows only the newest activities of a group. They are all
// if an activity that is shown is not news. Otherwise the counts decide: the group must not have
// grown by more than are shown.
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

// forget drops what was read, once the loop gets it.
func (w *watched) forget() {
	w.missed, w.updated, w.changed, w.incomplete = nil, nil, nil, false
}
