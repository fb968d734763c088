package testserver

import "slices"

// Who may do what, by a feed's visibility:
//
//	            read               follow            add activities
//	visible     anyone             any user          owner and members
//	public      anyone             any user          any user
//	followers   owner, members,    any user, once    owner and members
//	            followers          it is accepted
//	members     owner and members  the same          the same
//	private     owner              owner             owner
//
// A server may do everything. What is written is its author's, and only they change it.

// The visibilities of feeds and of activities.
const (
	visiblePublic    = "public"
	visibleAll       = "visible"
	visibleFollowers = "followers"
	visibleMembers   = "members"
	visiblePrivate   = "private"
	visibleTag       = "tag" // of activities alone
)

func checkFeedVisibility(s string) *failure {
	if slices.Contains([]string{"", visiblePublic, visibleAll, visibleFollowers, visibleMembers, visiblePrivate}, s) {
		return nil
	}
	return badInput("visibility must be public, visible, followers, members or private, not '%s'", s)
}

func (v *view) owns(f *feed) bool { return v.user != "" && v.user == f.owner }

// belongs reports whether the viewer is the feed's owner or one of its members.
func (v *view) belongs(f *feed) bool {
	return v.owns(f) || f.visibility != visiblePrivate && f.isMember(v.user)
}

func (v *view) mayRead(f *feed) bool {
	switch {
	case v.server, f.visibility == visibleAll, f.visibility == visiblePublic, v.belongs(f):
		return true
	case f.visibility == visibleFollowers && v.user != "":
		return slices.ContainsFunc(v.s.followsTo(f.fid, followAccepted), func(e *follow) bool { return v.s.ownerOf(e.source) == v.user })
	}
	return false
}

func (v *view) mayFollow(f *feed) bool {
	switch f.visibility {
	case visibleAll, visiblePublic, visibleFollowers:
		return v.server || v.user != ""
	}
	return v.server || v.belongs(f)
}

func (v *view) mayPost(f *feed) bool {
	return v.server || f.visibility == visiblePublic && v.user != "" || v.belongs(f)
}

// maySee reports whether the viewer may see an activity: its author always, and others in the feeds
// that they may read, unless it is private, which it is for all but the owners of its feeds.
func (v *view) maySee(a *activity) bool {
	if v.server || v.user != "" && v.user == a.user {
		return true
	}
	for _, fid := range a.feeds {
		if f, ok := v.s.feeds.Get(fid); ok && v.mayRead(f) && (a.Visibility != visiblePrivate || v.owns(f)) {
			return true
		}
	}
	return false
}

// seesWhole reports whether the viewer sees more than a preview of an activity whose visibility is
// a tag.
func (v *view) seesWhole(a *activity) bool {
	if a.Visibility != visibleTag || v.server || v.user != "" && v.user == a.user {
		return true
	}
	return slices.ContainsFunc(a.feeds, func(fid string) bool {
		f, ok := v.s.feeds.Get(fid)
		return ok && v.belongs(f)
	})
}

// capabilities lists what the viewer may do with a feed, in the API's words.
func (v *view) capabilities(f *feed) []string {
	caps := []string{}
	if v.server || v.user != "" {
		caps = append(caps, "create-feed")
	}
	if v.mayFollow(f) {
		caps = append(caps, "follow", "unfollow")
	}
	if v.mayRead(f) {
		caps = append(caps, "query-feed-members", "query-follows", "read-activities", "read-feed")
		if v.server || v.user != "" {
			caps = append(caps,
				"add-activity-bookmark", "add-activity-reaction", "add-comment", "add-comment-reaction", "delete-own-activity-bookmark",
				"delete-own-activity-reaction", "delete-own-comment", "delete-own-comment-reaction", "update-own-activity-bookmark", "update-own-comment")
		}
	}
	if v.mayPost(f) {
		caps = append(caps, "add-activity", "delete-own-activity", "update-own-activity")
	}
	if v.server || v.owns(f) {
		caps = append(caps, "delete-feed", "pin-activity", "update-feed", "update-feed-followers", "update-feed-members")
	}
	if v.server {
		caps = append(caps, "delete-any-activity", "delete-any-comment", "update-any-activity", "update-any-comment")
	}
	slices.Sort(caps)
	return caps
}

// owns fails unless the thing is the caller's. Everything is a server's.
func (c *call) owns(owner, thing string) *failure {
	if c.server || c.user == owner {
		return nil
	}
	return notAllowed("user '%s' is not allowed to change %s, which is user '%s's", c.user, thing, owner)
}

// readable returns a feed that exists and that the viewer may read.
func (v *view) readable(fid string) (*feed, *failure) {
	f, ok := v.s.feeds.Get(fid)
	switch {
	case !ok:
		return nil, notFound("feed '%s' does not exist: GetOrCreateFeed makes it", fid)
	case !v.mayRead(f):
		return nil, notAllowed("user '%s' is not allowed to read feed '%s', whose visibility is %s", v.user, fid, f.visibility)
	}
	return f, nil
}

// ownFeed returns the feed that the path names, if the caller may change it.
func (s *Server) ownFeed(c *call) (*feed, *failure) {
	fid := pathFID(c)
	f, ok := s.feeds.Get(fid)
	if !ok {
		return nil, notFound("feed '%s' does not exist: GetOrCreateFeed makes it", fid)
	}
	return f, c.owns(f.owner, "feed '"+fid+"'")
}

// ownerOf returns whose a feed is, or "" if there is no such feed.
func (s *Server) ownerOf(fid string) string {
	if f, ok := s.feeds.Get(fid); ok {
		return f.owner
	}
	return ""
}
