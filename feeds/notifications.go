package feeds

import (
	"context"
	"net/http"
)

// An AggregatedActivity is a group of activities that a feed shows as one: "bob and 3 others liked
// your post". Notification feeds have groups, and so have other feeds that are configured for it.
type AggregatedActivity struct {
	Group              string     `json:"group"`      // the group's name; what its activities have in common is configured at Stream
	Activities         []Activity `json:"activities"` // the newest, and perhaps not all: see ActivityCount
	ActivityCount      int        `json:"activity_count"`
	UserCount          int        `json:"user_count"`
	UserCountTruncated bool       `json:"user_count_truncated"` // there are more users than were counted
	Score              float64    `json:"score"`
	IsRead             bool       `json:"is_read"` // these three are false in a feed that does not record them
	IsSeen             bool       `json:"is_seen"`
	IsWatched          bool       `json:"is_watched"`
	CreatedAt          Timestamp  `json:"created_at"`
	UpdatedAt          Timestamp  `json:"updated_at"`
}

// A NotificationStatus says what the user of a notification feed has seen and read in it. In a feed
// that shows groups, Unread and Unseen count groups.
type NotificationStatus struct {
	Unread         int       `json:"unread"`
	Unseen         int       `json:"unseen"`
	LastReadAt     Timestamp `json:"last_read_at"` // zero: never
	LastSeenAt     Timestamp `json:"last_seen_at"`
	ReadActivities []string  `json:"read_activities"` // ids, or groups, that were marked one by one
	SeenActivities []string  `json:"seen_activities"`
}

// equal reports whether s and o say the same.
func (s *NotificationStatus) equal(o *NotificationStatus) bool {
	if s == nil || o == nil {
		return s == o
	}
	return s.Unread == o.Unread && s.Unseen == o.Unseen && s.LastReadAt.Equal(o.LastReadAt.Time) && s.LastSeenAt.Equal(o.LastSeenAt.Time) &&
		len(s.ReadActivities) == len(o.ReadActivities) && len(s.SeenActivities) == len(o.SeenActivities)
}

// MarkActivityRequest is what [Session.MarkActivity] takes. In a feed that shows groups, the lists
// hold the names of groups.
type MarkActivityRequest struct {
	MarkAllRead bool     `json:"mark_all_read,omitempty"`
	MarkAllSeen bool     `json:"mark_all_seen,omitempty"`
	MarkRead    []string `json:"mark_read,omitempty"` // ids of activities, or groups
	MarkSeen    []string `json:"mark_seen,omitempty"`
	MarkWatched []string `json:"mark_watched,omitempty"` // of a stories feed
	UserID      string   `json:"user_id,omitempty"`      // whose feed it is: for the server side only
}

// MarkActivity marks what the user of the notification feed "group:id" has seen or read in it.
func (s *Session) MarkActivity(ctx context.Context, group, id string, req *MarkActivityRequest) error {
	return s.do(ctx, call{method: http.MethodPost, path: feedsPath("feed_groups", group, "feeds", id, "activities", "mark", "batch"), in: orZero(req)})
}
