package testserver

import (
	"slices"
	"time"
)

const (
	// notificationGroup is the one feed group whose activities are grouped, and marked as seen and
	// read.
	notificationGroup = "notification"

	maxGroup = 15  // activities that a group shows, the newest; the comment of Server names it
	maxMarks = 100 // groups that are marked one by one; the comment of Server names it
)

// notifies reports whether f is a notification feed.
func (f *feed) notifies() bool { return f.group() == notificationGroup }

// A group is the activities of one type and day in a notification feed.
type group struct {
	feed *feed
	name string
	acts []*activity // oldest first
}

func (g *group) newest() *activity { return g.acts[len(g.acts)-1] }
func (g *group) number() int       { return g.newest().seq }

// groups sorts a notification feed's activities into groups.
func (f *feed) groups(list []*activity) []*group {
	var all []*group
	byName := make(map[string]*group)
	for _, a := range list {
		name := a.kind + "-" + a.created.UTC().Format(time.DateOnly)
		if byName[name] == nil {
			byName[name] = &group{feed: f, name: name}
			all = append(all, byName[name])
		}
		byName[name].acts = append(byName[name].acts, a)
	}
	return all
}

// groupOrder sorts groups by their newest activity, the newest first.
func groupOrder() order[*group] {
	return order[*group]{{func(g *group) sortKey { return timeKey(g.newest().created) }, true}}
}

// aggregatedActivity is the API's AggregatedActivityResponse.
type aggregatedActivity struct {
	Group         string             `json:"group"`
	Activities    []activityResponse `json:"activities"`
	ActivityCount int                `json:"activity_count"`
	UserCount     int                `json:"user_count"`
	Truncated     bool               `json:"user_count_truncated"`
	Score         float64            `json:"score"`
	IsSeen        bool               `json:"is_seen"`
	IsRead        bool               `json:"is_read"`
	CreatedAt     int64              `json:"created_at"`
	UpdatedAt     int64              `json:"updated_at"`
}

// aggregated describes a group, with its newest activities, the newest first.
func (v *view) aggregated(g *group) aggregatedActivity {
	users := make(map[string]bool)
	for _, a := range g.acts {
		users[a.user] = true
	}
	r := aggregatedActivity{
		Group: g.name, ActivityCount: len(g.acts), UserCount: len(users), Activities: []activityResponse{},
		IsSeen: g.feed.marks.seen.covers(g), IsRead: g.feed.marks.read.covers(g),
		CreatedAt: g.acts[0].created.UnixNano(), UpdatedAt: g.newest().created.UnixNano(),
	}
	for _, a := range slices.Backward(g.acts[max(0, len(g.acts)-maxGroup):]) {
		r.Activities = append(r.Activities, v.activity(a, g.feed.fid))
	}
	return r
}

// marks are what the owner of a notification feed has marked in it.
type marks struct{ seen, read marking }

// A marking is one of the two. What comes after it is not marked: it goes by the activities'
// numbers.
type marking struct {
	all    int       // the newest activity when all were marked
	at     time.Time // when that was; zero: never
	groups []mark    // that were marked one by one, oldest first
}

type mark struct {
	group string
	upTo  int
}

// covers reports whether a group and all that is in it is marked.
func (m *marking) covers(g *group) bool {
	return g.number() <= m.all || slices.ContainsFunc(m.groups, func(one mark) bool { return one.group == g.name && g.number() <= one.upTo })
}

// set marks groups by their names, or by the id of an activity in them, and all of them if it says
// so.
func (m *marking) set(groups []*group, names []string, all bool, now time.Time) {
	for _, g := range groups {
		if all {
			m.all, m.at = max(m.all, g.number()), now
		}
		named := slices.Contains(names, g.name) ||
			slices.ContainsFunc(g.acts, func(a *activity) bool { return slices.Contains(names, a.id) })
		if !named {
			continue
		}
		m.groups = slices.DeleteFunc(m.groups, func(one mark) bool { return one.group == g.name })
		m.groups = append(m.groups, mark{g.name, g.number()})
	}
	if all {
		m.at = now
	}
	m.groups = m.groups[max(0, len(m.groups)-maxMarks):]
}

