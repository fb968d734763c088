package transport

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport/internal/session"
)

// A Transport is an [http.RoundTripper] that keeps a client logged in. It sends each request with
// the current token, refreshes the token before it ends, and when the API rejects it all the same,
// holds every request back, asks the token provider once and replays what was rejected.
//
// Only Provider has to be set. Set the fields before the first request and leave them alone
// afterwards. A Transport holds one login: use one for each user, share it between as many
// http.Clients and goroutines as you like, and Close it when the user logs out. A Transport whose
// session has ended stays ended, except by SetToken; another user is another Transport.
type Transport struct {
	// Provider is where tokens come from. It is called from one goroutine at a time, never while it
	// is still at work, and with a context that belongs to none of the requests. Give it an
	// http.Client of its own: a provider that waits for this Transport waits for itself, and is
	// told so.
	Provider provider.TokenProvider

	// Base sends the requests. Nil means http.DefaultTransport.
	Base http.RoundTripper

	// Origins are the scheme, host and port that may get the token, as "https://api.example.com" or
	// "https://api.example.com:8443"; "https://*.example.com" stands for all hosts one label below
	// example.com, as in a certificate. They are compared as net/http dials them: names in any
	// script, addresses in any form, default ports. Requests to others go out as they are, which is
	// counted and, if no redirect has led there, logged. An empty list lets no origin have the
	// token.
	//
	// Nil means the origin of the caller's request, whatever it is. In either case a redirect to
	// somewhere else takes no token along, and neither does what follows it.
	Origins []string

	// AllowHTTP permits the token on plain http to other hosts than this machine, which is
	// localhost, the names below it (RFC 6761 section 6.3), 127.0.0.0/8 and ::1. Without it such a
	// request fails before anything is sent.
	AllowHTTP bool

	// Authorize puts the token into a request. It gets a request with a Header and a URL of its
	// own, and may change nothing else. Nil means the header "Authorization: Bearer <token>" (RFC
	// 6750 section 2.1), in place of an Authorization header that is there already.
	Authorize func(*http.Request, provider.Token)

	// IsRejected reports whether a response says that the token has expired or was revoked, so that
	// a new one would help. It is asked about every response whose status is from 300 to 499. It
	// may read the first 64 KiB of the body, as far as they come within a second; the body is whole
	// again afterwards. Whatever it says, the caller gets the response with its true status if
	// there is no better one.
	//
	// Nil means [Bearer]. See also [Any401], [BodyCode], [RedirectTo], and [As401] and [AnyOf] to
	// put them together.
	IsRejected func(*http.Response) bool

	// Check200 has IsRejected asked about responses with status 200, too, for an API that puts its
	// errors there: see [CodeIn200].
	Check200 bool

	// RefreshTimeout bounds one refresh with all its retries; the pauses after dead tokens come on
	// top. 0 means 30 seconds.
	RefreshTimeout time.Duration

	// MaxWaiting is how many requests may wait for a token at once; any more fail with
	// [ErrQueueFull]. 0 means no limit.
	MaxWaiting int

	// KeepBody is how many bytes of a request body that has no GetBody are kept while it is sent,
	// so that it can be replayed. A longer body can be sent only once. 0 means 64 KiB, a negative
	// number none.
	KeepBody int

	// Trace is told what happens, as it happens. Nil means that nothing is traced.
	Trace *Trace

	// Logger gets what an operator wants to read; Info is the level for that. Error: the session
	// has ended or will, the provider panicked. Warn: something fails or waits now, or is
	// configured wrongly. Info: it is over, with how long it lasted and how many requests failed; a
	// token was rejected or replaced; the machine slept. Debug: the rest. Each message begins with
	// "stayauth: " and is constant. What lasts or repeats is told at intervals that double from 30
	// seconds to half an hour, so a day of trouble is some fifty lines. LOG.md beside the source
	// shows the lines for each situation. No token or secret is logged.
	//
	// Nil means that nothing is logged but two mistakes that nothing else shows, each once for a
	// Transport, at Warn, to [slog.Default]: a 401 without any WWW-Authenticate where IsRejected is
	// nil, and a request whose origin is not in Origins when none has been given a token yet. To
	// silence these too, use slog.New(slog.DiscardHandler).
	Logger *slog.Logger

	setup     sync.Once  // writes the next four, and session
	invalid   error      // what is wrong with the fields above
	origins   []origin   // what Origins says
	getBodies [3]uintptr // see isFresh
	began     time.Time  // from which the monotonic clock counts

	login // the token and its refresh

	counters  counters     // written wherever the thing counted happens
	throttles throttles    // of what could be told with every request
	events    eventQueue   // what the Logger and the Trace are still to be told
	held      atomic.Int64 // bytes of rejected responses that are kept while their requests wait; each adds and removes its own
}

