package feeds

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
)

// A UserResponse is a user as the API knows it.
type UserResponse struct {
	ID                       string         `json:"id"`
	Name                     string         `json:"name"`
	Image                    string         `json:"image"`
	Role                     string         `json:"role"`
	Language                 string         `json:"language"`
	Teams                    []string       `json:"teams"`
	Banned                   bool           `json:"banned"`
	Online                   bool           `json:"online"`
	Custom                   map[string]any `json:"custom"`
	CreatedAt                Timestamp      `json:"created_at"`
	UpdatedAt                Timestamp      `json:"updated_at"`
	RevokeTokensIssuedBefore Timestamp      `json:"revoke_tokens_issued_before"` // zero: none are revoked
}

// A UserRequest is a user in an [UpdateUsersRequest]: all that is known of the user afterwards.
type UserRequest struct {
	ID       string         `json:"id"` // empty: the user's key in the map
	Name     string         `json:"name,omitempty"`
	Image    string         `json:"image,omitempty"` // a URL
	Role     string         `json:"role,omitempty"`  // for the server side only
	Language string         `json:"language,omitempty"`
	Teams    []string       `json:"teams,omitempty"` // for the server side only
	Custom   map[string]any `json:"custom,omitempty"`
}

// UpdateUsersRequest is what [Session.UpdateUsers] takes: up to 100 users by id.
type UpdateUsersRequest struct {
	Users map[string]UserRequest `json:"users"`
}

// UpdateUsersResponse is what [Session.UpdateUsers] returns: the users by id.
type UpdateUsersResponse struct {
	Users map[string]UserResponse `json:"users"`
}

// UpdateUsers creates users, or replaces those that exist. A user's session may do that for its own
// user only.
func (s *Session) UpdateUsers(ctx context.Context, req *UpdateUsersRequest) (*UpdateUsersResponse, error) {
	in := UpdateUsersRequest{Users: make(map[string]UserRequest)}
	for id, u := range orZero(req).Users {
		if u.ID == "" {
			u.ID = id
		}
		in.Users[id] = u
	}
	return ask[UpdateUsersResponse](ctx, s, call{method: http.MethodPost, path: apiPath("users"), in: in})
}

// An UpdateUserPartialRequest is a change of one user: fields to set, by their name in the API, and
// fields to remove.
type UpdateUserPartialRequest struct {
	ID    string         `json:"id"`
	Set   map[string]any `json:"set,omitempty"`
	Unset []string       `json:"unset,omitempty"`
}

// UpdateUsersPartialRequest is what [Session.UpdateUsersPartial] takes: up to 100 changes.
type UpdateUsersPartialRequest struct {
	Users []UpdateUserPartialRequest `json:"users"`
}

// UpdateUsersPartialResponse is what [Session.UpdateUsersPartial] returns: the changed users by id.
type UpdateUsersPartialResponse struct {
	Users map[string]UserResponse `json:"users"`
}

// UpdateUsersPartial changes single fields of users. A user's session may do that for its own user
// only, and may change neither the role nor the revocation time. A server's session may change
// everything: see [Client.UpdateUsersPartial].
func (s *Session) UpdateUsersPartial(ctx context.Context, req *UpdateUsersPartialRequest) (*UpdateUsersPartialResponse, error) {
	return ask[UpdateUsersPartialResponse](ctx, s, call{method: http.MethodPatch, path: apiPath("users"), in: orZero(req)})
}

// QueryUsersRequest is what [Session.QueryUsers] takes. The zero value asks for the first page of
// all users.
type QueryUsersRequest struct {
	FilterConditions map[string]any `json:"filter_conditions"` // in Stream's syntax: {"role": "admin"}
	Sort             []SortParam    `json:"sort,omitempty"`
	Limit            int            `json:"limit,omitempty"`  // on a page, up to 100; 0: the API's default
	Offset           int            `json:"offset,omitempty"` // how many users come before the page
}

// QueryUsersResponse is one page of users. A page after the last is empty.
type QueryUsersResponse struct {
	Users []UserResponse `json:"users"`
}

// QueryUsers returns a page of the users that the filter selects. [Session.Users] goes through all
// pages.
func (s *Session) QueryUsers(ctx context.Context, req *QueryUsersRequest) (*QueryUsersResponse, error) {
	in := *orZero(req)
	if in.FilterConditions == nil {
		in.FilterConditions = map[string]any{} // required
	}
	payload, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("feeds: QueryUsers: the request can't be encoded: %w", err)
	}
	return ask[QueryUsersResponse](ctx, s, call{method: http.MethodGet, path: apiPath("users"), query: url.Values{"payload": {string(payload)}}})
}

// Users returns the users that the filter selects, page by page as [Session.Activities] does, and
// each of them once. It begins at req.Offset. The API counts from the beginning for each page, so a
// user that is created or deleted during the loop shifts the others, and the loop may miss one.
func (s *Session) Users(ctx context.Context, req *QueryUsersRequest) iter.Seq2[UserResponse, error] {
	query := *orZero(req)
	return func(yield func(UserResponse, error) bool) {
		been := make(map[string]bool)
		for query, stale := query, 0; ; {
			page, err := s.QueryUsers(ctx, &query)
			if err != nil {
				yield(UserResponse{}, err)
				return
			}
			// A short page may be the API's own limit, so only an empty one is the end.
			if len(page.Users) == 0 {
				return
			}
			stale++
			for _, u := range page.Users {
				if been[u.ID] {
					continue
				}
				been[u.ID], stale = true, 0
				if !yield(u, nil) {
					return
				}
			}
			if stale == maxStalePages {
				yield(UserResponse{}, errCircle)
				return
			}
			query.Offset += len(page.Users)
		}
	}
}

// maxStalePages is how many pages of users may follow one another without a new user. New users can
// push known ones onto the next page; an API that ignores the offset repeats the same page for
// ever.
const maxStalePages = 3
