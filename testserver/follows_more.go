package testserver

import (
	"maps"
	"time"
)

// followBatch makes many follows: all of them or, if one can't be made, none.
func (s *Server) followBatch(c *call) (object, *failure) { return s.followMany(c, false) }

// upsertFollows is followBatch, except that follows that are there already are no mistake.
func (s *Server) upsertFollows(c *call) (object, *failure) { return s.followMany(c, true) }

func (s *Server) followMany(c *call, upsert bool) (object, *failure) {
	var req struct {
		Follows []followRequest `json:"follows"`
		Enrich  bool            `json:"enrich_own_fields"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	if f := checkBatch("follows", len(req.Follows)); f != nil {
		return nil, f
	}
	for _, one := range req.Follows {
		if f := s.checkFollow(c, one); f != nil {
			return nil, f
		}
		if _, exists := s.follows.Get(followKey(one.Source, one.Target)); exists && !upsert {
			return nil, badInput("feed '%s' follows feed '%s' already", one.Source, one.Target)
		}
	}
	var all, created []*follow
	for _, one := range req.Follows {
		e, isNew, _ := s.makeFollow(one, len(c.body)/len(req.Follows))
		if all = append(all, e); isNew {
			created = append(created, e)
		}
	}
	if len(created) > 0 {
		s.recordEffect(c)
	}
	v := s.view(viewer{user: c.user, server: c.server})
	v.enrich = req.Enrich
	return object{"follows": describe(all, v.follow), "created": describe(created, v.follow)}, nil
}

// checkBatch applies the API's limit on how many things one call may make or change.
func checkBatch(name string, n int) *failure {
	if n < 1 || n > maxLimit {
		return badInput("%s must have 1 to %d entries, not %d", name, maxLimit, n)
	}
	return nil
}

// A pair names a follow.
type pair struct {
	Source string `json:"source"`
	Target string `json:"target"`
}

// unfollowBatch undoes many follows. missing says whether one that is not there is a mistake.
func (s *Server) unfollowBatch(missing bool) func(*call) (object, *failure) {
	return func(c *call) (object, *failure) {
		var req struct {
			Follows []pair `json:"follows"`
		}
		if f := c.decode(&req); f != nil {
			return nil, f
		}
		if f := checkBatch("follows", len(req.Follows)); f != nil {
			return nil, f
		}
		gone := make(map[string]*follow)
		for _, p := range req.Follows {
			e, ok := s.follows.Get(followKey(p.Source, p.Target))
			if !ok && missing {
				return nil, notFound("feed '%s' does not follow feed '%s'", p.Source, p.Target)
			}
			if !ok {
				continue
			}
			if f := c.owns(s.ownerOf(p.Source), "feed '"+p.Source+"'"); f != nil {
				return nil, f
			}
			gone[followKey(p.Source, p.Target)] = e
		}
		var removed []*follow
		for _, p := range req.Follows {
			if e := gone[followKey(p.Source, p.Target)]; e != nil {
				delete(gone, followKey(p.Source, p.Target))
				s.removeFollow(e)
				removed = append(removed, e)
			}
		}
		if len(removed) > 0 {
			s.recordEffect(c)
		}
		return object{"follows": describe(removed, s.view(viewer{user: c.user}).follow)}, nil
	}
}

// upsertUnfollow undoes a follow, if there is one.
func (s *Server) upsertUnfollow(c *call) (object, *failure) {
	var req pair
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	for _, fid := range []string{req.Source, req.Target} {
		if f := checkFID(fid); f != nil {
			return nil, f
		}
	}
	e, ok := s.follows.Get(followKey(req.Source, req.Target))
	if !ok {
		return object{"deleted": false}, nil
	}
	if f := c.owns(s.ownerOf(req.Source), "feed '"+req.Source+"'"); f != nil {
		return nil, f
	}
	s.removeFollow(e)
	s.recordEffect(c)
	return object{"deleted": true, "follow": s.view(viewer{user: c.user}).follow(e)}, nil
}

// decideFollow makes the operation with which the owner of a feed accepts or rejects a follow of
// it.
func (s *Server) decideFollow(accept bool) func(*call) (object, *failure) {
	return func(c *call) (object, *failure) {
		var req struct {
			pair
			Role string `json:"follower_role"`
		}
		if f := c.decode(&req); f != nil {
			return nil, f
		}
		e, ok := s.follows.Get(followKey(req.Source, req.Target))
		if !ok {
			return nil, notFound("feed '%s' does not ask to follow feed '%s'", req.Source, req.Target)
		}
		if f := c.owns(s.ownerOf(req.Target), "feed '"+req.Target+"'"); f != nil {
			return nil, f
		}
		if req.Role != "" {
			e.role = req.Role
		}
		e.updated = s.now()
		if accept {
			e.status, e.accepted = followAccepted, e.updated
		} else {
			e.status, e.rejected = followRejected, e.updated
		}
		s.recordEffect(c)
		s.followed("feeds.follow.updated", e)
		return object{"follow": s.view(viewer{user: c.user}).follow(e)}, nil
	}
}

// updateFollow changes what is given of a follow. Its status and role only a server may set.
func (s *Server) updateFollow(c *call) (object, *failure) {
	var req struct {
		followRequest
		Role string `json:"follower_role"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	e, ok := s.follows.Get(followKey(req.Source, req.Target))
	if !ok {
		return nil, notFound("feed '%s' does not follow feed '%s'", req.Source, req.Target)
	}
	if f := s.checkFollow(c, req.followRequest); f != nil {
		return nil, f
	}
	if req.Role != "" && !c.server {
		return nil, notAllowed("user '%s' is not allowed to set a follower's role", c.user)
	}
	for name, value := range map[*string]string{&e.status: req.Status, &e.push: req.Push, &e.role: req.Role} {
		if value != "" {
			*name = value
		}
	}
	if req.Custom != nil {
		e.custom = req.Custom
	}
	e.updated = s.now()
	s.follows.Put(followKey(e.source, e.target), e, len(c.body))
	s.recordEffect(c)
	s.followed("feeds.follow.updated", e)
	return object{"follow": s.view(viewer{user: c.user, server: c.server}).follow(e)}, nil
}

// queryFollows finds follows, the newest first unless told otherwise.
func (s *Server) queryFollows(c *call) (object, *failure) {
	var req query
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	v := s.view(viewer{user: c.user, server: c.server})
	page, ans, f := find(only(&s.follows, func(e *follow) bool { return v.mayKnow(e) }), req, s.followFields(), followKeys())
	if f != nil {
		return nil, f
	}
	ans["follows"] = describe(page, v.follow)
	return ans, nil
}

// mayKnow reports whether the viewer may know of a follow: those who may read both of its feeds
// may, and the owner of either.
func (v *view) mayKnow(e *follow) bool {
	source, ok1 := v.s.feeds.Get(e.source)
	target, ok2 := v.s.feeds.Get(e.target)
	return v.server || ok1 && v.owns(source) || ok2 && v.owns(target) || ok1 && ok2 && v.mayRead(source) && v.mayRead(target)
}

// followPages returns how to read some follows page by page.
func (v *view) followPages(list []*follow) func(paging) (any, object, *failure) {
	return func(p paging) (any, object, *failure) {
		page, cursors, fail := find(list, query{paging: p}, nil, followKeys())
		return describe(page, v.follow), cursors, fail
	}
}

func (s *Server) followFields() fields[*follow] {
	source := func(e *follow) string { return e.source }
	target := func(e *follow) string { return e.target }
	id := func(end func(*follow) string) func(*follow) string {
		return func(e *follow) string { return (&feed{fid: end(e)}).id() }
	}
	name := func(end func(*follow) string) func(*follow) string {
		return func(e *follow) string {
			u, ok := s.users.Get(s.ownerOf(end(e)))
			if !ok {
				return ""
			}
			return u.name
		}
	}
	fs := fields[*follow]{
		"status":     textField(idOps, func(e *follow) string { return e.status }),
		"created_at": timeField(orderOps, func(e *follow) time.Time { return e.created }),
	}
	for prefix, end := range map[string]func(*follow) string{"source_": source, "target_": target} {
		maps.Copy(fs, fields[*follow]{
			prefix + "feed":            textField(idOps, end),
			prefix + "fid":             textField(idOps, end),
			prefix + "id":              textField(idOps, id(end)),
			prefix + "created_by_name": textField(idOps, name(end)),
		})
	}
	return fs
}

func followKeys() sortKeys[*follow] {
	return sortKeys[*follow]{"created_at": func(e *follow) sortKey { return timeKey(e.created) }}
}
