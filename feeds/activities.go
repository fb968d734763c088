package feeds

import (
	"context"
	"iter"
	"net/http"
	"net/url"
)

// An Activity is something that a user did. It is in one or more feeds.
type Activity struct {
	ID              string                   `json:"id"`
	Type            string                   `json:"type"`
	Feeds           []string                 `json:"feeds"`
	Text            string                   `json:"text"`
	User            UserResponse             `json:"user"`
	Visibility      string                   `json:"visibility"`
	Attachments     []Attachment             `json:"attachments"`
	MentionedUsers  []UserResponse           `json:"mentioned_users"`
	FilterTags      []string                 `json:"filter_tags"`
	InterestTags    []string                 `json:"interest_tags"`
	Custom          map[string]any           `json:"custom"`
	CommentCount    int                      `json:"comment_count"`
	ReactionCount   int                      `json:"reaction_count"`
	ReactionGroups  map[string]ReactionGroup `json:"reaction_groups"` // by the reactions' type
	OwnReactions    []Reaction               `json:"own_reactions"`   // those of the session's user
	LatestReactions []Reaction               `json:"latest_reactions"`
	CreatedAt       Timestamp                `json:"created_at"`
	UpdatedAt       Timestamp                `json:"updated_at"`
}

// An Attachment is a picture, a file or a link that belongs to an activity or a comment.
type Attachment struct {
	Type      string         `json:"type,omitempty"` // such as "image"
	Title     string         `json:"title,omitempty"`
	Text      string         `json:"text,omitempty"`
	ImageURL  string         `json:"image_url,omitempty"`
	AssetURL  string         `json:"asset_url,omitempty"`
	ThumbURL  string         `json:"thumb_url,omitempty"`
	TitleLink string         `json:"title_link,omitempty"`
	Custom    map[string]any `json:"custom,omitempty"`
}

// AddActivityRequest is what [Session.AddActivity] takes. Type and Feeds are required.
type AddActivityRequest struct {
	Type             string         `json:"type"`         // such as "post"
	Feeds            []string       `json:"feeds"`        // the feeds that it is added to, as "group:id"
	ID               string         `json:"id,omitempty"` // empty: the API chooses one
	Text             string         `json:"text,omitempty"`
	Visibility       string         `json:"visibility,omitempty"` // empty: "public"
	Attachments      []Attachment   `json:"attachments,omitempty"`
	MentionedUserIDs []string       `json:"mentioned_user_ids,omitempty"`
	FilterTags       []string       `json:"filter_tags,omitempty"`
	InterestTags     []string       `json:"interest_tags,omitempty"`
	Custom           map[string]any `json:"custom,omitempty"`
	UserID           string         `json:"user_id,omitempty"` // whose activity it is: for the server side only
}

// AddActivityResponse is what [Session.AddActivity] returns.
type AddActivityResponse struct {
	Activity Activity `json:"activity"`
}

// AddActivity adds an activity of the session's user to feeds. If the request has the ID of an
// activity that exists, that activity is replaced.
func (s *Session) AddActivity(ctx context.Context, req *AddActivityRequest) (*AddActivityResponse, error) {
	return ask[AddActivityResponse](ctx, s, call{method: http.MethodPost, path: feedsPath("activities"), in: orZero(req)})
}

// GetActivityRequest is what [Session.GetActivity] takes.
type GetActivityRequest struct {
	UserID string // for which user OwnReactions is filled: for the server side only
}

// GetActivityResponse is what [Session.GetActivity] returns.
type GetActivityResponse struct {
	Activity Activity `json:"activity"`
}

// GetActivity returns one activity.
func (s *Session) GetActivity(ctx context.Context, id string, req *GetActivityRequest) (*GetActivityResponse, error) {
	query := make(url.Values)
	setString(query, "user_id", orZero(req).UserID)
	return ask[GetActivityResponse](ctx, s, call{method: http.MethodGet, path: feedsPath("activities", id), query: query})
}

// UpdateActivityRequest is what [Session.UpdateActivity] takes.
type UpdateActivityRequest struct {
	Text         string         `json:"text,omitempty"`
	Visibility   string         `json:"visibility,omitempty"`
	Attachments  []Attachment   `json:"attachments,omitempty"`
	FilterTags   []string       `json:"filter_tags,omitempty"`
	InterestTags []string       `json:"interest_tags,omitempty"`
	Custom       map[string]any `json:"custom,omitempty"`
	UserID       string         `json:"user_id,omitempty"` // for the server side only
}

