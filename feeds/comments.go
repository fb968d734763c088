package feeds

import (
	"context"
	"iter"
	"net/http"
	"net/url"
)

// A Comment is a user's text about an activity, or an answer to another comment.
type Comment struct {
	ID            string         `json:"id"`
	ObjectID      string         `json:"object_id"`
	ObjectType    string         `json:"object_type"`
	ParentID      string         `json:"parent_id"` // of the comment that it answers; empty: none
	Text          string         `json:"text"`
	User          UserResponse   `json:"user"`
	Status        string         `json:"status"`
	Attachments   []Attachment   `json:"attachments"`
	Custom        map[string]any `json:"custom"`
	Replies       []Comment      `json:"replies"` // down to the level that GetCommentsRequest.Depth asks for
	ReplyCount    int            `json:"reply_count"`
	ReactionCount int            `json:"reaction_count"`
	CreatedAt     Timestamp      `json:"created_at"`
	UpdatedAt     Timestamp      `json:"updated_at"`
}

// AddCommentRequest is what [Session.AddComment] takes. Comment is required, and either ObjectID or
// ParentID.
type AddCommentRequest struct {
	Comment     string         `json:"comment"`
	ObjectID    string         `json:"object_id,omitempty"`   // the id of the activity that it is about
	ObjectType  string         `json:"object_type,omitempty"` // with an ObjectID, empty means "activity"
	ParentID    string         `json:"parent_id,omitempty"`   // the id of the comment that it answers
	Attachments []Attachment   `json:"attachments,omitempty"`
	Custom      map[string]any `json:"custom,omitempty"`
	UserID      string         `json:"user_id,omitempty"` // whose comment it is: for the server side only
}

// AddCommentResponse is what [Session.AddComment] returns.
type AddCommentResponse struct {
	Comment Comment `json:"comment"`
}

// AddComment adds a comment of the session's user to an activity, or to a comment.
func (s *Session) AddComment(ctx context.Context, req *AddCommentRequest) (*AddCommentResponse, error) {
	in := *orZero(req)
	if in.ObjectID != "" && in.ObjectType == "" {
		in.ObjectType = defaultObject
	}
	return ask[AddCommentResponse](ctx, s, call{method: http.MethodPost, path: feedsPath("comments"), in: in})
}

// defaultObject is the kind of thing that comments are about.
const defaultObject = "activity"

// GetCommentsRequest is what [Session.GetComments] takes. ObjectID is required.
type GetCommentsRequest struct {
	ObjectID   string // the id of the activity that the comments are about
	ObjectType string // empty: "activity"
	Sort       string // "first", "last", "top", "best" or "controversial"; empty: the API's default
	Depth      int    // how many levels of replies the comments have; 0: the API's default
	Limit      int    // on a page, up to 100; 0: the API's default
	Next       string // of the page before; empty: from the beginning
	Prev       string // of the page after, to go backwards
	UserID     string // for whom: for the server side only
}

// GetCommentsResponse is one page of comments. Next is empty on the last.
type GetCommentsResponse struct {
	Comments []Comment `json:"comments"`
	Next     string    `json:"next"`
	Prev     string    `json:"prev"`
}

// GetComments returns a page of the comments on an activity. [Session.Comments] goes through all
// pages.
func (s *Session) GetComments(ctx context.Context, req *GetCommentsRequest) (*GetCommentsResponse, error) {
	in := *orZero(req)
	if in.ObjectType == "" {
		in.ObjectType = defaultObject
	}
	query := make(url.Values)
	setString(query, "object_id", in.ObjectID)
	setString(query, "object_type", in.ObjectType)
	setString(query, "sort", in.Sort)
	setInt(query, "depth", in.Depth)
	setInt(query, "limit", in.Limit)
	setString(query, "next", in.Next)
	setString(query, "prev", in.Prev)
	setString(query, "user_id", in.UserID)
	return ask[GetCommentsResponse](ctx, s, call{method: http.MethodGet, path: feedsPath("comments"), query: query})
}

// Comments returns the comments on an activity, page by page as [Session.Activities] does. Replies
// are in Comment.Replies of the comment that they answer.
func (s *Session) Comments(ctx context.Context, req *GetCommentsRequest) iter.Seq2[Comment, error] {
	query := *orZero(req)
	return pages(query.Next, func(next string) ([]Comment, string, error) {
		query := query
		query.Next, query.Prev = next, ""
		page, err := s.GetComments(ctx, &query)
		if err != nil {
			return nil, "", err
		}
		return page.Comments, page.Next, nil
	})
}

// DeleteCommentRequest is what [Session.DeleteComment] takes.
type DeleteCommentRequest struct {
	HardDelete bool // true: delete it for good; false: only mark it as deleted
}

// DeleteComment deletes a comment.
func (s *Session) DeleteComment(ctx context.Context, id string, req *DeleteCommentRequest) error {
	return s.do(ctx, call{method: http.MethodDelete, path: feedsPath("comments", id), query: hardDelete(orZero(req).HardDelete)})
}
