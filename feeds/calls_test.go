package feeds_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
)

// A stub is an API that answers what it is told to, and keeps the requests. The first request,
// which is the one that a session connects with, gets an empty object.
type stub struct {
	answer func(n int, req *http.Request) (status int, header http.Header, body string) // n counts from 1

	mu   sync.Mutex // guards the fields below
	reqs []*http.Request
	body []string
}

func (s *stub) RoundTrip(req *http.Request) (*http.Response, error) {
	body := ""
	if req.Body != nil {
		b, err := io.ReadAll(req.Body)
		req.Body.Close()
		if err != nil {
			return nil, err
		}
		body = string(b)
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	n := len(s.reqs)
	s.reqs, s.body = append(s.reqs, req.Clone(context.Background())), append(s.body, body)
	s.mu.Unlock()
	status, header, out := 200, http.Header{}, "{}"
	if n > 0 {
		status, header, out = s.answer(n, req)
	}
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(out)), Request: req}, nil
}

// last returns the last request and its body, and how many there were after the first.
func (s *stub) last() (*http.Request, string, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.reqs) - 1
	return s.reqs[n], s.body[n], n
}

// stubbed returns a session of alice's with the stub.
func stubbed(t *testing.T, s *stub, change ...func(*feeds.Client)) *feeds.Session {
	t.Helper()
	c := backend("key", "secret", s)
	for _, f := range change {
		f(c)
	}
	session, err := c.ConnectUser(t.Context(), feeds.User{ID: "alice"}, provider.Signer{Secret: provider.NewSecret("secret")}.For("alice"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	return session
}

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
		{"GetActivity", func(s *feeds.Session) (any, error) { return s.GetActivity(ctx, "a/1") },
			"GET /api/v2/feeds/activities/a%2F1?api_key=key", "", 200, `{"activity":` + activityJSON + `}`, &feeds.GetActivityResponse{Activity: activity}},
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
	_, err2 := s.GetActivity(ctx, "")
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

// Answers as Stream's SDKs have them in their fixtures and as older servers wrote them: null for
// lists, maps, objects and times, missing fields, unknown ones, times as text.
func TestAnswersAreReadRobustly(t *testing.T) {
	tests := []struct {
		name, answer string
		want         feeds.Activity
	}{
		{"nulls", `{"activity":{"id":"a1","type":null,"feeds":null,"text":null,"user":null,"visibility":null,"attachments":null,"mentioned_users":null,
			"filter_tags":null,"interest_tags":null,"custom":null,"comment_count":null,"reaction_count":null,"reaction_groups":null,"own_reactions":null,
			"latest_reactions":null,"created_at":null,"updated_at":null,"edited_at":null},"duration":null}`, feeds.Activity{ID: "a1"}},
		{"missing", `{"activity":{"id":"a1"}}`, feeds.Activity{ID: "a1"}},
		{"null group", `{"activity":{"id":"a1","reaction_groups":{"like":null}}}`, feeds.Activity{ID: "a1", ReactionGroups: map[string]feeds.ReactionGroup{"like": {}}}},
		{"text times", `{"activity":{"id":"a1","created_at":"2026-01-02T03:04:05.000006Z","updated_at":"2026-01-02T04:04:05.000006+01:00","user":{"id":"alice","created_at":"2026-01-02T03:04:05Z"}}}`,
			feeds.Activity{ID: "a1", CreatedAt: then, UpdatedAt: then, User: feeds.UserResponse{ID: "alice", CreatedAt: feeds.Timestamp{Time: then.Truncate(time.Second)}}}},
		{"unknown", `{"activity":{"id":"a1","new":{"a":[1]},"moderation":{"action":"keep"}},"metadata":{}}`, feeds.Activity{ID: "a1"}},
		{"null activity", `{"activity":null}`, feeds.Activity{}},
		{"nothing", `{}`, feeds.Activity{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			api := &stub{answer: func(int, *http.Request) (int, http.Header, string) { return 200, nil, tt.answer }}
			out, err := stubbed(t, api).GetActivity(t.Context(), "a1")
			if err != nil {
				t.Fatal(err)
			}
			got := out.Activity
			if !got.CreatedAt.Equal(tt.want.CreatedAt.Time) || !got.UpdatedAt.Equal(tt.want.UpdatedAt.Time) || !got.User.CreatedAt.Equal(tt.want.User.CreatedAt.Time) {
				t.Errorf("times %v, %v, %v", got.CreatedAt, got.UpdatedAt, got.User.CreatedAt)
			}
			for _, a := range []*feeds.Activity{&got, &tt.want} { // time zones are compared above
				a.CreatedAt, a.UpdatedAt, a.User.CreatedAt = feeds.Timestamp{}, feeds.Timestamp{}, feeds.Timestamp{}
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%+v,\nwant %+v", got, tt.want)
			}
		})
	}
}

// What is no answer is an error that says so, and never half an answer.
func TestAnswersThatAreNone(t *testing.T) {
	for name, tt := range map[string]struct {
		status  int
		body    string
		want    string
		isError bool
	}{
		"torn":      {200, `{"activity":{"id":"a1"`, "the answer is not what was expected", false},
		"HTML":      {200, `<html>Please sign in</html>`, "the answer is not what was expected", false},
		"a list":    {200, `[]`, "the answer is not what was expected", false},
		"wrong":     {200, `{"activity":{"id":1}}`, "the answer is not what was expected", false},
		"no time":   {200, `{"activity":{"created_at":"yesterday"}}`, "the answer is not what was expected", false},
		"redirect":  {302, ``, "Found (status 302, code 0", true},
		"bad proxy": {502, `<html>Bad gateway</html>`, "Bad Gateway (status 502, code 0", true},
		"too long":  {200, `{"activity":{"text":"` + strings.Repeat("a", 16<<20) + `"}}`, "has more than", false},
	} {
		t.Run(name, func(t *testing.T) {
			api := &stub{answer: func(int, *http.Request) (int, http.Header, string) { return tt.status, nil, tt.body }}
			out, err := stubbed(t, api).GetActivity(t.Context(), "a1")
			if out != nil || err == nil || !strings.HasPrefix(err.Error(), "feeds: GET /api/v2/feeds/activities/a1: ") || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("%v, %v", out, err)
			}
			if _, ok := err.(*feeds.Error); ok != tt.isError {
				t.Errorf("error %T", err)
			}
		})
	}
}

// What a server says is bounded and printable in an error, and a token that it quotes is not
// repeated.
func TestRefusalsAreFitForALog(t *testing.T) {
	token, err := provider.Signer{Secret: provider.NewSecret("secret")}.UserToken("alice")
	if err != nil {
		t.Fatal(err)
	}
	quote := func(v string) string {
		b, err := json.Marshal(map[string]any{"code": 4, "message": v})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for name, tt := range map[string]struct{ body, want string }{
		"a token":           {quote("bad token " + token + ", sorry"), "bad token REDACTED, sorry"},
		"a developer token": {quote(`bad token "` + provider.DevToken("ab?>") + `"`), `bad token "REDACTED"`},
		"lines":             {quote("a\nb\x1b[31mc"), "a b [31mc"},
		"long":              {quote(strings.Repeat("é", 1000)), strings.Repeat("é", 250) + "..."},
		"longer than read":  {quote(strings.Repeat("a", 70<<10)), "Bad Request"},
		"no message":        {`{"code":4}`, "Bad Request"},
	} {
		t.Run(name, func(t *testing.T) {
			api := &stub{answer: func(int, *http.Request) (int, http.Header, string) { return 400, nil, tt.body }}
			_, err := stubbed(t, api).GetActivity(t.Context(), "a1")
			e, ok := err.(*feeds.Error)
			if !ok || e.Message != tt.want || !strings.HasPrefix(err.Error(), "feeds: GET /api/v2/feeds/activities/a1: "+tt.want+" (status 400, code ") {
				t.Errorf("error %v", err)
			}
		})
	}
}
