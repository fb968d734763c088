package feeds

import (
	"context"
	"net/http"
)

// An Activity is something that a user did, in one or more feeds.
type Activity struct {
	ID         string         `json:"id"`
	Type       string         `json:"type"`
	Feeds      []string       `json:"feeds"` // as "group:id"
	Text       string         `json:"text"`
	User       UserResponse   `json:"user"`
	Visibility string         `json:"visibility"`
	Custom     map[string]any `json:"custom"`
	CreatedAt  Timestamp      `json:"created_at"`
	UpdatedAt  Timestamp      `json:"updated_at"`
}

// AddActivityRequest is what [Session.AddActivity] takes. Type and Feeds are required.
type AddActivityRequest struct {
	Type       string         `json:"type"`           // such as "post"
	Feeds      []string       `json:"feeds"`          // as "group:id"
	ID         string         `json:"id,omitempty"`   // empty: the API chooses one
	Text       string         `json:"text,omitempty"` //
	Visibility string         `json:"visibility,omitempty"`
	Custom     map[string]any `json:"custom,omitempty"`
}

// AddActivityResponse is what [Session.AddActivity] returns.
type AddActivityResponse struct {
	Activity Activity `json:"activity"`
}

// AddActivity adds an activity of the session's user to feeds.
func (s *Session) AddActivity(ctx context.Context, req *AddActivityRequest) (*AddActivityResponse, error) {
	out := new(AddActivityResponse)
	return result(out, s.do(ctx, call{method: http.MethodPost, path: []string{"api", "v2", "feeds", "activities"}, in: req, out: out}))
}

// QueryActivitiesRequest is what [Session.QueryActivities] takes. The zero value asks for the newest activities.
type QueryActivitiesRequest struct {
	Filter map[string]any `json:"filter,omitempty"` // Stream's filter syntax: {"user_id": "alice"}
	Sort   []SortParam    `json:"sort,omitempty"`   //
	Limit  int            `json:"limit,omitempty"`  // up to 100; 0: the API's default
	Next   string         `json:"next,omitempty"`   // of the response before; empty: from the beginning
	Prev   string         `json:"prev,omitempty"`   // likewise, backwards
}

// A SortParam is one key to sort by.
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

// QueryActivities returns a page of the activities that the filter selects.
func (s *Session) QueryActivities(ctx context.Context, req *QueryActivitiesRequest) (*QueryActivitiesResponse, error) {
	if req == nil {
		req = new(QueryActivitiesRequest)
	}
	out := new(QueryActivitiesResponse)
	return result(out, s.do(ctx, call{method: http.MethodPost, path: []string{"api", "v2", "feeds", "activities", "query"}, in: req, out: out}))
}

// A Feed is a list of activities with a name: Group and ID make "group:id".
type Feed struct {
	ID            string    `json:"id"`
	GroupID       string    `json:"group_id"`
	Feed          string    `json:"feed"` // "group:id"
	Name          string    `json:"name"`
	Description   string    `json:"description"`
	ActivityCount int       `json:"activity_count"`
	CreatedAt     Timestamp `json:"created_at"`
}

// GetOrCreateFeedRequest is what [Session.GetOrCreateFeed] takes. The zero value asks for the first page.
type GetOrCreateFeedRequest struct {
	Limit int    `json:"limit,omitempty"` // activities on a page, up to 100; 0: the API's default
	Next  string `json:"next,omitempty"`
	Prev  string `json:"prev,omitempty"`
}

// GetOrCreateFeedResponse is a feed with a page of its activities, the newest first. Next is empty on the last page.
type GetOrCreateFeedResponse struct {
	Created    bool       `json:"created"`
	Feed       Feed       `json:"feed"`
	Activities []Activity `json:"activities"`
	Next       string     `json:"next"`
	Prev       string     `json:"prev"`
}

// GetOrCreateFeed returns the feed "group:id" with a page of its activities, and makes it if there is none.
func (s *Session) GetOrCreateFeed(ctx context.Context, group, id string, req *GetOrCreateFeedRequest) (*GetOrCreateFeedResponse, error) {
	if req == nil {
		req = new(GetOrCreateFeedRequest)
	}
	out := new(GetOrCreateFeedResponse)
	return result(out, s.do(ctx, call{method: http.MethodPost, path: []string{"api", "v2", "feeds", "feed_groups", group, "feeds", id}, in: req, out: out}))
}

// result returns out, or nil with the error: half an answer is none.
func result[T any](out *T, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	return out, nil
}
