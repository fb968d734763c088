package testserver

import (
	"encoding/json"
	"maps"
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

// userCommon is the API's UserResponseCommonFields, which is all that events say of a user. Dates
// are in nanoseconds since 1970.
type userCommon struct {
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
	Cutoff         *int64         `json:"revoke_tokens_issued_before,omitempty"`
}

// userResponse is the API's UserResponse: what is said of a user beside what is theirs.
type userResponse struct {
	userCommon
	Invisible    bool `json:"invisible"`
	ShadowBanned bool `json:"shadow_banned"`
}

// fullUserResponse is the API's FullUserResponse: what is said to those who ask for users.
type fullUserResponse struct {
	userResponse
	chatCounts
}

// chatCounts are what belongs to Stream's chat, of which this server has nothing.
type chatCounts struct {
	TotalUnreadCount int   `json:"total_unread_count"`
	UnreadChannels   int   `json:"unread_channels"`
	UnreadCount      int   `json:"unread_count"`
	UnreadThreads    int   `json:"unread_threads"`
	ChannelMutes     []any `json:"channel_mutes"`
	Devices          []any `json:"devices"`
	Mutes            []any `json:"mutes"`
}

func noChat() chatCounts { return chatCounts{ChannelMutes: []any{}, Devices: []any{}, Mutes: []any{}} }

func (u *user) common() userCommon {
	return userCommon{
		ID: u.id, Name: u.name, Image: u.image, Role: u.role, Language: u.language,
		Teams: orEmpty(u.teams), BlockedUserIDs: []string{}, Custom: orEmptyMap(u.custom),
		CreatedAt: u.created.UnixNano(), UpdatedAt: u.updated.UnixNano(), Cutoff: nanos(u.cutoff),
	}
}

func (u *user) response() userResponse { return userResponse{userCommon: u.common()} }

func (u *user) full() fullUserResponse { return fullUserResponse{u.response(), noChat()} }

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

// orEmptyMap is orEmpty for maps.
func orEmptyMap[T any](m map[string]T) map[string]T {
	if m == nil {
		return map[string]T{}
	}
	return m
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
