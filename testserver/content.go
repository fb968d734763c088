package testserver

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// activityContent is what a client may say in an activity and change later. What is null or missing says nothing.
type activityContent struct {
	Text         *string          `json:"text"`
	Visibility   *string          `json:"visibility"`
	Custom       map[string]any   `json:"custom"`
	Attachments  []map[string]any `json:"attachments"`
	Mentioned    []string         `json:"mentioned_user_ids"`
	FilterTags   []string         `json:"filter_tags"`
	InterestTags []string         `json:"interest_tags"`
}

func (n activityContent) applyTo(a *activity) {
	if n.Text != nil {
		a.text = *n.Text
	}
	if n.Visibility != nil {
		a.visibility = *n.Visibility
	}
	if n.Custom != nil {
		a.custom = n.Custom
	}
	if n.Attachments != nil {
		a.attachments = n.Attachments
	}
	if n.Mentioned != nil {
		a.mentioned = n.Mentioned
	}
	if n.FilterTags != nil {
		a.filterTags = n.FilterTags
	}
	if n.InterestTags != nil {
		a.interestTags = n.InterestTags
	}
}

// validate fails if the content names users that can't be.
func (n activityContent) validate() *failure {
	for _, id := range n.Mentioned {
		if f := (userRequest{ID: id}).validate(); f != nil {
			return f
		}
	}
	return nil
}

// updateActivity replaces what the request names: a field that is null or missing stays as it is.
func (s *Server) updateActivity(c *call) (object, *failure) {
	a, f := s.ownActivity(c)
	if f != nil {
		return nil, f
	}
	var next activityContent
	if f := c.decode(&next); f != nil {
		return nil, f
	}
	if f := next.validate(); f != nil {
		return nil, f
	}
	next.applyTo(a)
	return s.activityUpdated(c, a), nil
}

// updateActivityPartial sets and unsets single fields, those of the custom data by "custom.name" among them.
func (s *Server) updateActivityPartial(c *call) (object, *failure) {
	a, f := s.ownActivity(c)
	if f != nil {
		return nil, f
	}
	var req struct {
		Set   map[string]json.RawMessage `json:"set"`
		Unset []string                   `json:"unset"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	changes := make(map[string]json.RawMessage)
	maps.Copy(changes, req.Set)
	for _, name := range req.Unset {
		changes[name] = nil
	}
	next := *a
	next.custom = maps.Clone(a.custom)
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		if f := next.set(name, changes[name]); f != nil {
			return nil, f
		}
	}
	*a = next
	return s.activityUpdated(c, a), nil
}

// set changes one field by its name in the API; nil empties it.
func (a *activity) set(name string, value json.RawMessage) *failure {
	var next activityContent
	var target any
	switch name {
	case "text":
		a.text, target = "", &next.Text
	case "visibility":
		a.visibility, target = "public", &next.Visibility
	case "custom":
		a.custom, target = nil, &next.Custom
	case "attachments":
		a.attachments, target = nil, &next.Attachments
	case "mentioned_user_ids":
		a.mentioned, target = nil, &next.Mentioned
	case "filter_tags":
		a.filterTags, target = nil, &next.FilterTags
	case "interest_tags":
		a.interestTags, target = nil, &next.InterestTags
	default:
		key, custom := strings.CutPrefix(name, "custom.")
		if !custom {
			return badInput("field '%s' of an activity can't be changed", name)
		}
		var v any
		if len(value) > 0 {
			_ = json.Unmarshal(value, &v) // it is valid JSON already
		}
		if v == nil {
			delete(a.custom, key)
			return nil
		}
		if a.custom == nil {
			a.custom = make(map[string]any)
		}
		a.custom[key] = v
		return nil
	}
	if len(value) > 0 && json.Unmarshal(value, target) != nil {
		return badInput("field '%s' of an activity has the wrong type", name)
	}
	if f := next.validate(); f != nil {
		return f
	}
	next.applyTo(a)
	return nil
}

// activityUpdated writes down that a has changed, and tells everybody. s.mu is held.
func (s *Server) activityUpdated(c *call, a *activity) object {
	a.updated = s.now()
	a.size = len(encode(object{"activity": s.activityResponse(a, "")}))
	s.keepActivity(a)
	s.recordEffect(c)
	s.publishActivity("feeds.activity.updated", a, object{})
	return object{"activity": s.activityResponse(a, c.user)}
}

// deleteActivity deletes an activity with all that is about it. There is no way back, whether or not it says hard_delete.
func (s *Server) deleteActivity(c *call) (object, *failure) {
	a, f := s.ownActivity(c)
	if f != nil {
		return nil, f
	}
	s.acts.Remove(a.id)
	for _, fid := range a.feeds {
		if f, ok := s.feeds.Get(fid); ok {
			f.activities = max(0, f.activities-1)
		}
	}
	for _, about := range s.commentsWhere(func(m *comment) bool { return m.object == a.id }) {
		s.comments.Remove(about.id)
	}
	s.recordEffect(c)
	s.publishActivity("feeds.activity.deleted", a, object{})
	return object{}, nil
}
