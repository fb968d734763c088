package feeds

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
)

// A message is what the API sends over the connection. All but its type and feed stays undecoded
// until the loop takes it: decoded, an activity needs several times the memory.
type message struct {
	Type string
	FID  string // empty: none, or one that can't be read
	err  error  // why FID can't be read

	raw []byte
}

// decodeMessage returns the message of a frame. A frame that is no message has no type.
func decodeMessage(frame []byte) (*message, error) {
	var in struct {
		Type string          `json:"type"`
		FID  json.RawMessage `json:"fid"`
	}
	if json.Unmarshal(frame, &in) != nil || in.Type == "" {
		return nil, errors.New("it is not a JSON object with a type")
	}
	m := &message{Type: in.Type, raw: frame}
	if len(in.FID) > 0 {
		m.err = json.Unmarshal(in.FID, &m.FID)
	}
	return m, nil
}

// A body is what a message may hold beside its type and feed.
type body struct {
	CreatedAt json.RawMessage `json:"created_at"`
	Custom    json.RawMessage `json:"custom"`
	User      json.RawMessage `json:"user"`

	Activity json.RawMessage   `json:"activity"`
	Comment  json.RawMessage   `json:"comment"`
	Reaction json.RawMessage   `json:"reaction"`
	Follow   json.RawMessage   `json:"follow"`
	Feed     json.RawMessage   `json:"feed"`
	Groups   []json.RawMessage `json:"aggregated_activities"`
	Status   json.RawMessage   `json:"notification_status"`

	ConnectionID string          `json:"connection_id"` // of connection.ok
	Error        json.RawMessage `json:"error"`         // of connection.error: the error body
}

// body returns what m holds. If one field has the wrong form, the others are read all the same.
func (m *message) body() *body {
	b := new(body)
	_ = json.Unmarshal(m.raw, b) // m is JSON, so an error only means that some field is empty
	return b
}

// event returns m as the loop gets it. A field of the wrong form is left out. If it is the field
// that events of the type always have, the event is an EventUnreadable, with the error.
func (m *message) event(b *body) (Event, error) {
	ev := Event{
		Type: m.Type, FID: m.FID, CreatedAt: decoded[Timestamp](b.CreatedAt), Custom: decoded[map[string]any](b.Custom),
		User: decoded[*UserResponse](b.User), NotificationStatus: decoded[*NotificationStatus](b.Status), Raw: m.raw,
	}
	var errs [promisesFeed + 1]error
	ev.Activity, errs[promisesActivity] = readable[Activity](b.Activity)
	ev.Comment, errs[promisesComment] = readable[Comment](b.Comment)
	ev.Reaction, errs[promisesReaction] = readable[Reaction](b.Reaction)
	ev.Follow, errs[promisesFollow] = readable[Follow](b.Follow)
	ev.Feed, errs[promisesFeed] = readable[Feed](b.Feed)
	for _, raw := range b.Groups {
		ev.AggregatedActivities = append(ev.AggregatedActivities, readGroup(raw).aggregated())
	}
	if err := cmp.Or(m.err, errs[promiseOf(m.Type)]); err != nil {
		return Event{Type: EventUnreadable, FID: m.FID, CreatedAt: ev.CreatedAt, Raw: m.raw}, err
	}
	return ev, nil
}

// decoded returns the value of b, or the zero value if b has the wrong form.
func decoded[T any](b json.RawMessage) T {
	var v, none T
	if json.Unmarshal(b, &v) != nil {
		return none
	}
	return v
}

var errMissing = errors.New("it is missing")

// readable returns the value of b, or nil and an error if b is missing or has the wrong form.
func readable[T any](b json.RawMessage) (*T, error) {
	var v *T
	switch err := json.Unmarshal(b, &v); {
	case len(b) == 0 || err == nil && v == nil:
		return nil, errMissing
	case err != nil:
		return nil, err
	}
	return v, nil
}

// A found is an activity that the API shows in a feed or in a message, still undecoded.
type found struct {
	id  string
	at  Timestamp // when it was created
	raw json.RawMessage
}

// findActivity returns the id and the time of an activity, whether or not the rest of it can be
// decoded. An activity without an id gets one that is made from its content.
func findActivity(raw json.RawMessage) found {
	var in struct {
		ID        json.RawMessage `json:"id"`
		CreatedAt json.RawMessage `json:"created_at"`
	}
	_ = json.Unmarshal(raw, &in) // an error means that it is no object, and has neither
	f := found{id: decoded[string](in.ID), at: decoded[Timestamp](in.CreatedAt), raw: raw}
	if f.id == "" {
		sum := sha256.Sum256(raw)
		f.id = "\x00" + string(sum[:]) // no id of the API begins like this
	}
	return f
}

// event returns the event that tells of an activity that was found in a feed.
func (f found) event(fid string) (Event, error) {
	a, err := readable[Activity](f.raw)
	if err != nil {
		return Event{Type: EventUnreadable, FID: fid, CreatedAt: f.at, Raw: f.raw}, err
	}
	return Event{Type: EventActivityAdded, FID: fid, Activity: a, CreatedAt: f.at}, nil
}

// A group is an aggregated activity whose activities are still undecoded.
type group struct {
	AggregatedActivity
	Activities []json.RawMessage `json:"activities"`
}

// readGroup returns those parts of a group that can be decoded. A count of the wrong form must not
// hide the activities.
func readGroup(raw json.RawMessage) *group {
	g := new(group)
	_ = json.Unmarshal(raw, g)
	return g
}

// aggregated returns g as a loop gets it. Activities that can't be decoded are left out: each of
// them has an event of its own.
func (g *group) aggregated() AggregatedActivity {
	a := g.AggregatedActivity
	a.Activities = make([]Activity, 0, len(g.Activities))
	for _, raw := range g.Activities {
		if activity, err := readable[Activity](raw); err == nil {
			a.Activities = append(a.Activities, *activity)
		}
	}
	return a
}
