package testserver

import "time"

// A follow makes the activities of one feed appear in another.
type follow struct {
	source, target   string // feeds, as "group:id"
	push             string // push_preference
	custom           map[string]any
	seq              int // orders follows of the same time
	created, updated time.Time
}

// followResponse is the API's FollowResponse. Dates are in nanoseconds since 1970.
type followResponse struct {
	SourceFeed     feedResponse   `json:"source_feed"`
	TargetFeed     feedResponse   `json:"target_feed"`
	Status         string         `json:"status"`
	PushPreference string         `json:"push_preference"`
	FollowerRole   string         `json:"follower_role"`
	Custom         map[string]any `json:"custom,omitempty"`
	CreatedAt      int64          `json:"created_at"`
	UpdatedAt      int64          `json:"updated_at"`
}

// followResponse describes f as the API does. s.mu is held.
func (s *Server) followResponse(f *follow) followResponse {
	end := func(fid string) feedResponse {
		one, ok := s.feeds.Get(fid)
		if !ok { // forgotten meanwhile, and its owner with it
			one = &feed{fid: fid, owner: "unknown", visibility: "public", created: f.created, updated: f.updated}
		}
		return s.feedResponse(one)
	}
	return followResponse{
		SourceFeed: end(f.source), TargetFeed: end(f.target), Status: "accepted", PushPreference: f.push, FollowerRole: "feed_follower",
		Custom: f.custom, CreatedAt: f.created.UnixNano(), UpdatedAt: f.updated.UnixNano(),
	}
}

func (s *Server) followResponses(list []*follow) []followResponse {
	out := make([]followResponse, 0, len(list))
	for _, f := range list {
		out = append(out, s.followResponse(f))
	}
	return out
}

// followsWhere returns the first page of the follows that match, in the order in which they were made. s.mu is held.
func (s *Server) followsWhere(matches func(*follow) bool) []*follow {
	var list []*follow
	for _, f := range s.follows.All() {
		if len(list) == defaultLimit {
			break
		}
		if matches(f) {
			list = append(list, f)
		}
	}
	return list
}

// following returns the feeds that a feed follows. s.mu is held.
func (s *Server) following(fid string) (targets []string) {
	for _, f := range s.follows.All() {
		if f.source == fid {
			targets = append(targets, f.target)
		}
	}
	return targets
}

// position orders follows by time.
func (f *follow) position() position { return position{f.created.UnixNano(), f.seq} }

// addFollow makes a feed of the caller's follow another one. Both must exist.
func (s *Server) addFollow(c *call) (object, *failure) {
	var req struct {
		Source string         `json:"source"`
		Target string         `json:"target"`
		Push   string         `json:"push_preference"`
		Custom map[string]any `json:"custom"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	for _, fid := range []string{req.Source, req.Target} {
		if f := checkFID(fid); f != nil {
			return nil, f
		}
		if _, ok := s.feeds.Get(fid); !ok {
			return nil, notFound("feed '%s' does not exist: GetOrCreateFeed makes it", fid)
		}
	}
	if f := s.mayWriteTo(c, req.Source); f != nil {
		return nil, f
	}
	key := req.Source + " " + req.Target
	switch _, exists := s.follows.Get(key); {
	case exists:
		return nil, badInput("feed '%s' follows feed '%s' already", req.Source, req.Target)
	case req.Source == req.Target:
		return nil, badInput("feed '%s' can't follow itself", req.Source)
	case req.Push == "":
		req.Push = "none"
	}
	s.seq++
	now := s.now()
	f := &follow{source: req.Source, target: req.Target, push: req.Push, custom: req.Custom, seq: s.seq, created: now, updated: now}
	s.follows.Put(key, f, len(c.body))
	s.recordEffect(c)
	return s.followed("feeds.follow.created", f), nil
}

// followed tells everybody of a follow, and returns the answer to whoever it came from. s.mu is held.
func (s *Server) followed(kind string, f *follow) object {
	one := s.followResponse(f)
	s.publish(kind, []string{f.source, f.target}, object{"follow": one})
	return object{"follow": one}
}

// unfollow undoes a follow.
func (s *Server) unfollow(c *call) (object, *failure) {
	source, target := c.r.PathValue("source"), c.r.PathValue("target")
	key := source + " " + target
	f, ok := s.follows.Get(key)
	if !ok {
		return nil, notFound("feed '%s' does not follow feed '%s'", source, target)
	}
	if f := s.mayWriteTo(c, source); f != nil {
		return nil, f
	}
	s.follows.Remove(key)
	s.recordEffect(c)
	return s.followed("feeds.follow.deleted", f), nil
}

// queryFollows finds follows by their feeds, the newest first unless told otherwise.
func (s *Server) queryFollows(c *call) (object, *failure) {
	var req query
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	page, ans, f := find(&s.follows, req, map[string]field[*follow]{
		"source_feed": textField(func(f *follow) string { return f.source }),
		"target_feed": textField(func(f *follow) string { return f.target }),
		"status":      textField(func(*follow) string { return "accepted" }),
		"created_at":  timeField(func(f *follow) time.Time { return f.created }),
	})
	if f != nil {
		return nil, f
	}
	ans["follows"] = s.followResponses(page)
	return ans, nil
}
