package feeds

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// DefaultBaseURL is where Stream's feeds are.
const DefaultBaseURL = "https://feeds.stream-io-api.com"

// A Client is one app at Stream. A program on a user's machine knows the API key alone and may
// write a literal; a backend makes its client with [NewClient], which takes the secret too. Set the
// fields before the first call and leave them alone afterwards. A Client is safe for concurrent
// use.
//
// A Client prints as its key, and its secret never shows, in whatever struct it stands.
type Client struct {
	// Key is the app's API key. Required.
	Key string

	// BaseURL is the API's address without a trailing slash. Empty means DefaultBaseURL. Plain http
	// is for this machine only, unless AllowHTTP is set.
	BaseURL string

	// AllowHTTP permits a BaseURL with plain http on other hosts than this machine: a test server
	// in a container's network, http://testserver:8080 for one. Anyone on the way can read the
	// tokens.
	AllowHTTP bool

	// Base sends the requests. Nil means http.DefaultTransport.
	Base http.RoundTripper

	// NoRateLimitWait returns the API's refusal at once when a call exceeds a rate limit. Without
	// it the call waits until the time at which the API says that the limit ends, and up to a
	// second more, so that not everybody comes back at once; then it is made again, up to three
	// times. It doesn't wait if that time lies past the deadline of the call's context or, where
	// there is none, past 5 minutes, or if the API names none. The refusal is an [*Error] with
	// CodeRateLimited.
	NoRateLimitWait bool

	// Trace and Logger are handed to the transport of each user's and guest's session: see
	// transport.Transport. Logger also gets a Warn when a call waits for a rate limit.
	Trace  *transport.Trace
	Logger *slog.Logger

	secret provider.Secret // zero for none
}

// NewClient returns a client for the app with the given API key. The secret is for backends: it may
// be empty, and CreateToken and the server-side calls then fail and say so.
func NewClient(key, secret string) (*Client, error) {
	c := &Client{Key: key, secret: provider.NewSecret(secret)}
	if _, err := c.base(); err != nil {
		return nil, err
	}
	return c, nil
}

// signer returns what mints the app's tokens, or says that what is for a backend.
func (c *Client) signer(what string) (provider.Signer, error) {
	if c.secret.IsZero() {
		return provider.Signer{}, errors.New("feeds: " + what + " is for a backend: it needs the API secret (NewClient's second argument)")
	}
	return provider.Signer{Secret: c.secret}, nil
}

// Format implements [fmt.Formatter]: a Client prints its key and where it goes.
func (c Client) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, c.String()) }

// String returns the key and the address, without the secret.
func (c Client) String() string {
	return fmt.Sprintf("feeds.Client{Key: %q, BaseURL: %q}", c.Key, c.BaseURL)
}

// LogValue implements [slog.LogValuer].
func (c Client) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText implements [encoding.TextMarshaler], and with it JSON: it gives what String does.
func (c Client) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// base returns the parsed BaseURL, or what is wrong with c.
func (c *Client) base() (*url.URL, error) {
	if c.Key == "" {
		return nil, errors.New("feeds: Client.Key is empty: it is the API key of your app, from Stream's dashboard")
	}
	address := c.BaseURL
	if address == "" {
		address = DefaultBaseURL
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("feeds: Client.BaseURL is not of the form https://host or https://host/path")
	}
	if u.Path == "" {
		u.Path = "/" // JoinPath would leave it out
	}
	return u, nil
}
