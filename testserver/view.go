package testserver

// A viewer is whom an answer is for. The zero viewer is an anonymous caller, and those whom an
// event goes to.
type viewer struct {
	user   string // whose own_ fields are filled; empty: no user
	server bool   // from whom nothing is hidden
}

// viewer returns whom the answer to a call that only reads is for. A server may read for a user, by
// user_id or user in the body or by user_id in the query.
func (c *call) viewer(a acting) (viewer, *failure) {
	id := a.id()
	switch {
	case !c.server && c.user == "": // an anonymous caller reads as itself, whatever it says
		return viewer{}, nil
	case !c.server && id != "" && id != c.user:
		return viewer{}, notAllowed("user '%s' is not allowed to act for user '%s'", c.user, id)
	case !c.server:
		return viewer{user: c.user}, nil
	case id != "":
		if f := (userRequest{ID: id}).validate(); f != nil {
			return viewer{}, f
		}
	}
	return viewer{user: id, server: true}, nil
}

// queried returns what a query's user_id says of whom the call is for.
func (c *call) queried() acting { return acting{UserID: c.r.URL.Query().Get("user_id")} }

// A view is what a viewer sees of the server's state, while one answer or event is made. s.mu is
// held all the time.
type view struct {
	s *Server
	viewer

	enrich bool                     // enrich_own_fields: the feeds in activities and follows have own_ fields
	made   map[string]*feedResponse // feeds that were described already, by fid
}

func (s *Server) view(v viewer) *view {
	return &view{s: s, viewer: v, made: make(map[string]*feedResponse)}
}

func (v *view) userNamed(id string) userResponse { return v.s.ensureUser(id).response() }

// userOf describes a user as events do.
func (v *view) userOf(id string) userCommon { return v.s.ensureUser(id).common() }

func (v *view) users(ids []string) []userResponse {
	list := make([]userResponse, 0, len(ids))
	for _, id := range ids {
		list = append(list, v.userNamed(id))
	}
	return list
}

// describe makes the API's description of each of a list.
func describe[T, R any](list []T, one func(T) R) []R {
	out := make([]R, 0, len(list))
	for _, v := range list {
		out = append(out, one(v))
	}
	return out
}
