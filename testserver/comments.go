package testserver

import (
	"math"
	"time"
)

// A comment is on an activity, and may be an answer to another comment on it.
type comment struct {
	id, activity, parent, user string // parent is empty for a comment that is no answer

	commentContent
	reactions
	seq              int // orders comments of the same time
	bytes            int // what its own JSON takes, reactions and bookmarks apart
	created, updated time.Time
	edited           time.Time // zero: never
}

func (m *comment) number() int { return m.seq }

// A commentContent is what a client says in a comment, and may change later.
type commentContent struct {
	Text        string           `json:"text"`
	Custom      map[string]any   `json:"custom"`
	Attachments []map[string]any `json:"attachments"`
	Mentioned   []string         `json:"mentioned_user_ids"`
}

// Votes are reactions of these two types. They decide how comments are ranked.
func (m *comment) up() int    { return m.reactions.count("upvote") }
func (m *comment) down() int  { return m.reactions.count("downvote") }
func (m *comment) score() int { return m.up() - m.down() }

// confidence is the lower bound of the share of upvotes that the votes so far allow to expect: the
// Wilson score interval for 80 %.
func (m *comment) confidence() float64 {
	up, n := float64(m.up()), float64(m.up()+m.down())
	if n == 0 {
		return 0
	}
	const z = 1.281551565545
	share := up / n
	return max(0, (share+z*z/(2*n)-z*math.Sqrt((share*(1-share)+z*z/(4*n))/n))/(1+z*z/n))
}

// controversy is the greater the more votes there are and the more evenly they are divided.
func (m *comment) controversy() float64 {
	up, down := float64(m.up()), float64(m.down())
	if up == 0 || down == 0 {
		return 0
	}
	return math.Pow(up+down, min(up, down)/max(up, down))
}

// commentResponse is the API's CommentResponse. Dates are in nanoseconds since 1970.
type commentResponse struct {
	ID               string                   `json:"id"`
	ObjectID         string                   `json:"object_id"`
	ObjectType       string                   `json:"object_type"`
	ParentID         string                   `json:"parent_id,omitempty"`
	User             userResponse             `json:"user"`
	Text             string                   `json:"text,omitempty"`
	Status           string                   `json:"status"`
	CreatedAt        int64                    `json:"created_at"`
	UpdatedAt        int64                    `json:"updated_at"`
	EditedAt         *int64                   `json:"edited_at,omitempty"`
	ReactionCount    int                      `json:"reaction_count"`
	ReactionGroups   map[string]reactionGroup `json:"reaction_groups"`
	OwnReactions     []reactionResponse       `json:"own_reactions"`
	LatestReactions  []reactionResponse       `json:"latest_reactions"`
	ReplyCount       int                      `json:"reply_count"`
	UpvoteCount      int                      `json:"upvote_count"`
	DownvoteCount    int                      `json:"downvote_count"`
	Score            int                      `json:"score"`
	ConfidenceScore  float64                  `json:"confidence_score"`
	ControversyScore float64                  `json:"controversy_score"`
	BookmarkCount    int                      `json:"bookmark_count"`
	MentionedUsers   []userResponse           `json:"mentioned_users"`
	Attachments      []map[string]any         `json:"attachments"`
	Custom           map[string]any           `json:"custom"`
}

func (v *view) comment(m *comment) commentResponse {
	return commentResponse{
		ID: m.id, ObjectID: m.activity, ObjectType: "activity", ParentID: m.parent, User: v.userNamed(m.user), Text: m.Text, Status: "active",
		CreatedAt: m.created.UnixNano(), UpdatedAt: m.updated.UnixNano(), EditedAt: nanos(m.edited),
		ReactionCount: len(m.reactions.list), ReactionGroups: m.reactions.groups(), OwnReactions: v.ownReactions(&m.reactions),
		LatestReactions: v.latestReactions(&m.reactions), ReplyCount: len(v.s.answersTo(m)), UpvoteCount: m.up(), DownvoteCount: m.down(),
		Score: m.score(), ConfidenceScore: m.confidence(), ControversyScore: m.controversy(), BookmarkCount: len(m.bookmarks),
		MentionedUsers: v.users(m.Mentioned), Attachments: attachments(m.Attachments), Custom: orEmptyMap(m.Custom),
	}
}

// commentsOn returns the comments on an activity, answers included, in the order in which they were
// made. s.mu is held.
func (s *Server) commentsOn(a *activity) []*comment {
	if a.comments == 0 {
		return nil
	}
	return only(&s.comments, func(m *comment) bool { return m.activity == a.id })
}

// answersTo returns the answers to a comment, in the order in which they were made. s.mu is held.
func (s *Server) answersTo(m *comment) []*comment {
	return only(&s.comments, func(answer *comment) bool { return answer.parent == m.id })
}

// keepComment writes down how much of the memory m takes. s.mu is held.
func (s *Server) keepComment(m *comment) { s.comments.Put(m.id, m, m.bytes+m.reactions.size()) }

// comment returns the comment that the path names and its activity, if the caller may see that.
func (s *Server) comment(c *call) (*comment, *activity, *failure) {
	return s.commentNamed(c, c.r.PathValue("id"))
}

func (s *Server) commentNamed(c *call, id string) (*comment, *activity, *failure) {
	m, ok := s.comments.Get(id)
	if !ok {
		return nil, nil, notFound("comment '%s' does not exist", id)
	}
	a, f := s.activityNamed(c, m.activity)
	return m, a, f
}

// ownComment returns the comment that the path names and its activity, if the caller may change the
// comment.
func (s *Server) ownComment(c *call) (*comment, *activity, *failure) {
	m, a, f := s.comment(c)
	if f != nil {
		return nil, nil, f
	}
	return m, a, c.owns(m.user, "comment '"+m.id+"'")
}

// getComment returns a comment. A server says in the query for whom.
func (s *Server) getComment(c *call) (object, *failure) {
	m, _, f := s.comment(c)
	if f != nil {
		return nil, f
	}
	who, f := c.viewer(c.queried())
	if f != nil {
		return nil, f
	}
	return object{"comment": s.view(who).comment(m)}, nil
}
