package testserver

import (
	"cmp"
	"strconv"
	"time"
)

const (
	defaultDepth = 3 // levels of answers to comments that come along
	maxDepth     = 5
)

// A comment is on an activity, and may be an answer to another comment on it.
type comment struct {
	id, object, parent, user, text string // object is the activity's id; parent is empty for a comment that is no answer

	custom           map[string]any
	attachments      []map[string]any
	mentioned        []string // users, by id
	seq              int      // orders comments of the same time
	created, updated time.Time
}

// commentResponse is the API's CommentResponse, and its ThreadedCommentResponse where there are Replies. Dates are in nanoseconds
// since 1970.
type commentResponse struct {
	ID              string            `json:"id"`
	ObjectID        string            `json:"object_id"`
	ObjectType      string            `json:"object_type"`
	ParentID        string            `json:"parent_id,omitempty"`
	User            userResponse      `json:"user"`
	Text            string            `json:"text,omitempty"`
	Status          string            `json:"status"`
	CreatedAt       int64             `json:"created_at"`
	UpdatedAt       int64             `json:"updated_at"`
	ReactionCount   int               `json:"reaction_count"`
	ReplyCount      int               `json:"reply_count"`
	UpvoteCount     int               `json:"upvote_count"`
	DownvoteCount   int               `json:"downvote_count"`
	Score           int               `json:"score"`
	ConfidenceScore float64           `json:"confidence_score"`
	BookmarkCount   int               `json:"bookmark_count"`
	MentionedUsers  []userResponse    `json:"mentioned_users"`
	OwnReactions    []any             `json:"own_reactions"`
	Attachments     []map[string]any  `json:"attachments,omitempty"`
	Custom          map[string]any    `json:"custom,omitempty"`
	Replies         []commentResponse `json:"replies,omitempty"`
}

// commentResponse describes m as the API does, with so many levels of answers. s.mu is held.
func (s *Server) commentResponse(m *comment, depth int) commentResponse {
	answers := s.commentsWhere(func(other *comment) bool { return other.parent == m.id })
	r := commentResponse{
		ID: m.id, ObjectID: m.object, ObjectType: "activity", ParentID: m.parent, User: s.ensureUser(m.user).response(), Text: m.text,
		Status: "active", CreatedAt: m.created.UnixNano(), UpdatedAt: m.updated.UnixNano(), ReplyCount: len(answers),
		MentionedUsers: []userResponse{}, OwnReactions: []any{}, Attachments: m.attachments, Custom: m.custom,
	}
	for _, id := range m.mentioned {
		r.MentionedUsers = append(r.MentionedUsers, s.ensureUser(id).response())
	}
	if depth > 0 {
		for _, answer := range answers {
			r.Replies = append(r.Replies, s.commentResponse(answer, depth-1))
		}
	}
	return r
}

// commentsWhere returns the comments that match, in the order in which they were made. s.mu is held.
func (s *Server) commentsWhere(matches func(*comment) bool) []*comment {
	var list []*comment
	for _, m := range s.comments.All() {
		if matches(m) {
			list = append(list, m)
		}
	}
	return list
}

// position orders comments by time.
func (m *comment) position() position { return position{m.created.UnixNano(), m.seq} }

// commentContent is what a client may say in a comment and change later. What is null or missing says nothing.
type commentContent struct {
	Comment     *string          `json:"comment"`
	Custom      map[string]any   `json:"custom"`
	Attachments []map[string]any `json:"attachments"`
	Mentioned   []string         `json:"mentioned_user_ids"`
}

func (n commentContent) applyTo(m *comment) {
	if n.Comment != nil {
		m.text = *n.Comment
	}
	if n.Custom != nil {
		m.custom = n.Custom
	}
	if n.Attachments != nil {
		m.attachments = n.Attachments
	}
	if n.Mentioned != nil {
		m.mentioned = n.Mentioned
	}
}

