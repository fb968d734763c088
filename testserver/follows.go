package testserver

import "time"

// A follow makes the activities of one feed appear in another, once it is accepted.
type follow struct {
	source, target     string // feeds, as "group:id"
	status, push, role string // status is one of those below; push is push_preference, role follower_role
	custom             map[string]any
	seq                int // orders follows of the same time
	created, updated   time.Time
	accepted, rejected time.Time // zero: not
}

// The states of a follow.
const (
	followAccepted = "accepted"
	followPending  = "pending"
	followRejected = "rejected"
)

func (e *follow) number() int { return e.seq }

// followKey is what a follow is kept under.
func followKey(source, target string) string { return source + " " + target }

// followResponse is the API's FollowResponse. Dates are in nanoseconds since 1970.
type followResponse struct {
	SourceFeed     *feedResponse  `json:"source_feed"`
	TargetFeed     *feedResponse  `json:"target_feed"`
	Status         string         `json:"status"`
	PushPreference string         `json:"push_preference"`
	FollowerRole   string         `json:"follower_role"`
	Custom         map[string]any `json:"custom"`
	CreatedAt      int64          `json:"created_at"`
	UpdatedAt      int64          `json:"updated_at"`
	AcceptedAt     *int64         `json:"request_accepted_at,omitempty"`
	RejectedAt     *int64         `json:"request_rejected_at,omitempty"`
}

func (v *view) follow(e *follow) followResponse {
	return followResponse{
		SourceFeed: v.feedNamed(e.source, e.created), TargetFeed: v.feedNamed(e.target, e.created), Status: e.status,
		PushPreference: e.push, FollowerRole: e.role, Custom: orEmptyMap(e.custom), CreatedAt: e.created.UnixNano(),
		UpdatedAt: e.updated.UnixNano(), AcceptedAt: nanos(e.accepted), RejectedAt: nanos(e.rejected),
	}
}

// followsTo returns the follows of a feed that have the status, oldest first. s.mu is held.
func (s *Server) followsTo(fid, status string) []*follow {
	return only(&s.follows, func(e *follow) bool { return e.target == fid && e.status == status })
}

// followsFrom returns the follows by a feed that have the status, oldest first. s.mu is held.
func (s *Server) followsFrom(fid, status string) []*follow {
	return only(&s.follows, func(e *follow) bool { return e.source == fid && e.status == status })
}

// following returns the feeds that a feed follows. s.mu is held.
func (s *Server) following(fid string) (targets []string) {
	for _, e := range s.followsFrom(fid, followAccepted) {
		targets = append(targets, e.target)
	}
	return targets
}

// A followRequest is a follow as a client asks for it.
type followRequest struct {
	Source string         `json:"source"`
	Target string         `json:"target"`
	Push   string         `json:"push_preference"`
	Status string         `json:"status"` // only a server may say
	Custom map[string]any `json:"custom"`
	Notify bool           `json:"create_notification_activity"`
}

// checkFollow fails unless the caller may make its feed follow the other one. Both must exist.
func (s *Server) checkFollow(c *call, req followRequest) *failure {
	for _, fid := range []string{req.Source, req.Target} {
		if f := checkFID(fid); f != nil {
			return f
		}
		if _, ok := s.feeds.Get(fid); !ok {
			return notFound("feed '%s' does not exist: GetOrCreateFeed makes it", fid)
		}
	}
	if f := c.owns(s.ownerOf(req.Source), "feed '"+req.Source+"'"); f != nil {
		return f
	}
	target, _ := s.feeds.Get(req.Target)
	v := s.view(viewer{user: c.user, server: c.server})
	switch {
	case req.Source == req.Target:
		return badInput("feed '%s' can't follow itself", req.Source)
	case !v.mayFollow(target):
		return notAllowed("user '%s' is not allowed to follow feed '%s', whose visibility is %s", c.user, req.Target, target.visibility)
	case req.Push != "" && req.Push != "all" && req.Push != "none":
		return badInput("push_preference must be all or none, not '%s'", req.Push)
	case req.Status != "" && req.Status != followAccepted && req.Status != followPending && req.Status != followRejected:
		return badInput("status must be accepted, pending or rejected, not '%s'", req.Status)
	case req.Status != "" && !c.server:
		return notAllowed("user '%s' is not allowed to set a follow's status", c.user)
	}
	return nil
}

