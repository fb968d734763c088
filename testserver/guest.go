package testserver

import (
	"crypto/rand"
	"fmt"
)

// createGuest makes a guest user, or finds the one that the client names, and logs it in.
func (s *Server) createGuest(c *call) (object, *failure) {
	var req struct {
		User userRequest `json:"user"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	if f := req.User.validate(); f != nil {
		return nil, f
	}
	u, ok := s.users.Get(req.User.ID)
	if !ok || u.role != guestRole {
		req.User.ID = "guest-" + newUUID() + "-" + req.User.ID
		if f := req.User.validate(); f != nil {
			return nil, f
		}
		u = s.ensureUser(req.User.ID)
	}
	req.User.Role = guestRole
	req.User.applyTo(u)
	u.updated = s.now()
	s.keepUser(u)
	s.recordEffect(c)
	token, _ := s.issue(u.id, c.fault.Dead)
	return object{"access_token": token, "user": u.response()}, nil
}

const guestRole = "guest"

// newUUID returns a random UUID (RFC 9562 section 5.4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
