package feeds

import (
	"context"
	"iter"
	"net/http"
)

// A Follow makes the activities of one feed, the target, appear in another feed, the source: when
// alice's timeline follows bob's feed, it shows what bob posts.
type Follow struct {
	SourceFeed     Feed           `json:"source_feed"`
	TargetFeed     Feed           `json:"target_feed"`
	Status         string         `json:"status"` // "accepted", "pending" or "rejected"
	PushPreference string         `json:"push_preference"`
	FollowerRole   string         `json:"follower_role"`
	Custom         map[string]any `json:"custom"`
	CreatedAt      Timestamp      `json:"created_at"`
	UpdatedAt      Timestamp      `json:"updated_at"`
}

// FollowRequest is what [Session.Follow] takes. Source and Target are required.
type FollowRequest struct {
	Source         string         `json:"source"`                    // the feed that shows the activities, as "group:id"
	Target         string         `json:"target"`                    // the feed that they come from, as "group:id"
	PushPreference string         `json:"push_preference,omitempty"` // "all" or "none"; empty: the API's default
	Custom         map[string]any `json:"custom,omitempty"`
}

// FollowResponse is what [Session.Follow] returns.
type FollowResponse struct {
	Follow Follow `json:"follow"`
}

// Follow makes one feed follow another. Both must exist; [Session.GetOrCreateFeed] creates a feed.
// Following a feed twice is an error.
func (s *Session) Follow(ctx context.Context, req *FollowRequest) (*FollowResponse, error) {
	return ask[FollowResponse](ctx, s, call{method: http.MethodPost, path: feedsPath("follows"), in: orZero(req)})
}

// Unfollow undoes [Session.Follow]. Both feeds are of the form "group:id".
func (s *Session) Unfollow(ctx context.Context, source, target string) error {
	return s.do(ctx, call{method: http.MethodDelete, path: feedsPath("follows", source, target)})
}

// QueryFollowsRequest is what [Session.QueryFollows] takes.
type QueryFollowsRequest struct {
	Filter map[string]any `json:"filter,omitempty"` // in Stream's syntax: {"source_feed": "timeline:alice"}
	Sort   []SortParam    `json:"sort,omitempty"`
	Limit  int            `json:"limit,omitempty"` // on a page, up to 100; 0: the API's default
	Next   string         `json:"next,omitempty"`
	Prev   string         `json:"prev,omitempty"`
}

// QueryFollowsResponse is one page of follows. Next is empty on the last.
type QueryFollowsResponse struct {
	Follows []Follow `json:"follows"`
	Next    string   `json:"next"`
	Prev    string   `json:"prev"`
}

// QueryFollows returns a page of the follows that the filter selects. [Session.Follows] goes
// through all pages.
func (s *Session) QueryFollows(ctx context.Context, req *QueryFollowsRequest) (*QueryFollowsResponse, error) {
	return ask[QueryFollowsResponse](ctx, s, call{method: http.MethodPost, path: feedsPath("follows", "query"), in: orZero(req)})
}

// Follows returns the follows that the filter selects, page by page as [Session.Activities] does.
func (s *Session) Follows(ctx context.Context, req *QueryFollowsRequest) iter.Seq2[Follow, error] {
	query := *orZero(req)
	return pages(query.Next, func(next string) ([]Follow, string, error) {
		query := query
		query.Next, query.Prev = next, ""
		page, err := s.QueryFollows(ctx, &query)
		if err != nil {
			return nil, "", err
		}
		return page.Follows, page.Next, nil
	})
}