// addComment adds a comment to an activity, or an answer to a comment.
func (s *Server) addComment(c *call) (object, *failure) {
	var req struct {
		acting
		commentContent
		ID         string `json:"id"`
		ObjectID   string `json:"object_id"`
		ObjectType string `json:"object_type"`
		ParentID   string `json:"parent_id"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	userID, f := c.actor(req.acting)
	if f != nil {
		return nil, f
	}
	if f := (activityContent{Mentioned: req.Mentioned}).validate(); f != nil {
		return nil, f
	}
	if req.ParentID != "" {
		parent, ok := s.comments.Get(req.ParentID)
		switch {
		case !ok:
			return nil, notFound("comment '%s' does not exist", req.ParentID)
		case req.ObjectID != "" && req.ObjectID != parent.object:
			return nil, badInput("comment '%s' is not on activity '%s'", req.ParentID, req.ObjectID)
		}
		req.ObjectID, req.ObjectType = parent.object, "activity"
	}
	a, ok := s.acts.Get(req.ObjectID)
	switch _, exists := s.comments.Get(req.ID); {
	case req.Comment == nil && len(req.Attachments) == 0:
		return nil, badInput("comment is missing")
	case req.ObjectID == "":
		return nil, badInput("object_id or parent_id is missing")
	case req.ObjectType != "activity":
		return nil, badInput("object_type must be activity, not '%s'", req.ObjectType)
	case !ok:
		return nil, notFound("activity '%s' does not exist", req.ObjectID)
	case req.ID != "" && exists:
		return nil, badInput("comment '%s' exists already", req.ID)
	}
	s.seq++
	now := s.now()
	m := &comment{id: cmp.Or(req.ID, newUUID()), object: a.id, parent: req.ParentID, user: userID, seq: s.seq, created: now, updated: now}
	req.applyTo(m)
	s.comments.Put(m.id, m, len(c.body))
	a.comments++
	s.recordEffect(c)
	return s.commented("feeds.comment.added", a, m), nil
}

// commented tells everybody of a comment, and returns the answer to whoever it came from. s.mu is held.
func (s *Server) commented(kind string, a *activity, m *comment) object {
	one := s.commentResponse(m, 0)
	s.publishActivity(kind, a, object{"comment": one, "user": one.User})
	return object{"comment": one}
}

// getComments returns the comments on an activity, with the answers to them.
func (s *Server) getComments(c *call) (object, *failure) {
	q := c.r.URL.Query()
	p := paging{Next: q.Get("next"), Prev: q.Get("prev")}
	depth := defaultDepth
	for name, n := range map[string]*int{"limit": &p.Limit, "depth": &depth} {
		if v := q.Get(name); v != "" {
			var err error
			if *n, err = strconv.Atoi(v); err != nil {
				return nil, badInput("%s must be a number", name)
			}
		}
	}
	sort := cmp.Or(q.Get("sort"), "first")
	_, ok := s.acts.Get(q.Get("object_id"))
	switch {
	case q.Get("object_type") != "activity":
		return nil, badInput("object_type must be activity, not '%s'", q.Get("object_type"))
	case sort != "first" && sort != "last":
		return nil, badInput("sort must be first or last, not '%s'", sort)
	case depth < 0 || depth > maxDepth:
		return nil, badInput("depth must be between 0 and %d", maxDepth)
	case !ok:
		return nil, notFound("activity '%s' does not exist", q.Get("object_id"))
	}
	page, ans, f := paginate(s.commentsWhere(func(m *comment) bool {
		return m.object == q.Get("object_id") && m.parent == ""
	}), sort == "last", p)
	if f != nil {
		return nil, f
	}
	list := make([]commentResponse, 0, len(page))
	for _, m := range page {
		list = append(list, s.commentResponse(m, depth))
	}
	ans["comments"], ans["sort"] = list, sort
	return ans, nil
}

// comment returns the comment that the path names, and its activity.
func (s *Server) comment(c *call) (*comment, *activity, *failure) {
	id := c.r.PathValue("id")
	m, ok := s.comments.Get(id)
	if ok {
		if a, ok := s.acts.Get(m.object); ok {
			return m, a, nil
		}
	}
	return nil, nil, notFound("comment '%s' does not exist", id)
}

func (s *Server) getComment(c *call) (object, *failure) {
	m, _, f := s.comment(c)
	if f != nil {
		return nil, f
	}
	return object{"comment": s.commentResponse(m, 0)}, nil
}

// updateComment replaces what the request names.
func (s *Server) updateComment(c *call) (object, *failure) {
	m, a, f := s.comment(c)
	if f != nil {
		return nil, f
	}
	if f := c.owns(m.user, "comment '"+m.id+"'"); f != nil {
		return nil, f
	}
	var next commentContent
	if f := c.decode(&next); f != nil {
		return nil, f
	}
	if f := (activityContent{Mentioned: next.Mentioned}).validate(); f != nil {
		return nil, f
	}
	next.applyTo(m)
	m.updated = s.now()
	s.comments.Put(m.id, m, len(encode(object{"comment": s.commentResponse(m, 0)})))
	s.recordEffect(c)
	return s.commented("feeds.comment.updated", a, m), nil
}

// deleteComment deletes a comment with all answers to it. There is no way back, whether or not it says hard_delete.
func (s *Server) deleteComment(c *call) (object, *failure) {
	m, a, f := s.comment(c)
	if f != nil {
		return nil, f
	}
	if f := c.owns(m.user, "comment '"+m.id+"'"); f != nil {
		return nil, f
	}
	s.removeComment(a, m)
	s.recordEffect(c)
	ans := s.commented("feeds.comment.deleted", a, m)
	ans["activity"] = s.activityResponse(a, c.user)
	return ans, nil
}

// removeComment deletes m and all answers to it. s.mu is held.
func (s *Server) removeComment(a *activity, m *comment) {
	s.comments.Remove(m.id)
	a.comments = max(0, a.comments-1)
	for _, answer := range s.commentsWhere(func(other *comment) bool { return other.parent == m.id }) {
		s.removeComment(a, answer)
	}
}
