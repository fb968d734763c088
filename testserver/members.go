package testserver

import (
	"slices"
	"time"
)

const maxMembers = 1000 // of one feed; the comment of Server names it

// A member is a user's membership in a feed, or an invitation to it.
type member struct {
	user, role, status             string // status is one of those below
	custom                         map[string]any
	created, updated               time.Time
	inviteAccepted, inviteRejected time.Time // when it was accepted, or rejected; zero: not
	seq                            int
}

// The states of a membership.
const (
	memberNow      = "member"
	memberInvited  = "pending"
	memberRejected = "rejected"
)

// memberResponse is the API's FeedMemberResponse.
type memberResponse struct {
	User             userResponse   `json:"user"`
	Role             string         `json:"role"`
	Status           string         `json:"status"`
	Custom           map[string]any `json:"custom"`
	CreatedAt        int64          `json:"created_at"`
	UpdatedAt        int64          `json:"updated_at"`
	InviteAcceptedAt *int64         `json:"invite_accepted_at,omitempty"`
	InviteRejectedAt *int64         `json:"invite_rejected_at,omitempty"`
}

func (v *view) member(m *member) memberResponse {
	return memberResponse{
		User: v.userNamed(m.user), Role: m.role, Status: m.status, Custom: orEmptyMap(m.custom), CreatedAt: m.created.UnixNano(),
		UpdatedAt: m.updated.UnixNano(), InviteAcceptedAt: nanos(m.inviteAccepted), InviteRejectedAt: nanos(m.inviteRejected),
	}
}

func (m *member) number() int { return m.seq }

// memberIndex returns where in the list of members, invited ones included, a user is, or -1.
func (f *feed) memberIndex(user string) int {
	return slices.IndexFunc(f.members, func(m *member) bool { return m.user == user })
}

func (f *feed) isMember(user string) bool {
	i := f.memberIndex(user)
	return user != "" && i >= 0 && f.members[i].status == memberNow
}

func (f *feed) memberCount() (n int) {
	for _, m := range f.members {
		if m.status == memberNow {
			n++
		}
	}
	return n
}

// A memberRequest is a member as a client describes it.
type memberRequest struct {
	UserID string         `json:"user_id"`
	Role   string         `json:"role"`
	Invite bool           `json:"invite"`
	Custom map[string]any `json:"custom"`
}

func checkMembers(list []memberRequest) *failure {
	if len(list) > maxLimit {
		return badInput("members must have %d entries at most", maxLimit)
	}
	for _, m := range list {
		if f := (userRequest{ID: m.UserID}).validate(); f != nil {
			return f
		}
	}
	return nil
}

// putMember adds a member or changes one, and reports whether it is new. s.mu is held.
func (s *Server) putMember(f *feed, req memberRequest) (m *member, added bool) {
	now := s.now()
	if i := f.memberIndex(req.UserID); i >= 0 {
		m = f.members[i]
	} else {
		s.seq++
		m, added = &member{user: req.UserID, role: "feed_member", status: memberNow, seq: s.seq, created: now}, true
		if req.Invite {
			m.status = memberInvited
		}
		f.members = append(f.members, m)
	}
	if req.Role != "" {
		m.role = req.Role
	}
	if req.Custom != nil {
		m.custom = req.Custom
	}
	m.updated = now
	return m, added
}

