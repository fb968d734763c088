package feeds

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/stayauth/stayauth/provider"
)

// keepalive and silence are the same in Stream's own clients.
const (
	loginLimit = 15 * time.Second // for dialing and logging in
	keepalive  = 25 * time.Second // between two health checks that we send
	silence    = 35 * time.Second // after so long without a message of the API the connection is dead
	closeLimit = time.Second      // for the API to answer to the closing
	maxFrame   = 1 << 20          // bytes of a message of the API; a longer one is dropped
	maxDropped = 64 << 20         // bytes of a message that is dropped; a longer one ends the connection
)

var (
	errNoLogin = fmt.Errorf("feeds: events: the API did not accept the login within %s", loginLimit)
	errSilent  = fmt.Errorf("feeds: events: the API sent nothing for %s", silence)
	errClosing = errors.New("feeds: events: the connection was closed on this side")

	errNoUpgrade = errors.New("the WebSocket handshake failed; Client.Base must return the body of a 101 unchanged, and proxies must " +
		"let WebSockets through")
)

// A socket is one connection that is logged in. Two goroutines work for it until its context ends:
// one reads into the queue, one sends a health check every 25 s.
type socket struct {
	stream *stream
	token  provider.Token
	call   Error // has the operation and the request id, and is copied for errors

	ctx   context.Context // ends with the connection; its cause is why
	fail  context.CancelCauseFunc
	ws    *websocket.Conn
	queue queue
	work  sync.WaitGroup // the two goroutines

	// Written by dial when the API has accepted the login, before the goroutines start.
	id    string // the API's id of the connection
	since time.Time
	alive *time.Timer // fails the socket unless it is reset in time

	lasted time.Duration // how long the connection lasted; written by the reader at its end
}

// A refusal is the API's error for a connection, with the token that the connection was logged in
// with.
type refusal struct {
	err   *Error
	token provider.Token // if the error is about the token, this is the one to replace
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// dial connects and logs in with tok.
func (st *stream) dial(ctx context.Context, tok provider.Token) (_ *socket, err error) {
	s := st.session
	u := s.base.JoinPath(apiPath("connect")...)
	k := &socket{stream: st, token: tok, call: Error{Operation: "GET " + u.Path, RequestID: rand.Text()}}
	k.queue.wake = make(chan struct{}, 1)
	k.ctx, k.fail = context.WithCancelCause(ctx)
	limit := time.AfterFunc(loginLimit, func() { k.fail(errNoLogin) })
	defer func() {
		limit.Stop()
		if err != nil {
			if cause := context.Cause(k.ctx); cause != nil {
				err = cause
			}
			k.fail(err)
		}
	}()

	u.RawQuery = url.Values{"api_key": {s.client.Key}, "stream-auth-type": {s.authType}, "X-Stream-Client": {version}}.Encode()
	ws, resp, err := websocket.Dial(k.ctx, u.String(), &websocket.DialOptions{
		HTTPClient:     &http.Client{Transport: s.client.Base, CheckRedirect: neverRedirect},
		HTTPHeader:     http.Header{requestID: {k.call.RequestID}},
		OnPingReceived: func(context.Context, []byte) bool { k.heard(); return true },
	})
	if err != nil {
		return nil, k.notUpgraded(resp, err)
	}
	k.ws = ws
	ws.SetReadLimit(maxDropped)
	if err := k.login(); err != nil {
		_ = ws.CloseNow() // err says more
		return nil, err
	}
	k.since = time.Now()
	k.alive = time.AfterFunc(silence, func() { k.fail(errSilent) })
	k.work.Go(k.read)
	k.work.Go(k.keepAlive)
	return k, nil
}

// notUpgraded returns the error for an answer that is no WebSocket, or for no answer.
func (k *socket) notUpgraded(resp *http.Response, err error) error {
	switch {
	case resp == nil:
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // url.Error would add the whole URL
		}
		return fmt.Errorf("feeds: %s: %w", k.call.Operation, err)
	case resp.StatusCode == http.StatusSwitchingProtocols:
		return fmt.Errorf("feeds: %s: %w: %w", k.call.Operation, errNoUpgrade, err)
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxFrame)) // if it can't be read, the status has to do
	return newError(resp, body, k.call.Operation, k.call.RequestID)
}

