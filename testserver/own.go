package testserver

import "slices"

// ownData is the API's FeedOwnData: how the viewer stands to a feed.
type ownData struct {
	Capabilities []string         `json:"own_capabilities"`
	Follows      []followResponse `json:"own_follows"`
	Followings   []followResponse `json:"own_followings"`
	Membership   *memberResponse  `json:"own_membership,omitempty"`
}

const maxOwnFollowings = 5 // that a feed's own_followings names

// own returns how the viewer stands to f. own_follows are those of the viewer's feeds that follow
// f, own_followings those of f's owner that follow a feed of the viewer's.
func (v *view) own(f *feed) *ownData {
	// Made anew, its feeds have no own data in their turn. A server that acts for a user asks what
	// the user may do.
	plain := v.s.view(viewer{user: v.user, server: v.server && v.user == ""})
	o := &ownData{Capabilities: plain.capabilities(f), Follows: []followResponse{}, Followings: []followResponse{}}
	if v.user == "" {
		return o
	}
	for _, e := range v.s.follows.All() {
		switch {
		case e.target == f.fid && v.s.ownerOf(e.source) == v.user:
			o.Follows = append(o.Follows, plain.follow(e))
		case v.s.ownerOf(e.source) == f.owner && v.s.ownerOf(e.target) == v.user && len(o.Followings) < maxOwnFollowings:
			o.Followings = append(o.Followings, plain.follow(e))
		}
	}
	if i := f.memberIndex(v.user); i >= 0 {
		m := plain.member(f.members[i])
		o.Membership = &m
	}
	return o
}

// ownBatch returns how the caller stands to many feeds at once. Those that it may not read are left
// out.
func (s *Server) ownBatch(c *call) (object, *failure) {
	var req struct {
		acting
		Feeds  []string `json:"feeds"`
		Fields []string `json:"fields"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	who, f := c.viewer(req.acting)
	switch {
	case f != nil:
		return nil, f
	case len(req.Feeds) == 0 || len(req.Feeds) > maxLimit:
		return nil, badInput("feeds must have 1 to %d entries", maxLimit)
	}
	v, data := s.view(who), make(map[string]object)
	for _, fid := range req.Feeds {
		f, fail := v.readable(fid)
		if fail != nil {
			continue
		}
		own := v.own(f)
		all := object{"own_capabilities": own.Capabilities, "own_follows": own.Follows, "own_followings": own.Followings}
		if own.Membership != nil {
			all["own_membership"] = own.Membership
		}
		if len(req.Fields) > 0 {
			for name := range all {
				if !slices.Contains(req.Fields, name) {
					delete(all, name)
				}
			}
		}
		data[fid] = all
	}
	return object{"data": data}, nil
}
