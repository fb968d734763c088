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

// A Client is one app at Stream. A program on a user's machine has only the API key and may write a
// literal; a backend has the secret too and makes its client with [NewClient]. Set the fields
// before the first call and do not change them afterwards. A Client is safe for concurrent use.
//
// A Client prints its key and its BaseURL. It never prints its secret, in whatever struct it
// stands.
type Client struct {
	// Key is the app's API key. Required.
	Key string

	// BaseURL is the API's address without a trailing slash. Empty means DefaultBaseURL. Plain http
	// is allowed for this machine only, unless AllowHTTP is set.
	BaseURL string

	// AllowHTTP allows a BaseURL with plain http on other hosts than this machine, such as a test
	// server in a network of containers: http://testserver:8080. Anyone on the way can then read
	// the tokens.
	AllowHTTP bool

	// Base sends the requests. Nil means http.DefaultTransport.
	Base http.RoundTripper

	// NoRateLimitWait makes a call that exceeds a rate limit fail at once, with an [*Error] that
	// has CodeRateLimited.
	//
	// Without it the call waits until the API says that the limit ends, and up to 1 s more, so that
	// the clients that wait do not all come back at the same moment. Then the call is made again,
	// up to three times. It does not wait if the API names no time, if that time is after the
	// deadline of the call's context or, without a deadline, if it is more than 5 minutes away.
	NoRateLimitWait bool

	// Trace and Logger go to the transport of each user's and guest's session: see
	// transport.Transport. Nil for none. Logger also gets what Session.Events says there, and a
	// Warn when a call waits for a rate limit.
	Trace  *transport.Trace
	Logger *slog.Logger

	secret provider.Secret // zero for none
}

// NewClient returns a client for the app with the given API key, which must not be empty. The
// secret is for backends. Without it, CreateToken and the other calls of the Client itself fail
// with an error that says so.
func NewClient(key, secret string) (*Client, error) {
	c := &Client{Key: key, secret: provider.NewSecret(secret)}
	if _, err := c.base(); err != nil {
		return nil, err
	}
	return c, nil
}

// signer returns what mints the app's tokens. Without a secret its error says that the call, named
// by what, is for a backend.
func (c *Client) signer(what string) (provider.Signer, error) {
	if c.secret.IsZero() {
		return provider.Signer{}, errors.New("feeds: " + what + " is for a backend: it needs the API secret (NewClient's second argument)")
	}
	return provider.Signer{Secret: c.secret}, nil
}

// Format implements [fmt.Formatter]: every verb prints what String returns.
func (c Client) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, c.String()) }

// String returns the key and the address, without the secret.
func (c Client) String() string {
	return fmt.Sprintf("feeds.Client{Key: %q, BaseURL: %q}", c.Key, c.BaseURL)
}

// LogValue implements [slog.LogValuer].
func (c Client) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText implements [encoding.TextMarshaler], and so JSON has what String returns.
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
