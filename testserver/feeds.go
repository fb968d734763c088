package testserver

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// A feed is a named list of activities.
type feed struct {
	fid, name, description, visibility, owner string // fid is "group:id"

	custom           map[string]any
	location         *location
	filterTags       []string
	members          []*member // oldest first
	pins             []*pin    // oldest first
	marks            marks     // of a notification feed
	activities       int       // how many were added to it and not deleted
	seq              int       // orders feeds of the same time
	created, updated time.Time
}

func (f *feed) group() string { group, _, _ := strings.Cut(f.fid, ":"); return group }
func (f *feed) id() string    { _, id, _ := strings.Cut(f.fid, ":"); return id }
func (f *feed) number() int   { return f.seq }

// feedResponse is the API's FeedResponse. Dates are in nanoseconds since 1970.
type feedResponse struct {
	ID             string         `json:"id"`
	GroupID        string         `json:"group_id"`
	Feed           string         `json:"feed"`
	Name           string         `json:"name"`
	Description    string         `json:"description"`
	Visibility     string         `json:"visibility"`
	Custom         map[string]any `json:"custom"`
	Location       *location      `json:"location,omitempty"`
	FilterTags     []string       `json:"filter_tags"`
	CreatedAt      int64          `json:"created_at"`
	UpdatedAt      int64          `json:"updated_at"`
	CreatedBy      userResponse   `json:"created_by"`
	ActivityCount  int            `json:"activity_count"`
	FollowerCount  int            `json:"follower_count"`
	FollowingCount int            `json:"following_count"`
	MemberCount    int            `json:"member_count"`
	PinCount       int            `json:"pin_count"`
	*ownData
}

// feed describes f as the API does, without what is the viewer's own.
func (v *view) feed(f *feed) *feedResponse {
	if r, ok := v.made[f.fid]; ok {
		return r
	}
	r := &feedResponse{
		ID: f.id(), GroupID: f.group(), Feed: f.fid, Name: f.name, Description: f.description, Visibility: f.visibility,
		Custom: orEmptyMap(f.custom), Location: f.location, FilterTags: orEmpty(f.filterTags),
		CreatedAt: f.created.UnixNano(), UpdatedAt: f.updated.UnixNano(), CreatedBy: v.userNamed(f.owner),
		ActivityCount: f.activities, MemberCount: f.memberCount(), PinCount: len(f.pins),
		FollowerCount: len(v.s.followsTo(f.fid, followAccepted)), FollowingCount: len(v.s.followsFrom(f.fid, followAccepted)),
	}
	v.made[f.fid] = r
	if v.enrich {
		r.ownData = v.own(f)
	}
	return r
}

// ownFeed describes f with what is the viewer's own.
func (v *view) ownFeed(f *feed) *feedResponse {
	r := *v.feed(f)
	r.ownData = v.own(f)
	return &r
}

// feedNamed describes a feed that may have been forgotten meanwhile, and its owner with it.
func (v *view) feedNamed(fid string, at time.Time) *feedResponse {
	if f, ok := v.s.feeds.Get(fid); ok {
		return v.feed(f)
	}
	return v.feed(&feed{fid: fid, owner: "unknown", visibility: visibleAll, created: at, updated: at})
}

// A feedData is what a client says of a feed that it makes.
type feedData struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Visibility  string          `json:"visibility"`
	Custom      map[string]any  `json:"custom"`
	Location    *location       `json:"location"`
	FilterTags  []string        `json:"filter_tags"`
	Members     []memberRequest `json:"members"`
}

func (d feedData) validate() *failure {
	if f := checkFeedVisibility(d.Visibility); f != nil {
		return f
	}
	return checkMembers(d.Members)
}

// makeFeed makes a feed of the owner's, whose data takes size bytes, and tells those who watch.
// s.mu is held.
func (s *Server) makeFeed(fid, owner string, data feedData, size int) *feed {
	s.seq++
	now := s.now()
	f := &feed{
		fid: fid, name: data.Name, description: data.Description, visibility: data.Visibility, owner: owner, custom: data.Custom,
		location: data.Location, filterTags: data.FilterTags, seq: s.seq, created: now, updated: now,
	}
	if f.visibility == "" {
		f.visibility = f.defaultVisibility()
	}
	s.ensureUser(owner)
	for _, m := range data.Members {
		s.putMember(f, m)
	}
	s.feeds.Put(fid, f, len(fid)+size)
	if len(s.watchers[fid]) > 0 {
		v := s.view(viewer{})
		s.publish("feeds.feed.created", []string{fid}, nil, object{"feed": v.feed(f), "members": describe(f.members, v.member), "user": v.userOf(owner)})
	}
	return f
}

// defaultVisibility returns what a feed's visibility is if its maker says nothing.
func (f *feed) defaultVisibility() string {
	if f.notifies() {
		return visiblePrivate
	}
	return visibleAll
}

