package feeds

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/stayauth/stayauth/provider"
)

// rejected is the token that the API rejected last on a socket. The transport does not know of that
// and must be told, once.
type rejected struct {
	token    provider.Token
	reported bool // to the transport
}

func (r *rejected) is(tok provider.Token) bool {
	return !r.token.IsZero() && tok.Value() == r.token.Value()
}

// A returning is the token provider of a session, and remembers the last token that it was asked to
// replace and has returned again, as a provider that caches does. Once such a token was rejected
// the transport does not send it, and only sending it can show whether it is valid again: a
// revocation can be taken back.
type returning struct {
	provider.TokenProvider

	mu    sync.Mutex // guards the fields below; never held across a wait
	token provider.Token
	times int64 // how often a token was returned again
}

// Token calls the session's token provider.
func (p *returning) Token(ctx context.Context, old provider.Token) (provider.Token, error) {
	tok, err := p.TokenProvider.Token(ctx, old)
	if err == nil && !tok.IsZero() && tok.Value() == old.Value() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.token = tok
		p.times++
	}
	return tok, err
}

// Wait implements [provider.Waiter].
func (p *returning) Wait(ctx context.Context) error { return waitFor(ctx, p.TokenProvider) }

func (p *returning) last() (provider.Token, int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.token, p.times
}

var errStillRejected = errors.New("feeds: events: the token provider has returned a token again that the API had rejected")

// token returns the token to dial with: the session's valid token, which the calls use too.
//
// A token that was rejected on the socket is reported only if the transport still holds it as
// valid. If it was replaced or has expired by the clock, there is nothing to report: an ordinary
// expiry must not count as a dead token.
//
// A rejected token is not sent again, whether a socket or a call has met the rejection, unless the
// token provider returns it again. Each time that the provider returns it, it is sent once.
func (st *stream) token(ctx context.Context) (provider.Token, error) {
	t, r := st.session.transport, &st.rejected
	tok, err := t.Token(ctx)
	if err == nil && r.is(tok) && !r.reported {
		t.Reject(tok)
		r.reported = true
		tok, err = t.Token(ctx)
	}
	again, times := st.session.returning.last()
	switch {
	case err == nil && r.is(tok):
		r.reported = false // the transport has got it anew, and is told again after a pause
		return provider.Token{}, errStillRejected
	case err == nil:
		*r, st.returned = rejected{}, times // a rejected token was replaced
		return tok, nil
	case times > st.returned && ctx.Err() == nil && !IsSessionOver(err):
		st.returned = times
		return again, nil
	}
	return provider.Token{}, fmt.Errorf("feeds: events: the token provider: %w", err)
}
