package testserver

import (
	"slices"
	"strings"
	"time"

	"github.com/stayauth/stayauth/testserver/internal/memory"
)

// A feed is a named list of activities.
type feed struct {
	fid, name, description, visibility, owner string // fid is "group:id"

	custom           map[string]any
	activities       int // how many were added to it and not deleted
	seq              int // orders feeds of the same time
	created, updated time.Time
}

// feedResponse is the API's FeedResponse with all of its required fields. Dates are in nanoseconds since 1970.
type feedResponse struct {
	ID             string         `json:"id"`
	GroupID        string         `json:"group_id"`
	Feed           string         `json:"feed"`
	Name           string         `json:"name"`
	Description    string         `json:"description"`
	Visibility     string         `json:"visibility"`
	Custom         map[string]any `json:"custom"`
	CreatedAt      int64          `json:"created_at"`
	UpdatedAt      int64          `json:"updated_at"`
	CreatedBy      userResponse   `json:"created_by"`
	ActivityCount  int            `json:"activity_count"`
	FollowerCount  int            `json:"follower_count"`
	FollowingCount int            `json:"following_count"`
	MemberCount    int            `json:"member_count"`
	PinCount       int            `json:"pin_count"`
}

// feedResponse describes f as the API does. s.mu is held.
func (s *Server) feedResponse(f *feed) feedResponse {
	r := feedResponse{
		ID: f.id(), GroupID: f.group(), Feed: f.fid, Name: f.name, Description: f.description, Visibility: f.visibility,
		Custom: f.custom, CreatedAt: f.created.UnixNano(), UpdatedAt: f.updated.UnixNano(),
		CreatedBy: s.ensureUser(f.owner).response(), ActivityCount: f.activities,
	}
	if r.Custom == nil {
		r.Custom = map[string]any{}
	}
	for _, edge := range s.follows.All() {
		if edge.target == f.fid {
			r.FollowerCount++
		}
		if edge.source == f.fid {
			r.FollowingCount++
		}
	}
	return r
}

func (f *feed) group() string { group, _, _ := strings.Cut(f.fid, ":"); return group }
func (f *feed) id() string    { _, id, _ := strings.Cut(f.fid, ":"); return id }

// position orders feeds by time.
func (f *feed) position() position { return position{f.created.UnixNano(), f.seq} }

// ensureFeed returns the feed, which comes into being as the user's if there is none. s.mu is held.
func (s *Server) ensureFeed(fid, owner string) *feed {
	if f, ok := s.feeds.Get(fid); ok {
		return f
	}
	s.seq++
	now := s.now()
	f := &feed{fid: fid, visibility: "public", owner: owner, seq: s.seq, created: now, updated: now}
	s.feeds.Put(fid, f, len(fid))
	return f
}

// mayWriteTo fails unless the caller may add to the feed: a server may add to every feed, a user to its own and to one that it
// makes by doing so. s.mu is held.
func (s *Server) mayWriteTo(c *call, fid string) *failure {
	if f, ok := s.feeds.Get(fid); ok {
		return c.owns(f.owner, "feed '"+fid+"'")
	}
	return nil
}

// owns fails unless the thing is the caller's. Everything is a server's.
func (c *call) owns(owner, thing string) *failure {
	if c.server || c.user == owner {
		return nil
	}
	return notAllowed("user '%s' is not allowed to change %s, which is user '%s's", c.user, thing, owner)
}

