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
