package testserver

import "slices"

const maxFeeds = 25 // that one activity is in

// An activityRequest is an activity as a client describes it.
type activityRequest struct {
	acting
	activityContent
	ID       string   `json:"id"`
	Type     string   `json:"type"`
	Feeds    []string `json:"feeds"`
	ParentID string   `json:"parent_id"`
	Notify   bool     `json:"create_notification_activity"`
}

// check fails unless the caller may add this activity or, if its id is taken, change that one. It
// returns whose it is.
func (s *Server) checkActivity(c *call, req *activityRequest) (user string, f *failure) {
	if user, f = c.actor(req.acting); f != nil {
		return "", f
	}
	if f := req.complete(); f != nil {
		return "", f
	}
	old, exists := s.acts.Get(req.ID)
	if exists {
		if f := c.owns(old.user, "activity '"+old.id+"'"); f != nil {
			return "", f
		}
	}
	switch {
	case req.Type == "":
		return "", badInput("type is missing")
	case len(req.Feeds) == 0:
		return "", badInput("feeds is missing")
	}
	if req.ParentID != "" {
		if _, f := s.activityNamed(c, req.ParentID); f != nil {
			return "", f
		}
	}
	return user, s.checkFeeds(c, req.Feeds, old)
}

// checkFeeds fails unless the caller may have an activity in these feeds. old is the activity as it
// stands, or nil.
func (s *Server) checkFeeds(c *call, fids []string, old *activity) *failure {
	if len(fids) == 0 {
		return badInput("feeds is missing")
	}
	if n := len(slices.Compact(slices.Sorted(slices.Values(fids)))); n > maxFeeds {
		return badInput("an activity is in %d feeds at most, not in %d", maxFeeds, n)
	}
	v := s.view(viewer{user: c.user, server: c.server})
	for _, fid := range fids {
		if f := checkFID(fid); f != nil {
			return f
		}
		if old != nil && slices.Contains(old.feeds, fid) {
			continue
		}
		if f, ok := s.feeds.Get(fid); ok && !v.mayPost(f) {
			return notAllowed("user '%s' is not allowed to add to feed '%s', which is user '%s's and %s", c.user, fid, f.owner, f.visibility)
		}
	}
	return nil
}

// putActivity adds an activity that has been checked, or changes the one that has its id, and tells
// those who watch. It returns how many users were notified that it mentions them. s.mu is held.
func (s *Server) putActivity(user string, req *activityRequest, size int) (*activity, int) {
	if a, exists := s.acts.Get(req.ID); exists {
		a.kind = req.Type
		s.change(a, req.activityContent, req.Feeds)
		return a, 0
	}
	if req.ID == "" {
		req.ID = newUUID()
	}
	s.seq++
	now := s.now()
	a := &activity{
		id: req.ID, kind: req.Type, user: user, parent: req.ParentID, activityContent: req.activityContent, seq: s.seq, size: size,
		created: now, updated: now,
	}
	if p, ok := s.acts.Get(a.parent); ok {
		p.shares++
	}
	s.insert(a, req.Feeds)
	notified := 0
	if req.Notify {
		for _, id := range a.Mentioned {
			if s.notify(user, id, notice{kind: "mention", text: "mentioned you", target: a.target()}) {
				notified++
			}
		}
	}
	return a, notified
}

// insert puts a new activity into feeds, which come into being if need be, and tells those who
// watch.
func (s *Server) insert(a *activity, fids []string) {
	s.ensureUser(a.user)
	a.feeds = slices.Compact(slices.Sorted(slices.Values(fids)))
	for _, fid := range a.feeds {
		s.ensureFeed(fid, a.user).activities++
	}
	s.keepActivity(a)
	s.publishActivity("feeds.activity.added", a, s.reach(a.feeds), object{})
	s.notificationsChanged(a.feeds, a)
}

