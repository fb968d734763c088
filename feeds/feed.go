package feeds

import (
	"context"
	"iter"
	"net/http"
)

// A Feed is a list of activities. Its name is "group:id", of GroupID and ID.
type Feed struct {
	ID             string         `json:"id"`
	GroupID        string         `json:"group_id"`
	Feed           string         `json:"feed"` // "group:id"
	Name           string         `json:"name"`
	Description    string         `json:"description"`
	Visibility     string         `json:"visibility"`
	Custom         map[string]any `json:"custom"`
	CreatedBy      UserResponse   `json:"created_by"`
	ActivityCount  int            `json:"activity_count"`
	FollowerCount  int            `json:"follower_count"`
	FollowingCount int            `json:"following_count"`
	MemberCount    int            `json:"member_count"`
	CreatedAt      Timestamp      `json:"created_at"`
	UpdatedAt      Timestamp      `json:"updated_at"`
}

// A FeedInput describes a feed that is created.
type FeedInput struct {
	Name        string         `json:"name,omitempty"`
	Description string         `json:"description,omitempty"`
	Visibility  string         `json:"visibility,omitempty"` // such as "public" or "private"; empty: as the feed's group is configured
	Custom      map[string]any `json:"custom,omitempty"`
}

// GetOrCreateFeedRequest is what [Session.GetOrCreateFeed] takes. The zero value asks for the first
// page.
type GetOrCreateFeedRequest struct {
	Data   *FeedInput `json:"data,omitempty"`    // for a new feed; a feed that exists does not change
	View   string     `json:"view,omitempty"`    // which of the group's views; empty: its default
	Limit  int        `json:"limit,omitempty"`   // activities on a page, up to 100; 0: the API's default
	Next   string     `json:"next,omitempty"`    // of the page before; empty: from the beginning
	Prev   string     `json:"prev,omitempty"`    // of the page after, to go backwards
	UserID string     `json:"user_id,omitempty"` // who reads the feed, and who owns it if it is new: for the server side only
}

// GetOrCreateFeedResponse is a feed with a page of its activities, the newest first. Next is empty
// on the last page.
type GetOrCreateFeedResponse struct {
	Created    bool       `json:"created"`
	Feed       Feed       `json:"feed"`
	Activities []Activity `json:"activities"`

	// AggregatedActivities is the page of a feed that shows groups, such as a notification feed.
	// Activities is empty then.
	AggregatedActivities []AggregatedActivity `json:"aggregated_activities"`

	// NotificationStatus says what is unread in a notification feed. For other feeds it is nil.
	NotificationStatus *NotificationStatus `json:"notification_status"`

	Followers []Follow `json:"followers"`
	Following []Follow `json:"following"`
	Next      string   `json:"next"`
	Prev      string   `json:"prev"`
}

// GetOrCreateFeed returns the feed "group:id" with a page of its activities. It creates the feed if
// there is none. [Session.FeedActivities] goes through all pages.
func (s *Session) GetOrCreateFeed(ctx context.Context, group, id string, req *GetOrCreateFeedRequest) (*GetOrCreateFeedResponse, error) {
	return ask[GetOrCreateFeedResponse](ctx, s, call{method: http.MethodPost, path: feedsPath("feed_groups", group, "feeds", id), in: orZero(req)})
}

// FeedActivities returns the activities of the feed "group:id", the newest first, page by page as
// [Session.Activities] does. It creates the feed if there is none. A feed that shows groups has no
// activities here: see [Session.FeedAggregatedActivities].
func (s *Session) FeedActivities(ctx context.Context, group, id string, req *GetOrCreateFeedRequest) iter.Seq2[Activity, error] {
	query := *orZero(req)
	return pages(query.Next, func(next string) ([]Activity, string, error) {
		query := query
		query.Next, query.Prev = next, ""
		page, err := s.GetOrCreateFeed(ctx, group, id, &query)
		if err != nil {
			return nil, "", err
		}
		return page.Activities, page.Next, nil
	})
}

// FeedAggregatedActivities returns the groups of a feed that shows groups, such as
// "notification:alice", page by page as [Session.Activities] does. The group that was updated last
// comes first. It creates the feed if there is none. For a feed that does not show groups it
// returns nothing.
func (s *Session) FeedAggregatedActivities(ctx context.Context, group, id string, req *GetOrCreateFeedRequest) iter.Seq2[AggregatedActivity, error] {
	query := *orZero(req)
	return pages(query.Next, func(next string) ([]AggregatedActivity, string, error) {
		query := query
		query.Next, query.Prev = next, ""
		page, err := s.GetOrCreateFeed(ctx, group, id, &query)
		if err != nil {
			return nil, "", err
		}
		return page.AggregatedActivities, page.Next, nil
	})
}

// QueryFeedsRequest is what [Session.QueryFeeds] takes.
type QueryFeedsRequest struct {
	Filter map[string]any `json:"filter,omitempty"` // in Stream's syntax: {"group_id": "user"}
	Sort   []SortParam    `json:"sort,omitempty"`
	Limit  int            `json:"limit,omitempty"` // on a page, up to 100; 0: the API's default
	Next   string         `json:"next,omitempty"`
	Prev   string         `json:"prev,omitempty"`
}

// QueryFeedsResponse is one page of feeds. Next is empty on the last.
type QueryFeedsResponse struct {
	Feeds []Feed `json:"feeds"`
	Next  string `json:"next"`
	Prev  string `json:"prev"`
}

// QueryFeeds returns a page of the feeds that the filter selects. [Session.Feeds] goes through all
// pages.
func (s *Session) QueryFeeds(ctx context.Context, req *QueryFeedsRequest) (*QueryFeedsResponse, error) {
	// The API's path for this has the segment twice.
	return ask[QueryFeedsResponse](ctx, s, call{method: http.MethodPost, path: feedsPath("feeds", "query"), in: orZero(req)})
}

// Feeds returns the feeds that the filter selects, page by page as [Session.Activities] does.
func (s *Session) Feeds(ctx context.Context, req *QueryFeedsRequest) iter.Seq2[Feed, error] {
	query := *orZero(req)
	return pages(query.Next, func(next string) ([]Feed, string, error) {
		query := query
		query.Next, query.Prev = next, ""
		page, err := s.QueryFeeds(ctx, &query)
		if err != nil {
			return nil, "", err
		}
		return page.Feeds, page.Next, nil
	})
}
