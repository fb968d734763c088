package feeds

import (
	"context"
	"errors"
	"iter"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/stayauth/stayauth/provider"
)

// A TokenOption changes what [Client.CreateToken] makes: see [WithExpiration].
type TokenOption func(*provider.Signer)

// WithExpiration sets how long the token lives. Without it, and for 0, a token lives for 1 hour. A
// negative duration makes a token that never ends.
func WithExpiration(d time.Duration) TokenOption { return func(s *provider.Signer) { s.Validity = d } }

// CreateToken mints a token for the user, to hand to that user's program. The client needs the
// secret.
func (c *Client) CreateToken(userID string, options ...TokenOption) (string, error) {
	s, err := c.signer("CreateToken")
	if err != nil {
		return "", err
	}
	for _, o := range options {
		o(&s)
	}
	return s.UserToken(userID)
}

// UpdateUsers creates users, or replaces those that exist. The client needs the secret.
func (c *Client) UpdateUsers(ctx context.Context, req *UpdateUsersRequest) (*UpdateUsersResponse, error) {
	s, err := c.server("UpdateUsers")
	if err != nil {
		return nil, err
	}
	return s.UpdateUsers(ctx, req)
}

// QueryUsers returns a page of the users that the filter selects. The client needs the secret.
// [Client.Users] goes through all pages.
func (c *Client) QueryUsers(ctx context.Context, req *QueryUsersRequest) (*QueryUsersResponse, error) {
	s, err := c.server("QueryUsers")
	if err != nil {
		return nil, err
	}
	return s.QueryUsers(ctx, req)
}

// Users returns the users that the filter selects, as [Session.Users] does. The client needs the
// secret.
func (c *Client) Users(ctx context.Context, req *QueryUsersRequest) iter.Seq2[UserResponse, error] {
	s, err := c.server("Users")
	if err != nil {
		return func(yield func(UserResponse, error) bool) { yield(UserResponse{}, err) }
	}
	return s.Users(ctx, req)
}

// UpdateUsersPartial changes single fields of users. The client needs the secret. Setting
// "revoke_tokens_issued_before" to a time revokes the tokens that a user got before that time.
// Setting it to nil takes the revocation back:
//
//	client.UpdateUsersPartial(ctx, &feeds.UpdateUsersPartialRequest{Users: []feeds.UpdateUserPartialRequest{
//		{ID: "alice", Set: map[string]any{"revoke_tokens_issued_before": time.Now()}},
//	}})
//
// A token without an iat claim is revoked whatever the time is. A token's iat has whole seconds, so
// a token that was minted in the same second as the revocation may stay valid.
func (c *Client) UpdateUsersPartial(ctx context.Context, req *UpdateUsersPartialRequest) (*UpdateUsersPartialResponse, error) {
	s, err := c.server("UpdateUsersPartial")
	if err != nil {
		return nil, err
	}
	return s.UpdateUsersPartial(ctx, req)
}

// maxUsers is how many users the API changes in one call.
const maxUsers = 100

// RevokeUserToken revokes the user's tokens that were issued before the given time. Nil and the
// zero time take the revocation back. It is short for [Client.UpdateUsersPartial], which says more.
// The client needs the secret.
func (c *Client) RevokeUserToken(ctx context.Context, userID string, before *time.Time) error {
	return c.RevokeUsersTokens(ctx, []string{userID}, before)
}

// RevokeUsersTokens does for many users what [Client.RevokeUserToken] does for one. It makes one
// call for each 100 users. If a call fails, the tokens of the users in the calls before it are
// revoked; calling RevokeUsersTokens again does no harm.
func (c *Client) RevokeUsersTokens(ctx context.Context, userIDs []string, before *time.Time) error {
	s, err := c.server("RevokeUsersTokens")
	if err != nil {
		return err
	}
	set := map[string]any{cutoffField: cutoff(before)}
	for ids := range slices.Chunk(userIDs, maxUsers) {
		req := new(UpdateUsersPartialRequest)
		for _, id := range ids {
			req.Users = append(req.Users, UpdateUserPartialRequest{ID: id, Set: set})
		}
		if _, err := s.UpdateUsersPartial(ctx, req); err != nil {
			return err
		}
	}
	return nil
}