// ensureFeed returns the feed, which comes into being as the user's if there is none. s.mu is held.
func (s *Server) ensureFeed(fid, owner string) *feed {
	if f, ok := s.feeds.Get(fid); ok {
		return f
	}
	return s.makeFeed(fid, owner, feedData{}, 0)
}

// getOrCreateFeed returns a feed with its newest activities, those of the feeds that it follows
// among them. Anyone who has a token makes the feed if there is none.
func (s *Server) getOrCreateFeed(c *call) (object, *failure) {
	var req struct {
		acting
		paging
		Watch     bool           `json:"watch"`
		Filter    filter         `json:"filter"`
		Data      feedData       `json:"data"`
		Enrich    bool           `json:"enrich_own_fields"`
		Followers *paging        `json:"followers_pagination"`
		Following *paging        `json:"following_pagination"`
		Members   *paging        `json:"member_pagination"`
		Ranking   map[string]any `json:"external_ranking"` // accepted, and of no effect
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	who, fail := c.viewer(req.acting)
	if fail != nil {
		return nil, fail
	}
	watcher, fail := s.watcherIf(c, req.Watch)
	if fail != nil {
		return nil, fail
	}
	v := s.view(who)
	v.enrich = req.Enrich
	fid := pathFID(c)
	f, exists := s.feeds.Get(fid)
	switch {
	case exists:
		if _, fail := v.readable(fid); fail != nil {
			return nil, fail
		}
	case who.user == "" && !c.server:
		return nil, notFound("feed '%s' does not exist, and an anonymous user can't create it", fid)
	default:
		if v.user, fail = c.actor(req.acting); fail != nil {
			return nil, fail
		}
		if fail := req.Data.validate(); fail != nil {
			return nil, fail
		}
	}
	shown := &feed{fid: fid}
	if exists {
		shown = f
	}
	ans, fail := v.content(shown, req.Filter, req.paging)
	if fail != nil {
		return nil, fail
	}
	for name, list := range map[string]struct {
		p    *paging
		page func(paging) (any, object, *failure)
	}{
		"followers": {req.Followers, v.followPages(s.followsTo(fid, followAccepted))},
		"following": {req.Following, v.followPages(s.followsFrom(fid, followAccepted))},
		"member":    {req.Members, v.memberPages(shown)},
	} {
		if list.p == nil {
			list.p = &paging{}
		}
		page, cursors, fail := list.page(*list.p)
		if fail != nil {
			return nil, fail
		}
		ans[strings.Replace(name, "member", "members", 1)], ans[name+"_pagination"] = page, cursors
	}
	if fail := s.watch(watcher, fid); fail != nil {
		return nil, fail
	}
	if !exists {
		f = s.makeFeed(fid, v.user, req.Data, len(c.body))
		s.recordEffect(c)
		ans["members"] = describe(f.members, v.member)
	}
	ans["created"], ans["feed"] = !exists, v.ownFeed(f)
	return ans, nil
}

// content returns a feed's activities, or groups of them.
func (v *view) content(f *feed, wanted filter, p paging) (object, *failure) {
	matches, fail := compile(wanted, activityFields())
	if fail != nil {
		return nil, fail
	}
	shown := append(v.s.following(f.fid), f.fid)
	now := v.s.now()
	list := only(&v.s.acts, func(a *activity) bool {
		return slices.ContainsFunc(a.feeds, func(fid string) bool { return slices.Contains(shown, fid) }) &&
			!a.expired(now) && v.maySee(a) && matches(a)
	})
	ans := object{"activities": []any{}, "aggregated_activities": []any{}}
	if f.notifies() {
		groups := f.groups(list)
		page, cursors, fail := paginate(groups, groupOrder(), p)
		if fail != nil {
			return nil, fail
		}
		maps.Copy(ans, cursors)
		ans["aggregated_activities"] = describe(page, v.aggregated)
		ans["notification_status"] = f.status(groups)
	} else {
		by, _ := activityKeys().order(nil)
		page, cursors, fail := paginate(list, by, p)
		if fail != nil {
			return nil, fail
		}
		maps.Copy(ans, cursors)
		ans["activities"] = describe(page, func(a *activity) activityResponse { return v.activity(a, shown...) })
	}
	ans["pinned_activities"] = describe(v.s.pinnedIn(f), v.pin)
	return ans, nil
}

// checkFID fails unless fid has the form of a feed's name.
func checkFID(fid string) *failure {
	group, id, ok := strings.Cut(fid, ":")
	if !ok || group == "" || id == "" {
		return badInput("feed '%s' is not of the form group:id", fid)
	}
	return nil
}

// pathFID returns the feed that a path names.
func pathFID(c *call) string { return c.r.PathValue("group") + ":" + c.r.PathValue("id") }
