package testserver

import "time"

// queryFeeds finds the feeds that the caller may read, the newest first unless told otherwise.
func (s *Server) queryFeeds(c *call) (object, *failure) {
	var req struct {
		query
		Watch  bool `json:"watch"`
		Enrich bool `json:"enrich_own_fields"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	watcher, fail := s.watcherIf(c, req.Watch)
	if fail != nil {
		return nil, fail
	}
	v := s.view(viewer{user: c.user, server: c.server})
	v.enrich = req.Enrich
	page, ans, fail := find(only(&s.feeds, v.mayRead), req.query, s.feedFields(), s.feedKeys())
	if fail != nil {
		return nil, fail
	}
	for _, f := range page {
		if fail := s.watch(watcher, f.fid); fail != nil {
			return nil, fail
		}
	}
	ans["feeds"] = describe(page, v.feed)
	return ans, nil
}

// feedFields are what feeds can be filtered by.
func (s *Server) feedFields() fields[*feed] {
	followers := func(f *feed) float64 { return float64(len(s.followsTo(f.fid, followAccepted))) }
	following := func(f *feed) float64 { return float64(len(s.followsFrom(f.fid, followAccepted))) }
	fid := textField(idOps, func(f *feed) string { return f.fid })
	return fields[*feed]{
		"id":              textField(idOps, (*feed).id),
		"group_id":        textField(idOps, (*feed).group),
		"feed":            fid,
		"fid":             fid, // which the API doesn't list, and Stream's own tests ask for
		"name":            textField(searchOps, func(f *feed) string { return f.name }),
		"description":     textField(searchOps, func(f *feed) string { return f.description }),
		"visibility":      textField(idOps, func(f *feed) string { return f.visibility }),
		"created_by_id":   textField(idOps, func(f *feed) string { return f.owner }),
		"created_by.name": textField(searchOps, func(f *feed) string { return s.ensureUser(f.owner).name }),
		"filter_tags":     tagsField(func(f *feed) []string { return f.filterTags }),
		"activity_count":  numberField(orderOps, func(f *feed) float64 { return float64(f.activities) }),
		"member_count":    numberField(orderOps, func(f *feed) float64 { return float64(f.memberCount()) }),
		"follower_count":  numberField(orderOps, followers),
		"following_count": numberField(orderOps, following),
		"following_feeds": anyOf("$in", func(f *feed) []string { return s.following(f.fid) }),
		"following_users": anyOf("$in", func(f *feed) (owners []string) {
			for _, fid := range s.following(f.fid) {
				owners = append(owners, s.ownerOf(fid))
			}
			return owners
		}),
		"members": anyOf("$in", func(f *feed) (users []string) {
			for _, m := range f.members {
				users = append(users, m.user)
			}
			return users
		}),
		"created_at":    timeField(orderOps, func(f *feed) time.Time { return f.created }),
		"updated_at":    timeField(orderOps, func(f *feed) time.Time { return f.updated }),
		"near":          nearField(func(f *feed) *location { return f.location }),
		"within_bounds": boundsField(func(f *feed) *location { return f.location }),
	}
}

// feedKeys are what feeds can be sorted by.
func (s *Server) feedKeys() sortKeys[*feed] {
	return sortKeys[*feed]{
		"created_at":      func(f *feed) sortKey { return timeKey(f.created) },
		"updated_at":      func(f *feed) sortKey { return timeKey(f.updated) },
		"member_count":    func(f *feed) sortKey { return intKey(f.memberCount()) },
		"follower_count":  func(f *feed) sortKey { return intKey(len(s.followsTo(f.fid, followAccepted))) },
		"following_count": func(f *feed) sortKey { return intKey(len(s.followsFrom(f.fid, followAccepted))) },
	}
}
