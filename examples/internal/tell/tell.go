// Package tell has a client tell a test server's page what no server can see: that it holds
// requests back.
package tell

import (
	"github.com/stayauth/stayauth/testserver"
	"github.com/stayauth/stayauth/transport"
)

// Trace returns the hooks for the client of a user.
func Trace(p *testserver.Page, user string) *transport.Trace {
	return &transport.Trace{
		RefreshStart: func(e transport.RefreshStart) {
			if e.Reason != transport.ReasonEarly { // then requests go on under the token that is about to end
				p.Waiting(user)
			}
		},
		Rejected: func(e transport.Rejected) {
			if !e.Late { // then the token has been replaced already
				p.Waiting(user) // for a refresh that may have begun as one in the background
			}
		},
		RefreshDone: func(e transport.RefreshDone) { p.Resumed(user, e.Waiting, e.Err) },
		Waited:      func(e transport.Waited) { p.HeldBack(user, e.Duration) },
	}
}
