package feeds_test

import (
	"time"

	"github.com/stayauth/stayauth/feeds"
)

const (
	userJSON = `{"id":"alice","name":"Alice","role":"user","language":"","teams":["red"],"blocked_user_ids":[],"banned":false,
		"online":true,"custom":{"a":1},"created_at":1767323045000006000,"updated_at":1767323045000006000,"devices":null}`
	reactionJSON = `{"type":"like","activity_id":"a1","user":` + userJSON + `,"custom":{"c":true},"created_at":1767323045000006000,
		"updated_at":1767323045000006000}`
	activityJSON = `{"id":"a1","type":"post","feeds":["user:alice"],"text":"Hello","user":` + userJSON + `,"visibility":"public",
		"attachments":[{"type":"image","image_url":"https://i.test/1.png","custom":{}}],"mentioned_users":[` + userJSON + `],
		"filter_tags":["f"],"interest_tags":["i"],"custom":{"mood":"good"},"comments":[],"comment_count":2,"reaction_count":1,
		"reaction_groups":{"like":{"count":1,"first_reaction_at":1767323045000006000,"last_reaction_at":1767323045000006000}},
		"own_reactions":[` + reactionJSON + `],"latest_reactions":[` + reactionJSON + `],"own_bookmarks":[],"bookmark_count":0,
		"share_count":0,"popularity":0,"score":0.5,"search_data":{},"collections":{},"hidden":false,"preview":false,
		"restrict_replies":"everyone","created_at":1767323045000006000,"updated_at":1767323045000006000,"poll":null}`
	commentJSON = `{"id":"c1","object_id":"a1","object_type":"activity","text":"Well said","user":` + userJSON + `,"status":"active",
		"attachments":null,"custom":null,"replies":[{"id":"c2","parent_id":"c1","text":"Indeed","user":` + userJSON + `}],
		"reply_count":1,"reaction_count":0,"upvote_count":0,"downvote_count":0,"score":0,"confidence_score":0.25,
		"mentioned_users":[],"own_reactions":[],"created_at":1767323045000006000,"updated_at":1767323045000006000}`
	feedJSON = `{"id":"alice","group_id":"user","feed":"user:alice","name":"N","description":"D","visibility":"public","custom":{},
		"created_by":` + userJSON + `,"activity_count":3,"follower_count":2,"following_count":1,"member_count":4,"pin_count":0,
		"created_at":1767323045000006000,"updated_at":1767323045000006000,"deleted_at":null}`
	groupJSON = `{"group":"like_2026-01-02","activities":[` + activityJSON + `],"activity_count":3,"user_count":2,"user_count_truncated":true,"score":1.5,
		"is_read":true,"is_seen":null,"is_watched":true,"created_at":1767323045000006000,"updated_at":1767323045000006000}`
	followJSON = `{"source_feed":` + feedJSON + `,"target_feed":` + feedJSON + `,"status":"accepted","push_preference":"all",
		"follower_role":"feed_member","custom":{},"created_at":1767323045000006000,"updated_at":1767323045000006000,
		"request_accepted_at":null}`
)

var (
	then     = feeds.Timestamp{Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)}
	user     = feeds.UserResponse{ID: "alice", Name: "Alice", Role: "user", Teams: []string{"red"}, Online: true, Custom: map[string]any{"a": 1.0}, CreatedAt: then, UpdatedAt: then}
	reaction = feeds.Reaction{Type: "like", ActivityID: "a1", User: user, Custom: map[string]any{"c": true}, CreatedAt: then, UpdatedAt: then}
	activity = feeds.Activity{ID: "a1", Type: "post", Feeds: []string{"user:alice"}, Text: "Hello", User: user, Visibility: "public",
		Attachments:    []feeds.Attachment{{Type: "image", ImageURL: "https://i.test/1.png", Custom: map[string]any{}}},
		MentionedUsers: []feeds.UserResponse{user}, FilterTags: []string{"f"}, InterestTags: []string{"i"}, Custom: map[string]any{"mood": "good"},
		CommentCount: 2, ReactionCount: 1, ReactionGroups: map[string]feeds.ReactionGroup{"like": {Count: 1, FirstReactionAt: then, LastReactionAt: then}},
		OwnReactions: []feeds.Reaction{reaction}, LatestReactions: []feeds.Reaction{reaction}, CreatedAt: then, UpdatedAt: then}
	comment = feeds.Comment{ID: "c1", ObjectID: "a1", ObjectType: "activity", Text: "Well said", User: user, Status: "active",
		Replies: []feeds.Comment{{ID: "c2", ParentID: "c1", Text: "Indeed", User: user}}, ReplyCount: 1, CreatedAt: then, UpdatedAt: then}
	feed = feeds.Feed{ID: "alice", GroupID: "user", Feed: "user:alice", Name: "N", Description: "D", Visibility: "public", Custom: map[string]any{},
		CreatedBy: user, ActivityCount: 3, FollowerCount: 2, FollowingCount: 1, MemberCount: 4, CreatedAt: then, UpdatedAt: then}
	aggregated = feeds.AggregatedActivity{Group: "like_2026-01-02", Activities: []feeds.Activity{activity}, ActivityCount: 3, UserCount: 2, UserCountTruncated: true,
		Score: 1.5, IsRead: true, IsWatched: true, CreatedAt: then, UpdatedAt: then}
	follow = feeds.Follow{SourceFeed: feed, TargetFeed: feed, Status: "accepted", PushPreference: "all", FollowerRole: "feed_member",
		Custom: map[string]any{}, CreatedAt: then, UpdatedAt: then}
)
