package testserver

import "time"

// Stream's older chat clients speak of the same users and tokens under paths without /api/v2, and with dates as strings. They
// are served as far as logging in, refreshing and revoking goes; what they know as custom fields of a user is ignored.

// A chatUser is a userResponse with dates as strings.
type chatUser struct {
	userResponse
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
	Cutoff    *time.Time `json:"revoke_tokens_issued_before,omitempty"`
}

func chatUserOf(u userResponse) chatUser {
	out := chatUser{userResponse: u, CreatedAt: fromNanos(u.CreatedAt), UpdatedAt: fromNanos(u.UpdatedAt)}
	if u.Cutoff != 0 {
		t := fromNanos(u.Cutoff)
		out.Cutoff = &t
	}
	return out
}

func fromNanos(ns int64) time.Time { return time.Unix(0, ns).UTC() }

// chat wraps an operation so that the dates of its answer are strings.
func chat(do func(*call) (object, *failure)) func(*call) (object, *failure) {
	return func(c *call) (object, *failure) {
		ans, f := do(c)
		if f != nil {
			return nil, f
		}
		if u, ok := ans["user"].(userResponse); ok {
			ans["user"] = chatUserOf(u)
		}
		switch users := ans["users"].(type) {
		case map[string]userResponse:
			byID := make(map[string]chatUser)
			for id, u := range users {
				byID[id] = chatUserOf(u)
			}
			ans["users"] = byID
		case []userResponse:
			list := make([]chatUser, 0, len(users))
			for _, u := range users {
				list = append(list, chatUserOf(u))
			}
			ans["users"] = list
		}
		if app, ok := ans["app"].(object); ok {
			if ns, _ := app[cutoffField].(*int64); ns != nil {
				app[cutoffField] = fromNanos(*ns)
			}
		}
		return ans, nil
	}
}

// own is what a user is told of itself alone, on top of what everybody may know.
type own struct {
	Invisible        bool  `json:"invisible"`
	TotalUnreadCount int   `json:"total_unread_count"`
	UnreadChannels   int   `json:"unread_channels"`
	UnreadCount      int   `json:"unread_count"`
	UnreadThreads    int   `json:"unread_threads"`
	ChannelMutes     []any `json:"channel_mutes"`
	Devices          []any `json:"devices"`
	Mutes            []any `json:"mutes"`
}

// date returns a time as the dialect writes it.
func (d dialect) date(t time.Time) any {
	if d == chatSocket {
		return t.UTC()
	}
	return t.UnixNano()
}

// welcome is the first event on a socket whose token is good.
func (d dialect) welcome(now time.Time, connectionID string, me userResponse) object {
	mine := own{ChannelMutes: []any{}, Devices: []any{}, Mutes: []any{}}
	event := object{"type": "connection.ok", "connection_id": connectionID, "created_at": d.date(now)}
	if d == chatSocket {
		event["type"] = "health.check"
		event["me"] = struct {
			chatUser
			own
		}{chatUserOf(me), mine}
		return event
	}
	event["me"] = struct {
		userResponse
		own
	}{me, mine}
	return event
}

// refusal is the event that says that the token is not, or no longer, good. body is the API's error.
func (d dialect) refusal(now time.Time, body object) object {
	if d == chatSocket {
		return object{"error": body}
	}
	return object{"type": "connection.error", "connection_id": "", "created_at": d.date(now), "error": body}
}
