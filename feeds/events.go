package feeds

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
)

// ErrEventsEnded is the error of [Session.Events] when the API closes the connection with code
// 1000. By that Stream says that a client must not connect again, for example because the app was
// switched off. The session itself goes on.
var ErrEventsEnded = errors.New("feeds: the API has ended the events for good (close code 1000)")

// An Event is something that happened in a watched feed, or to the connection.
//
// The pointer that belongs to the type is never nil: Activity for EventActivityAdded, Updated,
// Deleted, Restored and RemovedFromFeed; Reaction for all events of reactions; Comment for those of
// comments; Follow for those of follows; Feed for EventFeedCreated and EventFeedUpdated; Gap for
// EventReconnected and EventDropped. The others are set if the API sends them too, such as the
// Activity that a reaction is about. What has no field here, such as a bookmark, is in Raw.
type Event struct {
	// Type is one of the constants of this package, or any other type that the API sends.
	Type string

	// FID is the feed, as "group:id". Empty where the event is not about one.
	FID string

	// What the event is about.
	Activity *Activity
	Reaction *Reaction
	Comment  *Comment
	Follow   *Follow
	Feed     *Feed

	// AggregatedActivities and NotificationStatus are set for EventNotificationFeedUpdated: the
	// groups that the API shows, which may be a part of the feed's, and what is unread.
	// NotificationStatus is nil if the API does not send it.
	AggregatedActivities []AggregatedActivity
	NotificationStatus   *NotificationStatus

	// User is who did it, or nil if the API does not say.
	User *UserResponse

	// CreatedAt is when it happened, by the API's clock. Zero if the API does not say.
	CreatedAt Timestamp

	// Custom is the custom data of the event, not that of its activity.
	Custom map[string]any

	// Recovered means that the event itself was missed, and was made from reading the feed.
	Recovered bool

	// Gap is set for EventReconnected and EventDropped.
	Gap *Gap

	// Raw is the API's message as it came, for what this package does not know. It is nil for
	// events that did not come over the connection, except for EventUnreadable, which always has
	// it.
	Raw json.RawMessage
}

// A Gap is a time in which events were missed. After it come the activities that were added to the
// watched feeds in that time, the oldest first and marked Recovered, and then one
// EventNotificationFeedUpdated for each notification feed that has changed. Other events, such as
// reactions and deletions, are lost: read again what must be exact.
type Gap struct {
	// Err is why the connection was lost. Nil if it was not lost.
	Err error

	// Dropped is how many events were dropped because the loop was too slow, or because a message
	// was longer than 1 MiB.
	Dropped int

	// Incomplete names the feeds to which more activities were added than could be recovered. The
	// newest ones were.
	Incomplete []string
}

// Events watches feeds, each named as "group:id", and returns what happens in them for as long as
// the loop runs:
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
// A feed that does not exist yet is created. Without any feed the loop gets only what the API sends
// to every connection of the user. Each loop has a connection of its own, a WebSocket, which ends
// with the loop.
//
// # How it ends
//
// A lost connection does not end the loop: Events connects again after a pause. The first pause is
// between 0.25 and 0.75 s long, the longest between 8 and 24 s. After a connection that brought an
// event or lasted for 1 s, the pauses begin again with the first. A connection that is silent for
// 35 s, a server that is down, and a token provider that fails temporarily count as a lost
// connection.
//
// An expired or revoked token is replaced as for any call, from the same token provider, and Events
// connects again at once; the calls of the session have the new token too. If the provider returns
// the rejected token again, Events tries that token again after pauses, because the revocation may
// be taken back. Client.Logger gets a Warn for each pause, with its reason, and an Info when the
// connection is back.
//
// The loop ends when its body breaks or returns. Otherwise it ends with one last round that has an
// error:
//
//   - ctx.Err(), when ctx ends;
//   - an error for which [IsSessionOver] is true, when the session was closed or its token provider
//     has failed permanently;
//   - an [*Error], when the API rejects the login or a feed for a reason that does not pass: a wrong
//     key, or a missing permission;
//   - [ErrEventsEnded];
//   - an error that says what is wrong with the name of a feed, or with Client.Base.
//
// When the loop is over, the connection is closed and no goroutine is left. Closing waits at most
// 1 s for a server that does not answer, and not at all once ctx has ended.
//
// # What is guaranteed
//
// Every activity that is added to a watched feed after [EventConnected] comes exactly once for each
// watched feed that it is in, as an [EventActivityAdded], in the order in which the API made them
// known, however often the connection breaks. What was missed is recovered by reading the feeds, up
// to 1,000 activities of each and 32 MiB of all together; if there were more, the [Gap] names the
// feed. This has two limits: an activity that was added and deleted during the gap does not come,
// and a feed must be in order of time, as it is unless its group is ranked in another way.
// Everything else that the API sends while there is no connection is lost; [EventReconnected] says
// that there was a gap.
//
// The same holds for feeds that show groups, such as "notification:alice". The API only says that
// such a feed was updated, and shows groups of activities. Each [EventNotificationFeedUpdated]
// comes, and before it one EventActivityAdded for every activity that is new in its groups. If an
// update does not show all that is new, the feed is read after it. If the API shows fewer
// activities of a group than were added, a Gap names the feed: that of the EventReconnected, or of
// an [EventDropped]. After a gap, one EventNotificationFeedUpdated, marked Recovered, has the state
// of each notification feed that has changed.
//
// What can't be decoded comes as an [EventUnreadable], and Client.Logger gets a Warn. The events
// before and after it come as always. A message that is no JSON object with a type is ignored, and
// Client.Logger gets a Warn.
//
// What was in a feed before EventConnected does not come. To miss nothing at the start, read the
// feed after EventConnected.
//
// # Many feeds
//
// Events reads the feeds at the start and after each gap, eight at a time, with one call for each
// feed that has fewer than 100 new activities. It keeps to the rate limit that the API's answers
// name, and waits for its end whatever Client.NoRateLimitWait says. A feed that can't be read is
// tried again as long as others can be read, and what was read is kept if the connection breaks. So
// a loop over hundreds of feeds waits for some time until EventConnected, and then gets it.
//
// # A loop that is slow
//
// The body of the loop may take its time. While it runs, the connection is kept alive, and up to
// 1,000 events or 8 MiB, counted as the API wrote them, are held for it. What comes then is
// dropped: after the held events the loop gets an EventDropped, and the activities that were
// dropped are recovered. If the connection is lost while the body runs, Events connects again when
// the loop has taken the events that were held.
func (s *Session) Events(ctx context.Context, feeds ...string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		st := &stream{session: s, byFID: make(map[string]*watched), yield: yield}
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
			if st.byFID[fid] == nil {
				st.byFID[fid] = &watched{fid: fid, group: group, id: id}
				st.feeds = append(st.feeds, st.byFID[fid])
			}
		}
		if err := st.run(ctx); !errors.Is(err, errLoopLeft) {
			yield(Event{}, err)
		}
	}
}
