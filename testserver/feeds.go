package testserver

import (
	"slices"
	"strings"
	"time"
)

// A feed is a named list of activities.
type feed struct {
	fid, name, description, visibility, owner string // fid is "group:id"

	custom           map[string]any
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
func (s *Server) feedResponse(f *feed, activities int) feedResponse {
	group, id, _ := strings.Cut(f.fid, ":")
	r := feedResponse{
		ID: id, GroupID: group, Feed: f.fid, Name: f.name, Description: f.description, Visibility: f.visibility,
		Custom: f.custom, CreatedAt: f.created.UnixNano(), UpdatedAt: f.updated.UnixNano(),
		CreatedBy: s.ensureUser(f.owner).response(), ActivityCount: activities,
	}
	if r.Custom == nil {
		r.Custom = map[string]any{}
	}
	return r
}

// ensureFeed returns the feed, which comes into being as the user's if there is none. s.mu is held.
func (s *Server) ensureFeed(fid, owner string) *feed {
	if f, ok := s.feeds.get(fid); ok {
		return f
	}
	now := s.now()
	f := &feed{fid: fid, visibility: "public", owner: owner, created: now, updated: now}
	s.feeds.put(fid, f, len(fid))
	return f
}

// getOrCreateFeed returns a feed with its newest activities. Whoever has a token makes the feed if there is none.
func (s *Server) getOrCreateFeed(c *call) (object, *failure) {
	var req struct {
		acting
		paging
		Data struct {
			Name        string         `json:"name"`
			Description string         `json:"description"`
			Visibility  string         `json:"visibility"`
			Custom      map[string]any `json:"custom"`
		} `json:"data"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	fid := c.r.PathValue("group") + ":" + c.r.PathValue("id")
	f, exists := s.feeds.get(fid)
	in := func(a *activity) bool { return slices.Contains(a.feeds, fid) }
	all := s.activitiesWhere(in)
	page, ans, fail := paginate(all, true, req.paging)
	if fail != nil {
		return nil, fail
	}
	if !exists {
		if c.user == "" && !c.server {
			return nil, notFound("feed '%s' does not exist, and an anonymous user can't create it", fid)
		}
		userID, fail := c.actor(req.acting)
		if fail != nil {
			return nil, fail
		}
		f = s.ensureFeed(fid, userID)
		f.name, f.description, f.custom = req.Data.Name, req.Data.Description, req.Data.Custom
		if req.Data.Visibility != "" {
			f.visibility = req.Data.Visibility
		}
		s.feeds.put(fid, f, len(fid)+len(c.body))
		s.recordEffect(c)
	}
	ans["created"] = !exists
	ans["feed"] = s.feedResponse(f, len(all))
	ans["activities"] = s.activityResponses(page)
	for _, name := range []string{"aggregated_activities", "pinned_activities", "followers", "following", "members"} {
		ans[name] = []any{}
	}
	return ans, nil
}
