package testserver

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// mayChange fails unless the caller may change the user: a server may change everything, a user
// only itself, and neither its role nor which of its tokens are revoked, which are privileged.
func (c *call) mayChange(id string, privileged bool) *failure {
	if c.server || id == c.user && !privileged {
		return nil
	}
	return notAllowed("user '%s' is not allowed to change this of user '%s'", c.user, id)
}

// updateUsers makes users, or replaces what is known of them.
func (s *Server) updateUsers(c *call) (object, *failure) {
	var req struct {
		Users map[string]userRequest `json:"users"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	if f := checkUserCount(len(req.Users)); f != nil {
		return nil, f
	}
	for id, r := range req.Users { // all is checked before anything changes
		if r.ID != "" && r.ID != id {
			return nil, badInput("user '%s' stands under the key '%s'", r.ID, id)
		}
		r.ID = id
		if f := r.validate(); f != nil {
			return nil, f
		}
		role := r.Role
		if u, ok := s.users.Get(id); ok && u.role == role {
			role = ""
		}
		if f := c.mayChange(id, role != ""); f != nil {
			return nil, f
		}
	}
	users := make(map[string]fullUserResponse)
	for _, id := range slices.Sorted(maps.Keys(req.Users)) {
		u := s.ensureUser(id)
		req.Users[id].applyTo(u)
		u.updated = s.now()
		s.keepUser(u)
		users[id] = u.full()
	}
	s.recordEffect(c)
	return object{"users": users, "membership_deletion_task_id": ""}, nil
}

// checkUserCount applies the API's limit on how many users one call may change.
func checkUserCount(n int) *failure {
	if n < 1 || n > 100 {
		return badInput("users must have 1 to 100 entries, not %d", n)
	}
	return nil
}

// updateUsersPartial sets and unsets single fields of users: the API's way of revoking a user's
// tokens.
func (s *Server) updateUsersPartial(c *call) (object, *failure) {
	var req struct {
		Users []struct {
			ID    string                     `json:"id"`
			Set   map[string]json.RawMessage `json:"set"`
			Unset []string                   `json:"unset"`
		} `json:"users"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	if f := checkUserCount(len(req.Users)); f != nil {
		return nil, f
	}
	next := make(map[string]*user) // what the users will be, unless something is wrong with one of them
	for _, r := range req.Users {
		changes := make(map[string]json.RawMessage)
		maps.Copy(changes, r.Set)
		for _, name := range r.Unset {
			changes[name] = json.RawMessage("null")
		}
		if f := c.mayChange(r.ID, changes["role"] != nil || changes[cutoffField] != nil); f != nil {
			return nil, f
		}
		u := next[r.ID]
		if u == nil {
			old, ok := s.users.Get(r.ID)
			if !ok {
				return nil, notFound("user '%s' does not exist", r.ID)
			}
			u = old.clone()
			next[r.ID] = u
		}
		for _, name := range slices.Sorted(maps.Keys(changes)) {
			if f := u.set(name, changes[name]); f != nil {
				return nil, f
			}
		}
	}
	users := make(map[string]fullUserResponse)
	for id, u := range next {
		u.updated = s.now()
		s.keepUser(u)
		users[id] = u.full()
	}
	s.recheckSockets()
	s.recordEffect(c)
	return object{"users": users, "membership_deletion_task_id": ""}, nil
}

const cutoffField = "revoke_tokens_issued_before"

// set changes one field by its name in the API; null empties it. Any other name, with or without
// "custom." before it, is a custom field's.
func (u *user) set(name string, value json.RawMessage) *failure {
	var target any
	switch name {
	case cutoffField:
		var f *failure
		u.cutoff, f = parseCutoff(value)
		return f
	case "id", "created_at", "updated_at", "banned", "online", "blocked_user_ids":
		return badInput("field '%s' of a user can't be changed", name)
	case "name":
		u.name, target = "", &u.name
	case "image":
		u.image, target = "", &u.image
	case "role":
		u.role, target = "user", &u.role
	case "language":
		u.language, target = "", &u.language
	case "teams":
		u.teams, target = nil, &u.teams
	case "custom":
		u.custom, target = nil, &u.custom
	default:
		name = strings.TrimPrefix(name, "custom.")
		var v any
		if json.Unmarshal(value, &v); v == nil {
			delete(u.custom, name)
			return nil
		}
		if u.custom == nil {
			u.custom = map[string]any{}
		}
		u.custom[name] = v
		return nil
	}
	if json.Unmarshal(value, target) != nil {
		return badInput("field '%s' of a user has the wrong type", name)
	}
	return nil
}
