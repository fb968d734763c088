package transport

import (
	"fmt"
	"net/http"
)

// A replayer is what it takes to send a request again.
type replayer struct {
	kind bodyKind
	kept *keptBody // if kind is bodyKept
}

// answered401 does what is to be done about a 401 to req, which was sent under s: hand it on if it is no rejection, or else
// get another token and send req again, at most maxReplays times.
func (t *Transport) answered401(req *http.Request, s *state, resp *http.Response, b replayer) (*http.Response, error) {
	for n := 1; ; n++ {
		if resp.StatusCode != http.StatusUnauthorized || !t.isRejected(resp) {
			if n > 1 && resp.StatusCode < 500 {
				t.accepted(s)
			}
			if resp.StatusCode == http.StatusUnauthorized {
				t.onOther401(req, resp, s.token)
			}
			return resp, nil
		}

		k := t.strike(s.token, rejectionOf(resp, s.token))
		rejected := func(once bool) *rejection {
			why := rejectionOf(resp, s.token)
			t.onRejected(Rejected{Late: k.late, Strikes: k.strikes, Method: req.Method, Host: req.URL.Host, Path: req.URL.Path,
				StatusCode: why.status, Message: why.message, OneShot: once}, k)
			return why
		}
		if n > maxReplays || t.isClosed() {
			rejected(false)
			return resp, nil
		}
		once := b.kind == bodyOnce || b.kept != nil && !b.kept.replayable()
		if !once {
			// The connection goes back before anybody waits: the provider may need it.
			keepAnswer(resp)
			once = b.kept != nil && !b.kept.reject()
		}
		why := rejected(once)
		if once {
			// This request can't be helped. The next should find a better token all the same.
			_, _ = t.acquire(req.Context(), need{rejection: why, under: s, goAhead: true})
			return resp, nil
		}
		next, err := t.acquire(req.Context(), need{rejection: why, under: s})
		switch {
		case err != nil:
			return nil, err
		case next.token.Value() == s.token.Value():
			return resp, nil // nothing better is to be had for now
		}
		s = next

		if b.kept != nil && !b.kept.released(req.Context().Done()) {
			if err := req.Context().Err(); err != nil {
				return nil, err
			}
			return resp, nil
		}
		out := t.authorized(req, s)
		switch {
		case b.kept != nil:
			out.Body = b.kept.attempt()
		case req.Body != nil && req.Body != http.NoBody:
			if out.Body, err = req.GetBody(); err != nil {
				return nil, fmt.Errorf("transport: the request was rejected and can't be replayed: GetBody: %w", err)
			}
		}
		t.onReplayed(Replayed{Method: req.Method, Host: req.URL.Host, Replay: n})
		if t.isClosed() { // while the body was got ready
			closeBody(out)
			return resp, nil
		}
		if resp, err = t.base().RoundTrip(out); err != nil || resp == nil {
			return resp, err
		}
		resp.Request = req
	}
}
