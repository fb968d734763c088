package testserver

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// An activity is one entry in one or more feeds.
type activity struct {
	id, kind, text, visibility, user string

	feeds            []string // "group:id"
	custom           map[string]any
	seq              int // orders activities of the same time
	created, updated time.Time
}

// activityResponse is the API's ActivityResponse with all of its required fields. Dates are in nanoseconds since 1970.
type activityResponse struct {
	ID              string         `json:"id"`
	Type            string         `json:"type"`
	Text            string         `json:"text,omitempty"`
	Feeds           []string       `json:"feeds"`
	User            userResponse   `json:"user"`
	CreatedAt       int64          `json:"created_at"`
	UpdatedAt       int64          `json:"updated_at"`
	Attachments     []any          `json:"attachments"`
	Comments        []any          `json:"comments"`
	CommentCount    int            `json:"comment_count"`
	ReactionCount   int            `json:"reaction_count"`
	ReactionGroups  map[string]any `json:"reaction_groups"`
	OwnReactions    []any          `json:"own_reactions"`
	LatestReactions []any          `json:"latest_reactions"`
	OwnBookmarks    []any          `json:"own_bookmarks"`
	BookmarkCount   int            `json:"bookmark_count"`
	ShareCount      int            `json:"share_count"`
	Popularity      int            `json:"popularity"`
	Score           float64        `json:"score"`
	Visibility      string         `json:"visibility"`
	RestrictReplies string         `json:"restrict_replies"`
	MentionedUsers  []any          `json:"mentioned_users"`
	InterestTags    []string       `json:"interest_tags"`
	FilterTags      []string       `json:"filter_tags"`
	Custom          map[string]any `json:"custom"`
	SearchData      map[string]any `json:"search_data"`
	Collections     map[string]any `json:"collections"`
	Hidden          bool           `json:"hidden"`
	Preview         bool           `json:"preview"`
}

// activityResponse describes a as the API does. s.mu is held.
func (s *Server) activityResponse(a *activity) activityResponse {
	empty, none := map[string]any{}, []any{}
	r := activityResponse{
		ID: a.id, Type: a.kind, Text: a.text, Feeds: a.feeds, User: s.ensureUser(a.user).response(),
		CreatedAt: a.created.UnixNano(), UpdatedAt: a.updated.UnixNano(),
		Attachments: none, Comments: none, ReactionGroups: empty, OwnReactions: none, LatestReactions: none, OwnBookmarks: none,
		Visibility: a.visibility, RestrictReplies: "everyone", MentionedUsers: none, InterestTags: []string{},
		FilterTags: []string{}, Custom: a.custom, SearchData: empty, Collections: empty,
	}
	if r.Custom == nil {
		r.Custom = empty
	}
	return r
}

func (s *Server) activityResponses(list []*activity) []activityResponse {
	out := make([]activityResponse, 0, len(list))
	for _, a := range list {
		out = append(out, s.activityResponse(a))
	}
	return out
}

// addActivity adds an activity to feeds, which come into being if need be.
func (s *Server) addActivity(c *call) (object, *failure) {
	var req struct {
		acting
		ID         string         `json:"id"`
		Type       string         `json:"type"`
		Feeds      []string       `json:"feeds"`
		Text       string         `json:"text"`
		Visibility string         `json:"visibility"`
		Custom     map[string]any `json:"custom"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	userID, f := c.actor(req.acting)
	if f != nil {
		return nil, f
	}
	switch _, exists := s.acts.get(req.ID); {
	case req.Type == "":
		return nil, badInput("type is missing")
	case len(req.Feeds) == 0:
		return nil, badInput("feeds is missing")
	case req.ID != "" && exists:
		return nil, badInput("activity '%s' exists already", req.ID)
	}
	for _, fid := range req.Feeds {
		group, id, ok := strings.Cut(fid, ":")
		if !ok || group == "" || id == "" {
			return nil, badInput("feed '%s' is not of the form group:id", fid)
		}
	}
	if req.ID == "" {
		req.ID = newUUID()
	}
	if req.Visibility == "" {
		req.Visibility = "public"
	}
	s.actSeq++
	now := s.now()
	a := &activity{
		id: req.ID, kind: req.Type, text: req.Text, visibility: req.Visibility, user: userID,
		feeds: slices.Compact(slices.Sorted(slices.Values(req.Feeds))), custom: maps.Clone(req.Custom), seq: s.actSeq,
		created: now, updated: now,
	}
	s.ensureUser(userID)
	for _, fid := range a.feeds {
		s.ensureFeed(fid, userID)
	}
	s.acts.put(a.id, a, len(c.body))
	s.recordEffect(c)
	return object{"activity": s.activityResponse(a)}, nil
}

// acting is how a server says in a body for which user it acts.
type acting struct {
	UserID string       `json:"user_id"`
	User   *userRequest `json:"user"`
}

// actor returns the user for whom the call acts. Users act for themselves alone.
func (c *call) actor(a acting) (string, *failure) {
	id := a.UserID
	if id == "" && a.User != nil {
		id = a.User.ID
	}
	switch {
	case !c.server && id != "" && id != c.user:
		return "", notAllowed("user '%s' is not allowed to act for user '%s'", c.user, id)
	case !c.server:
		return c.user, nil
	case id == "":
		return "", badInput("either user or user_id must be provided when using server side auth")
	}
	return id, userRequest{ID: id}.validate()
}

func (s *Server) getActivity(c *call) (object, *failure) {
	id := c.r.PathValue("id")
	a, ok := s.acts.get(id)
	if !ok {
		return nil, notFound("activity '%s' does not exist", id)
	}
	return object{"activity": s.activityResponse(a)}, nil
}

// queryActivities finds activities by id, type, user_id and created_at, the newest first unless told otherwise.
func (s *Server) queryActivities(c *call) (object, *failure) {
	var req struct {
		paging
		Filter filter   `json:"filter"`
		Sort   []sortBy `json:"sort"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	matches, f := compile(req.Filter, map[string]field[*activity]{
		"id":         textField(func(a *activity) string { return a.id }),
		"type":       textField(func(a *activity) string { return a.kind }),
		"user_id":    textField(func(a *activity) string { return a.user }),
		"created_at": timeField(func(a *activity) time.Time { return a.created }),
	})
	if f != nil {
		return nil, f
	}
	descending, f := newestFirst(req.Sort)
	if f != nil {
		return nil, f
	}
	page, ans, f := paginate(s.activitiesWhere(matches), descending, req.paging)
	if f != nil {
		return nil, f
	}
	ans["activities"] = s.activityResponses(page)
	return ans, nil
}

// activitiesWhere returns the activities that match, in no particular order. s.mu is held.
func (s *Server) activitiesWhere(matches func(*activity) bool) []*activity {
	var list []*activity
	for _, a := range s.acts.all() {
		if matches(a) {
			list = append(list, a)
		}
	}
	return list
}

// position orders activities by time.
func (a *activity) position() position { return position{a.created.UnixNano(), a.seq} }
