package testserver

import (
	"slices"
	"time"
)

// An activity is one entry in one or more feeds.
type activity struct {
	id, kind, user string
	parent         string   // the activity that it shares; empty: none
	feeds          []string // "group:id"
	activityContent
	reactions
	context          *notificationContext // of one that the server made to notify a user
	comments         int                  // how many were added and not deleted, answers to comments included
	shares           int                  // how many activities share it
	seq              int                  // orders activities of the same time
	size             int                  // what its own JSON takes, reactions and bookmarks apart
	created, updated time.Time
	edited           time.Time // zero: never
}

func (a *activity) number() int { return a.seq }

// popularity is the API's formula.
func (a *activity) popularity() int {
	return len(a.reactions.list) + 2*a.comments + 3*len(a.bookmarks) + 3*a.shares
}

func (a *activity) expired(now time.Time) bool {
	return !a.ExpiresAt.IsZero() && !now.Before(a.ExpiresAt.Time)
}

// A location is a place on Earth, in degrees.
type location struct {
	Lat float64 `json:"lat"`
	Lng float64 `json:"lng"`
}

// activityResponse is the API's ActivityResponse. Dates are in nanoseconds since 1970.
type activityResponse struct {
	ID              string                   `json:"id"`
	Type            string                   `json:"type"`
	Text            string                   `json:"text,omitempty"`
	Feeds           []string                 `json:"feeds"`
	User            userResponse             `json:"user"`
	CreatedAt       int64                    `json:"created_at"`
	UpdatedAt       int64                    `json:"updated_at"`
	EditedAt        *int64                   `json:"edited_at,omitempty"`
	ExpiresAt       *int64                   `json:"expires_at,omitempty"`
	Attachments     []map[string]any         `json:"attachments"`
	Comments        []commentResponse        `json:"comments"`
	CommentCount    int                      `json:"comment_count"`
	ReactionCount   int                      `json:"reaction_count"`
	ReactionGroups  map[string]reactionGroup `json:"reaction_groups"`
	OwnReactions    []reactionResponse       `json:"own_reactions"`
	LatestReactions []reactionResponse       `json:"latest_reactions"`
	OwnBookmarks    []bookmarkResponse       `json:"own_bookmarks"`
	BookmarkCount   int                      `json:"bookmark_count"`
	ShareCount      int                      `json:"share_count"`
	Popularity      int                      `json:"popularity"`
	Score           float64                  `json:"score"`
	Visibility      string                   `json:"visibility"`
	VisibilityTag   string                   `json:"visibility_tag,omitempty"`
	RestrictReplies string                   `json:"restrict_replies"`
	MentionedUsers  []userResponse           `json:"mentioned_users"`
	InterestTags    []string                 `json:"interest_tags"`
	FilterTags      []string                 `json:"filter_tags"`
	Custom          map[string]any           `json:"custom"`
	SearchData      map[string]any           `json:"search_data"`
	Collections     map[string]any           `json:"collections"`
	Location        *location                `json:"location,omitempty"`
	Hidden          bool                     `json:"hidden"`
	Preview         bool                     `json:"preview"`
	CurrentFeed     *feedResponse            `json:"current_feed,omitempty"`
	Parent          *activityResponse        `json:"parent,omitempty"`
	Context         *notificationContext     `json:"notification_context,omitempty"`
}

const shownComments = 5 // that an activity has with it, the newest

// activity describes a as the API does. shown are the feeds through which it is looked at, if that
// is how it came up: current_feed is one of them.
func (v *view) activity(a *activity, shown ...string) activityResponse {
	r := v.bareActivity(a)
	r.CurrentFeed = v.currentFeed(a, shown)
	for _, b := range a.bookmarks {
		if v.user != "" && b.user == v.user {
			r.OwnBookmarks = append(r.OwnBookmarks, v.bookmark(b))
		}
	}
	if p, ok := v.s.acts.Get(a.parent); ok && v.maySee(p) {
		parent := v.bareActivity(p)
		r.Parent = &parent
	}
	comments := v.s.commentsOn(a)
	slices.Reverse(comments)
	for _, m := range comments[:min(shownComments, len(comments))] {
		r.Comments = append(r.Comments, v.comment(m))
	}
	return r
}

