package feeds

import "strings"

// Types of events that [Session.Events] tells by itself.
const (
	// EventConnected is the first event: the feeds are being watched, and from here on no added
	// activity is missed.
	EventConnected = "connected"

	// EventReconnected says that the connection was lost and is back. Event.Gap tells more.
	EventReconnected = "reconnected"

	// EventDropped says that events were lost while the connection stood, most often because the
	// loop was too slow. Event.Gap tells more.
	EventDropped = "dropped"

	// EventUnreadable says that the API told of something in a form that this package can't decode.
	// It is in Event.Raw, and the feed, where that is known, in Event.FID. Nothing else is
	// affected.
	EventUnreadable = "unreadable"
)

// Types of events that the API sends. Which fields of an [Event] are set for which type is said
// there.
const (
	EventActivityAdded           = "feeds.activity.added" // also told for what is new in a grouped feed: see Session.Events
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

// The fields of an Event that its type may promise.
type promise int

const (
	promisesNothing promise = iota
	promisesActivity
	promisesReaction
	promisesComment
	promisesFollow
	promisesFeed
)

// promiseOf returns which field an event of the type always has, so that a loop need not check it
// for nil.
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
