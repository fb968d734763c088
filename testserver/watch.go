package testserver

import (
	"net/http"
	"slices"
)

// maxWatched is how many feeds one socket may watch; the package comment names it.
const maxWatched = 1000

// watcher returns the caller's socket that is named in the query, to which a watched feed's events go. s.mu is held.
func (s *Server) watcher(c *call) (*socket, *failure) {
	id := c.r.URL.Query().Get("connection_id")
	switch k, ok := s.sockets[id]; {
	case id == "":
		return nil, badInput("watch needs a connection_id in the query: that of the caller's open socket")
	case !ok:
		return nil, &failure{status: http.StatusBadRequest, code: codeConnectionID, inner: "the connection_id is not that of an open socket"}
	case c.server || k.user != c.user:
		return nil, notAllowed("user '%s' is not allowed to use the socket of another", c.user)
	default:
		return k, nil
	}
}

// watch has the feeds' events sent to the socket from now on. s.mu is held.
func (s *Server) watch(k *socket, fids ...string) *failure {
	if k == nil {
		return nil
	}
	for _, fid := range fids {
		if len(k.watching) >= maxWatched && !k.watching[fid] {
			return badInput("a socket can watch %d feeds", maxWatched)
		}
		k.watching[fid] = true
		if s.watchers[fid] == nil {
			s.watchers[fid] = make(map[*socket]bool)
		}
		s.watchers[fid][k] = true
	}
	return nil
}

// forget ends all that the server knows of a socket.
func (s *Server) forget(k *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sockets[k.id] == k {
		delete(s.sockets, k.id)
	}
	for fid := range k.watching {
		delete(s.watchers[fid], k)
		if len(s.watchers[fid]) == 0 {
			delete(s.watchers, fid)
		}
	}
}

// publish sends an event to whoever watches one of the feeds, once for each feed. s.mu is held.
func (s *Server) publish(kind string, fids []string, fields object) {
	for _, fid := range fids {
		if len(s.watchers[fid]) == 0 {
			continue
		}
		event := object{"type": kind, "fid": fid, "created_at": s.now().UnixNano(), "custom": object{}}
		for name, value := range fields {
			event[name] = value
		}
		frame := encode(event)
		for k := range s.watchers[fid] {
			k.send(frame)
		}
	}
}

// reach returns the feeds in which an activity of the given feeds is seen: these, and those that follow them. s.mu is held.
func (s *Server) reach(fids []string) []string {
	all := slices.Clone(fids)
	for _, f := range s.follows.All() {
		if slices.Contains(fids, f.target) && !slices.Contains(all, f.source) {
			all = append(all, f.source)
		}
	}
	return all
}