// getOrCreateFeed returns a feed with its newest activities, those of the feeds that it follows among them. Whoever has a token
// makes the feed if there is none.
func (s *Server) getOrCreateFeed(c *call) (object, *failure) {
	var req struct {
		acting
		paging
		Watch bool     `json:"watch"`
		Data  feedData `json:"data"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	var watcher *socket
	if req.Watch {
		var f *failure
		if watcher, f = s.watcher(c); f != nil {
			return nil, f
		}
	}
	fid := c.r.PathValue("group") + ":" + c.r.PathValue("id")
	f, exists := s.feeds.Get(fid)
	shown := append(s.following(fid), fid)
	page, ans, fail := paginate(s.activitiesWhere(func(a *activity) bool {
		return slices.ContainsFunc(a.feeds, func(f string) bool { return slices.Contains(shown, f) })
	}), true, req.paging)
	if fail != nil {
		return nil, fail
	}
	viewer := c.user
	if !exists {
		if c.user == "" && !c.server {
			return nil, notFound("feed '%s' does not exist, and an anonymous user can't create it", fid)
		}
		if viewer, fail = c.actor(req.acting); fail != nil {
			return nil, fail
		}
	}
	if fail := s.watch(watcher, fid); fail != nil {
		return nil, fail
	}
	if !exists {
		f = s.makeFeed(c, fid, viewer, req.Data)
	}
	ans["created"] = !exists
	ans["feed"] = s.feedResponse(f)
	ans["activities"] = s.activityResponses(page, viewer)
	ans["followers"] = s.followResponses(s.followsWhere(func(f *follow) bool { return f.target == fid }))
	ans["following"] = s.followResponses(s.followsWhere(func(f *follow) bool { return f.source == fid }))
	for _, name := range []string{"aggregated_activities", "pinned_activities", "members"} {
		ans[name] = []any{}
	}
	return ans, nil
}

// feedData is what a client says of a feed that it makes.
type feedData struct {
	Name        string         `json:"name"`
	Description string         `json:"description"`
	Visibility  string         `json:"visibility"`
	Custom      map[string]any `json:"custom"`
}

// makeFeed makes a feed of the user's. s.mu is held.
func (s *Server) makeFeed(c *call, fid, owner string, data feedData) *feed {
	f := s.ensureFeed(fid, owner)
	f.name, f.description, f.custom = data.Name, data.Description, data.Custom
	if data.Visibility != "" {
		f.visibility = data.Visibility
	}
	s.feeds.Put(fid, f, len(fid)+len(c.body))
	s.recordEffect(c)
	return f
}

// queryFeeds finds feeds by their fields, the newest first unless told otherwise.
func (s *Server) queryFeeds(c *call) (object, *failure) {
	var req struct {
		query
		Watch bool `json:"watch"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	var watcher *socket
	if req.Watch {
		var f *failure
		if watcher, f = s.watcher(c); f != nil {
			return nil, f
		}
	}
	fid := textField(func(f *feed) string { return f.fid })
	page, ans, fail := find(&s.feeds, req.query, map[string]field[*feed]{
		"id":            textField((*feed).id),
		"group_id":      textField((*feed).group),
		"feed":          fid,
		"fid":           fid,
		"name":          textField(func(f *feed) string { return f.name }),
		"description":   textField(func(f *feed) string { return f.description }),
		"visibility":    textField(func(f *feed) string { return f.visibility }),
		"created_by_id": textField(func(f *feed) string { return f.owner }),
		"created_at":    timeField(func(f *feed) time.Time { return f.created }),
		"updated_at":    timeField(func(f *feed) time.Time { return f.updated }),
	})
	if fail != nil {
		return nil, fail
	}
	feeds := make([]feedResponse, 0, len(page))
	for _, f := range page {
		if fail := s.watch(watcher, f.fid); fail != nil {
			return nil, fail
		}
		feeds = append(feeds, s.feedResponse(f))
	}
	ans["feeds"] = feeds
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

// A query is what all lists that can be searched are asked with.
type query struct {
	paging
	Filter filter   `json:"filter"`
	Sort   []sortBy `json:"sort"`
}

// find returns the page of a list that a query asks for, and an answer with the cursors of its neighbours.
func find[T interface{ position() position }](list *memory.Map[T], q query, fields map[string]field[T]) ([]T, object, *failure) {
	matches, f := compile(q.Filter, fields)
	if f != nil {
		return nil, nil, f
	}
	descending, f := newestFirst(q.Sort)
	if f != nil {
		return nil, nil, f
	}
	var found []T
	for _, v := range list.All() {
		if matches(v) {
			found = append(found, v)
		}
	}
	return paginate(found, descending, q.paging)
}
