package testserver

import (
	"slices"
)

// An activityContent is what a client says in an activity, and may change later.
type activityContent struct {
	Text            string           `json:"text"`
	Visibility      string           `json:"visibility"`
	VisibilityTag   string           `json:"visibility_tag"`
	RestrictReplies string           `json:"restrict_replies"`
	Custom          map[string]any   `json:"custom"`
	SearchData      map[string]any   `json:"search_data"`
	Attachments     []map[string]any `json:"attachments"`
	Mentioned       []string         `json:"mentioned_user_ids"`
	FilterTags      []string         `json:"filter_tags"`
	InterestTags    []string         `json:"interest_tags"`
	Location        *location        `json:"location"`
	ExpiresAt       date             `json:"expires_at"`
}

// complete fills in what goes without saying, and fails if what was said makes no sense.
func (n *activityContent) complete() *failure {
	if n.Visibility == "" {
		n.Visibility = visiblePublic
	}
	if n.RestrictReplies == "" {
		n.RestrictReplies = "everyone"
	}
	switch {
	case !slices.Contains([]string{visiblePublic, visiblePrivate, visibleTag}, n.Visibility):
		return badInput("visibility must be public, private or tag, not '%s'", n.Visibility)
	case n.Visibility == visibleTag && n.VisibilityTag == "":
		return badInput("visibility_tag is missing")
	case !slices.Contains([]string{"everyone", "people_i_follow", "nobody"}, n.RestrictReplies):
		return badInput("restrict_replies must be everyone, people_i_follow or nobody, not '%s'", n.RestrictReplies)
	}
	return checkMentioned(n.Mentioned)
}

// checkMentioned fails if the list names users that can't be.
func checkMentioned(ids []string) *failure {
	for _, id := range ids {
		if f := (userRequest{ID: id}).validate(); f != nil {
			return f
		}
	}
	return nil
}

// updateActivity replaces all that an activity says: what is not given is cleared, except for its
// feeds.
func (s *Server) updateActivity(c *call) (object, *failure) {
	a, f := s.ownActivity(c)
	if f != nil {
		return nil, f
	}
	var req struct {
		acting
		activityContent
		Feeds  []string `json:"feeds"`
		Enrich bool     `json:"enrich_own_fields"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	if f := req.complete(); f != nil {
		return nil, f
	}
	if len(req.Feeds) == 0 {
		req.Feeds = a.feeds
	}
	if f := s.checkFeeds(c, req.Feeds, a); f != nil {
		return nil, f
	}
	who, f := c.viewer(req.acting)
	if f != nil {
		return nil, f
	}
	s.recordEffect(c)
	s.change(a, req.activityContent, req.Feeds)
	v := s.view(who)
	v.enrich = req.Enrich
	return object{"activity": v.activity(a)}, nil
}

// The fields of an activity that the API lets partial updates change.
const (
	settableOfActivity = `text attachments custom visibility visibility_tag restrict_replies location expires_at filter_tags
		interest_tags feeds mentioned_user_ids search_data`
	unsettableOfActivity = "custom visibility_tag location expires_at filter_tags interest_tags attachments mentioned_user_ids search_data"
)

// updateActivityPartial sets and unsets single fields of an activity.
func (s *Server) updateActivityPartial(c *call) (object, *failure) {
	a, f := s.ownActivity(c)
	if f != nil {
		return nil, f
	}
	var req struct {
		acting
		partialUpdate
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	who, f := c.viewer(req.acting)
	if f != nil {
		return nil, f
	}
	next, feeds, f := s.partial(c, a, req.partialUpdate)
	if f != nil {
		return nil, f
	}
	s.recordEffect(c)
	s.change(a, next, feeds)
	return object{"activity": s.view(who).activity(a)}, nil
}

// partial returns what an activity says after a partial update, and the feeds that it is in then.
func (s *Server) partial(c *call, a *activity, u partialUpdate) (activityContent, []string, *failure) {
	next := struct {
		activityContent
		Feeds []string `json:"feeds"`
	}{a.activityContent, a.feeds}
	if f := u.apply(&next, &next.Custom, settableOfActivity, unsettableOfActivity); f != nil {
		return next.activityContent, nil, f
	}
	if f := next.complete(); f != nil {
		return next.activityContent, nil, f
	}
	return next.activityContent, next.Feeds, s.checkFeeds(c, next.Feeds, a)
}

// updateActivitiesPartial is updateActivityPartial for many activities: all of them, or none.
func (s *Server) updateActivitiesPartial(c *call) (object, *failure) {
	var req struct {
		Changes []struct {
			ID string `json:"activity_id"`
			partialUpdate
		} `json:"changes"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	if f := checkBatch("changes", len(req.Changes)); f != nil {
		return nil, f
	}
	var do []func()
	var all []*activity
	for _, change := range req.Changes {
		a, f := s.activityNamed(c, change.ID)
		if f != nil {
			return nil, f
		}
		if slices.Contains(all, a) {
			return nil, badInput("activity '%s' is changed twice", a.id)
		}
		next, feeds, f := s.partial(c, a, change.partialUpdate)
		if f != nil {
			return nil, f
		}
		all, do = append(all, a), append(do, func() { s.change(a, next, feeds) })
	}
	s.recordEffect(c)
	for _, change := range do {
		change()
	}
	v := s.view(viewer{server: true})
	return object{"activities": describe(all, func(a *activity) activityResponse { return v.activity(a) })}, nil
}
