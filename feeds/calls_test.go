package feeds_test

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/stayauth/stayauth/feeds"
)

// Every call goes where Stream's documentation has it, with the fields of that name, and every
// field of the answer arrives.
func TestCalls(t *testing.T) {
	ctx := t.Context()
	tests := []struct {
		name   string
		call   func(*feeds.Session) (any, error)
		want   string // the request: method, path and query
		body   string // as JSON; empty: none
		status int
		answer string
		out    any
	}{
		{"GetOrCreateFeed", func(s *feeds.Session) (any, error) {
			return s.GetOrCreateFeed(ctx, "user", "alice", &feeds.GetOrCreateFeedRequest{Data: &feeds.FeedInput{Name: "N", Description: "D", Visibility: "private", Custom: map[string]any{"a": 1}},
				View: "popular", Limit: 3, Next: "n", Prev: "p", UserID: "u"})
		}, "POST /api/v2/feeds/feed_groups/user/feeds/alice?api_key=key",
			`{"data":{"name":"N","description":"D","visibility":"private","custom":{"a":1}},"view":"popular","limit":3,"next":"n","prev":"p","user_id":"u"}`, 201,
			`{"created":true,"feed":` + feedJSON + `,"activities":[` + activityJSON + `],"followers":[` + followJSON + `],"following":[` + followJSON + `],"next":"N","prev":"P","members":[],"duration":"1ms"}`,
			&feeds.GetOrCreateFeedResponse{Created: true, Feed: feed, Activities: []feeds.Activity{activity}, Followers: []feeds.Follow{follow}, Following: []feeds.Follow{follow}, Next: "N", Prev: "P"}},
		{"GetOrCreateFeed nil", func(s *feeds.Session) (any, error) { return s.GetOrCreateFeed(ctx, "user", "alice", nil) },
			"POST /api/v2/feeds/feed_groups/user/feeds/alice?api_key=key", `{}`, 201, `{}`, &feeds.GetOrCreateFeedResponse{}},
		{"GetOrCreateFeed in groups", func(s *feeds.Session) (any, error) { return s.GetOrCreateFeed(ctx, "notification", "alice", nil) },
			"POST /api/v2/feeds/feed_groups/notification/feeds/alice?api_key=key", `{}`, 201, `{"feed":` + feedJSON + `,"activities":[],"aggregated_activities":[` + groupJSON + `],
			"notification_status":{"unread":1,"unseen":2,"last_read_at":1767323045000006000,"last_seen_at":null,"read_activities":["a1"],"seen_activities":["a2"]}}`,
			&feeds.GetOrCreateFeedResponse{Feed: feed, Activities: []feeds.Activity{}, AggregatedActivities: []feeds.AggregatedActivity{aggregated},
				NotificationStatus: &feeds.NotificationStatus{Unread: 1, Unseen: 2, LastReadAt: then, ReadActivities: []string{"a1"}, SeenActivities: []string{"a2"}}}},
		{"FeedAggregatedActivities", func(s *feeds.Session) (any, error) {
			for g, err := range s.FeedAggregatedActivities(ctx, "notification", "alice", &feeds.GetOrCreateFeedRequest{Limit: 5, Prev: "ignored"}) {
				return &g, err
			}
			return nil, nil
		}, "POST /api/v2/feeds/feed_groups/notification/feeds/alice?api_key=key", `{"limit":5}`, 201, `{"aggregated_activities":[` + groupJSON + `],"next":"n"}`, &aggregated},
		{"MarkActivity", func(s *feeds.Session) (any, error) {
			return nil, s.MarkActivity(ctx, "notification", "alice", &feeds.MarkActivityRequest{MarkAllRead: true, MarkAllSeen: true, MarkRead: []string{"a"}, MarkSeen: []string{"b"}, MarkWatched: []string{"c"}, UserID: "u"})
		}, "POST /api/v2/feeds/feed_groups/notification/feeds/alice/activities/mark/batch?api_key=key",
			`{"mark_all_read":true,"mark_all_seen":true,"mark_read":["a"],"mark_seen":["b"],"mark_watched":["c"],"user_id":"u"}`, 201, `{"duration":"1ms"}`, nil},
		{"QueryFeeds", func(s *feeds.Session) (any, error) {
			return s.QueryFeeds(ctx, &feeds.QueryFeedsRequest{Filter: map[string]any{"group_id": "user"}, Sort: []feeds.SortParam{{Field: "created_at", Direction: -1}}, Limit: 3, Next: "n", Prev: "p"})
		}, "POST /api/v2/feeds/feeds/query?api_key=key", `{"filter":{"group_id":"user"},"sort":[{"field":"created_at","direction":-1}],"limit":3,"next":"n","prev":"p"}`, 201,
			`{"feeds":[` + feedJSON + `],"next":"N","prev":"P"}`, &feeds.QueryFeedsResponse{Feeds: []feeds.Feed{feed}, Next: "N", Prev: "P"}},
		{"AddActivity", func(s *feeds.Session) (any, error) {
			return s.AddActivity(ctx, &feeds.AddActivityRequest{Type: "post", Feeds: []string{"user:alice"}, ID: "a1", Text: "Hello", Visibility: "public",
				Attachments:      []feeds.Attachment{{Type: "image", Title: "t", Text: "x", ImageURL: "i", AssetURL: "a", ThumbURL: "th", TitleLink: "l", Custom: map[string]any{"a": 1}}},
				MentionedUserIDs: []string{"bob"}, FilterTags: []string{"f"}, InterestTags: []string{"i"}, Custom: map[string]any{"mood": "good"}, UserID: "u"})
		}, "POST /api/v2/feeds/activities?api_key=key", `{"type":"post","feeds":["user:alice"],"id":"a1","text":"Hello","visibility":"public",
			"attachments":[{"type":"image","title":"t","text":"x","image_url":"i","asset_url":"a","thumb_url":"th","title_link":"l","custom":{"a":1}}],
			"mentioned_user_ids":["bob"],"filter_tags":["f"],"interest_tags":["i"],"custom":{"mood":"good"},"user_id":"u"}`, 201,
			`{"activity":` + activityJSON + `,"duration":"1ms"}`, &feeds.AddActivityResponse{Activity: activity}},
		{"GetActivity", func(s *feeds.Session) (any, error) {
			return s.GetActivity(ctx, "a/1", &feeds.GetActivityRequest{UserID: "u"})
		}, "GET /api/v2/feeds/activities/a%2F1?user_id=u&api_key=key", "", 200, `{"activity":` + activityJSON + `}`, &feeds.GetActivityResponse{Activity: activity}},
		{"UpdateActivity", func(s *feeds.Session) (any, error) {
			return s.UpdateActivity(ctx, "a1", &feeds.UpdateActivityRequest{Text: "x", Visibility: "private", Attachments: []feeds.Attachment{{Type: "file"}},
				FilterTags: []string{"f"}, InterestTags: []string{"i"}, Custom: map[string]any{"a": 1}, UserID: "u"})
		}, "PUT /api/v2/feeds/activities/a1?api_key=key",
			`{"text":"x","visibility":"private","attachments":[{"type":"file"}],"filter_tags":["f"],"interest_tags":["i"],"custom":{"a":1},"user_id":"u"}`, 201,
			`{"activity":` + activityJSON + `}`, &feeds.UpdateActivityResponse{Activity: activity}},
		{"UpdateActivityPartial", func(s *feeds.Session) (any, error) {
			return s.UpdateActivityPartial(ctx, "a1", &feeds.UpdateActivityPartialRequest{Set: map[string]any{"text": "x"}, Unset: []string{"custom.mood"}, UserID: "u"})
		}, "PATCH /api/v2/feeds/activities/a1?api_key=key", `{"set":{"text":"x"},"unset":["custom.mood"],"user_id":"u"}`, 200,
			`{"activity":` + activityJSON + `}`, &feeds.UpdateActivityPartialResponse{Activity: activity}},
		{"DeleteActivity", func(s *feeds.Session) (any, error) { return nil, s.DeleteActivity(ctx, "a1", nil) },
			"DELETE /api/v2/feeds/activities/a1?api_key=key", "", 200, `{"duration":"1ms"}`, nil},
		{"DeleteActivity hard", func(s *feeds.Session) (any, error) {
			return nil, s.DeleteActivity(ctx, "a1", &feeds.DeleteActivityRequest{HardDelete: true})
		}, "DELETE /api/v2/feeds/activities/a1?hard_delete=true&api_key=key", "", 200, `{}`, nil},
		{"QueryActivities", func(s *feeds.Session) (any, error) {
			return s.QueryActivities(ctx, &feeds.QueryActivitiesRequest{Filter: map[string]any{"user_id": "alice"}, Sort: []feeds.SortParam{{Field: "created_at", Direction: 1}}, Limit: 3, Next: "n", Prev: "p", UserID: "u"})
		}, "POST /api/v2/feeds/activities/query?api_key=key", `{"filter":{"user_id":"alice"},"sort":[{"field":"created_at","direction":1}],"limit":3,"next":"n","prev":"p","user_id":"u"}`, 201,
			`{"activities":[` + activityJSON + `],"next":"N","prev":"P"}`, &feeds.QueryActivitiesResponse{Activities: []feeds.Activity{activity}, Next: "N", Prev: "P"}},
		{"AddActivityReaction", func(s *feeds.Session) (any, error) {
			return s.AddActivityReaction(ctx, "a1", &feeds.AddActivityReactionRequest{Type: "like", Custom: map[string]any{"c": true}, EnforceUnique: true, UserID: "u"})
		}, "POST /api/v2/feeds/activities/a1/reactions?api_key=key", `{"type":"like","custom":{"c":true},"enforce_unique":true,"user_id":"u"}`, 201,
			`{"activity":` + activityJSON + `,"reaction":` + reactionJSON + `}`, &feeds.AddActivityReactionResponse{Activity: activity, Reaction: reaction}},
		{"DeleteActivityReaction", func(s *feeds.Session) (any, error) { return nil, s.DeleteActivityReaction(ctx, "a1", "like", nil) },
			"DELETE /api/v2/feeds/activities/a1/reactions/like?api_key=key", "", 200, `{"activity":` + activityJSON + `,"reaction":` + reactionJSON + `}`, nil},
		{"DeleteActivityReaction as server", func(s *feeds.Session) (any, error) {
			return nil, s.DeleteActivityReaction(ctx, "a1", "like", &feeds.DeleteActivityReactionRequest{UserID: "u"})
		}, "DELETE /api/v2/feeds/activities/a1/reactions/like?user_id=u&api_key=key", "", 200, `{}`, nil},
		{"AddComment", func(s *feeds.Session) (any, error) {
			return s.AddComment(ctx, &feeds.AddCommentRequest{Comment: "Well said", ObjectID: "a1", Attachments: []feeds.Attachment{{Type: "file"}}, Custom: map[string]any{"a": 1}, UserID: "u"})
		}, "POST /api/v2/feeds/comments?api_key=key", `{"comment":"Well said","object_id":"a1","object_type":"activity","attachments":[{"type":"file"}],"custom":{"a":1},"user_id":"u"}`, 201,
			`{"comment":` + commentJSON + `}`, &feeds.AddCommentResponse{Comment: comment}},
		{"AddComment reply", func(s *feeds.Session) (any, error) {
			return s.AddComment(ctx, &feeds.AddCommentRequest{Comment: "Indeed", ParentID: "c1"})
		}, "POST /api/v2/feeds/comments?api_key=key", `{"comment":"Indeed","parent_id":"c1"}`, 201, `{"comment":` + commentJSON + `}`, &feeds.AddCommentResponse{Comment: comment}},
		{"GetComments", func(s *feeds.Session) (any, error) {
			return s.GetComments(ctx, &feeds.GetCommentsRequest{ObjectID: "a1", ObjectType: "other", Sort: "top", Depth: 2, Limit: 3, Next: "n&", Prev: "p", UserID: "u"})
		}, "GET /api/v2/feeds/comments?depth=2&limit=3&next=n%26&object_id=a1&object_type=other&prev=p&sort=top&user_id=u&api_key=key", "", 200,
			`{"comments":[` + commentJSON + `],"next":"N","prev":"P"}`, &feeds.GetCommentsResponse{Comments: []feeds.Comment{comment}, Next: "N", Prev: "P"}},
		{"DeleteComment", func(s *feeds.Session) (any, error) {
			return nil, s.DeleteComment(ctx, "c1", &feeds.DeleteCommentRequest{HardDelete: true})
		}, "DELETE /api/v2/feeds/comments/c1?hard_delete=true&api_key=key", "", 200, `{"comment":` + commentJSON + `}`, nil},
		{"Follow", func(s *feeds.Session) (any, error) {
			return s.Follow(ctx, &feeds.FollowRequest{Source: "timeline:alice", Target: "user:bob", PushPreference: "all", Custom: map[string]any{"a": 1}})
		}, "POST /api/v2/feeds/follows?api_key=key", `{"source":"timeline:alice","target":"user:bob","push_preference":"all","custom":{"a":1}}`, 201,
			`{"follow":` + followJSON + `}`, &feeds.FollowResponse{Follow: follow}},
		{"Unfollow", func(s *feeds.Session) (any, error) { return nil, s.Unfollow(ctx, "timeline:alice", "user:b/b") },
			"DELETE /api/v2/feeds/follows/timeline:alice/user:b%2Fb?api_key=key", "", 200, `{"follow":` + followJSON + `}`, nil},
		{"QueryFollows", func(s *feeds.Session) (any, error) {
			return s.QueryFollows(ctx, &feeds.QueryFollowsRequest{Filter: map[string]any{"source_feed": "timeline:alice"}, Sort: []feeds.SortParam{{Field: "created_at", Direction: -1}}, Limit: 3, Next: "n", Prev: "p"})
		}, "POST /api/v2/feeds/follows/query?api_key=key", `{"filter":{"source_feed":"timeline:alice"},"sort":[{"field":"created_at","direction":-1}],"limit":3,"next":"n","prev":"p"}`, 201,
			`{"follows":[` + followJSON + `],"next":"N","prev":"P"}`, &feeds.QueryFollowsResponse{Follows: []feeds.Follow{follow}, Next: "N", Prev: "P"}},
		{"UpdateUsers", func(s *feeds.Session) (any, error) {
			return s.UpdateUsers(ctx, &feeds.UpdateUsersRequest{Users: map[string]feeds.UserRequest{"alice": {Name: "Alice", Image: "i", Role: "user", Language: "en", Teams: []string{"red"}, Custom: map[string]any{"a": 1}}}})
		}, "POST /api/v2/users?api_key=key", `{"users":{"alice":{"id":"alice","name":"Alice","image":"i","role":"user","language":"en","teams":["red"],"custom":{"a":1}}}}`, 201,
			`{"users":{"alice":` + userJSON + `},"membership_deletion_task_id":""}`, &feeds.UpdateUsersResponse{Users: map[string]feeds.UserResponse{"alice": user}}},
		{"UpdateUsersPartial", func(s *feeds.Session) (any, error) {
			return s.UpdateUsersPartial(ctx, &feeds.UpdateUsersPartialRequest{Users: []feeds.UpdateUserPartialRequest{{ID: "alice", Set: map[string]any{"name": "A"}, Unset: []string{"image"}}}})
		}, "PATCH /api/v2/users?api_key=key", `{"users":[{"id":"alice","set":{"name":"A"},"unset":["image"]}]}`, 200,
			`{"users":{"alice":` + userJSON + `}}`, &feeds.UpdateUsersPartialResponse{Users: map[string]feeds.UserResponse{"alice": user}}},
		{"QueryUsers", func(s *feeds.Session) (any, error) {
			return s.QueryUsers(ctx, &feeds.QueryUsersRequest{FilterConditions: map[string]any{"role": "user"}, Sort: []feeds.SortParam{{Field: "id", Direction: 1}}, Limit: 2, Offset: 4})
		}, `GET /api/v2/users?payload=%7B%22filter_conditions%22%3A%7B%22role%22%3A%22user%22%7D%2C%22sort%22%3A%5B%7B%22field%22%3A%22id%22%2C%22direction%22%3A1%7D%5D%2C%22limit%22%3A2%2C%22offset%22%3A4%7D&api_key=key`, "", 200,
			`{"users":[` + userJSON + `]}`, &feeds.QueryUsersResponse{Users: []feeds.UserResponse{user}}},
		{"QueryUsers nil", func(s *feeds.Session) (any, error) { return s.QueryUsers(ctx, nil) },
			`GET /api/v2/users?payload=%7B%22filter_conditions%22%3A%7B%7D%7D&api_key=key`, "", 200, `{"users":null}`, &feeds.QueryUsersResponse{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			api := &stub{answer: func(int, *http.Request) (int, http.Header, string) { return tt.status, nil, tt.answer }}
			out, err := tt.call(stubbed(t, api))
			if err != nil {
				t.Fatal(err)
			}
			req, body, n := api.last()
			if got := req.Method + " " + req.URL.RequestURI(); got != tt.want || n != 1 {
				t.Errorf("request %d is %s,\nwant %s", n, got, tt.want)
			}
			if !sameJSON(t, body, tt.body) {
				t.Errorf("body %s,\nwant %s", body, tt.body)
			}
			wantType := ""
			if tt.body != "" {
				wantType = "application/json"
			}
			if got := req.Header.Get("Content-Type"); got != wantType {
				t.Errorf("Content-Type %q, want %q", got, wantType)
			}
			if h := req.Header; h.Get("Authorization") == "" || h.Get("Stream-Auth-Type") != "jwt" || h.Get("X-Stream-Client") == "" || h.Get("X-Client-Request-Id") == "" {
				t.Errorf("header %v", h)
			}
			if tt.out != nil && !reflect.DeepEqual(out, tt.out) {
				t.Errorf("answer %+v,\nwant %+v", out, tt.out)
			}
		})
	}
}

func sameJSON(t *testing.T, got, want string) bool {
	t.Helper()
	if got == "" || want == "" {
		return got == want
	}
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Errorf("%v in %s", err, got)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Errorf("%v in %s", err, want)
	}
	return reflect.DeepEqual(g, w)
}

// An id that is missing must not turn a call into another one, such as the deletion of everything.
func TestAnEmptyIDIsAnError(t *testing.T) {
	api := &stub{}
	s, ctx := stubbed(t, api), t.Context()
	_, err1 := s.GetOrCreateFeed(ctx, "user", "", nil)
	_, err2 := s.GetActivity(ctx, "", nil)
	_, err3 := s.AddActivityReaction(ctx, "", nil)
	for _, err := range []error{err1, err2, err3, s.DeleteActivity(ctx, "", nil), s.DeleteActivityReaction(ctx, "a1", "", nil), s.DeleteComment(ctx, "", nil), s.Unfollow(ctx, "timeline:alice", "")} {
		if err == nil || !strings.Contains(err.Error(), "an id is empty") {
			t.Errorf("error %v", err)
		}
	}
	if _, _, n := api.last(); n != 0 {
		t.Errorf("%d requests", n)
	}
}