// bareActivity is activity without the things that hold activities and comments in their turn.
func (v *view) bareActivity(a *activity) activityResponse {
	r := activityResponse{
		ID: a.id, Type: a.kind, Text: a.Text, Feeds: a.feeds, User: v.userNamed(a.user), CreatedAt: a.created.UnixNano(), UpdatedAt: a.updated.UnixNano(),
		EditedAt: nanos(a.edited), ExpiresAt: nanos(a.ExpiresAt.Time), Attachments: attachments(a.Attachments), Comments: []commentResponse{},
		CommentCount: a.comments, ReactionCount: len(a.reactions.list), ReactionGroups: a.reactions.groups(),
		OwnReactions: v.ownReactions(&a.reactions), LatestReactions: v.latestReactions(&a.reactions), OwnBookmarks: []bookmarkResponse{},
		BookmarkCount: len(a.bookmarks), ShareCount: a.shares, Popularity: a.popularity(), Visibility: a.Visibility, VisibilityTag: a.VisibilityTag,
		RestrictReplies: a.RestrictReplies, MentionedUsers: v.users(a.Mentioned), InterestTags: orEmpty(a.InterestTags),
		FilterTags: orEmpty(a.FilterTags), Custom: orEmptyMap(a.Custom), SearchData: orEmptyMap(a.SearchData), Collections: map[string]any{},
		Location: a.Location, Context: a.context,
	}
	if !v.seesWhole(a) {
		r.Preview, r.Text, r.Attachments, r.Custom, r.SearchData = true, "", []map[string]any{}, map[string]any{}, map[string]any{}
	}
	return r
}

// currentFeed describes the feed in which an activity came up: one of those shown, or its only one.
func (v *view) currentFeed(a *activity, shown []string) *feedResponse {
	if len(shown) == 0 && len(a.feeds) == 1 {
		shown = a.feeds
	}
	for _, fid := range a.feeds {
		if f, ok := v.s.feeds.Get(fid); ok && slices.Contains(shown, fid) {
			return v.feed(f)
		}
	}
	return nil
}

// attachments returns them with the custom data that each must have.
func attachments(list []map[string]any) []map[string]any {
	out := make([]map[string]any, 0, len(list))
	for _, one := range list {
		all := map[string]any{"custom": map[string]any{}}
		for name, value := range one {
			if value != nil {
				all[name] = value
			}
		}
		out = append(out, all)
	}
	return out
}

// keepActivity writes down how much of the memory a takes. s.mu is held.
func (s *Server) keepActivity(a *activity) { s.acts.Put(a.id, a, a.size+a.reactions.size()) }

// activity returns the activity that the path names, if the caller may see it.
func (s *Server) activity(c *call) (*activity, *failure) {
	return s.activityNamed(c, c.r.PathValue("id"))
}

func (s *Server) activityNamed(c *call, id string) (*activity, *failure) {
	a, ok := s.acts.Get(id)
	switch {
	case !ok:
		return nil, notFound("activity '%s' does not exist", id)
	case !s.view(viewer{user: c.user, server: c.server}).maySee(a):
		return nil, notAllowed("user '%s' is not allowed to read activity '%s'", c.user, id)
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

// getActivity returns an activity. A server says in the query for whom.
func (s *Server) getActivity(c *call) (object, *failure) {
	a, f := s.activity(c)
	if f != nil {
		return nil, f
	}
	who, f := c.viewer(c.queried())
	if f != nil {
		return nil, f
	}
	return object{"activity": s.view(who).activity(a)}, nil
}