const (
	defaultRefreshTimeout = 30 * time.Second
	defaultKeepBody       = 64 << 10

	authorization = "Authorization"
)

// RoundTrip implements [http.RoundTripper]. In one respect it departs from that contract: where a
// token was needed and there was none, the caller gets a [*RefreshError] even if the API had
// already answered 401, because programs take a 401 for a reason to log the user out. The error of
// a caller whose own context ends while it waits matches that context's Err, and its Cause, and
// says for how long it has waited and what the provider last said.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	switch carries, err := t.carriesToken(req); {
	case err != nil:
		closeBody(req)
		return nil, err
	case !carries:
		return t.base().RoundTrip(req)
	}

	v := t.view.Load()
	body, once := t.bodyOf(req)
	if !t.fresh(v) || once && v.Refreshing {
		var err error
		if v, err = t.acquire(req.Context(), session.Need{Once: once}, req); err != nil {
			closeBody(req)
			return nil, err
		}
	}

	out := t.authorized(req, v)
	if body != nil {
		defer body.finish()
		body.first(out)
	}
	resp, err := t.base().RoundTrip(out)
	if err != nil || resp == nil {
		return resp, err
	}
	resp.Request = req
	if !t.asked(resp) {
		return resp, nil
	}
	return t.answered(req, v, resp, body)
}

// Token returns a token that is not known to have expired or to be rejected, for whatever is not a
// request through this Transport, such as the first frame of a WebSocket. It waits for a refresh if
// there is none, and fails with a [*RefreshError]. Ask for the token each time it is needed: one
// that was kept aside grows old.
func (t *Transport) Token(ctx context.Context) (provider.Token, error) {
	if err := t.configured(); err != nil {
		return provider.Token{}, err
	}
	v := t.view.Load()
	if !t.fresh(v) {
		var err error
		if v, err = t.acquire(ctx, session.Need{Valid: true}, nil); err != nil {
			return provider.Token{}, err
		}
	}
	return v.Token, nil
}

// Reject says that the API rejected tok somewhere other than in a response to a request of this
// Transport, as on a WebSocket. The next request or call of [Transport.Token] then gets a new one.
// It does nothing if tok is not the current token.
func (t *Transport) Reject(tok provider.Token) {
	if tok.IsZero() || t.configured() != nil {
		return
	}
	if k := t.reject(tok, nil, nil); k.Late || k.Counted {
		t.onRejected(Rejected{Context: context.Background(), Late: k.Late, Strikes: k.Strikes})
	}
}

// SetToken hands over a token that came by another way than the Provider: in a header of an
// ordinary answer, or from a person who has logged in again. Requests go on with it at once, also
// those that wait, and a session that had ended goes on. It must be a token of the same user:
// requests that are under way may be replayed with it.
//
// If tok carries no refresh token, the one at hand stays in force, and then the token of a call
// that is under way replaces tok when it comes, because only that has the next refresh token. Where
// there is none, what the call brings is dropped. SetToken fails if tok can't be sent, if it is the
// token that was just rejected, and with [ErrClosed].
func (t *Transport) SetToken(tok provider.Token) error {
	if err := t.configured(); err != nil {
		return err
	}
	if err := t.checkToken(tok); err != nil {
		return fmt.Errorf("transport: SetToken: the token can't be sent: %w", err)
	}
	return t.give(tok)
}

