package testserver

// updateFeed changes what is given of a feed. Only a server may give it to another owner.
func (s *Server) updateFeed(c *call) (object, *failure) {
	f, fail := s.ownFeed(c)
	if fail != nil {
		return nil, fail
	}
	var req struct {
		Name          *string        `json:"name"`
		Description   *string        `json:"description"`
		Owner         string         `json:"created_by_id"`
		Custom        map[string]any `json:"custom"`
		FilterTags    []string       `json:"filter_tags"`
		Location      *location      `json:"location"`
		ClearLocation bool           `json:"clear_location"`
		Enrich        bool           `json:"enrich_own_fields"`
	}
	if fail := c.decode(&req); fail != nil {
		return nil, fail
	}
	if req.Owner != "" && req.Owner != f.owner {
		if !c.server {
			return nil, notAllowed("user '%s' is not allowed to give feed '%s' away", c.user, f.fid)
		}
		if fail := (userRequest{ID: req.Owner}).validate(); fail != nil {
			return nil, fail
		}
		f.owner = req.Owner
	}
	if req.Name != nil {
		f.name = *req.Name
	}
	if req.Description != nil {
		f.description = *req.Description
	}
	if req.Custom != nil {
		f.custom = req.Custom
	}
	if req.FilterTags != nil {
		f.filterTags = req.FilterTags
	}
	if req.Location != nil || req.ClearLocation {
		f.location = req.Location
	}
	return s.feedUpdated(c, f), nil
}

// changeVisibility changes who may read a feed, follow it and add to it. Follows that wait for a
// feed that needs no waiting any more are accepted, or rejected if the request says so.
func (s *Server) changeVisibility(c *call) (object, *failure) {
	f, fail := s.ownFeed(c)
	if fail != nil {
		return nil, fail
	}
	var req struct {
		Visibility string `json:"visibility"`
		Pending    string `json:"pending_follows_action"`
	}
	if fail := c.decode(&req); fail != nil {
		return nil, fail
	}
	if req.Visibility == "" {
		return nil, badInput("visibility is missing")
	}
	if fail := checkFeedVisibility(req.Visibility); fail != nil {
		return nil, fail
	}
	if req.Pending != "" && req.Pending != "auto_approve" && req.Pending != "reject" {
		return nil, badInput("pending_follows_action must be auto_approve or reject, not '%s'", req.Pending)
	}
	f.visibility = req.Visibility
	if f.visibility == visiblePublic || f.visibility == visibleAll {
		for _, e := range s.followsTo(f.fid, followPending) {
			e.updated = s.now()
			if req.Pending == "reject" {
				e.status, e.rejected = followRejected, e.updated
			} else {
				e.status, e.accepted = followAccepted, e.updated
			}
			s.followed("feeds.follow.updated", e)
		}
	}
	return s.feedUpdated(c, f), nil
}

// feedUpdated writes down that f has changed, and tells those who watch. s.mu is held.
func (s *Server) feedUpdated(c *call, f *feed) object {
	f.updated = s.now()
	s.keepFeed(f)
	s.recordEffect(c)
	v := s.view(viewer{})
	event := object{"feed": v.feed(f)}
	if c.user != "" {
		event["user"] = v.userOf(c.user)
	}
	s.publish("feeds.feed.updated", []string{f.fid}, nil, event)
	return object{"feed": s.view(viewer{user: c.user, server: c.server}).ownFeed(f)}
}

// keepFeed writes down how much of the memory f takes. s.mu is held.
func (s *Server) keepFeed(f *feed) {
	v := s.view(viewer{server: true})
	s.feeds.Put(f.fid, f, len(encode(object{"feed": v.feed(f), "members": describe(f.members, v.member)})))
}

// createFeeds makes many feeds: all of them or, if one can't be made, none.
func (s *Server) createFeeds(c *call) (object, *failure) {
	var req struct {
		Feeds []struct {
			feedData
			Group string `json:"feed_group_id"`
			ID    string `json:"feed_id"`
			Owner string `json:"created_by_id"`
		} `json:"feeds"`
		Enrich bool `json:"enrich_own_fields"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	if f := checkBatch("feeds", len(req.Feeds)); f != nil {
		return nil, f
	}
	made := make(map[string]bool)
	for i := range req.Feeds {
		one := &req.Feeds[i]
		fid := one.Group + ":" + one.ID
		if f := checkFID(fid); f != nil {
			return nil, f
		}
		if _, exists := s.feeds.Get(fid); exists || made[fid] {
			return nil, badInput("feed '%s' exists already", fid)
		}
		made[fid] = true
		var f *failure
		if one.Owner, f = c.actor(acting{UserID: one.Owner}); f != nil {
			return nil, f
		}
		if f := one.validate(); f != nil {
			return nil, f
		}
	}
	s.recordEffect(c)
	v := s.view(viewer{user: c.user, server: c.server})
	v.enrich = req.Enrich
	all := []*feedResponse{}
	for _, one := range req.Feeds {
		all = append(all, v.feed(s.makeFeed(one.Group+":"+one.ID, one.Owner, one.feedData, len(c.body)/len(req.Feeds))))
	}
	return object{"feeds": all}, nil
}
