package feeds

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Types of events. The first comes from the API, which has many more (Stream's documentation lists them); the others are told
// by [Session.Events] itself.
const (
	// EventActivityAdded says that Event.Activity was added to the feed Event.FID.
	EventActivityAdded = "feeds.activity.added"

	// EventConnected is the first event: the feeds are being watched, and from here on no added activity is missed.
	EventConnected = "connected"

	// EventReconnected says that the connection was lost and is back. Event.Gap tells more.
	EventReconnected = "reconnected"

	// EventDropped says that the loop was too slow, and events were dropped. Event.Gap tells more.
	EventDropped = "dropped"
)

// ErrEventsEnded is the error of [Session.Events] when the API closed the connection with code 1000, by which Stream means
// that it is not to be opened again: the app was switched off, say. The session itself goes on.
var ErrEventsEnded = errors.New("feeds: the API has ended the events for good (close code 1000)")

// An Event is something that happened in a watched feed, or to the connection over which that is told.
type Event struct {
	// Type is one of the constants above, or any other that the API sends: unknown ones are passed on.
	Type string

	// FID is the feed, as "group:id". Empty where the event is not about one.
	FID string

	// Activity is what the event is about, or nil.
	Activity *Activity

	// CreatedAt is when it happened, by the API's clock. Zero if the API does not say.
	CreatedAt Timestamp

	// Custom is the custom data of the event, not that of its activity.
	Custom map[string]any

	// Recovered reports that the event was missed, and made up for by reading the feed.
	Recovered bool

	// Gap is set for EventReconnected and EventDropped.
	Gap *Gap

	// Raw is the event as it came, for what this package does not know. Nil for events that did not come over the connection.
	Raw json.RawMessage
}

// A Gap is a stretch in which events were missed. What was added to the watched feeds meanwhile follows it, oldest first and
// marked Recovered. Other events, such as reactions and deletions, are lost: read again what has to be exact.
type Gap struct {
	// Err is why the connection was lost, for people to read. Nil if it was not.
	Err error

	// Dropped is how many events were dropped because the loop was too slow.
	Dropped int

	// Incomplete names the feeds to which more was added than could be recovered: the newest 1,000 follow.
	Incomplete []string
}

// Events watches feeds, each named as "group:id", and tells what happens in them for as long as the loop runs:
//
//	for event, err := range session.Events(ctx, "user:alice", "timeline:alice") {
//		if err != nil {
//			return err
//		}
//		if event.Type == feeds.EventActivityAdded {
//			fmt.Println(event.Activity.User.ID, "says", event.Activity.Text)
//		}
//	}
//
// A feed that does not exist yet is created. Without any feed the loop gets what the API tells the user in any case. Each loop
// has a connection of its own, a WebSocket, which ends with it.
//
// # How it ends
//
// A lost connection is no end: it is dialed again after a pause, from between 0.25 and 0.75 s up to between 8 and 24 s, and from
// the beginning once a connection has held for a second. The same goes for silence of 35 s, a server that is down, and a token
// provider that fails in passing. An expired or revoked token is replaced as for any call, from the same token provider, and the
// connection is dialed again at once; the calls of the session then have the new token too. Client.Logger gets a Warn for each
// pause, with its reason, and an Info when the connection is back.
//
// The loop ends when it is left with break or return, and otherwise with one last round that has an error: ctx.Err() when ctx
// ends; one for which [IsSessionOver] is true when the session was closed or its token provider failed for good; an [*Error]
// when the API refuses the login or a feed for a reason that will not pass (a wrong key, a missing permission); and
// [ErrEventsEnded]. Whichever it is, when the loop is over the connection is closed and no goroutine is left. A server that
// does not answer to the closing is waited for by 1 s at most, and after the end of ctx not at all.
//
// # What is guaranteed
//
// Every activity that is added to a watched feed after [EventConnected] is told exactly once for each watched feed that it is
// in, however often the connection breaks, as long as no more than 1,000 were missed of one feed in one go. If more were, the
// newest 1,000 are told, and the [Gap] names the feed. What was missed is recovered by reading the feed, so an activity that was
// deleted again meanwhile is not told, and the feed has to be in order of time, as it is unless its group is ranked otherwise.
// Everything else that is sent while there is no connection is lost, of which [EventReconnected] tells.
//
// What was in a feed before EventConnected is not told. To miss nothing at the start, read the feed after EventConnected.
//
// The body of the loop may take its time. While it runs the connection is kept alive, and up to 1,000 events or 8 MiB are held
// for it. More than that is dropped; once the loop has caught up it is told so by [EventDropped], and the activities among what
// was dropped are recovered. A connection that is lost while the body runs is dialed again when the body is done and has had
// the events that were held.
func (s *Session) Events(ctx context.Context, feeds ...string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		st := &stream{session: s, yield: yield}
		user, err := json.Marshal(s.user)
		if err != nil {
			yield(Event{}, fmt.Errorf("feeds: Events: the session's user can't be encoded: %w", err))
			return
		}
		if s.user.ID != "" {
			st.user = user
		}
		for _, fid := range feeds {
			group, id, ok := strings.Cut(fid, ":")
			if !ok || group == "" || id == "" {
				yield(Event{}, fmt.Errorf("feeds: Events: the feed %q is not of the form group:id", fid))
				return
			}
			if !slices.ContainsFunc(st.feeds, func(w *watched) bool { return w.fid == fid }) {
				st.feeds = append(st.feeds, &watched{fid: fid, group: group, id: id})
			}
		}
		if err := st.run(ctx); !errors.Is(err, errLoopLeft) {
			yield(Event{}, err)
		}
	}
}

// A message is what the API sends over the connection. What belongs to an event stays undecoded until it is one.
type message struct {
	Type      string          `json:"type"`
	FID       string          `json:"fid"`
	Activity  json.RawMessage `json:"activity"`
	CreatedAt json.RawMessage `json:"created_at"`
	Custom    json.RawMessage `json:"custom"`

	ConnectionID string          `json:"connection_id"` // of connection.ok
	Error        json.RawMessage `json:"error"`         // of connection.error: the error body

	raw []byte
}

func decodeMessage(frame []byte) (*message, error) {
	m := &message{raw: frame}
	if err := json.Unmarshal(frame, m); err != nil || m.Type == "" {
		return nil, errors.New("it is not a JSON object with a type")
	}
	return m, nil
}

// event returns m as the loop gets it. A field that is not what it is known to be is left out; it is in Raw for whoever knows
// better.
func (m *message) event() Event {
	return Event{
		Type: m.Type, FID: m.FID, Activity: decoded[*Activity](m.Activity), CreatedAt: decoded[Timestamp](m.CreatedAt),
		Custom: decoded[map[string]any](m.Custom), Raw: m.raw,
	}
}

// decoded returns what b stands for, or the zero value.
func decoded[T any](b json.RawMessage) T {
	var v, none T
	if json.Unmarshal(b, &v) != nil {
		return none
	}
	return v
}
