package testserver

import (
	"slices"
	"time"
)

const maxPins = 100 // of one feed; the comment of Server names it

// A pin keeps an activity on top of a feed.
type pin struct {
	feed, activity, user string // user is who pinned it
	created              time.Time
	seq                  int
}

func (p *pin) number() int { return p.seq }

// pinResponse is the API's ActivityPinResponse.
type pinResponse struct {
	Feed      string           `json:"feed"`
	Activity  activityResponse `json:"activity"`
	User      userResponse     `json:"user"`
	CreatedAt int64            `json:"created_at"`
	UpdatedAt int64            `json:"updated_at"`
}

func (v *view) pin(p *pin) pinResponse {
	a, _ := v.s.acts.Get(p.activity) // it is there, see pinnedIn
	return pinResponse{
		Feed: p.feed, Activity: v.activity(a, p.feed), User: v.userNamed(p.user), CreatedAt: p.created.UnixNano(), UpdatedAt: p.created.UnixNano(),
	}
}

// pinnedIn returns the pins of a feed whose activities are still there: they may have been
// forgotten.
func (s *Server) pinnedIn(f *feed) []*pin {
	return slices.DeleteFunc(slices.Clone(f.pins), func(p *pin) bool {
		_, ok := s.acts.Get(p.activity)
		return !ok
	})
}

// addPin pins an activity to a feed that it is in. Pinning it again changes nothing.
func (s *Server) addPin(c *call) (object, *failure) {
	f, a, user, fail := s.pinning(c)
	if fail != nil {
		return nil, fail
	}
	i := slices.IndexFunc(f.pins, func(p *pin) bool { return p.activity == a.id })
	if i < 0 {
		if len(f.pins) >= maxPins {
			return nil, badInput("a feed has %d pinned activities at most", maxPins)
		}
		s.seq++
		i, f.pins = len(f.pins), append(f.pins, &pin{feed: f.fid, activity: a.id, user: user, created: s.now(), seq: s.seq})
	}
	s.recordEffect(c)
	return s.pinned("feeds.activity.pinned", f, a, f.pins[i], user), nil
}

// removePin takes an activity off the top of a feed.
func (s *Server) removePin(c *call) (object, *failure) {
	f, a, user, fail := s.pinning(c)
	if fail != nil {
		return nil, fail
	}
	i := slices.IndexFunc(f.pins, func(p *pin) bool { return p.activity == a.id })
	if i < 0 {
		return nil, notFound("activity '%s' is not pinned to feed '%s'", a.id, f.fid)
	}
	p := f.pins[i]
	f.pins = slices.Delete(f.pins, i, i+1)
	s.recordEffect(c)
	ans := s.pinned("feeds.activity.unpinned", f, a, p, user)
	delete(ans, "created_at")
	return ans, nil
}

// pinning reads what the two have in common.
func (s *Server) pinning(c *call) (f *feed, a *activity, user string, fail *failure) {
	var req acting
	if fail := c.decode(&req); fail != nil {
		return nil, nil, "", fail
	}
	if req.id() == "" {
		req = c.queried()
	}
	if user, fail = c.actor(req); fail != nil {
		return nil, nil, "", fail
	}
	if f, fail = s.ownFeed(c); fail != nil {
		return nil, nil, "", fail
	}
	a, ok := s.acts.Get(c.r.PathValue("activity"))
	if !ok || !slices.Contains(a.feeds, f.fid) {
		return nil, nil, "", notFound("activity '%s' is not in feed '%s'", c.r.PathValue("activity"), f.fid)
	}
	return f, a, user, nil
}

// pinned tells those who watch of a pin, and returns the answer to the caller. s.mu is held.
func (s *Server) pinned(kind string, f *feed, a *activity, p *pin, user string) object {
	describe := func(v *view) object {
		return object{"feed": f.fid, "user_id": user, "activity": v.activity(a, f.fid), "created_at": p.created.UnixNano()}
	}
	event := describe(s.view(viewer{}))
	event["duration"] = "0.00ms"
	s.publish(kind, []string{f.fid}, a, object{"pinned_activity": event, "user": s.view(viewer{}).userOf(user)})
	return describe(s.view(viewer{user: user}))
}

// queryPins finds a feed's pinned activities, the newest pin first unless told otherwise.
func (s *Server) queryPins(c *call) (object, *failure) {
	var req struct {
		acting
		query
		Enrich bool `json:"enrich_own_fields"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	who, fail := c.viewer(req.acting)
	if fail != nil {
		return nil, fail
	}
	v := s.view(who)
	v.enrich = req.Enrich
	f, fail := v.readable(pathFID(c))
	if fail != nil {
		return nil, fail
	}
	page, ans, fail := find(s.pinnedIn(f), req.query, fields[*pin]{
		"activity_id": textField(idOps, func(p *pin) string { return p.activity }),
		"fid":         textField(idOps, func(p *pin) string { return p.feed }),
		"user_id":     textField(idOps, func(p *pin) string { return p.user }),
		"created_at":  timeField(orderOps, func(p *pin) time.Time { return p.created }),
		"updated_at":  timeField(orderOps, func(p *pin) time.Time { return p.created }),
	}, sortKeys[*pin]{"created_at": func(p *pin) sortKey { return timeKey(p.created) }})
	if fail != nil {
		return nil, fail
	}
	ans["pinned_activities"] = describe(page, v.pin)
	return ans, nil
}
