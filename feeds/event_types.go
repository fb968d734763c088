package feeds

import "strings"

// Types of events that come from [Session.Events] itself and not from the API.
const (
	// EventConnected is the first event: the feeds are watched now, and no activity that is added
	// from here on is missed.
	EventConnected = "connected"

	// EventReconnected says that the connection was lost and is back. Event.Gap says what was
	// missed.
	EventReconnected = "reconnected"

	// EventDropped says that events were lost although the connection was not, most often because
	// the loop was too slow. Event.Gap says what was missed.
	EventDropped = "dropped"

	// EventUnreadable says that the API sent something that this package can't decode. It is in
	// Event.Raw, and its feed, if known, in Event.FID. No other event is affected.
	EventUnreadable = "unreadable"
)

// Types of events that the API sends. [Event] says which of its fields are set for which type.
const (
	EventActivityAdded           = "feeds.activity.added" // also for what is new in a feed that shows groups: see Session.Events
	EventActivityUpdated         = "feeds.activity.updated"
	EventActivityDeleted         = "feeds.activity.deleted"
	EventActivityRestored        = "feeds.activity.restored"
	EventActivityRemovedFromFeed = "feeds.activity.removed_from_feed"
	EventActivityMarked          = "feeds.activity.marked" // as read or seen
	EventActivityPinned          = "feeds.activity.pinned"
	EventActivityUnpinned        = "feeds.activity.unpinned"
	EventActivityFeedback        = "feeds.activity.feedback"

	EventActivityReactionAdded   = "feeds.activity.reaction.added"
	EventActivityReactionUpdated = "feeds.activity.reaction.updated"
	EventActivityReactionDeleted = "feeds.activity.reaction.deleted"

	EventCommentAdded    = "feeds.comment.added"
	EventCommentUpdated  = "feeds.comment.updated"
	EventCommentDeleted  = "feeds.comment.deleted"
	EventCommentRestored = "feeds.comment.restored"

	EventCommentReactionAdded   = "feeds.comment.reaction.added"
	EventCommentReactionUpdated = "feeds.comment.reaction.updated"
	EventCommentReactionDeleted = "feeds.comment.reaction.deleted"

	EventBookmarkAdded         = "feeds.bookmark.added"
	EventBookmarkUpdated       = "feeds.bookmark.updated"
	EventBookmarkDeleted       = "feeds.bookmark.deleted"
	EventBookmarkFolderUpdated = "feeds.bookmark_folder.updated"
	EventBookmarkFolderDeleted = "feeds.bookmark_folder.deleted"

	EventFeedCreated       = "feeds.feed.created"
	EventFeedUpdated       = "feeds.feed.updated"
	EventFeedDeleted       = "feeds.feed.deleted"
	EventFeedGroupChanged  = "feeds.feed_group.changed"
	EventFeedGroupDeleted  = "feeds.feed_group.deleted"
	EventFeedGroupRestored = "feeds.feed_group.restored"
	EventFeedMemberAdded   = "feeds.feed_member.added"
	EventFeedMemberUpdated = "feeds.feed_member.updated"
	EventFeedMemberRemoved = "feeds.feed_member.removed"

	EventFollowCreated = "feeds.follow.created"
	EventFollowUpdated = "feeds.follow.updated"
	EventFollowDeleted = "feeds.follow.deleted"

	EventNotificationFeedUpdated = "feeds.notification_feed.updated"
	EventStoriesFeedUpdated      = "feeds.stories_feed.updated"

	EventPollUpdated     = "feeds.poll.updated"
	EventPollClosed      = "feeds.poll.closed"
	EventPollDeleted     = "feeds.poll.deleted"
	EventPollVoteCasted  = "feeds.poll.vote_casted"
	EventPollVoteChanged = "feeds.poll.vote_changed"
	EventPollVoteRemoved = "feeds.poll.vote_removed"

	EventAppUpdated             = "app.updated"
	EventUserUpdated            = "user.updated"
	EventModerationCustomAction = "moderation.custom_action"
	EventModerationMarkReviewed = "moderation.mark_reviewed"
)

// A promise is the field of an Event that its type always sets.
type promise int

const (
	promisesNothing promise = iota
	promisesActivity
	promisesReaction
	promisesComment
	promisesFollow
	promisesFeed
)

// promiseOf returns the field that an event of the type always has. A loop need not check that
// field for nil.
func promiseOf(typ string) promise {
	switch typ {
	case EventActivityAdded, EventActivityUpdated, EventActivityDeleted, EventActivityRestored, EventActivityRemovedFromFeed:
		return promisesActivity
	case EventFeedCreated, EventFeedUpdated:
		return promisesFeed
	}
	switch {
	case strings.HasPrefix(typ, "feeds.activity.reaction."), strings.HasPrefix(typ, "feeds.comment.reaction."):
		return promisesReaction
	case strings.HasPrefix(typ, "feeds.comment."):
		return promisesComment
	case strings.HasPrefix(typ, "feeds.follow."):
		return promisesFollow
	}
	return promisesNothing
}