// change gives an activity new content and other feeds, and tells those who watch.
func (s *Server) change(a *activity, next activityContent, fids []string) {
	fids = slices.Compact(slices.Sorted(slices.Values(fids)))
	before, reached := *a, s.reach(a.feeds)
	a.activityContent, a.feeds = next, fids
	a.updated = s.now()
	a.edited = a.updated
	for _, fid := range fids {
		if !slices.Contains(before.feeds, fid) {
			s.ensureFeed(fid, a.user).activities++
		}
	}
	for _, fid := range before.feeds {
		if !slices.Contains(fids, fid) {
			s.leaves(a, fid)
		}
	}
	a.size = len(encode(object{"activity": s.view(viewer{server: true}).bareActivity(a)}))
	s.keepActivity(a)

	var added, stayed, gone []string
	for _, fid := range s.reach(fids) {
		if slices.Contains(reached, fid) {
			stayed = append(stayed, fid)
		} else {
			added = append(added, fid)
		}
	}
	for _, fid := range reached {
		if !slices.Contains(stayed, fid) {
			gone = append(gone, fid)
		}
	}
	s.publishActivity("feeds.activity.removed_from_feed", &before, gone, object{})
	s.publishActivity("feeds.activity.updated", a, stayed, object{})
	s.publishActivity("feeds.activity.added", a, added, object{})
	s.notificationsChanged(slices.Concat(before.feeds, fids), a)
}

// leaves takes an activity out of a feed's counts and pins. s.mu is held.
func (s *Server) leaves(a *activity, fid string) {
	if f, ok := s.feeds.Get(fid); ok {
		f.activities = max(0, f.activities-1)
		f.pins = slices.DeleteFunc(f.pins, func(p *pin) bool { return p.activity == a.id })
	}
}

// addActivity adds an activity to feeds. If its id is taken, that activity becomes this one.
func (s *Server) addActivity(c *call) (object, *failure) {
	var req struct {
		activityRequest
		Enrich bool `json:"enrich_own_fields"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	user, f := s.checkActivity(c, &req.activityRequest)
	if f != nil {
		return nil, f
	}
	s.recordEffect(c)
	a, notified := s.putActivity(user, &req.activityRequest, len(c.body))
	v := s.view(viewer{user: user, server: c.server})
	v.enrich = req.Enrich
	return object{"activity": v.activity(a), "mention_notifications_created": notified}, nil
}

// upsertActivities adds or changes many activities: all of them or, if one can't be, none.
func (s *Server) upsertActivities(c *call) (object, *failure) {
	var req struct {
		Activities []*activityRequest `json:"activities"`
		Enrich     bool               `json:"enrich_own_fields"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	if f := checkBatch("activities", len(req.Activities)); f != nil {
		return nil, f
	}
	users := make([]string, len(req.Activities))
	for i, one := range req.Activities {
		if one == nil {
			return nil, badInput("activities holds null")
		}
		var f *failure
		if users[i], f = s.checkActivity(c, one); f != nil {
			return nil, f
		}
	}
	s.recordEffect(c)
	var all []*activity
	notified := 0
	for i, one := range req.Activities {
		a, n := s.putActivity(users[i], one, len(c.body)/len(req.Activities))
		all, notified = append(all, a), notified+n
	}
	v := s.view(viewer{user: c.user, server: c.server})
	v.enrich = req.Enrich
	return object{
		"activities": describe(all, func(a *activity) activityResponse { return v.activity(a) }), "mention_notifications_created": notified,
	}, nil
}

// acting is how a server says in a body for which user it acts.
type acting struct {
	UserID string       `json:"user_id"`
	User   *userRequest `json:"user"`
}

func (a acting) id() string {
	if a.UserID == "" && a.User != nil {
		return a.User.ID
	}
	return a.UserID
}

// actor returns the user for whom the call acts. Users act for themselves alone.
func (c *call) actor(a acting) (string, *failure) {
	id := a.id()
	switch {
	case !c.server && id != "" && id != c.user:
		return "", notAllowed("user '%s' is not allowed to act for user '%s'", c.user, id)
	case !c.server:
		return c.user, nil
	case id == "":
		return "", badInput("either user or user_id must be provided when using server side auth")
	}
	return id, userRequest{ID: id}.validate()
}
