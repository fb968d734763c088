package feeds

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
)

// ErrEventsEnded is the error of [Session.Events] when the API closed the connection with code
// 1000, by which Stream means that it is not to be opened again: the app was switched off, say. The
// session itself goes on.
var ErrEventsEnded = errors.New("feeds: the API has ended the events for good (close code 1000)")

// An Event is something that happened in a watched feed, or to the connection over which that is
// told.
//
// Of the pointers those are set that go with the type, and never nil then: Activity for
// EventActivityAdded, Updated, Deleted, Restored and RemovedFromFeed; Reaction for all reactions;
// Comment for comments; Follow for follows; Feed for EventFeedCreated and EventFeedUpdated; Gap for
// EventReconnected and EventDropped. Others are set if the API sends them along, as it does with
// the Activity that was reacted to. What has no field here, such as a bookmark, is in Raw.
type Event struct {
	// Type is one of the constants above, or any other that the API sends: unknown ones are passed
	// on.
	Type string

	// FID is the feed, as "group:id". Empty where the event is not about one.
	FID string

	// What the event is about.
	Activity *Activity
	Reaction *Reaction
	Comment  *Comment
	Follow   *Follow
	Feed     *Feed

	// AggregatedActivities and NotificationStatus tell for EventNotificationFeedUpdated what has
	// become of the feed: the groups that the API shows, which need not be all, and what is unread.
	// NotificationStatus is nil if the API doesn't say.
	AggregatedActivities []AggregatedActivity
	NotificationStatus   *NotificationStatus

	// User is who did it, or nil if the API doesn't say.
	User *UserResponse

	// CreatedAt is when it happened, by the API's clock. Zero if the API does not say.
	CreatedAt Timestamp

	// Custom is the custom data of the event, not that of its activity.
	Custom map[string]any

	// Recovered reports that the event was missed, and made up for by reading the feed.
	Recovered bool

	// Gap is set for EventReconnected and EventDropped.
	Gap *Gap

	// Raw is the message that the event was made of, as it came, for what this package does not
	// know. Nil for events that did not come over the connection, except for EventUnreadable, which
	// always has it.
	Raw json.RawMessage
}

// A Gap is a stretch in which events were missed. What was added to the watched feeds meanwhile
// follows it, oldest first and marked Recovered; then, for each notification feed that has changed,
// its state. Other events, such as reactions and deletions, are lost: read again what has to be
// exact.
type Gap struct {
	// Err is why the connection was lost, for people to read. Nil if it was not.
	Err error

	// Dropped is how many events were dropped, because the loop was too slow or a message was
	// longer than 1 MiB.
	Dropped int

	// Incomplete names the feeds to which more was added than could be recovered. What follows is
	// the newest of it.
	Incomplete []string
}

// Events watches feeds, each named as "group:id", and tells what happens in them for as long as the
// loop runs:
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
// A feed that does not exist yet is created. Without any feed the loop gets what the API tells the
// user in any case. Each loop has a connection of its own, a WebSocket, which ends with it.
//
// # How it ends
//
// A lost connection is no end: it is dialed again after a pause, from between 0.25 and 0.75 s up to
// between 8 and 24 s, and from the beginning once a connection has brought news or held for a
// second. The same goes for silence of 35 s, a server that is down, and a token provider that fails
// in passing. An expired or revoked token is replaced as for any call, from the same token
// provider, and the connection is dialed again at once; the calls of the session then have the new
// token too. If the provider has no other than the rejected one, that is tried again after pauses,
// for the revocation may be taken back. Client.Logger gets a Warn for each pause, with its reason,
// and an Info when the connection is back.
//
// The loop ends when it is left with break or return, and otherwise with one last round that has an
// error: ctx.Err() when ctx ends; one for which [IsSessionOver] is true when the session was closed
// or its token provider failed for good; an [*Error] when the API refuses the login or a feed for a
// reason that will not pass (a wrong key, a missing permission); and [ErrEventsEnded]. Whichever it
// is, when the loop is over the connection is closed and no goroutine is left. A server that does
// not answer to the closing is waited for by 1 s at most, and after the end of ctx not at all.
//
// # What is guaranteed
//
// Every activity that is added to a watched feed after [EventConnected] is told exactly once for
// each watched feed that it is in, by an [EventActivityAdded], in the order in which the API made
// them known, however often the connection breaks. What was missed is recovered by reading the
// feeds, up to 1,000 activities of each and 32 MiB of all; if there were more the [Gap] names the
// feed. So an activity that was deleted again meanwhile is not told, and a feed has to be in order
// of time, as it is unless its group is ranked otherwise. Everything else that is sent while there
// is no connection is lost, of which [EventReconnected] tells.
//
// That holds for feeds that show groups too, such as "notification:alice". Of those the API tells
// only that they were updated, with groups of activities. Each such [EventNotificationFeedUpdated]
// is passed on, and before it every activity that is new in its groups is told as an
// EventActivityAdded. If an update doesn't show all that is new the feed is read after it. A group
// of which the API shows less than was added is named by a Gap: that of EventReconnected, or of an
// [EventDropped]. After a gap one EventNotificationFeedUpdated, marked Recovered, tells the state
// of a notification feed that has changed.
//
// What can't be decoded is told as an [EventUnreadable], and Client.Logger gets a Warn. What comes
// before and after it is told as ever.
//
// What was in a feed before EventConnected is not told. To miss nothing at the start, read the feed
// after EventConnected.
//
// # Many feeds
//
// Feeds are read eight at a time, at the start and after each gap, with one call for each that has
// little news. Rate limits are waited for, whatever Client.NoRateLimitWait says, and approached no
// further than the API's answers allow. A feed that can't be read for now is tried again as long as
// others can, and what was read is kept if the connection breaks meanwhile. So it takes a while
// until a loop over hundreds of feeds is told EventConnected, but it is.
//
// # A loop that is slow
//
// The body of the loop may take its time. While it runs the connection is kept alive, and up to
// 1,000 events or 8 MiB, counted as the API wrote them, are held for it. More than that is dropped;
// once the loop has caught up it is told so by EventDropped, and the activities among what was
// dropped are recovered. A connection that is lost while the body runs is dialed again when the
// body is done and has had the events that were held.
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