// UpdateActivityResponse is what [Session.UpdateActivity] returns.
type UpdateActivityResponse struct {
	Activity Activity `json:"activity"`
}

// UpdateActivity replaces the content of an activity: a field that is empty in the request is empty
// afterwards. [Session.UpdateActivityPartial] changes single fields.
func (s *Session) UpdateActivity(ctx context.Context, id string, req *UpdateActivityRequest) (*UpdateActivityResponse, error) {
	return ask[UpdateActivityResponse](ctx, s, call{method: http.MethodPut, path: feedsPath("activities", id), in: orZero(req)})
}

// UpdateActivityPartialRequest is what [Session.UpdateActivityPartial] takes: fields to set, by
// their name in the API, and fields to remove. A name such as "custom.mood" is one entry of Custom.
type UpdateActivityPartialRequest struct {
	Set    map[string]any `json:"set,omitempty"`
	Unset  []string       `json:"unset,omitempty"`
	UserID string         `json:"user_id,omitempty"` // for the server side only
}

// UpdateActivityPartialResponse is what [Session.UpdateActivityPartial] returns.
type UpdateActivityPartialResponse struct {
	Activity Activity `json:"activity"`
}

// UpdateActivityPartial changes single fields of an activity.
func (s *Session) UpdateActivityPartial(ctx context.Context, id string, req *UpdateActivityPartialRequest) (*UpdateActivityPartialResponse, error) {
	return ask[UpdateActivityPartialResponse](ctx, s, call{method: http.MethodPatch, path: feedsPath("activities", id), in: orZero(req)})
}

// DeleteActivityRequest is what [Session.DeleteActivity] takes.
type DeleteActivityRequest struct {
	HardDelete bool // true: delete it for good; false: only mark it as deleted
}

// DeleteActivity deletes an activity.
func (s *Session) DeleteActivity(ctx context.Context, id string, req *DeleteActivityRequest) error {
	return s.do(ctx, call{method: http.MethodDelete, path: feedsPath("activities", id), query: hardDelete(orZero(req).HardDelete)})
}

// QueryActivitiesRequest is what [Session.QueryActivities] takes. The zero value asks for the
// newest activities.
type QueryActivitiesRequest struct {
	Filter map[string]any `json:"filter,omitempty"` // in Stream's syntax: {"user_id": "alice"}
	Sort   []SortParam    `json:"sort,omitempty"`
	Limit  int            `json:"limit,omitempty"`   // on a page, up to 100; 0: the API's default
	Next   string         `json:"next,omitempty"`    // of the page before; empty: from the beginning
	Prev   string         `json:"prev,omitempty"`    // of the page after, to go backwards
	UserID string         `json:"user_id,omitempty"` // for which user OwnReactions is filled: for the server side only
}

// A SortParam is one field to sort by.
type SortParam struct {
	Field     string `json:"field"`
	Direction int    `json:"direction"` // 1: ascending, -1: descending
}

// QueryActivitiesResponse is one page of activities. Next is empty on the last.
type QueryActivitiesResponse struct {
	Activities []Activity `json:"activities"`
	Next       string     `json:"next"`
	Prev       string     `json:"prev"`
}

// QueryActivities returns a page of the activities that the filter selects. [Session.Activities]
// goes through all pages.
func (s *Session) QueryActivities(ctx context.Context, req *QueryActivitiesRequest) (*QueryActivitiesResponse, error) {
	return ask[QueryActivitiesResponse](ctx, s, call{method: http.MethodPost, path: feedsPath("activities", "query"), in: orZero(req)})
}

// Activities returns the activities that the filter selects, page by page. It fetches a page when
// the loop has gone through the page before, and none after the loop has ended. An error comes
// once, and last; pages that go in a circle are an error. The loop begins at req.Next and ignores
// req.Prev.
//
//	for activity, err := range session.Activities(ctx, nil) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(activity.Text)
//	}
func (s *Session) Activities(ctx context.Context, req *QueryActivitiesRequest) iter.Seq2[Activity, error] {
	query := *orZero(req)
	return pages(query.Next, func(next string) ([]Activity, string, error) {
		query := query
		query.Next, query.Prev = next, ""
		page, err := s.QueryActivities(ctx, &query)
		if err != nil {
			return nil, "", err
		}
		return page.Activities, page.Next, nil
	})
}
