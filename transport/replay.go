package transport

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport/internal/session"
)

const (
	// maxReplays is how often one request is sent again. Three outlast a token minted in the same
	// second as a revocation.
	maxReplays = 3

	// maxReplaysUnsaid is the same where the API gave no sign that the token is to blame. What it
	// rejects may be a wrong password, and asking four times may lock the account.
	maxReplaysUnsaid = 1
)

// answered does what is to be done about an answer to req, which was sent under v, if it may be a
// rejection: hand it on if it is none, or else get another token and send req again.
func (t *Transport) answered(req *http.Request, v *session.View, resp *http.Response, body *body) (*http.Response, error) {
	var cookies []string                 // of the answers that were put aside
	var held int64                       // bytes of the one that is
	defer func() { t.held.Add(-held) }() // a hook may panic, in a program that goes on
	for n := 1; ; n++ {
		rejected := false
		if t.asked(resp) {
			resp, rejected = t.judgeAnswer(resp)
		}
		if !rejected {
			if n > 1 && resp.StatusCode < 500 {
				t.accepted(v)
			}
			if resp.StatusCode == http.StatusUnauthorized {
				t.onOther401(req, resp, v.Token)
			}
			return withCookies(resp, cookies), nil
		}

		var why *session.Rejection
		if t.view.Load() == v { // or it has been told already
			why = rejectionOf(resp, v.Token)
		}
		k := t.reject(v.Token, why, resp)
		told := Rejected{Context: req.Context(), Late: k.Late, Strikes: k.Strikes, Method: req.Method, Host: req.URL.Host, Path: req.URL.Path, StatusCode: resp.StatusCode}
		if k.Closed || n > maxReplays || n > maxReplaysUnsaid && t.unsaid(resp) {
			told.Message = rejectionOf(resp, v.Token).Message
			t.onRejected(told)
			return withCookies(resp, cookies), nil
		}
		once := body != nil && !body.replayable()
		restore := func() *http.Response { return resp }
		if !once {
			// The connection goes back before the request waits: the provider may need it.
			restore, held = t.putAside(resp)
			once = body != nil && !body.reject()
		}
		why = rejectionOf(resp, v.Token)
		told.OneShot, told.Message = once, why.Message
		t.onRejected(told)
		if once {
			// This request can't be helped. The next should find a better token all the same.
			t.refreshFor(req.Context(), session.Need{Sent: v, Why: why})
			return withCookies(restore(), cookies), nil
		}

		earlier := cookies
		cookies = append(slices.Clip(cookies), cookiesOf(resp)...)
		resp = nil // or what putAside has dropped would stay
		next, err := t.acquire(req.Context(), session.Need{Sent: v, Why: why}, req)
		resp = restore()
		t.held.Add(-held)
		held = 0
		switch {
		case err != nil:
			return nil, err
		case next.Token.Value() == v.Token.Value():
			return withCookies(resp, earlier), nil // there is nothing better for now
		}
		v = next

		if body != nil && !body.released(req.Context().Done()) {
			if err := req.Context().Err(); err != nil {
				return nil, err
			}
			return withCookies(resp, earlier), nil
		}
		out := t.authorized(req, v)
		if err := again(out, req, body); err != nil {
			return nil, fmt.Errorf("transport: the request was rejected and can't be replayed: its body can't be read again: %w", err)
		}
		t.onReplayed(Replayed{Context: req.Context(), Method: req.Method, Host: req.URL.Host, Replay: n})
		if t.isClosed() { // while the body was got ready
			closeBody(out)
			return withCookies(resp, earlier), nil
		}
		if resp, err = t.base().RoundTrip(out); err != nil || resp == nil {
			return resp, err
		}
		resp.Request = req
	}
}

// again gives out the body of another attempt.
func again(out, req *http.Request, body *body) (err error) {
	switch {
	case body != nil:
		out.Body, err = body.next()
	case req.Body != nil && req.Body != http.NoBody:
		out.Body, err = req.GetBody()
	}
	return err
}

// unsaid reports whether the API gave no sign that it is the token that it rejects: the classifier
// would say the same of a bare answer with that status, and no challenge says otherwise.
func (t *Transport) unsaid(resp *http.Response) bool {
	for _, c := range provider.ParseChallenges(resp.Header) {
		if c.Params["error"] == invalidToken {
			return false
		}
	}
	return t.isRejected(&http.Response{Status: resp.Status, StatusCode: resp.StatusCode, Proto: resp.Proto, ProtoMajor: resp.ProtoMajor,
		ProtoMinor: resp.ProtoMinor, Header: http.Header{}, Body: http.NoBody, Request: resp.Request})
}

// withCookies returns resp with the cookies that earlier answers to the same request have set, so
// that a cookie jar gets them in their order.
func withCookies(resp *http.Response, earlier []string) *http.Response {
	if len(earlier) > 0 {
		if resp.Header == nil {
			resp.Header = make(http.Header)
		}
		resp.Header["Set-Cookie"] = append(earlier, resp.Header["Set-Cookie"]...)
	}
	return resp
}
