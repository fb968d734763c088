package testserver

import "cmp"

// A commentRequest is a comment as a client describes it.
type commentRequest struct {
	acting
	commentContent
	Comment    string `json:"comment"`
	ID         string `json:"id"`
	ObjectID   string `json:"object_id"`
	ObjectType string `json:"object_type"`
	ParentID   string `json:"parent_id"`
	Notify     bool   `json:"create_notification_activity"`
}

// checkComment fails unless the caller may make this comment. It returns whose it is, and on what.
func (s *Server) checkComment(c *call, req *commentRequest) (user string, a *activity, f *failure) {
	if user, f = c.actor(req.acting); f != nil {
		return "", nil, f
	}
	if f := checkMentioned(req.Mentioned); f != nil {
		return "", nil, f
	}
	if req.ParentID != "" {
		parent, ok := s.comments.Get(req.ParentID)
		switch {
		case !ok:
			return "", nil, notFound("comment '%s' does not exist", req.ParentID)
		case req.ObjectID != "" && req.ObjectID != parent.activity:
			return "", nil, badInput("comment '%s' is not on activity '%s'", req.ParentID, req.ObjectID)
		}
		req.ObjectID, req.ObjectType = parent.activity, "activity"
	}
	switch _, exists := s.comments.Get(req.ID); {
	case req.Comment == "" && len(req.Attachments) == 0:
		return "", nil, badInput("comment is missing")
	case req.ObjectID == "":
		return "", nil, badInput("object_id or parent_id is missing")
	case req.ObjectType != "activity":
		return "", nil, badInput("object_type must be activity, not '%s'", req.ObjectType)
	case req.ID != "" && exists:
		return "", nil, badInput("comment '%s' exists already", req.ID)
	}
	if a, f = s.activityNamed(c, req.ObjectID); f != nil {
		return "", nil, f
	}
	if !c.server && user != a.user && a.RestrictReplies != "everyone" && (a.RestrictReplies == "nobody" || !s.followsAny(a.user, user)) {
		return "", nil, notAllowed("user '%s' is not allowed to comment on activity '%s', whose restrict_replies is %s", user, a.id, a.RestrictReplies)
	}
	return user, a, nil
}

// followsAny reports whether a feed of one user's follows a feed of another's. s.mu is held.
func (s *Server) followsAny(follower, followed string) bool {
	for _, e := range s.follows.All() {
		if e.status == followAccepted && s.ownerOf(e.source) == follower && s.ownerOf(e.target) == followed {
			return true
		}
	}
	return false
}

// putComment makes a comment that has been checked, and tells those who watch. s.mu is held.
func (s *Server) putComment(user string, a *activity, req *commentRequest, size int) (m *comment, notified bool) {
	s.ensureUser(user)
	s.seq++
	now := s.now()
	req.Text = req.Comment
	m = &comment{
		id: cmp.Or(req.ID, newUUID()), activity: a.id, parent: req.ParentID, user: user, commentContent: req.commentContent, seq: s.seq, bytes: size,
		created: now, updated: now,
	}
	s.keepComment(m)
	a.comments++
	v := s.view(viewer{server: true})
	s.publishActivity("feeds.comment.added", a, s.reach(a.feeds), object{"comment": v.comment(m), "user": v.userOf(user)})
	if req.Notify {
		trigger := notificationComment{ID: m.id, Comment: m.Text, UserID: m.user}
		n := notice{kind: "comment", text: "commented on your " + a.kind, target: a.target(), comment: &trigger, custom: m.Custom}
		owner := a.user
		if parent, ok := s.comments.Get(m.parent); ok {
			n.kind, n.text, owner = "comment_reply", "replied to your comment", parent.user
			n.target["comment"] = notificationComment{ID: parent.id, Comment: parent.Text, UserID: parent.user}
		}
		notified = s.notify(user, owner, n)
		for _, id := range m.Mentioned {
			s.notify(user, id, notice{kind: "comment_mention", text: "mentioned you in a comment", target: a.target(), comment: &trigger, custom: m.Custom})
		}
	}
	return m, notified
}

// addComment adds a comment to an activity, or an answer to a comment.
func (s *Server) addComment(c *call) (object, *failure) {
	var req commentRequest
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	user, a, f := s.checkComment(c, &req)
	if f != nil {
		return nil, f
	}
	s.recordEffect(c)
	m, notified := s.putComment(user, a, &req, len(c.body))
	return object{"comment": s.view(viewer{user: user, server: true}).comment(m), "notification_created": notified}, nil
}

// addComments adds many comments: all of them or, if one can't be made, none.
func (s *Server) addComments(c *call) (object, *failure) {
	var req struct {
		Comments []*commentRequest `json:"comments"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	if f := checkBatch("comments", len(req.Comments)); f != nil {
		return nil, f
	}
	users, on := make([]string, len(req.Comments)), make([]*activity, len(req.Comments))
	for i, one := range req.Comments {
		if one == nil {
			return nil, badInput("comments holds null")
		}
		var f *failure
		if users[i], on[i], f = s.checkComment(c, one); f != nil {
			return nil, f
		}
	}
	s.recordEffect(c)
	v, all := s.view(viewer{user: c.user, server: true}), []commentResponse{}
	for i, one := range req.Comments {
		m, _ := s.putComment(users[i], on[i], one, len(c.body)/len(req.Comments))
		all = append(all, v.comment(m))
	}
	return object{"comments": all}, nil
}