// RevokeTokens revokes the tokens of all users that were issued before the given time. Nil and the
// zero time take the revocation back. It is short for [Client.UpdateApp]. The client needs the
// secret.
func (c *Client) RevokeTokens(ctx context.Context, before *time.Time) error {
	if before == nil {
		before = new(time.Time)
	}
	return c.UpdateApp(ctx, &UpdateAppRequest{RevokeTokensIssuedBefore: before})
}

const cutoffField = "revoke_tokens_issued_before"

// cutoff returns before as JSON has it: null for none.
func cutoff(before *time.Time) any {
	if before == nil || before.IsZero() {
		return nil
	}
	return *before
}

// An App is those of the app's settings that the login depends on.
type App struct {
	Name                     string    `json:"name"`
	DisableAuthChecks        bool      `json:"disable_auth_checks"`
	RevokeTokensIssuedBefore Timestamp `json:"revoke_tokens_issued_before"` // zero: none are revoked
}

// GetAppResponse is what [Client.GetApp] returns.
type GetAppResponse struct {
	App App `json:"app"`
}

// GetApp returns the app's settings. The client needs the secret.
func (c *Client) GetApp(ctx context.Context) (*GetAppResponse, error) {
	s, err := c.server("GetApp")
	if err != nil {
		return nil, err
	}
	return ask[GetAppResponse](ctx, s, call{method: http.MethodGet, path: apiPath("app")})
}

// UpdateAppRequest is what [Client.UpdateApp] takes. At least one field has to be set.
type UpdateAppRequest struct {
	// RevokeTokensIssuedBefore revokes all users' tokens that were issued before that time. The
	// zero time.Time takes the revocation back; nil leaves it as it is.
	RevokeTokensIssuedBefore *time.Time

	// DisableAuthChecks makes developer tokens valid. It is for development only. Nil leaves it as
	// it is.
	DisableAuthChecks *bool

	// Set changes any settings, by their names in the API. A nil value is null in JSON: nil for
	// "revoke_tokens_issued_before" takes the revocation back. The fields above override it.
	Set map[string]any
}

// wire is the JSON of r, in which null differs from absent.
func (r *UpdateAppRequest) wire() map[string]any {
	m := make(map[string]any)
	maps.Copy(m, r.Set)
	if r.RevokeTokensIssuedBefore != nil {
		m[cutoffField] = cutoff(r.RevokeTokensIssuedBefore)
	}
	if r.DisableAuthChecks != nil {
		m["disable_auth_checks"] = *r.DisableAuthChecks
	}
	return m
}

// UpdateApp changes the app's settings. The client needs the secret. Setting
// "revoke_tokens_issued_before" to a time revokes the tokens that any user got before that time.
// Setting it to nil takes the revocation back:
//
//	now := time.Now()
//	client.UpdateApp(ctx, &feeds.UpdateAppRequest{RevokeTokensIssuedBefore: &now})
//	client.UpdateApp(ctx, &feeds.UpdateAppRequest{Set: map[string]any{"revoke_tokens_issued_before": nil}})
//
// [Client.RevokeTokens] is short for both.
//
// A request that sets nothing is an error. Its author may have wanted to take a revocation back
// with a nil field, and a nil field says nothing.
func (c *Client) UpdateApp(ctx context.Context, req *UpdateAppRequest) error {
	s, err := c.server("UpdateApp")
	if err != nil {
		return err
	}
	in := orZero(req).wire()
	if len(in) == 0 {
		return errors.New("feeds: UpdateApp: the request sets nothing; to take a revocation back use RevokeTokens(ctx, nil), " +
			"or Set with \"revoke_tokens_issued_before\" and nil")
	}
	return s.do(ctx, call{method: http.MethodPatch, path: apiPath("app"), in: in})
}

// server returns a session with a server token, which belongs to no user and never ends. Each
// session gets a new one. The session holds nothing that must be closed.
func (c *Client) server(what string) (*Session, error) {
	signer, err := c.signer(what)
	if err != nil {
		return nil, err
	}
	token, err := signer.ServerToken()
	if err != nil {
		return nil, err
	}
	s, err := c.session(provider.Static(token))
	if err != nil {
		return nil, err
	}
	s.transport.IsRejected = neverRejected
	s.transport.Trace, s.transport.Logger = nil, nil // which are for users' logins
	return s, nil
}
