package feeds

import (
	"context"
	"net/http"
	"net/url"
)

// A Reaction is one user's answer to an activity or a comment in one word, such as "like".
type Reaction struct {
	Type       string         `json:"type"`
	ActivityID string         `json:"activity_id"`
	CommentID  string         `json:"comment_id"` // empty: the reaction is to the activity itself
	User       UserResponse   `json:"user"`
	Custom     map[string]any `json:"custom"`
	CreatedAt  Timestamp      `json:"created_at"`
	UpdatedAt  Timestamp      `json:"updated_at"`
}

// A ReactionGroup counts the reactions of one type.
type ReactionGroup struct {
	Count           int       `json:"count"`
	FirstReactionAt Timestamp `json:"first_reaction_at"`
	LastReactionAt  Timestamp `json:"last_reaction_at"`
}

// AddActivityReactionRequest is what [Session.AddActivityReaction] takes. Type is required.
type AddActivityReactionRequest struct {
	Type          string         `json:"type"` // such as "like"
	Custom        map[string]any `json:"custom,omitempty"`
	EnforceUnique bool           `json:"enforce_unique,omitempty"` // it replaces the user's other reactions to the activity
	UserID        string         `json:"user_id,omitempty"`        // whose reaction it is: for the server side only
}

// AddActivityReactionResponse is what [Session.AddActivityReaction] returns.
type AddActivityReactionResponse struct {
	Activity Activity `json:"activity"`
	Reaction Reaction `json:"reaction"`
}

// AddActivityReaction adds a reaction of the session's user to an activity. It replaces the user's
// reaction of the same type, if there is one.
func (s *Session) AddActivityReaction(ctx context.Context, activityID string, req *AddActivityReactionRequest) (*AddActivityReactionResponse, error) {
	return ask[AddActivityReactionResponse](ctx, s, call{method: http.MethodPost, path: feedsPath("activities", activityID, "reactions"), in: orZero(req)})
}

// DeleteActivityReactionRequest is what [Session.DeleteActivityReaction] takes.
type DeleteActivityReactionRequest struct {
	UserID string // whose reaction it is: for the server side only
}

// DeleteActivityReaction deletes the reaction of the given type that the session's user has added
// to the activity.
func (s *Session) DeleteActivityReaction(ctx context.Context, activityID, reactionType string, req *DeleteActivityReactionRequest) error {
	query := make(url.Values)
	setString(query, "user_id", orZero(req).UserID)
	return s.do(ctx, call{method: http.MethodDelete, path: feedsPath("activities", activityID, "reactions", reactionType), query: query})
}
