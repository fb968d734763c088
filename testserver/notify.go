package testserver

// notificationContext is the API's NotificationContext: what made the server add an activity to a
// user's notification feed.
type notificationContext struct {
	Trigger notificationTrigger `json:"trigger"`
	Target  object              `json:"target"`
}

// notificationTrigger is the API's NotificationTrigger.
type notificationTrigger struct {
	Type    string               `json:"type"`
	Text    string               `json:"text"`
	Comment *notificationComment `json:"comment,omitempty"`
	Custom  map[string]any       `json:"custom,omitempty"`
}

// notificationComment is the API's NotificationComment.
type notificationComment struct {
	ID      string `json:"id"`
	Comment string `json:"comment"`
	UserID  string `json:"user_id"`
}

// A notice is what a user is to be told.
type notice struct {
	kind, text string // such as "reaction", and what a person reads
	target     object // what it is about, as the API's NotificationTarget
	comment    *notificationComment
	custom     map[string]any
}

// target describes an activity as what a notice is about.
func (a *activity) target() object {
	t := object{"id": a.id, "type": a.kind, "user_id": a.user}
	if a.Text != "" {
		t["text"] = a.Text
	}
	if len(a.Attachments) > 0 {
		t["attachments"] = attachments(a.Attachments)
	}
	return t
}

// notify adds an activity of one user's to the notification feed of another, which comes into being
// if need be. It returns false for users who would notify themselves. s.mu is held.
func (s *Server) notify(actor, user string, n notice) bool {
	if actor == user || actor == "" || user == "" {
		return false
	}
	fid := notificationGroup + ":" + user
	s.ensureFeed(fid, user)
	s.seq++
	now := s.now()
	a := &activity{
		id: newUUID(), kind: n.kind, user: actor, seq: s.seq, created: now, updated: now,
		activityContent: activityContent{Text: n.text, Visibility: visiblePublic, RestrictReplies: "everyone"},
		context: &notificationContext{
			Trigger: notificationTrigger{Type: n.kind, Text: n.text, Comment: n.comment, Custom: n.custom}, Target: n.target,
		},
	}
	a.size = len(encode(object{"context": a.context}))
	s.insert(a, []string{fid})
	return true
}
