package testserver

import "net/http"

// maxWatched is how many feeds one socket may watch; the comment of Server names it.
const maxWatched = 1000

// watcher returns the caller's socket that is named in the query, to which a watched feed's events
// go. s.mu is held.
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

// watcherIf is watcher for calls that may ask to watch, and returns nil for those that don't.
func (s *Server) watcherIf(c *call, watch bool) (*socket, *failure) {
	if !watch {
		return nil, nil
	}
	return s.watcher(c)
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
		s.unwatch(k, fid)
	}
}

// stopWatching ends what watch began, for the caller's socket that is named in the query.
func (s *Server) stopWatching(c *call) (object, *failure) {
	k, f := s.watcher(c)
	if f != nil {
		return nil, f
	}
	s.unwatch(k, pathFID(c))
	return object{}, nil
}

// unwatch sends no more of a feed's events to the socket. s.mu is held.
func (s *Server) unwatch(k *socket, fid string) {
	delete(k.watching, fid)
	delete(s.watchers[fid], k)
	if len(s.watchers[fid]) == 0 {
		delete(s.watchers, fid)
	}
}
