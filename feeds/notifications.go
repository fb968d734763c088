package feeds

import (
	"context"
	"net/http"
)

// An AggregatedActivity is a group of activities that a notification feed, or another feed whose
// group is configured so, shows as one: "bob and 3 others liked your post".
type AggregatedActivity struct {
	Group              string     `json:"group"`      // what the activities have in common, as the feed's group is configured
	Activities         []Activity `json:"activities"` // not necessarily all: see ActivityCount
	ActivityCount      int        `json:"activity_count"`
	UserCount          int        `json:"user_count"`
	UserCountTruncated bool       `json:"user_count_truncated"` // there are more users than were counted
	Score              float64    `json:"score"`
	IsRead             bool       `json:"is_read"` // false also where the feed doesn't keep account of it
	IsSeen             bool       `json:"is_seen"`
	IsWatched          bool       `json:"is_watched"`
	CreatedAt          Timestamp  `json:"created_at"`
	UpdatedAt          Timestamp  `json:"updated_at"`
}

// A NotificationStatus says what of a notification feed its user has read, and what it has seen.
// Where the feed shows groups, Unread and Unseen count groups.
type NotificationStatus struct {
	Unread         int       `json:"unread"`
	Unseen         int       `json:"unseen"`
	LastReadAt     Timestamp `json:"last_read_at"` // zero: never
	LastSeenAt     Timestamp `json:"last_seen_at"`
	ReadActivities []string  `json:"read_activities"` // what was marked one by one
	SeenActivities []string  `json:"seen_activities"`
}

// equal reports whether nothing has changed from o to s.
func (s *NotificationStatus) equal(o *NotificationStatus) bool {
	if s == nil || o == nil {
		return s == o
	}
	return s.Unread == o.Unread && s.Unseen == o.Unseen && s.LastReadAt.Equal(o.LastReadAt.Time) && s.LastSeenAt.Equal(o.LastSeenAt.Time) &&
		len(s.ReadActivities) == len(o.ReadActivities) && len(s.SeenActivities) == len(o.SeenActivities)
}

// MarkActivityRequest is what [Session.MarkActivity] takes. Where the feed shows groups, their
// names stand for them.
type MarkActivityRequest struct {
	MarkAllRead bool     `json:"mark_all_read,omitempty"`
	MarkAllSeen bool     `json:"mark_all_seen,omitempty"`
	MarkRead    []string `json:"mark_read,omitempty"` // ids of activities, or groups
	MarkSeen    []string `json:"mark_seen,omitempty"`
	MarkWatched []string `json:"mark_watched,omitempty"` // of a stories feed
	UserID      string   `json:"user_id,omitempty"`      // whose feed it is: for the server side alone
}

// MarkActivity notes what of the notification feed "group:id" its user has read or seen.
func (s *Session) MarkActivity(ctx context.Context, group, id string, req *MarkActivityRequest) error {
	return s.do(ctx, call{method: http.MethodPost, path: feedsPath("feed_groups", group, "feeds", id, "activities", "mark", "batch"), in: orZero(req)})
}
