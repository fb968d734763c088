package feeds_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/testserver"
)

// A bot's life from end to end, with a token that is revoked before each of its calls: every call
// takes effect once, as its own user, and is answered.
func TestABotsLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &testserver.Server{}
		client := start(t, srv)
		ctx := t.Context()
		connect := func(id string) *feeds.Session {
			s, err := client.ConnectUser(ctx, feeds.User{ID: id}, issuer(srv, id))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			return s
		}
		alice, bob := connect("alice"), connect("bob")
		calls := 0
		step := func(what string, f func() error) {
			t.Helper()
			calls++
			srv.Revoke("alice")
			srv.Revoke("bob")
			if err := f(); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		check := func(ok bool, err error, got any) error {
			if err == nil && !ok {
				return fmt.Errorf("unexpected: %+v", got)
			}
			return err
		}

		step("UpdateUsers", func() error {
			out, err := alice.UpdateUsers(ctx, &feeds.UpdateUsersRequest{Users: map[string]feeds.UserRequest{"alice": {Name: "Alice"}}})
			return check(err == nil && out.Users["alice"].Name == "Alice", err, out)
		})
		step("GetOrCreateFeed", func() error {
			out, err := alice.GetOrCreateFeed(ctx, "user", "alice", &feeds.GetOrCreateFeedRequest{Data: &feeds.FeedInput{Name: "Alice's", Custom: map[string]any{"a": 1.0}}})
			return check(err == nil && out.Created && out.Feed.Feed == "user:alice" && out.Feed.Name == "Alice's" && out.Feed.CreatedBy.Name == "Alice", err, out)
		})
		step("GetOrCreateFeed", func() error {
			_, err := bob.GetOrCreateFeed(ctx, "timeline", "bob", nil)
			return err
		})
		step("Follow", func() error {
			out, err := bob.Follow(ctx, &feeds.FollowRequest{Source: "timeline:bob", Target: "user:alice"})
			return check(err == nil && out.Follow.TargetFeed.Feed == "user:alice" && out.Follow.SourceFeed.Feed == "timeline:bob" && out.Follow.Status == "accepted", err, out)
		})
		var id string
		step("AddActivity", func() error {
			out, err := alice.AddActivity(ctx, &feeds.AddActivityRequest{Type: "post", Feeds: []string{"user:alice"}, Text: "Helo", Custom: map[string]any{"mood": "good"}})
			if err == nil {
				id = out.Activity.ID
			}
			return check(err == nil && out.Activity.User.ID == "alice", err, out)
		})
		step("UpdateActivity", func() error {
			out, err := alice.UpdateActivity(ctx, id, &feeds.UpdateActivityRequest{Text: "Hello"})
			return check(err == nil && out.Activity.Text == "Hello", err, out)
		})
		step("UpdateActivityPartial", func() error {
			out, err := alice.UpdateActivityPartial(ctx, id, &feeds.UpdateActivityPartialRequest{Set: map[string]any{"text": "Hello!"}})
			return check(err == nil && out.Activity.Text == "Hello!", err, out)
		})
		step("AddActivityReaction", func() error {
			out, err := bob.AddActivityReaction(ctx, id, &feeds.AddActivityReactionRequest{Type: "like"})
			return check(err == nil && out.Reaction.Type == "like" && out.Reaction.User.ID == "bob" && out.Activity.ReactionCount == 1, err, out)
		})
		var commentID string
		step("AddComment", func() error {
			out, err := bob.AddComment(ctx, &feeds.AddCommentRequest{ObjectID: id, Comment: "Well said"})
			if err == nil {
				commentID = out.Comment.ID
			}
			return check(err == nil && out.Comment.Text == "Well said" && out.Comment.User.ID == "bob", err, out)
		})
		step("GetActivity", func() error {
			out, err := alice.GetActivity(ctx, id, nil)
			return check(err == nil && out.Activity.ReactionGroups["like"].Count == 1 && out.Activity.CommentCount == 1, err, out)
		})
		step("Comments", func() error {
			n := 0
			for c, err := range alice.Comments(ctx, &feeds.GetCommentsRequest{ObjectID: id}) {
				if n++; err != nil || c.ID != commentID {
					return check(false, err, c)
				}
			}
			return check(n == 1, nil, n)
		})
		step("Follows", func() error {
			n := 0
			for f, err := range bob.Follows(ctx, &feeds.QueryFollowsRequest{Filter: map[string]any{"source_feed": "timeline:bob"}}) {
				if n++; err != nil || f.TargetFeed.Feed != "user:alice" {
					return check(false, err, f)
				}
			}
			return check(n == 1, nil, n)
		})
		step("Feeds", func() error {
			n := 0
			for f, err := range bob.Feeds(ctx, &feeds.QueryFeedsRequest{Filter: map[string]any{"feed": "user:alice"}}) {
				if n++; err != nil || f.ActivityCount != 1 || f.FollowerCount != 1 {
					return check(false, err, f)
				}
			}
			return check(n == 1, nil, n)
		})
		step("FeedActivities", func() error {
			n := 0
			for a, err := range bob.FeedActivities(ctx, "timeline", "bob", nil) {
				if n++; err != nil || a.ID != id {
					return check(false, err, a)
				}
			}
			return check(n == 1, nil, n)
		})
		step("another user's activity", func() error {
			err := bob.DeleteActivity(ctx, id, nil)
			if e, ok := errors.AsType[*feeds.Error](err); !ok || e.Code != feeds.CodeNotAllowed {
				return fmt.Errorf("bob deleted it: %v", err)
			}
			return nil
		})
		step("DeleteActivityReaction", func() error { return bob.DeleteActivityReaction(ctx, id, "like", nil) })
		step("DeleteComment", func() error { return bob.DeleteComment(ctx, commentID, nil) })
		step("Unfollow", func() error { return bob.Unfollow(ctx, "timeline:bob", "user:alice") })
		step("DeleteActivity", func() error { return alice.DeleteActivity(ctx, id, nil) })
		step("what is left", func() error {
			_, err := alice.GetActivity(ctx, id, nil)
			if e, ok := errors.AsType[*feeds.Error](err); !ok || e.Code != feeds.CodeNotFound {
				return fmt.Errorf("the activity is still there: %v", err)
			}
			return nil
		})

		a, b := alice.Stats(), bob.Stats()
		if n := a.Rejected + b.Rejected; n != int64(calls) || a.Replayed+b.Replayed != n || a.Refreshed+b.Refreshed != n+2 || a.NotReplayable+b.NotReplayable != 0 {
			t.Errorf("%d calls, stats %+v and %+v", calls, a, b)
		}
	})
}

// A busy bot keeps to the limits that the server sets, and all of its calls take effect.
func TestABotKeepsToTheLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &testserver.Server{RateLimit: 20, ClockOffset: 90 * time.Minute}
		client := start(t, srv)
		s, err := client.ConnectUser(t.Context(), feeds.User{ID: "alice"}, issuer(srv, "alice"))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		began := time.Now()
		for i := range 100 {
			if _, err := s.AddActivity(t.Context(), &feeds.AddActivityRequest{Type: "post", Feeds: []string{"user:alice"}, Text: fmt.Sprint(i)}); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < 4*time.Minute || took > 4*time.Minute+5*time.Second {
			t.Errorf("100 calls at 20 a minute took %v", took)
		}
		if l := srv.Ledger(); l.Effects != 100 || l.Arrived != 1+100+4 {
			t.Errorf("ledger %+v", l)
		}
	})
}
