package testserver

// updateComment replaces what the request names.
func (s *Server) updateComment(c *call) (object, *failure) {
	m, a, f := s.ownComment(c)
	if f != nil {
		return nil, f
	}
	var req struct {
		acting
		commentContent
		Comment *string `json:"comment"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	if f := checkMentioned(req.Mentioned); f != nil {
		return nil, f
	}
	if _, f := c.viewer(req.acting); f != nil {
		return nil, f
	}
	if req.Comment != nil {
		m.Text = *req.Comment
	}
	if req.Custom != nil {
		m.Custom = req.Custom
	}
	if req.Attachments != nil {
		m.Attachments = req.Attachments
	}
	if req.Mentioned != nil {
		m.Mentioned = req.Mentioned
	}
	return s.commentUpdated(c, a, m), nil
}

// updateCommentPartial sets and unsets single fields of a comment.
func (s *Server) updateCommentPartial(c *call) (object, *failure) {
	m, a, f := s.ownComment(c)
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
	if _, f := c.viewer(req.acting); f != nil {
		return nil, f
	}
	next := m.commentContent
	if f := req.apply(&next, &next.Custom, "text attachments custom mentioned_user_ids", "custom attachments mentioned_user_ids"); f != nil {
		return nil, f
	}
	if f := checkMentioned(next.Mentioned); f != nil {
		return nil, f
	}
	m.commentContent = next
	return s.commentUpdated(c, a, m), nil
}

// commentUpdated writes down that m has changed, and tells those who watch. s.mu is held.
func (s *Server) commentUpdated(c *call, a *activity, m *comment) object {
	m.updated = s.now()
	m.edited = m.updated
	one := s.view(viewer{user: m.user, server: true}).comment(m)
	m.bytes = len(encode(object{"comment": one}))
	s.keepComment(m)
	s.recordEffect(c)
	s.commented("feeds.comment.updated", a, m)
	return object{"comment": one}
}

// commented tells those who watch of a comment that was changed or deleted. s.mu is held.
func (s *Server) commented(kind string, a *activity, m *comment) {
	v := s.view(viewer{server: true})
	s.publish(kind, s.reach(a.feeds), a, object{"comment": v.comment(m), "user": v.userOf(m.user)})
}

// deleteComment deletes a comment with all answers to it. There is no way back, whether or not it
// says hard_delete.
func (s *Server) deleteComment(c *call) (object, *failure) {
	m, a, f := s.ownComment(c)
	if f != nil {
		return nil, f
	}
	s.removeComment(a, m)
	s.recordEffect(c)
	s.commented("feeds.comment.deleted", a, m)
	v := s.view(viewer{user: c.user, server: true})
	return object{"comment": v.comment(m), "activity": v.activity(a)}, nil
}

// removeComment deletes m and all answers to it. s.mu is held.
func (s *Server) removeComment(a *activity, m *comment) {
	for _, answer := range s.answersTo(m) {
		s.removeComment(a, answer)
	}
	s.comments.Remove(m.id)
	a.comments = max(0, a.comments-1)
}

// addCommentReaction is addReaction for a comment.
func (s *Server) addCommentReaction(c *call) (object, *failure) {
	m, a, f := s.comment(c)
	if f != nil {
		return nil, f
	}
	r, req, f := s.readReaction(c)
	if f != nil {
		return nil, f
	}
	r.activity, r.comment = a.id, m.id
	kind := "feeds.comment.reaction.added"
	if m.reactions.put(r, req.Unique) {
		kind = "feeds.comment.reaction.updated"
	}
	s.keepComment(m)
	s.recordEffect(c)
	v := s.view(viewer{user: r.user, server: true})
	s.publishActivity(kind, a, s.reach(a.feeds), object{"comment": s.view(viewer{}).comment(m), "reaction": v.reaction(r), "user": v.userOf(r.user)})
	target := a.target()
	target["comment"] = notificationComment{ID: m.id, Comment: m.Text, UserID: m.user}
	notified := req.Notify && s.notify(r.user, m.user, notice{kind: "comment_reaction", text: "reacted to your comment", target: target, custom: r.custom})
	return object{"comment": v.comment(m), "reaction": v.reaction(r), "notification_created": notified}, nil
}

// deleteCommentReaction is deleteReaction for a comment.
func (s *Server) deleteCommentReaction(c *call) (object, *failure) {
	m, a, f := s.comment(c)
	if f != nil {
		return nil, f
	}
	user, f := c.actor(c.queried())
	if f != nil {
		return nil, f
	}
	kind := c.r.PathValue("type")
	r := m.reactions.take(user, kind)
	if r == nil {
		return nil, notFound("user '%s' has no reaction '%s' to comment '%s'", user, kind, m.id)
	}
	s.keepComment(m)
	s.recordEffect(c)
	v := s.view(viewer{user: user, server: true})
	s.publish("feeds.comment.reaction.deleted", s.reach(a.feeds), a, object{
		"comment": s.view(viewer{}).comment(m), "reaction": v.reaction(r), // and no user, in this event alone
	})
	return object{"comment": v.comment(m), "reaction": v.reaction(r)}, nil
}
