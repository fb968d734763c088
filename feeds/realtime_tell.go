package feeds

import (
	"log/slog"
	"slices"
)

// tellConnected tells that the feeds are watched, for the first time or again, and then what was
// missed in them.
func (st *stream) tellConnected() error {
	ev := Event{Type: EventConnected}
	if st.began {
		gap := st.takeGap()
		ev = Event{Type: EventReconnected, Gap: &gap}
		st.log(slog.LevelInfo, "events: connected again", "because", gap.Err, "dropped", gap.Dropped, "incomplete", gap.Incomplete)
	} else {
		st.log(slog.LevelDebug, "events: connected", "feeds", len(st.feeds))
	}
	st.began = true
	if err := st.deliver(ev); err != nil {
		return err
	}
	return st.tellMissed()
}

// recover reads the feeds that dropped messages were about, and tells what was missed there.
func (st *stream) recover(k *socket, d dropped) error {
	st.gap.Dropped += d.events
	feeds := st.feeds
	if !d.all {
		feeds = slices.DeleteFunc(slices.Clone(feeds), func(w *watched) bool { return !d.feeds[w.fid] })
	}
	if err := st.readFeeds(k, feeds, false); err != nil {
		return err // the gap is told with the next connection
	}
	return st.tellDropped()
}

// tellDropped tells that events were lost although the connection was not, and then what was
// missed.
func (st *stream) tellDropped() error {
	gap := st.takeGap()
	st.log(slog.LevelWarn, "events: events were dropped", "dropped", gap.Dropped, "incomplete", gap.Incomplete)
	if err := st.deliver(Event{Type: EventDropped, Gap: &gap}); err != nil {
		return err
	}
	return st.tellMissed()
}

// takeGap returns the gap to tell now, and begins another.
func (st *stream) takeGap() Gap {
	gap := st.gap
	for _, w := range st.feeds {
		if w.incomplete {
			gap.Incomplete = append(gap.Incomplete, w.fid)
		}
	}
	st.gap = Gap{}
	return gap
}

// tellMissed tells what was found in the feeds, in order of time, and then the state of the
// notification feeds that have changed.
func (st *stream) tellMissed() error {
	type news struct {
		found
		w *watched
	}
	var missed []news
	var updates []Event
	for _, w := range st.feeds {
		for _, f := range w.missed {
			missed = append(missed, news{f, w})
		}
		if ev := w.update(); ev != nil {
			updates = append(updates, *ev)
		}
		w.forget()
	}
	st.held.Store(0)
	// Stable: activities of one feed that have the same time stay in the feed's order.
	slices.SortStableFunc(missed, func(a, b news) int { return older(a.found, b.found) })
	for i, n := range missed {
		missed[i] = news{} // what was told is not held in memory while the rest is told
		if err := st.tellFound(n.w, n.found, nil); err != nil {
			return err
		}
	}
	return st.deliver(updates...)
}

// update returns the event with the state of a notification feed that was read, or nil if it has
// not changed.
func (w *watched) update() *Event {
	if w.changed == nil && (w.status == nil || len(w.updated) == 0) {
		return nil
	}
	if w.changed != nil {
		w.status = w.changed
	}
	ev := &Event{Type: EventNotificationFeedUpdated, FID: w.fid, NotificationStatus: w.status, Recovered: true}
	for _, raw := range w.updated {
		g := readGroup(raw).aggregated()
		ev.AggregatedActivities = append(ev.AggregatedActivities, g)
		if g.UpdatedAt.After(ev.CreatedAt.Time) {
			ev.CreatedAt = g.UpdatedAt
		}
	}
	return ev
}

// tellFound tells of an activity that was found in a feed, unless the loop knows it. m is the
// message that it was in, or nil if it was read.
func (st *stream) tellFound(w *watched, f found, m *message) error {
	if !w.remember(f) {
		return nil
	}
	ev, err := f.event(w.fid)
	if err != nil {
		st.passOver(w.fid, err)
	}
	if ev.Recovered = m == nil; m != nil {
		ev.Raw = m.raw
	}
	return st.deliver(ev)
}

// tell tells what a message says.
func (st *stream) tell(k *socket, m *message) error {
	b := m.body()
	ev, err := m.event(b)
	if err != nil {
		st.passOver(m.FID, err)
	}
	w := st.byFID[m.FID]
	switch {
	case w == nil:
		return st.deliver(ev)
	case m.Type == EventActivityAdded:
		if len(b.Activity) > 0 && !w.remember(findActivity(b.Activity)) {
			return nil
		}
		if w.form == formUnknown {
			w.form = formFlat
		}
		return st.deliver(ev)
	case m.Type == EventNotificationFeedUpdated, m.Type == EventStoriesFeedUpdated:
		return st.tellUpdate(k, w, m, b, ev)
	}
	return st.deliver(ev)
}

// tellUpdate tells of the update of a feed that shows groups. First it tells of the activities that
// are new in the groups. If the update does not show all of them, it reads the feed and tells of
// them afterwards.
func (st *stream) tellUpdate(k *socket, w *watched, m *message, b *body, ev Event) error {
	w.shownAs(nil, b.Groups)
	if ev.NotificationStatus != nil {
		w.status = ev.NotificationStatus
	}
	all := len(b.Groups) > 0 || w.form == formFlat
	var groups []*group
	var missed []found
	for _, raw := range b.Groups {
		g := readGroup(raw)
		fresh, whole := w.lookInto(g, w.news)
		missed = append(missed, fresh...)
		all = all && whole
		g.Activities = nil
		groups = append(groups, g)
	}
	if all {
		slices.SortStableFunc(missed, older)
		for _, f := range missed {
			if err := st.tellFound(w, f, m); err != nil {
				return err
			}
		}
		for _, g := range groups {
			w.count(g)
		}
		return st.deliver(ev)
	}
	if err := st.deliver(ev); err != nil {
		return err
	}
	if err := st.readFeeds(k, []*watched{w}, false); err != nil {
		return err
	}
	if w.incomplete {
		return st.tellDropped()
	}
	return st.tellMissed()
}

// deliver passes events to the body of the loop.
func (st *stream) deliver(events ...Event) error {
	for _, ev := range events {
		st.told = st.told || ev.Gap == nil && ev.Type != EventConnected
		if !st.yield(ev, nil) {
			return errLoopLeft
		}
	}
	return nil
}

// passOver logs that something in a feed could not be decoded.
func (st *stream) passOver(fid string, err error) {
	st.log(slog.LevelWarn, "events: passed over what could not be decoded", "feed", fid, "err", err)
}
