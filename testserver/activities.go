package testserver

import (
	"slices"
	"time"
)

// An activity is one entry in one or more feeds.
type activity struct {
	id, kind, text, visibility, user string

	feeds            []string // "group:id"
	custom           map[string]any
	attachments      []map[string]any
	mentioned        []string // users, by id
	filterTags       []string
	interestTags     []string
	reactions        []*reaction // oldest first
	comments         int         // how many were added and not deleted, answers to comments included
	seq              int         // orders activities of the same time
	size             int         // what its own JSON takes, reactions apart
	created, updated time.Time
}

// activityResponse is the API's ActivityResponse with all of its required fields. Dates are in nanoseconds since 1970.
type activityResponse struct {
	ID              string                   `json:"id"`
	Type            string                   `json:"type"`
	Text            string                   `json:"text,omitempty"`
	Feeds           []string                 `json:"feeds"`
	User            userResponse             `json:"user"`
	CreatedAt       int64                    `json:"created_at"`
	UpdatedAt       int64                    `json:"updated_at"`
	Attachments     []map[string]any         `json:"attachments"`
	Comments        []any                    `json:"comments"`
	CommentCount    int                      `json:"comment_count"`
	ReactionCount   int                      `json:"reaction_count"`
	ReactionGroups  map[string]reactionGroup `json:"reaction_groups"`
	OwnReactions    []reactionResponse       `json:"own_reactions"`
	LatestReactions []reactionResponse       `json:"latest_reactions"`
	OwnBookmarks    []any                    `json:"own_bookmarks"`
	BookmarkCount   int                      `json:"bookmark_count"`
	ShareCount      int                      `json:"share_count"`
	Popularity      int                      `json:"popularity"`
	Score           float64                  `json:"score"`
	Visibility      string                   `json:"visibility"`
	RestrictReplies string                   `json:"restrict_replies"`
	MentionedUsers  []userResponse           `json:"mentioned_users"`
	InterestTags    []string                 `json:"interest_tags"`
	FilterTags      []string                 `json:"filter_tags"`
	Custom          map[string]any           `json:"custom"`
	SearchData      map[string]any           `json:"search_data"`
	Collections     map[string]any           `json:"collections"`
	Hidden          bool                     `json:"hidden"`
	Preview         bool                     `json:"preview"`
}

// activityResponse describes a as the API does to viewer, a user or nobody. s.mu is held.
func (s *Server) activityResponse(a *activity, viewer string) activityResponse {
	r := activityResponse{
		ID: a.id, Type: a.kind, Text: a.text, Feeds: a.feeds, User: s.ensureUser(a.user).response(),
		CreatedAt: a.created.UnixNano(), UpdatedAt: a.updated.UnixNano(),
		Attachments: orEmpty(a.attachments), Comments: []any{}, CommentCount: a.comments, ReactionCount: len(a.reactions),
		ReactionGroups: a.reactionGroups(), OwnReactions: []reactionResponse{}, LatestReactions: []reactionResponse{}, OwnBookmarks: []any{},
		Popularity: len(a.reactions), Visibility: a.visibility, RestrictReplies: "everyone", MentionedUsers: []userResponse{},
		InterestTags: orEmpty(a.interestTags), FilterTags: orEmpty(a.filterTags), Custom: a.custom,
		SearchData: map[string]any{}, Collections: map[string]any{},
	}
	if r.Custom == nil {
		r.Custom = map[string]any{}
	}
	for _, id := range a.mentioned {
		r.MentionedUsers = append(r.MentionedUsers, s.ensureUser(id).response())
	}
	for _, one := range slices.Backward(a.reactions) {
		if len(r.LatestReactions) < latestReactions {
			r.LatestReactions = append(r.LatestReactions, s.reactionResponse(a, one))
		}
		if viewer != "" && one.user == viewer {
			r.OwnReactions = append(r.OwnReactions, s.reactionResponse(a, one))
		}
	}
	return r
}

func (s *Server) activityResponses(list []*activity, viewer string) []activityResponse {
	out := make([]activityResponse, 0, len(list))
	for _, a := range list {
		out = append(out, s.activityResponse(a, viewer))
	}
	return out
}

// keepActivity writes down how much of the memory a takes. s.mu is held.
func (s *Server) keepActivity(a *activity) {
	size := a.size
	for _, r := range a.reactions {
		size += r.size
	}
	s.acts.Put(a.id, a, size)
}