// updateMembers adds members to a feed, changes or removes them: operation is upsert, remove or
// set, which also removes all that are not named.
func (s *Server) updateMembers(c *call) (object, *failure) {
	f, fail := s.ownFeed(c)
	if fail != nil {
		return nil, fail
	}
	var req struct {
		Operation string          `json:"operation"`
		Members   []memberRequest `json:"members"`
	}
	if fail := c.decode(&req); fail != nil {
		return nil, fail
	}
	if fail := checkMembers(req.Members); fail != nil {
		return nil, fail
	}
	named := make(map[string]bool)
	for _, m := range req.Members {
		named[m.UserID] = true
	}
	var leaving func(*member) bool
	switch req.Operation {
	case "upsert":
		leaving = func(*member) bool { return false }
	case "remove":
		leaving, req.Members = func(m *member) bool { return named[m.user] }, nil
	case "set":
		leaving = func(m *member) bool { return !named[m.user] }
	default:
		return nil, badInput("operation must be upsert, remove or set, not '%s'", req.Operation)
	}
	if len(f.members)+len(req.Members) > maxMembers {
		return nil, badInput("a feed has %d members at most", maxMembers)
	}
	v := s.view(viewer{})
	removed, added, updated := []string{}, []memberResponse{}, []memberResponse{}
	f.members = slices.DeleteFunc(f.members, func(m *member) bool {
		if !leaving(m) {
			return false
		}
		removed = append(removed, m.user)
		return true
	})
	for _, r := range req.Members {
		if m, isNew := s.putMember(f, r); isNew {
			added = append(added, v.member(m))
		} else {
			updated = append(updated, v.member(m))
		}
	}
	s.keepFeed(f)
	s.recordEffect(c)
	by := v.userOf(f.owner)
	for _, id := range removed {
		s.publish("feeds.feed_member.removed", []string{f.fid}, nil, object{"member_id": id, "user": by})
	}
	for _, m := range added {
		s.publish("feeds.feed_member.added", []string{f.fid}, nil, object{"member": m, "user": by})
	}
	for _, m := range updated {
		s.publish("feeds.feed_member.updated", []string{f.fid}, nil, object{"member": m, "user": by})
	}
	return object{"added": added, "updated": updated, "removed_ids": removed}, nil
}

// answerInvite makes the operation with which an invited user accepts or rejects. A server says for
// whom.
func (s *Server) answerInvite(accept bool) func(*call) (object, *failure) {
	return func(c *call) (object, *failure) {
		var req acting
		if f := c.decode(&req); f != nil {
			return nil, f
		}
		user, fail := c.actor(req)
		if fail != nil {
			return nil, fail
		}
		f, ok := s.feeds.Get(pathFID(c))
		if !ok {
			return nil, notFound("feed '%s' does not exist", pathFID(c))
		}
		i := f.memberIndex(user)
		if i < 0 || f.members[i].status != memberInvited {
			return nil, notFound("user '%s' has no invitation to feed '%s'", user, f.fid)
		}
		m, now := f.members[i], s.now()
		m.status, m.inviteRejected = memberRejected, now
		if accept {
			m.status, m.inviteAccepted, m.inviteRejected = memberNow, now, time.Time{}
		}
		m.updated = now
		s.recordEffect(c)
		v := s.view(viewer{user: user})
		s.publish("feeds.feed_member.updated", []string{f.fid}, nil, object{"member": v.member(m), "user": v.userOf(user)})
		return object{"member": v.member(m)}, nil
	}
}

// queryMembers finds a feed's members, the newest first unless told otherwise.
func (s *Server) queryMembers(c *call) (object, *failure) {
	var req query
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	who, _ := c.viewer(acting{})
	v := s.view(who)
	f, fail := v.readable(pathFID(c))
	if fail != nil {
		return nil, fail
	}
	page, ans, fail := find(slices.Clone(f.members), req, s.memberFields(f.fid), memberKeys())
	if fail != nil {
		return nil, fail
	}
	ans["members"] = describe(page, v.member)
	return ans, nil
}

// memberPages returns how to read a feed's members page by page.
func (v *view) memberPages(f *feed) func(paging) (any, object, *failure) {
	return func(p paging) (any, object, *failure) {
		page, cursors, fail := find(slices.Clone(f.members), query{paging: p}, nil, memberKeys())
		return describe(page, v.member), cursors, fail
	}
}

func (s *Server) memberFields(fid string) fields[*member] {
	return fields[*member]{
		"user_id":    textField(idOps, func(m *member) string { return m.user }),
		"user_name":  textField(idOps, func(m *member) string { return s.ensureUser(m.user).name }),
		"role":       textField(idOps, func(m *member) string { return m.role }),
		"status":     textField(idOps, func(m *member) string { return m.status }),
		"fid":        textField(idOps, func(*member) string { return fid }),
		"created_at": timeField(orderOps, func(m *member) time.Time { return m.created }),
		"updated_at": timeField(orderOps, func(m *member) time.Time { return m.updated }),
	}
}

func memberKeys() sortKeys[*member] {
	return sortKeys[*member]{
		"created_at": func(m *member) sortKey { return timeKey(m.created) },
		"updated_at": func(m *member) sortKey { return timeKey(m.updated) },
	}
}