// login sends the first frame, which has the token, and waits for the API's answer to it.
func (k *socket) login() error {
	first := struct {
		Token    string          `json:"token,omitempty"`
		User     json.RawMessage `json:"user_details,omitempty"`
		Products []string        `json:"products"`
	}{User: k.stream.user, Products: []string{"feeds"}}
	if k.hasToken() {
		first.Token = k.token.Value()
	}
	hello, err := json.Marshal(first)
	if err != nil {
		return err
	}
	if err := k.ws.Write(k.ctx, websocket.MessageText, hello); err != nil {
		return k.lost(err)
	}
	for {
		frame, err := k.frame()
		if err != nil {
			return k.lost(err)
		}
		m, err := decodeMessage(frame)
		switch {
		case err != nil:
			return fmt.Errorf("feeds: events: the API's answer to the login can't be read: %w", err)
		case m.Type == "connection.error":
			return k.refusal(m)
		case m.Type == "connection.ok":
			if k.id = m.body().ConnectionID; k.id == "" {
				return errors.New("feeds: events: the API accepted the login and gave the connection no id")
			}
			return nil
		}
	}
}

// read is the goroutine that reads. It ends with the connection.
func (k *socket) read() {
	for {
		frame, err := k.frame()
		if err != nil {
			if cause := context.Cause(k.ctx); cause != nil {
				err = cause
			} else {
				err = k.lost(err)
			}
			k.end(err)
			return
		}
		k.heard()
		m, err := decodeMessage(frame)
		switch {
		case len(frame) > maxFrame:
			k.stream.log(slog.LevelWarn, "events: dropped a message of the API that is too long", "limit", maxFrame)
			k.queue.putTooLong()
		case err != nil:
			k.stream.log(slog.LevelWarn, "events: ignored a message of the API", "bytes", len(frame), "err", err)
		case m.Type == "connection.error":
			k.end(k.refusal(m))
			return
		case m.Type == "health.check" || m.Type == "connection.ok":
		default:
			k.queue.put(m)
		}
	}
}

// frame reads a message. Of one that is too long it returns maxFrame+1 bytes, and drops the rest.
func (k *socket) frame() ([]byte, error) {
	_, r, err := k.ws.Reader(k.ctx)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(r, maxFrame+1))
	if err == nil && len(b) > maxFrame {
		_, err = io.Copy(io.Discard, r)
	}
	return b, err
}

// heard notes that the API has sent something. Before the login is accepted that does not count.
func (k *socket) heard() {
	if k.alive != nil {
		k.alive.Reset(silence)
	}
}

// end ends the connection because of err. The loop gets err after what is still in the queue.
func (k *socket) end(err error) {
	k.lasted = time.Since(k.since)
	k.queue.end(err)
	k.fail(err)
	_ = k.ws.CloseNow() // the connection is over, whatever this returns
}

// keepAlive is the goroutine that sends health checks. It ends with the connection.
func (k *socket) keepAlive() {
	frame, err := json.Marshal([]map[string]string{{
		"type": "health.check", "client_id": k.stream.session.User().ID + "-" + k.call.RequestID,
	}})
	if err != nil {
		panic(err) // strings can be encoded
	}
	tick := time.NewTicker(keepalive)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if k.ws.Write(k.ctx, websocket.MessageText, frame) != nil {
				return // the reader says why
			}
		case <-k.ctx.Done():
			return
		}
	}
}

// close closes the connection and waits for its goroutines. If the connection has not ended yet,
// the API is told.
func (k *socket) close() {
	if k.ctx.Err() == nil {
		limit := time.AfterFunc(closeLimit, func() { k.fail(errClosing) })
		_ = k.ws.Close(websocket.StatusNormalClosure, "") // an error means that the connection has ended
		limit.Stop()
	}
	k.fail(errClosing)
	k.work.Wait()
	k.alive.Stop()
}

// lost returns the error for a connection on which reading or writing has failed with err.
func (k *socket) lost(err error) error {
	if e, ok := errors.AsType[websocket.CloseError](err); ok {
		if e.Code == websocket.StatusNormalClosure {
			return ErrEventsEnded
		}
		return fmt.Errorf("feeds: events: the API closed the connection with code %d (%q)", e.Code, k.redacted(e.Reason))
	}
	return fmt.Errorf("feeds: events: the connection broke: %w", err)
}

// refusal returns the API's error from a connection.error, after which the connection ends.
func (k *socket) refusal(m *message) error {
	in := decoded[struct {
		Code       int    `json:"code"`
		StatusCode int    `json:"StatusCode"`
		Message    string `json:"message"`
	}](m.body().Error)
	out := k.call
	out.Code, out.StatusCode, out.Message = in.Code, in.StatusCode, k.redacted(in.Message)
	if !k.hasToken() {
		return &out
	}
	return &refusal{&out, k.token}
}

// hasToken reports whether the login has the token: that of an anonymous session is never sent.
func (k *socket) hasToken() bool { return k.stream.session.authType != "anonymous" }

// redacted returns s without the token, if the API repeats it there, and without what follows. The
// beginning of the token is enough, because the reason of a close is short and may cut it off.
func (k *socket) redacted(s string) string {
	token := k.token.Value()
	if i := strings.Index(s, token[:min(len(token), 16)]); i >= 0 && k.hasToken() {
		return s[:i] + "REDACTED"
	}
	return s
}
