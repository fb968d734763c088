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

// threadedComment is the API's ThreadedCommentResponse.
type threadedComment struct {
	commentResponse
	Replies []threadedComment `json:"replies,omitempty"`
	Meta    *repliesMeta      `json:"meta,omitempty"`
}

// repliesMeta is the API's RepliesMeta: which answers are missing.
type repliesMeta struct {
	DepthTruncated bool   `json:"depth_truncated"`
	HasMore        bool   `json:"has_more"`
	Remaining      int    `json:"remaining"`
	Next           string `json:"next_cursor,omitempty"`
}

// commentOrder returns a sort order by its name.
func commentOrder(name string) (order[*comment], *failure) {
	at := func(m *comment) sortKey { return timeKey(m.created) }
	by := func(key func(*comment) sortKey) order[*comment] { return order[*comment]{{key, true}, {at, true}} }
	switch name {
	case "first":
		return order[*comment]{{at, false}}, nil
	case "last":
		return order[*comment]{{at, true}}, nil
	case "top":
		return by(func(m *comment) sortKey { return intKey(m.score()) }), nil
	case "best":
		return by(func(m *comment) sortKey { return sortKey{Float: m.confidence()} }), nil
	case "controversial":
		return by(func(m *comment) sortKey { return sortKey{Float: m.controversy()} }), nil
	}
	return nil, badInput("sort must be first, last, top, best or controversial, not '%s'", name)
}

// A thread is how comments are read: in which order, how deep, and how many at a time.
type thread struct {
	paging
	sort           string
	by             order[*comment]
	depth, replies int
}

// readThread reads the query of a URL.
func (c *call) readThread() (thread, *failure) {
	q := c.r.URL.Query()
	t := thread{paging: paging{Next: q.Get("next"), Prev: q.Get("prev")}, depth: defaultDepth, sort: cmp.Or(q.Get("sort"), "first")}
	for name, n := range map[string]*int{"limit": &t.Limit, "depth": &t.depth, "replies_limit": &t.replies} {
		if v := q.Get(name); v != "" {
			var err error
			if *n, err = strconv.Atoi(v); err != nil {
				return t, badInput("%s must be a number", name)
			}
		}
	}
	if t.depth < 0 || t.depth > maxDepth {
		return t, badInput("depth must be between 0 and %d", maxDepth)
	}
	var f *failure
	if t.by, f = commentOrder(t.sort); f != nil {
		return t, f
	}
	_, f = paging{Limit: t.replies}.size()
	return t, f
}

// threaded describes a comment with so many levels of answers to it.
func (v *view) threaded(m *comment, t thread, depth int) threadedComment {
	r := threadedComment{commentResponse: v.comment(m)}
	answers := v.s.answersTo(m)
	if len(answers) == 0 {
		return r
	}
	if depth == 0 {
		r.Meta = &repliesMeta{DepthTruncated: true, HasMore: true, Remaining: len(answers)}
		return r
	}
	page, cursors, _ := paginate(answers, t.by, paging{Limit: t.replies}) // its limit was checked
	r.Meta = &repliesMeta{HasMore: len(page) < len(answers), Remaining: len(answers) - len(page)}
	r.Meta.Next, _ = cursors["next"].(string)
	for _, answer := range page {
		r.Replies = append(r.Replies, v.threaded(answer, t, depth-1))
	}
	return r
}

// threads describes a page of some comments and the answers to them.
func (v *view) threads(list []*comment, t thread) (object, *failure) {
	page, ans, f := paginate(list, t.by, t.paging)
	if f != nil {
		return nil, f
	}
	ans["comments"] = describe(page, func(m *comment) threadedComment { return v.threaded(m, t, t.depth) })
	ans["sort"] = t.sort
	return ans, nil
}

// getComments returns the comments on an activity, with the answers to them. A server says in the
// query for whom.
func (s *Server) getComments(c *call) (object, *failure) {
	q := c.r.URL.Query()
	if q.Get("object_type") != "activity" {
		return nil, badInput("object_type must be activity, not '%s'", q.Get("object_type"))
	}
	t, f := c.readThread()
	if f != nil {
		return nil, f
	}
	a, f := s.activityNamed(c, q.Get("object_id"))
	if f != nil {
		return nil, f
	}
	who, f := c.viewer(c.queried())
	if f != nil {
		return nil, f
	}
	return s.view(who).threads(only(&s.comments, func(m *comment) bool { return m.activity == a.id && m.parent == "" }), t)
}

// getReplies returns the answers to a comment, with the answers to them.
func (s *Server) getReplies(c *call) (object, *failure) {
	m, _, f := s.comment(c)
	if f != nil {
		return nil, f
	}
	t, f := c.readThread()
	if f != nil {
		return nil, f
	}
	who, f := c.viewer(c.queried())
	if f != nil {
		return nil, f
	}
	return s.view(who).threads(s.answersTo(m), t)
}

// queryComments finds comments on all activities that the caller may see.
func (s *Server) queryComments(c *call) (object, *failure) {
	var req struct {
		acting
		paging
		Filter *filter `json:"filter"`
		Sort   string  `json:"sort"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	who, f := c.viewer(req.acting)
	switch {
	case f != nil:
		return nil, f
	case req.Filter == nil:
		return nil, badInput("filter is missing")
	}
	matches, f := compile(*req.Filter, s.commentFields())
	if f != nil {
		return nil, f
	}
	by, f := commentOrder(cmp.Or(req.Sort, "first"))
	if f != nil {
		return nil, f
	}
	v := s.view(who)
	list := only(&s.comments, func(m *comment) bool {
		a, ok := s.acts.Get(m.activity)
		return ok && v.maySee(a) && matches(m)
	})
	page, ans, f := paginate(list, by, req.paging)
	if f != nil {
		return nil, f
	}
	ans["comments"] = describe(page, v.comment)
	return ans, nil
}

// commentFields are what comments can be filtered by.
func (s *Server) commentFields() fields[*comment] {
	const ranks = "$gt $gte $lt $lte"
	return fields[*comment]{
		"id":                textField(idOps, func(m *comment) string { return m.id }),
		"object_id":         textField(idOps, func(m *comment) string { return m.activity }),
		"object_type":       textField(idOps, func(*comment) string { return "activity" }),
		"parent_id":         textField(idOps, func(m *comment) string { return m.parent }),
		"user_id":           textField(idOps, func(m *comment) string { return m.user }),
		"status":            textField(idOps, func(*comment) string { return "active" }),
		"comment_text":      textField("$q", func(m *comment) string { return m.Text }),
		"custom":            objectField(customOps, func(m *comment) map[string]any { return m.Custom }),
		"reply_count":       numberField(ranks, func(m *comment) float64 { return float64(len(s.answersTo(m))) }),
		"score":             numberField(ranks, func(m *comment) float64 { return float64(m.score()) }),
		"upvote_count":      numberField(ranks, func(m *comment) float64 { return float64(m.up()) }),
		"downvote_count":    numberField(ranks, func(m *comment) float64 { return float64(m.down()) }),
		"confidence_score":  numberField(ranks, (*comment).confidence),
		"controversy_score": numberField(ranks, (*comment).controversy),
		"created_at":        timeField(orderOps, func(m *comment) time.Time { return m.created }),
	}
}