// makeFollow makes a follow that has been checked, and tells those who watch. It returns the one
// that is there already, if there is. s.mu is held.
func (s *Server) makeFollow(req followRequest, size int) (e *follow, created, notified bool) {
	key := followKey(req.Source, req.Target)
	if e, ok := s.follows.Get(key); ok {
		return e, false, false
	}
	s.seq++
	now := s.now()
	e = &follow{
		source: req.Source, target: req.Target, status: req.Status, push: req.Push, role: "feed_follower", custom: req.Custom, seq: s.seq,
		created: now, updated: now,
	}
	target, _ := s.feeds.Get(e.target)
	if e.status == "" {
		e.status = followAccepted
		if target.visibility == visibleFollowers {
			e.status = followPending
		}
	}
	if e.push == "" {
		e.push = "none"
	}
	s.follows.Put(key, e, size)
	s.followed("feeds.follow.created", e)
	if req.Notify {
		notified = s.notify(s.ownerOf(e.source), target.owner, notice{kind: "follow", text: "started following you", target: object{
			"id": target.owner, "type": "user", "user_id": target.owner, "name": s.ensureUser(target.owner).name}, custom: e.custom})
	}
	return e, true, notified
}

// followed tells those who watch of a follow. s.mu is held.
func (s *Server) followed(kind string, e *follow) {
	s.publish(kind, []string{e.source, e.target}, nil, object{"follow": s.view(viewer{}).follow(e)})
}

// addFollow makes a feed of the caller's follow another one.
func (s *Server) addFollow(c *call) (object, *failure) { return s.followOne(c, false) }

// upsertFollow is addFollow, except that a follow that is there already is no mistake.
func (s *Server) upsertFollow(c *call) (object, *failure) { return s.followOne(c, true) }

func (s *Server) followOne(c *call, upsert bool) (object, *failure) {
	var req struct {
		followRequest
		Enrich bool `json:"enrich_own_fields"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	if f := s.checkFollow(c, req.followRequest); f != nil {
		return nil, f
	}
	if _, exists := s.follows.Get(followKey(req.Source, req.Target)); exists && !upsert {
		return nil, badInput("feed '%s' follows feed '%s' already", req.Source, req.Target)
	}
	e, created, notified := s.makeFollow(req.followRequest, len(c.body))
	if created {
		s.recordEffect(c)
	}
	v := s.view(viewer{user: c.user, server: c.server})
	v.enrich = req.Enrich
	ans := object{"follow": v.follow(e), "notification_created": notified}
	if upsert {
		ans["created"] = created
	}
	return ans, nil
}

// unfollow undoes a follow.
func (s *Server) unfollow(c *call) (object, *failure) {
	source, target := c.r.PathValue("source"), c.r.PathValue("target")
	e, ok := s.follows.Get(followKey(source, target))
	if !ok {
		return nil, notFound("feed '%s' does not follow feed '%s'", source, target)
	}
	if f := c.owns(s.ownerOf(source), "feed '"+source+"'"); f != nil {
		return nil, f
	}
	s.removeFollow(e)
	s.recordEffect(c)
	return object{"follow": s.view(viewer{user: c.user}).follow(e)}, nil
}

// removeFollow undoes a follow, and tells those who watch. s.mu is held.
func (s *Server) removeFollow(e *follow) {
	s.follows.Remove(followKey(e.source, e.target))
	s.followed("feeds.follow.deleted", e)
}
