package testserver

import "slices"

// deleteActivity deletes an activity with all that is about it. There is no way back, whether or
// not it says hard_delete.
func (s *Server) deleteActivity(c *call) (object, *failure) {
	a, f := s.ownActivity(c)
	if f != nil {
		return nil, f
	}
	s.recordEffect(c)
	s.removeActivity(a)
	return object{}, nil
}

// deleteActivities deletes many activities. Those that are not there, and those that are not the
// caller's to delete, are left out of deleted_ids.
func (s *Server) deleteActivities(c *call) (object, *failure) {
	var req struct {
		acting
		IDs []string `json:"ids"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	if f := checkBatch("ids", len(req.IDs)); f != nil {
		return nil, f
	}
	deleted := []string{}
	for _, id := range req.IDs {
		a, ok := s.acts.Get(id)
		if !ok || c.owns(a.user, "") != nil {
			continue
		}
		s.removeActivity(a)
		deleted = append(deleted, id)
	}
	if len(deleted) > 0 {
		s.recordEffect(c)
	}
	return object{"deleted_ids": deleted}, nil
}

// removeActivity deletes an activity with all that is about it, and tells those who watch. s.mu is
// held.
func (s *Server) removeActivity(a *activity) {
	s.acts.Remove(a.id)
	for _, fid := range a.feeds {
		s.leaves(a, fid)
	}
	if p, ok := s.acts.Get(a.parent); ok {
		p.shares = max(0, p.shares-1)
	}
	s.publishActivity("feeds.activity.deleted", a, s.reach(a.feeds), object{})
	for _, m := range s.commentsOn(a) {
		s.comments.Remove(m.id)
	}
	s.notificationsChanged(a.feeds, nil)
}

// deleteFeed deletes a feed: its members, pins and follows, and the activities that are in no other
// feed. It answers as if this took a while.
func (s *Server) deleteFeed(c *call) (object, *failure) {
	f, fail := s.ownFeed(c)
	if fail != nil {
		return nil, fail
	}
	s.recordEffect(c)
	s.removeFeed(f, c.user)
	return object{"task_id": newUUID()}, nil
}

// deleteFeeds deletes many feeds: all of them or, if one is not there, none.
func (s *Server) deleteFeeds(c *call) (object, *failure) {
	var req struct {
		Feeds []string `json:"feeds"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	if f := checkBatch("feeds", len(req.Feeds)); f != nil {
		return nil, f
	}
	var list []*feed
	for _, fid := range req.Feeds {
		f, ok := s.feeds.Get(fid)
		if !ok {
			return nil, notFound("feed '%s' does not exist", fid)
		}
		if fail := c.owns(f.owner, "feed '"+fid+"'"); fail != nil {
			return nil, fail
		}
		list = append(list, f)
	}
	s.recordEffect(c)
	for _, f := range list {
		s.removeFeed(f, c.user)
	}
	return object{"task_id": newUUID()}, nil
}

// removeFeed deletes a feed, and tells those who watch. by is who did it, or empty for a server.
// s.mu is held.
func (s *Server) removeFeed(f *feed, by string) {
	for _, e := range only(&s.follows, func(e *follow) bool { return e.source == f.fid || e.target == f.fid }) {
		s.removeFollow(e)
	}
	for _, a := range only(&s.acts, func(a *activity) bool { return slices.Contains(a.feeds, f.fid) }) {
		if len(a.feeds) == 1 {
			s.removeActivity(a)
			continue
		}
		a.feeds = slices.DeleteFunc(slices.Clone(a.feeds), func(fid string) bool { return fid == f.fid })
	}
	s.feeds.Remove(f.fid)
	fields := object{"feed_visibility": f.visibility}
	if by != "" {
		fields["user"] = s.view(viewer{}).userOf(by)
	}
	s.publish("feeds.feed.deleted", []string{f.fid}, nil, fields)
}
