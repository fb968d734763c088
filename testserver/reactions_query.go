package testserver

import (
	"slices"
	"time"
)

// queryReactions finds the reactions to an activity, the newest first unless told otherwise.
func (s *Server) queryReactions(c *call) (object, *failure) {
	a, f := s.activity(c)
	if f != nil {
		return nil, f
	}
	return s.findReactions(c, &a.reactions)
}

// queryCommentReactions is queryReactions for a comment.
func (s *Server) queryCommentReactions(c *call) (object, *failure) {
	m, _, f := s.comment(c)
	if f != nil {
		return nil, f
	}
	return s.findReactions(c, &m.reactions)
}

func (s *Server) findReactions(c *call, rs *reactions) (object, *failure) {
	var req query
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	page, ans, f := find(slices.Clone(rs.list), req, reactionFields(), reactionKeys())
	if f != nil {
		return nil, f
	}
	ans["reactions"] = describe(page, s.view(viewer{server: true}).reaction)
	return ans, nil
}

// ownReactionsTo finds a user's reactions to many activities: a server says whose.
func (s *Server) ownReactionsTo(c *call) (object, *failure) {
	var req struct {
		acting
		query
		IDs []string `json:"activity_ids"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	return s.findOwn(c, req.acting, req.query, "activity_ids", req.IDs, func(id string) (*reactions, *failure) {
		a, f := s.activityNamed(c, id)
		if f != nil {
			return nil, f
		}
		return &a.reactions, nil
	})
}

// ownReactionsToComments is ownReactionsTo for comments.
func (s *Server) ownReactionsToComments(c *call) (object, *failure) {
	var req struct {
		acting
		query
		IDs []string `json:"comment_ids"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	return s.findOwn(c, req.acting, req.query, "comment_ids", req.IDs, func(id string) (*reactions, *failure) {
		m, _, f := s.commentNamed(c, id)
		if f != nil {
			return nil, f
		}
		return &m.reactions, nil
	})
}

// findOwn finds a user's reactions to those of the named things that are there and may be seen.
func (s *Server) findOwn(c *call, a acting, q query, name string, ids []string, named func(string) (*reactions, *failure)) (object, *failure) {
	user, f := c.actor(a)
	if f != nil {
		return nil, f
	}
	if f := checkBatch(name, len(ids)); f != nil {
		return nil, f
	}
	var list []*reaction
	for i, id := range ids {
		rs, f := named(id)
		if f != nil || slices.Contains(ids[:i], id) {
			continue
		}
		list = append(list, slices.DeleteFunc(slices.Clone(rs.list), func(r *reaction) bool { return r.user != user })...)
	}
	all := reactionFields()
	page, ans, f := find(list, q, fields[*reaction]{"reaction_type": all["reaction_type"], "created_at": all["created_at"]}, reactionKeys())
	if f != nil {
		return nil, f
	}
	ans["reactions"] = describe(page, s.view(viewer{}).reaction)
	return ans, nil
}

// reactionFields are what reactions can be filtered by.
func reactionFields() fields[*reaction] {
	return fields[*reaction]{
		"activity_id":   textField(idOps, func(r *reaction) string { return r.activity }),
		"comment_id":    textField(idOps, func(r *reaction) string { return r.comment }),
		"reaction_type": textField(idOps, func(r *reaction) string { return r.kind }),
		"user_id":       textField(idOps, func(r *reaction) string { return r.user }),
		"created_at":    timeField(orderOps+" $exists $in", func(r *reaction) time.Time { return r.created }),
	}
}

func reactionKeys() sortKeys[*reaction] {
	return sortKeys[*reaction]{"created_at": func(r *reaction) sortKey { return timeKey(r.created) }}
}
