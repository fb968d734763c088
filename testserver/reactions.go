package testserver

import (
	"slices"
	"time"
)

const (
	maxReactions    = 1000 // to one thing; the comment of Server names it
	latestReactions = 10   // that a thing shows
)

// A reaction is one user's to one activity or comment; of each type a user has at most one.
type reaction struct {
	activity, comment string // ids; comment is empty for one to an activity
	user, kind        string
	custom            map[string]any
	bytes             int
	seq               int
	created, updated  time.Time
}

func (r *reaction) number() int { return r.seq }

// reactions are what users have made of an activity or a comment.
type reactions struct {
	list      []*reaction // oldest first
	bookmarks []*bookmark // oldest first
}

// size returns what their JSON takes.
func (rs *reactions) size() (n int) {
	for _, r := range rs.list {
		n += r.bytes
	}
	for _, b := range rs.bookmarks {
		n += b.bytes
	}
	return n
}

// put adds a reaction, in place of the user's of the same type or, if it is to be unique, of all of
// the user's. It returns true if there was one.
func (rs *reactions) put(r *reaction, unique bool) (replaced bool) {
	rs.list = slices.DeleteFunc(rs.list, func(old *reaction) bool {
		if old.user != r.user || old.kind != r.kind && !unique {
			return false
		}
		replaced = true
		return true
	})
	rs.list = append(rs.list, r)
	if over := len(rs.list) - maxReactions; over > 0 {
		rs.list = slices.Delete(rs.list, 0, over)
	}
	return replaced
}

// take removes a user's reaction of a type and returns it, or nil if there is none.
func (rs *reactions) take(user, kind string) *reaction {
	i := slices.IndexFunc(rs.list, func(r *reaction) bool { return r.user == user && r.kind == kind })
	if i < 0 {
		return nil
	}
	r := rs.list[i]
	rs.list = slices.Delete(rs.list, i, i+1)
	return r
}

// count returns how many reactions there are of a type.
func (rs *reactions) count(kind string) (n int) {
	for _, r := range rs.list {
		if r.kind == kind {
			n++
		}
	}
	return n
}

// reactionResponse is the API's FeedsReactionResponse.
type reactionResponse struct {
	ActivityID string         `json:"activity_id"`
	CommentID  string         `json:"comment_id,omitempty"`
	Type       string         `json:"type"`
	User       userResponse   `json:"user"`
	Custom     map[string]any `json:"custom"`
	CreatedAt  int64          `json:"created_at"`
	UpdatedAt  int64          `json:"updated_at"`
}

func (v *view) reaction(r *reaction) reactionResponse {
	return reactionResponse{
		ActivityID: r.activity, CommentID: r.comment, Type: r.kind, User: v.userNamed(r.user), Custom: orEmptyMap(r.custom),
		CreatedAt: r.created.UnixNano(), UpdatedAt: r.updated.UnixNano(),
	}
}

// ownReactions describes the viewer's, the newest first.
func (v *view) ownReactions(rs *reactions) []reactionResponse {
	own := []reactionResponse{}
	for _, r := range slices.Backward(rs.list) {
		if v.user != "" && r.user == v.user {
			own = append(own, v.reaction(r))
		}
	}
	return own
}

// latestReactions describes the newest ones, the newest first.
func (v *view) latestReactions(rs *reactions) []reactionResponse {
	latest := []reactionResponse{}
	for _, r := range slices.Backward(rs.list[max(0, len(rs.list)-latestReactions):]) {
		latest = append(latest, v.reaction(r))
	}
	return latest
}

// reactionGroup is the API's FeedsReactionGroupResponse.
type reactionGroup struct {
	Count           int   `json:"count"`
	FirstReactionAt int64 `json:"first_reaction_at"`
	LastReactionAt  int64 `json:"last_reaction_at"`
}

// groups counts reactions by their type.
func (rs *reactions) groups() map[string]reactionGroup {
	groups := make(map[string]reactionGroup)
	for _, r := range rs.list {
		g, at := groups[r.kind], r.created.UnixNano()
		if g.Count == 0 || at < g.FirstReactionAt {
			g.FirstReactionAt = at
		}
		g.Count++
		g.LastReactionAt = max(g.LastReactionAt, at)
		groups[r.kind] = g
	}
	return groups
}

// A reactionRequest is a reaction as a client describes it.
type reactionRequest struct {
	acting
	Type   string         `json:"type"`
	Custom map[string]any `json:"custom"`
	Unique bool           `json:"enforce_unique"`
	Notify bool           `json:"create_notification_activity"`
}

// readReaction reads a call that adds a reaction.
func (s *Server) readReaction(c *call) (*reaction, reactionRequest, *failure) {
	var req reactionRequest
	if f := c.decode(&req); f != nil {
		return nil, req, f
	}
	user, f := c.actor(req.acting)
	if f != nil {
		return nil, req, f
	}
	if req.Type == "" {
		return nil, req, badInput("type is missing")
	}
	s.ensureUser(user)
	s.seq++
	now := s.now()
	return &reaction{user: user, kind: req.Type, custom: req.Custom, bytes: len(c.body), seq: s.seq, created: now, updated: now}, req, nil
}

// addReaction adds a user's reaction to an activity, or replaces the one of the same type.
// enforce_unique makes it the user's only one.
func (s *Server) addReaction(c *call) (object, *failure) {
	a, f := s.activity(c)
	if f != nil {
		return nil, f
	}
	r, req, f := s.readReaction(c)
	if f != nil {
		return nil, f
	}
	r.activity = a.id
	kind := "feeds.activity.reaction.added"
	if a.reactions.put(r, req.Unique) {
		kind = "feeds.activity.reaction.updated"
	}
	s.keepActivity(a)
	s.recordEffect(c)
	ans := s.reacted(kind, a, r)
	ans["notification_created"] = req.Notify && s.notify(r.user, a.user, notice{
		kind: "reaction", text: "reacted to your " + a.kind, target: a.target(), custom: r.custom,
	})
	return ans, nil
}

// deleteReaction takes back a user's reaction. A server says in the query whose.
func (s *Server) deleteReaction(c *call) (object, *failure) {
	a, f := s.activity(c)
	if f != nil {
		return nil, f
	}
	user, f := c.actor(c.queried())
	if f != nil {
		return nil, f
	}
	kind := c.r.PathValue("type")
	r := a.reactions.take(user, kind)
	if r == nil {
		return nil, notFound("user '%s' has no reaction '%s' to activity '%s'", user, kind, a.id)
	}
	s.keepActivity(a)
	s.recordEffect(c)
	return s.reacted("feeds.activity.reaction.deleted", a, r), nil
}

// reacted tells those who watch of a reaction, and returns the answer to the caller. s.mu is
// held.
func (s *Server) reacted(kind string, a *activity, r *reaction) object {
	v := s.view(viewer{user: r.user, server: true})
	s.publishActivity(kind, a, s.reach(a.feeds), object{"reaction": v.reaction(r), "user": v.userOf(r.user)})
	return object{"activity": v.activity(a), "reaction": v.reaction(r)}
}
