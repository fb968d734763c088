package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stayauth/stayauth/feeds"
)

const (
	// backlog is how many of the newest activities are looked at after each login, for some that
	// were posted meanwhile.
	backlog = 100

	// maxTodo is how many activities may wait for their answer. The oldest give way.
	maxTodo = 1000
)

// A shift is what there is to do in one session. It belongs to the goroutine of live.
type shift struct {
	*bot
	session *feeds.Session

	look bool              // whether the timeline is to be set up and read: at the start, and again after each gap
	todo []*feeds.Activity // to be answered, the oldest first
}

// add puts an activity on the list, unless it needs no answer.
func (s *shift) add(a *feeds.Activity) {
	if a == nil || a.User.ID == s.user.ID || s.done[a.ID] { // answering itself, it would never end
		return
	}
	if len(s.todo) == maxTodo {
		s.log.Error("too much to answer: gave up on the oldest", "activity", s.todo[0].ID)
		s.todo = slices.Delete(s.todo, 0, 1)
	}
	s.todo = append(s.todo, a)
}

// work does what there is to do. If some of it has to be tried again later, the error says why.
func (s *shift) work(ctx context.Context) error {
	var left error
	if s.look {
		left = s.catchUp(ctx)
		s.look = left != nil
	}
	todo := s.todo
	s.todo = nil
	for _, a := range todo {
		switch err := s.answer(ctx, a); {
		case err == nil:
			s.settle(a.ID)
		case feeds.IsSessionOver(err) || ctx.Err() != nil:
			return err
		case temporary(err):
			s.todo = append(s.todo, a)
			left = err
		default: // it was deleted, or may not be commented on
			s.log.Warn("can't answer", "activity", a.ID, "err", err)
			s.settle(a.ID)
		}
	}
	return left
}

// catchUp follows what is not followed yet, and puts on the list what was posted while no one
// watched.
func (s *shift) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	group, id, _ := strings.Cut(s.timeline(), ":")
	if _, err := s.session.GetOrCreateFeed(ctx, group, id, nil); err != nil { // Follow wants it to exist
		return err
	}
	missing := make(map[string]bool)
	for _, fid := range s.follow {
		missing[fid] = true
	}
	for follow, err := range s.session.Follows(ctx, &feeds.QueryFollowsRequest{Filter: map[string]any{"source_feed": s.timeline()}}) {
		if err != nil {
			return err
		}
		delete(missing, follow.TargetFeed.Feed)
	}
	for fid := range maps.Clone(missing) {
		_, err := s.session.Follow(ctx, &feeds.FollowRequest{Source: s.timeline(), Target: fid})
		e, ok := errors.AsType[*feeds.Error](err)
		switch {
		case err == nil:
			s.log.Info("following", "feed", fid)
			delete(missing, fid)
		case ok && e.Code == feeds.CodeNotFound: // its owner has to come first: who makes a feed owns it
		default:
			return err
		}
	}
	page, err := s.session.GetOrCreateFeed(ctx, group, id, &feeds.GetOrCreateFeedRequest{Limit: backlog})
	if err != nil {
		return err
	}
	for _, a := range slices.Backward(page.Activities) { // the newest is first
		s.add(&a)
	}
	if len(missing) > 0 {
		return fmt.Errorf("to follow, once they exist: %s", strings.Join(slices.Sorted(maps.Keys(missing)), ", "))
	}
	return nil
}

// answer comments on an activity, unless the bot has: a try whose outcome was lost may have taken
// effect.
func (s *shift) answer(ctx context.Context, a *feeds.Activity) error {
	text := s.reply(a)
	if text == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for comment, err := range s.session.Comments(ctx, &feeds.GetCommentsRequest{ObjectID: a.ID, Limit: 100}) {
		if err != nil || comment.User.ID == s.user.ID {
			return err
		}
	}
	if _, err := s.session.AddComment(ctx, &feeds.AddCommentRequest{ObjectID: a.ID, Comment: text}); err != nil {
		return err
	}
	s.answered++
	s.log.Info("answered", "user", a.User.ID, "said", a.Text)
	return nil
}