// addActivity adds an activity to feeds, which come into being if need be.
func (s *Server) addActivity(c *call) (object, *failure) {
	var req struct {
		acting
		activityContent
		ID    string   `json:"id"`
		Type  string   `json:"type"`
		Feeds []string `json:"feeds"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	userID, f := c.actor(req.acting)
	if f != nil {
		return nil, f
	}
	if f := req.validate(); f != nil {
		return nil, f
	}
	switch _, exists := s.acts.Get(req.ID); {
	case req.Type == "":
		return nil, badInput("type is missing")
	case len(req.Feeds) == 0:
		return nil, badInput("feeds is missing")
	case req.ID != "" && exists:
		return nil, badInput("activity '%s' exists already", req.ID)
	}
	for _, fid := range req.Feeds {
		if f := checkFID(fid); f != nil {
			return nil, f
		}
		if f := s.mayWriteTo(c, fid); f != nil {
			return nil, f
		}
	}
	if req.ID == "" {
		req.ID = newUUID()
	}
	s.seq++
	now := s.now()
	a := &activity{
		id: req.ID, kind: req.Type, visibility: "public", user: userID, seq: s.seq, size: len(c.body),
		feeds: slices.Compact(slices.Sorted(slices.Values(req.Feeds))), created: now, updated: now,
	}
	req.applyTo(a)
	s.ensureUser(userID)
	for _, fid := range a.feeds {
		s.ensureFeed(fid, userID).activities++
	}
	s.keepActivity(a)
	s.recordEffect(c)
	s.publishActivity("feeds.activity.added", a, object{})
	return object{"activity": s.activityResponse(a, userID)}, nil
}

// publishActivity sends an event about an activity to all that see it, with more fields if there are any. s.mu is held.
func (s *Server) publishActivity(kind string, a *activity, fields object) {
	if len(s.watchers) == 0 {
		return
	}
	fields["activity"] = s.activityResponse(a, "")
	if fields["user"] == nil {
		fields["user"] = s.ensureUser(a.user).response()
	}
	s.publish(kind, s.reach(a.feeds), fields)
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

// activity returns the activity that the path names.
func (s *Server) activity(c *call) (*activity, *failure) {
	id := c.r.PathValue("id")
	a, ok := s.acts.Get(id)
	if !ok {
		return nil, notFound("activity '%s' does not exist", id)
	}
	return a, nil
}

// ownActivity returns the activity that the path names, if the caller may change it.
func (s *Server) ownActivity(c *call) (*activity, *failure) {
	a, f := s.activity(c)
	if f != nil {
		return nil, f
	}
	return a, c.owns(a.user, "activity '"+a.id+"'")
}

func (s *Server) getActivity(c *call) (object, *failure) {
	a, f := s.activity(c)
	if f != nil {
		return nil, f
	}
	return object{"activity": s.activityResponse(a, c.user)}, nil
}

// queryActivities finds activities by their fields, the newest first unless told otherwise.
func (s *Server) queryActivities(c *call) (object, *failure) {
	var req query
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	page, ans, f := find(&s.acts, req, map[string]field[*activity]{
		"id":              textField(func(a *activity) string { return a.id }),
		"type":            textField(func(a *activity) string { return a.kind }),
		"text":            textField(func(a *activity) string { return a.text }),
		"user_id":         textField(func(a *activity) string { return a.user }),
		"visibility":      textField(func(a *activity) string { return a.visibility }),
		"feeds":           listField(func(a *activity) []string { return a.feeds }),
		"filter_tags":     listField(func(a *activity) []string { return a.filterTags }),
		"interest_tags":   listField(func(a *activity) []string { return a.interestTags }),
		"mentioned_users": listField(func(a *activity) []string { return a.mentioned }),
		"created_at":      timeField(func(a *activity) time.Time { return a.created }),
		"updated_at":      timeField(func(a *activity) time.Time { return a.updated }),
	})
	if f != nil {
		return nil, f
	}
	ans["activities"] = s.activityResponses(page, c.user)
	return ans, nil
}

// activitiesWhere returns the activities that match, in no particular order. s.mu is held.
func (s *Server) activitiesWhere(matches func(*activity) bool) []*activity {
	var list []*activity
	for _, a := range s.acts.All() {
		if matches(a) {
			list = append(list, a)
		}
	}
	return list
}

// position orders activities by time.
func (a *activity) position() position { return position{a.created.UnixNano(), a.seq} }
