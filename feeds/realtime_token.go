package feeds

import (
	"context"
	"errors"
	"fmt"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// rejected is the token that the API rejected last on a socket. The transport can't know of that
// unless it is told, once; and that it was rejected need not be for ever, for a revocation can be
// taken back.
type rejected struct {
	token    provider.Token
	reported bool  // to the transport
	returned int64 // how often the token provider had returned the token that it was to replace
}

// note notes that the API rejected tok.
func (r *rejected) note(tok provider.Token, st transport.Stats) {
	*r = rejected{token: tok, returned: st.Unchanged}
}

func (r *rejected) is(tok provider.Token) bool {
	return !r.token.IsZero() && tok.Value() == r.token.Value()
}

// returnedAgain reports whether the token provider was asked for another and returned the same.
func (r *rejected) returnedAgain(st transport.Stats) bool {
	return !r.token.IsZero() && st.Unchanged > r.returned
}

var errStillRejected = errors.New("feeds: events: the API has rejected the token, and the token provider is not due to be asked for another yet")

// token returns the token to dial with: the valid one of the session, which HTTP calls use as well.
//
// A token that was rejected on the socket is only reported if the transport still believes in it:
// if it has been replaced, or has ended by the clock, there is nothing to report, and an ordinary
// expiry is not taken for a dead token.
//
// It is not sent again, unless the token provider says that it has no other, because it caches.
// Then only dialing tells whether the API takes it again, and that is done once each time that the
// provider has said so.
func (st *stream) token(ctx context.Context) (provider.Token, error) {
	t, r := st.session.transport, &st.rejected
	tok, err := t.Token(ctx)
	if err == nil && r.is(tok) && !r.reported {
		t.Reject(tok)
		r.reported = true
		tok, err = t.Token(ctx)
	}
	switch again := r.returnedAgain(t.Stats()); {
	case err == nil && (again || !r.is(tok)):
		return tok, nil
	case err == nil:
		return provider.Token{}, errStillRejected
	case again && ctx.Err() == nil && !IsSessionOver(err):
		return r.token, nil
	}
	return provider.Token{}, fmt.Errorf("feeds: events: the token provider: %w", err)
}
