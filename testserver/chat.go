package testserver

import "time"

// Stream's older chat clients speak of the same users and tokens under paths without /api/v2, and
// with dates as strings. They are served as far as logging in, refreshing and revoking goes; what
// they know as custom fields of a user is ignored.

// chatDates are a user's dates as strings. They come before those of a struct that is embedded
// deeper.
type chatDates struct {
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
	Cutoff    *time.Time `json:"revoke_tokens_issued_before,omitempty"`
}

func chatDatesOf(u userCommon) chatDates {
	d := chatDates{CreatedAt: fromNanos(u.CreatedAt), UpdatedAt: fromNanos(u.UpdatedAt)}
	if u.Cutoff != nil {
		t := fromNanos(*u.Cutoff)
		d.Cutoff = &t
	}
	return d
}

// A chatUser is a user with dates as strings.
type chatUser struct {
	fullUserResponse
	chatDates
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
			ans["user"] = chatUser{fullUserResponse{u, noChat()}, chatDatesOf(u.userCommon)}
		}
		switch users := ans["users"].(type) {
		case map[string]fullUserResponse:
			byID := make(map[string]chatUser)
			for id, u := range users {
				byID[id] = chatUser{u, chatDatesOf(u.userCommon)}
			}
			ans["users"] = byID
		case []fullUserResponse:
			list := make([]chatUser, 0, len(users))
			for _, u := range users {
				list = append(list, chatUser{u, chatDatesOf(u.userCommon)})
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

// ownUser is the API's OwnUserResponse: what a user is told of itself when its socket opens.
type ownUser struct {
	userCommon
	Invisible bool `json:"invisible"`
	chatCounts
}

// date returns a time as the dialect writes it.
func (d dialect) date(t time.Time) any {
	if d == chatSocket {
		return t.UTC()
	}
	return t.UnixNano()
}

// welcome is the first event on a socket whose token is good.
func (d dialect) welcome(now time.Time, connectionID string, u userResponse) object {
	me := ownUser{userCommon: u.userCommon, chatCounts: noChat()}
	event := object{"type": "connection.ok", "connection_id": connectionID, "created_at": d.date(now), "me": me}
	if d == chatSocket {
		event["type"] = "health.check"
		event["me"] = struct {
			ownUser
			chatDates
		}{me, chatDatesOf(u.userCommon)}
	}
	return event
}

// rejection is the event that says that the token is not valid, or no longer. body is the API's
// error.
func (d dialect) rejection(now time.Time, body object) object {
	if d == chatSocket {
		return object{"error": body}
	}
	return object{"type": "connection.error", "connection_id": "", "created_at": d.date(now), "error": body}
}
