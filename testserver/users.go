package testserver

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stayauth/stayauth/testserver/internal/login"
)

// A user is one user of the app.
type user struct {
	id, name, image, role, language string

	teams            []string
	custom           map[string]any
	created, updated time.Time

	cutoff time.Time // revoke_tokens_issued_before; zero: none
}

// userResponse is the API's UserResponse. Dates are in nanoseconds since 1970.
type userResponse struct {
	ID             string         `json:"id"`
	Name           string         `json:"name,omitempty"`
	Image          string         `json:"image,omitempty"`
	Role           string         `json:"role"`
	Banned         bool           `json:"banned"`
	Online         bool           `json:"online"`
	Language       string         `json:"language"`
	Teams          []string       `json:"teams"`
	BlockedUserIDs []string       `json:"blocked_user_ids"`
	Custom         map[string]any `json:"custom"`
	CreatedAt      int64          `json:"created_at"`
	UpdatedAt      int64          `json:"updated_at"`
	Cutoff         int64          `json:"revoke_tokens_issued_before,omitempty"`
}

func (u *user) response() userResponse {
	r := userResponse{
		ID: u.id, Name: u.name, Image: u.image, Role: u.role, Language: u.language,
		Teams: orEmpty(u.teams), BlockedUserIDs: []string{}, Custom: u.custom,
		CreatedAt: u.created.UnixNano(), UpdatedAt: u.updated.UnixNano(),
	}
	if r.Custom == nil {
		r.Custom = map[string]any{}
	}
	if !u.cutoff.IsZero() {
		r.Cutoff = u.cutoff.UnixNano()
	}
	return r
}

func (u *user) clone() *user {
	v := *u
	v.custom = maps.Clone(u.custom)
	return &v
}

// orEmpty returns list, or an empty one instead of nil: Stream's generated models can't bear null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// ensureUser returns the user, who comes into being if there is none. s.mu is held.
func (s *Server) ensureUser(id string) *user {
	if u, ok := s.users.Get(id); ok {
		return u
	}
	now := s.now()
	u := &user{id: id, role: "user", created: now, updated: now}
	s.keepUser(u)
	return u
}

// keepUser writes u down as it is now. s.mu is held.
func (s *Server) keepUser(u *user) {
	b, _ := json.Marshal(u.response()) // made of JSON
	s.users.Put(u.id, u, len(b))
}

// A userRequest is a user as a client describes it.
type userRequest struct {
	ID       string         `json:"id"`
	Name     string         `json:"name"`
	Image    string         `json:"image"`
	Role     string         `json:"role"`
	Language string         `json:"language"`
	Teams    []string       `json:"teams"`
	Custom   map[string]any `json:"custom"`
}

func (r userRequest) validate() *failure {
	if r.ID == "" || len(r.ID) > login.MaxUserID {
		return badInput("a user's id must have 1 to %d characters", login.MaxUserID)
	}
	return nil
}

func (r userRequest) applyTo(u *user) {
	u.name, u.image, u.language, u.teams, u.custom = r.Name, r.Image, r.Language, r.Teams, r.Custom
	if r.Role != "" {
		u.role = r.Role
	}
}

// mayChange fails unless the caller may change the user: a server may change everything, a user only itself, and neither its
// role nor which of its tokens are revoked, which are privileged.
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
	users := make(map[string]userResponse)
	for _, id := range slices.Sorted(maps.Keys(req.Users)) {
		u := s.ensureUser(id)
		req.Users[id].applyTo(u)
		u.updated = s.now()
		s.keepUser(u)
		users[id] = u.response()
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

// updateUsersPartial sets and unsets single fields of users: the API's way of revoking a user's tokens.
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
	users := make(map[string]userResponse)
	for id, u := range next {
		u.updated = s.now()
		s.keepUser(u)
		users[id] = u.response()
	}
	s.recheckSockets()
	s.recordEffect(c)
	return object{"users": users, "membership_deletion_task_id": ""}, nil
}

const cutoffField = "revoke_tokens_issued_before"

// set changes one field by its name in the API; null empties it. Any other name, with or without "custom." before
// it, is a custom field's.
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

// queryUsers finds users by id, name and role, in the order in which they came into being.
func (s *Server) queryUsers(c *call) (object, *failure) {
	var req struct {
		Filter filter `json:"filter_conditions"`
		Limit  int    `json:"limit"`
		Offset int    `json:"offset"`
	}
	if p := c.r.URL.Query().Get("payload"); p != "" && json.Unmarshal([]byte(p), &req) != nil {
		return nil, badInput("payload is not the JSON of a query")
	}
	matches, f := compile(req.Filter, map[string]field[*user]{
		"id":   textField(func(u *user) string { return u.id }),
		"name": textField(func(u *user) string { return u.name }),
		"role": textField(func(u *user) string { return u.role }),
	})
	switch {
	case f != nil:
		return nil, f
	case req.Limit < 0 || req.Limit > maxLimit:
		return nil, badInput("limit must be between 0 and %d", maxLimit)
	case req.Offset < 0:
		return nil, badInput("offset must not be negative")
	case req.Limit == 0:
		req.Limit = defaultLimit
	}
	users := []userResponse{}
	for _, u := range s.users.All() {
		if !matches(u) {
			continue
		}
		if req.Offset--; req.Offset < 0 && len(users) < req.Limit {
			users = append(users, u.response())
		}
	}
	return object{"users": users}, nil
}