// Close logs out: requests that wait for a token fail with [ErrClosed], as do later ones. Those
// that have been sent already may finish, and get their answer as it comes. No request is sent
// again.
//
// If the provider is at work and its answer could be lost for good, Close waits for it, for at most
// RefreshTimeout, so that a program does not exit before a rotated refresh token is saved; a
// provider that takes longer is an error, and one that calls Close would wait for itself. Nothing
// can be lost if the token that is to be replaced has no refresh token and the Provider is a
// [provider.Func] or a [provider.HTTP]: then Close cancels the context of the call and returns at
// once. A provider may go on after it has returned a token, as a shared.Login does that could not
// save it yet: if it is a [provider.Waiter], Close waits for it, too, for what is left of
// RefreshTimeout, and returns its error.
//
// Close also waits, for a second at most, until the Logger and the Trace have been told all that
// happened. A hook that calls Close waits for itself, and is held up for that second.
//
// Close tells neither the API nor the token provider that the session is over. A login that is kept
// in a store stays there, for the next start of the program; revoke or remove it there to log out
// for good. Close may be called more than once. Base is left open.
func (t *Transport) Close() error {
	if t.configured() != nil {
		return nil
	}
	return t.close()
}

// CloseIdleConnections forwards to Base, for [http.Client.CloseIdleConnections].
func (t *Transport) CloseIdleConnections() {
	if b, ok := t.base().(interface{ CloseIdleConnections() }); ok {
		b.CloseIdleConnections()
	}
}

// WrappedRoundTripper returns Base, for libraries that look through a RoundTripper in the manner of
// Kubernetes'.
func (t *Transport) WrappedRoundTripper() http.RoundTripper { return t.base() }

// authorized returns the request that goes out in place of req, whose header and body stay as the
// caller made them: RoundTrip must not modify its request. A shallow copy and a new header map are
// all that it costs, because what the map holds is shared with req or with all other requests under
// v.
func (t *Transport) authorized(req *http.Request, v *session.View) *http.Request {
	out := new(http.Request)
	*out = *req
	if t.Authorize != nil {
		out.Header = req.Header.Clone()
		if out.Header == nil {
			out.Header = make(http.Header)
		}
		u := *req.URL
		out.URL = &u
		t.Authorize(out, v.Token)
		return out
	}
	out.Header = make(http.Header, len(req.Header)+1)
	for k, v := range req.Header {
		if len(k) != len(authorization) || !strings.EqualFold(k, authorization) { // in whatever case it was put there
			out.Header[k] = v
		}
	}
	out.Header[authorization] = v.Header
	return out
}

func (t *Transport) base() http.RoundTripper {
	if t.Base != nil {
		return t.Base
	}
	return http.DefaultTransport
}

func (t *Transport) refreshTimeout() time.Duration {
	if t.RefreshTimeout > 0 {
		return min(t.RefreshTimeout, maxDuration)
	}
	return defaultRefreshTimeout
}

// keepBody returns how much of a body to keep, 0 for nothing.
func (t *Transport) keepBody() int {
	if t.KeepBody == 0 {
		return defaultKeepBody
	}
	return max(t.KeepBody, 0)
}

// cancelOf returns the request's own Cancel channel, or nil. req may be nil.
func cancelOf(req *http.Request) <-chan struct{} {
	if req == nil {
		return nil
	}
	//lint:ignore SA1019 net/http obeys it still, and so do we
	return req.Cancel
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close() // the request has failed for a better reason already
	}
}

var _ io.Closer = (*Transport)(nil)