// names lists those of the groups that were marked one by one and have nothing new since.
func (m *marking) names(groups []*group) (names []string) {
	for _, one := range m.groups {
		if slices.ContainsFunc(groups, func(g *group) bool { return g.name == one.group && g.number() <= one.upTo }) {
			names = append(names, one.group)
		}
	}
	return names
}

// notificationStatus is the API's NotificationStatusResponse.
type notificationStatus struct {
	Unread     int      `json:"unread"`
	Unseen     int      `json:"unseen"`
	LastReadAt *int64   `json:"last_read_at,omitempty"`
	LastSeenAt *int64   `json:"last_seen_at,omitempty"`
	Read       []string `json:"read_activities,omitempty"`
	Seen       []string `json:"seen_activities,omitempty"`
}

// status counts what is unseen and unread of a notification feed's groups.
func (f *feed) status(groups []*group) notificationStatus {
	m := &f.marks
	st := notificationStatus{
		LastReadAt: nanos(m.read.at), LastSeenAt: nanos(m.seen.at), Read: m.read.names(groups), Seen: m.seen.names(groups),
	}
	for _, g := range groups {
		if !m.read.covers(g) {
			st.Unread++
		}
		if !m.seen.covers(g) {
			st.Unseen++
		}
	}
	return st
}

// groupsOf returns a notification feed's groups. s.mu is held.
func (s *Server) groupsOf(f *feed) []*group {
	now := s.now()
	return f.groups(only(&s.acts, func(a *activity) bool { return slices.Contains(a.feeds, f.fid) && !a.expired(now) }))
}

// notificationsChanged tells those who watch one of these feeds what is new, if it is a
// notification feed: its status, and the group of the activity that was added or changed, if that
// is what happened. s.mu is held.
func (s *Server) notificationsChanged(fids []string, a *activity) {
	for i, fid := range fids {
		f, ok := s.feeds.Get(fid)
		if !ok || !f.notifies() || len(s.watchers[fid]) == 0 || slices.Contains(fids[:i], fid) {
			continue
		}
		v, groups := s.view(viewer{server: true}), s.groupsOf(f)
		fields := object{"notification_status": f.status(groups)}
		for _, g := range groups {
			if a != nil && slices.Contains(g.acts, a) {
				fields["aggregated_activities"] = []aggregatedActivity{v.aggregated(g)}
				fields["user"] = v.userOf(a.user)
			}
		}
		s.publish("feeds.notification_feed.updated", []string{fid}, nil, fields)
	}
}

// markActivities marks activities of a feed as seen and read. Of feeds other than notification
// feeds nothing is kept, but those who watch them are told.
func (s *Server) markActivities(c *call) (object, *failure) {
	var req struct {
		acting
		AllRead bool     `json:"mark_all_read"`
		AllSeen bool     `json:"mark_all_seen"`
		Read    []string `json:"mark_read"`
		Seen    []string `json:"mark_seen"`
		Watched []string `json:"mark_watched"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	f, fail := s.ownFeed(c)
	if fail != nil {
		return nil, fail
	}
	user, fail := c.actor(req.acting)
	if fail != nil {
		return nil, fail
	}
	if n := len(req.Read) + len(req.Seen) + len(req.Watched); n > 3*maxLimit {
		return nil, badInput("mark_read, mark_seen and mark_watched have too many entries: %d", n)
	}
	s.recordEffect(c)
	by := s.view(viewer{}).userOf(user)
	event := object{"user": by}
	for name, value := range map[string]bool{"mark_all_read": req.AllRead, "mark_all_seen": req.AllSeen} {
		if value {
			event[name] = true
		}
	}
	for name, list := range map[string][]string{"mark_read": req.Read, "mark_seen": req.Seen, "mark_watched": req.Watched} {
		if len(list) > 0 {
			event[name] = list
		}
	}
	s.publish("feeds.activity.marked", []string{f.fid}, nil, event)
	if f.notifies() {
		groups, now := s.groupsOf(f), s.now()
		f.marks.read.set(groups, req.Read, req.AllRead, now)
		f.marks.seen.set(groups, req.Seen, req.AllSeen, now)
		s.publish("feeds.notification_feed.updated", []string{f.fid}, nil, object{"notification_status": f.status(groups), "user": by})
	}
	return object{}, nil
}
