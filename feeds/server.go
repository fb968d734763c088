package feeds

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/stayauth/stayauth/provider"
)

// A TokenOption changes what [Client.CreateToken] makes: see [WithExpiration].
type TokenOption func(*provider.Signer)

// WithExpiration sets how long the token lives. Without it, and for 0, that is 1 hour; a negative one makes a token that never
// ends.
func WithExpiration(d time.Duration) TokenOption { return func(s *provider.Signer) { s.Validity = d } }

// CreateToken mints a token for the user, to hand to that user's program. The client needs the secret.
func (c *Client) CreateToken(userID string, options ...TokenOption) (string, error) {
	if err := c.needsSecret("CreateToken"); err != nil {
		return "", err
	}
	s := provider.Signer{Secret: c.Secret}
	for _, o := range options {
		o(&s)
	}
	return s.UserToken(userID)
}

// A UserResponse is a user as the API knows it.
type UserResponse struct {
	ID                       string         `json:"id"`
	Name                     string         `json:"name"`
	Image                    string         `json:"image"`
	Role                     string         `json:"role"`
	Banned                   bool           `json:"banned"`
	Online                   bool           `json:"online"`
	Custom                   map[string]any `json:"custom"`
	CreatedAt                Timestamp      `json:"created_at"`
	UpdatedAt                Timestamp      `json:"updated_at"`
	RevokeTokensIssuedBefore Timestamp      `json:"revoke_tokens_issued_before"` // zero: none are revoked
}

// UpdateUserPartialRequest is a change of one user: fields to set, and fields to remove.
type UpdateUserPartialRequest struct {
	ID    string         `json:"id"`
	Set   map[string]any `json:"set,omitempty"`
	Unset []string       `json:"unset,omitempty"`
}

// UpdateUsersPartialRequest is what [Client.UpdateUsersPartial] takes.
type UpdateUsersPartialRequest struct {
	Users []UpdateUserPartialRequest `json:"users"`
}

// UpdateUsersPartialResponse is what [Client.UpdateUsersPartial] returns: the changed users by id.
type UpdateUsersPartialResponse struct {
	Users map[string]UserResponse `json:"users"`
}

// UpdateUsersPartial changes single fields of users. Setting "revoke_tokens_issued_before" to a time revokes the tokens that a
// user got before it, and setting it to nil gives them their life back:
//
//	client.UpdateUsersPartial(ctx, &feeds.UpdateUsersPartialRequest{Users: []feeds.UpdateUserPartialRequest{
//		{ID: "alice", Set: map[string]any{"revoke_tokens_issued_before": time.Now()}},
//	}})
//
// A token without an iat claim is revoked whatever the time. A token's iat has whole seconds, so one that was minted in the
// second of the revocation may live.
func (c *Client) UpdateUsersPartial(ctx context.Context, req *UpdateUsersPartialRequest) (*UpdateUsersPartialResponse, error) {
	out := new(UpdateUsersPartialResponse)
	return result(out, c.asServer(ctx, "UpdateUsersPartial",
		call{method: http.MethodPatch, path: []string{"api", "v2", "users"}, in: req, out: out}))
}

// UpdateAppRequest is what [Client.UpdateApp] takes. A nil field stays as it is.
type UpdateAppRequest struct {
	// RevokeTokensIssuedBefore revokes all users' tokens that were issued before that time. The zero time.Time takes the
	// revocation back.
	RevokeTokensIssuedBefore *time.Time

	// DisableAuthChecks lets developer tokens in: for development alone.
	DisableAuthChecks *bool
}

// wire is the JSON of r, in which null differs from absent.
func (r *UpdateAppRequest) wire() map[string]any {
	m := make(map[string]any)
	if r == nil {
		return m
	}
	if t := r.RevokeTokensIssuedBefore; t != nil {
		m["revoke_tokens_issued_before"] = any(nil)
		if !t.IsZero() {
			m["revoke_tokens_issued_before"] = *t
		}
	}
	if r.DisableAuthChecks != nil {
		m["disable_auth_checks"] = *r.DisableAuthChecks
	}
	return m
}

// UpdateApp changes the app's settings.
func (c *Client) UpdateApp(ctx context.Context, req *UpdateAppRequest) error {
	return c.asServer(ctx, "UpdateApp", call{method: http.MethodPatch, path: []string{"api", "v2", "app"}, in: req.wire()})
}

func (c *Client) needsSecret(what string) error {
	if c.Secret == "" {
		return errors.New("feeds: " + what + " is for a backend: it needs the API secret (NewClient's second argument)")
	}
	return nil
}

// asServer makes the call with a server token, which never expires and belongs to no user.
func (c *Client) asServer(ctx context.Context, what string, call call) error {
	if err := c.needsSecret(what); err != nil {
		return err
	}
	token, err := provider.Signer{Secret: c.Secret}.ServerToken()
	if err != nil {
		return err
	}
	return c.do(ctx, serverToken{c.Base, token}, call)
}

// serverToken is a RoundTripper that puts the server token into its requests.
type serverToken struct {
	base  http.RoundTripper
	token string
}

func (s serverToken) RoundTrip(req *http.Request) (*http.Response, error) {
	base := s.base
	if base == nil {
		base = http.DefaultTransport
	}
	out := req.Clone(req.Context())
	out.Header.Set("Authorization", s.token)
	return base.RoundTrip(out)
}
