package testserver

import (
	"slices"
	"time"
)

const (
	maxReactions    = 1000 // of one activity; the package comment names it
	latestReactions = 10   // that an activity shows
)

// A reaction is one user's to one activity; of each type a user has at most one.
type reaction struct {
	user, kind       string
	custom           map[string]any
	size             int
	created, updated time.Time
}

// reactionResponse is the API's FeedsReactionResponse.
type reactionResponse struct {
	ActivityID string         `json:"activity_id"`
	Type       string         `json:"type"`
	User       userResponse   `json:"user"`
	Custom     map[string]any `json:"custom,omitempty"`
	CreatedAt  int64          `json:"created_at"`
	UpdatedAt  int64          `json:"updated_at"`
}

func (s *Server) reactionResponse(a *activity, r *reaction) reactionResponse {
	return reactionResponse{
		ActivityID: a.id, Type: r.kind, User: s.ensureUser(r.user).response(), Custom: r.custom,
		CreatedAt: r.created.UnixNano(), UpdatedAt: r.updated.UnixNano(),
	}
}

// reactionGroup is the API's FeedsReactionGroupResponse.
type reactionGroup struct {
	Count           int   `json:"count"`
	FirstReactionAt int64 `json:"first_reaction_at"`
	LastReactionAt  int64 `json:"last_reaction_at"`
}

// reactionGroups counts an activity's reactions by their type.
func (a *activity) reactionGroups() map[string]reactionGroup {
	groups := make(map[string]reactionGroup)
	for _, r := range a.reactions {
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

// addReaction adds a user's reaction, or replaces the one of the same type. enforce_unique makes it the user's only one.
func (s *Server) addReaction(c *call) (object, *failure) {
	a, f := s.activity(c)
	if f != nil {
		return nil, f
	}
	var req struct {
		acting
		Type   string         `json:"type"`
		Custom map[string]any `json:"custom"`
		Unique bool           `json:"enforce_unique"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	userID, f := c.actor(req.acting)
	if f != nil {
		return nil, f
	}
	if req.Type == "" {
		return nil, badInput("type is missing")
	}
	now := s.now()
	r := &reaction{user: userID, kind: req.Type, custom: req.Custom, size: len(c.body), created: now, updated: now}
	kind := "feeds.activity.reaction.added"
	a.reactions = slices.DeleteFunc(a.reactions, func(old *reaction) bool {
		if old.user != userID || old.kind != req.Type && !req.Unique {
			return false
		}
		kind = "feeds.activity.reaction.updated"
		return true
	})
	a.reactions = append(a.reactions, r)
	if over := len(a.reactions) - maxReactions; over > 0 {
		a.reactions = slices.Delete(a.reactions, 0, over)
	}
	s.keepActivity(a)
	s.recordEffect(c)
	return s.reacted(kind, a, r), nil
}

// deleteReaction takes back a user's reaction. A server says in the query whose.
func (s *Server) deleteReaction(c *call) (object, *failure) {
	a, f := s.activity(c)
	if f != nil {
		return nil, f
	}
	userID, f := c.actor(acting{UserID: c.r.URL.Query().Get("user_id")})
	if f != nil {
		return nil, f
	}
	kind := c.r.PathValue("type")
	i := slices.IndexFunc(a.reactions, func(r *reaction) bool { return r.user == userID && r.kind == kind })
	if i < 0 {
		return nil, notFound("user '%s' has no reaction '%s' to activity '%s'", userID, kind, a.id)
	}
	r := a.reactions[i]
	a.reactions = slices.Delete(a.reactions, i, i+1)
	s.keepActivity(a)
	s.recordEffect(c)
	return s.reacted("feeds.activity.reaction.deleted", a, r), nil
}

// reacted tells everybody of a reaction, and returns the answer to whoever it came from. s.mu is held.
func (s *Server) reacted(kind string, a *activity, r *reaction) object {
	one := s.reactionResponse(a, r)
	s.publishActivity(kind, a, object{"reaction": one, "user": one.User})
	return object{"activity": s.activityResponse(a, r.user), "reaction": one}
}
