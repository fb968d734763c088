package feeds

import (
	"context"
	"errors"
	"fmt"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// rejected is the token that the API rejected last on a socket. The transport does not know of that
// and must be told, once. The token may become valid again, because a revocation can be taken back.
type rejected struct {
	token    provider.Token
	reported bool  // to the transport
	returned int64 // Stats.Unchanged at that time: how often the provider had returned the token to be replaced
}

// note remembers that the API rejected tok.
func (r *rejected) note(tok provider.Token, st transport.Stats) {
	*r = rejected{token: tok, returned: st.Unchanged}
}

func (r *rejected) is(tok provider.Token) bool {
	return !r.token.IsZero() && tok.Value() == r.token.Value()
}

// returnedAgain reports whether the token provider was asked for another token since then and
// returned the same.
func (r *rejected) returnedAgain(st transport.Stats) bool {
	return !r.token.IsZero() && st.Unchanged > r.returned
}

var errStillRejected = errors.New("feeds: events: the token provider has returned a token again that the API had rejected")

// token returns the token to dial with: the session's valid token, which the calls use too.
//
// A token that was rejected on the socket is reported only if the transport still holds it as
// valid. If it was replaced or has expired by the clock, there is nothing to report: an ordinary
// expiry must not count as a dead token.
//
// A rejected token is not sent again, unless the token provider returns it again, as one that
// caches does. Then only dialing can show whether the API accepts it again. Each time that the
// provider returns it, it is sent once.
func (st *stream) token(ctx context.Context) (provider.Token, error) {
	t, r := st.session.transport, &st.rejected
	tok, err := t.Token(ctx)
	if err == nil && r.is(tok) && !r.reported {
		t.Reject(tok)
		r.reported = true
		tok, err = t.Token(ctx)
	}
	switch {
	case err == nil && r.is(tok):
		r.reported = false // the transport has got it anew, and is told again after a pause
		return provider.Token{}, errStillRejected
	case err == nil:
		*r = rejected{} // it was replaced
		return tok, nil
	case r.returnedAgain(t.Stats()) && ctx.Err() == nil && !IsSessionOver(err):
		return r.token, nil
	}
	return provider.Token{}, fmt.Errorf("feeds: events: the token provider: %w", err)
}
