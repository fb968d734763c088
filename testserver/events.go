package testserver

import "slices"

// publish sends an event to those who watch one of the feeds, once for each feed. about is the
// activity that the event is about, which not all of them may see, or nil. s.mu is held.
func (s *Server) publish(kind string, fids []string, about *activity, fields object) {
	for _, fid := range fids {
		if len(s.watchers[fid]) == 0 {
			continue
		}
		event := object{"fid": fid}
		if f, ok := s.feeds.Get(fid); ok {
			event["feed_visibility"] = f.visibility
		}
		frame := s.frame(kind, event, fields)
		for k := range s.watchers[fid] {
			v := s.view(viewer{user: k.user})
			if about == nil || v.maySee(about) && v.seesWhole(about) {
				k.send(frame)
			}
		}
	}
}

// publishTo sends an event to the sockets of a user, whatever they watch. s.mu is held.
func (s *Server) publishTo(user, kind string, fields object) {
	var frame []byte
	for _, k := range s.sockets {
		if k.user != user || user == "" || k.dialect != feedsSocket {
			continue
		}
		if frame == nil {
			frame = s.frame(kind, nil, fields)
		}
		k.send(frame)
	}
}

// frame encodes an event.
func (s *Server) frame(kind string, fields ...object) []byte {
	event := object{"type": kind, "created_at": s.now().UnixNano(), "custom": object{}}
	for _, some := range fields {
		for name, value := range some {
			event[name] = value
		}
	}
	return encode(event)
}

// publishActivity sends an event about an activity to those who watch one of the feeds and may see
// it, with more fields if there are any. s.mu is held.
func (s *Server) publishActivity(kind string, a *activity, fids []string, fields object) {
	if !slices.ContainsFunc(fids, func(fid string) bool { return len(s.watchers[fid]) > 0 }) {
		return
	}
	v := s.view(viewer{server: true})
	one := v.activity(a)
	if p, ok := s.acts.Get(a.parent); ok && !s.view(viewer{}).maySee(p) {
		one.Parent = nil // not all who see a share may see what it shares
	}
	fields["activity"] = one
	if fields["user"] == nil {
		fields["user"] = v.userOf(a.user)
	}
	s.publish(kind, fids, a, fields)
}

// reach returns the feeds in which an activity of the given feeds is seen: these, and those that
// follow them. s.mu is held.
func (s *Server) reach(fids []string) []string {
	all := slices.Clone(fids)
	for _, e := range s.follows.All() {
		if e.status == followAccepted && slices.Contains(fids, e.target) && !slices.Contains(all, e.source) {
			all = append(all, e.source)
		}
	}
	return all
}
