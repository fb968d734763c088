package testserver

import (
	"slices"
	"time"
)

const maxBookmarks = 1000 // of one thing; the comment of Server names it

// A bookmark is one user's, of an activity or of a comment on one. A user may have the same thing
// in several folders, and in each of them once.
type bookmark struct {
	user, activity, comment string  // comment is empty for one of an activity
	folder                  *folder // nil: none
	custom                  map[string]any
	bytes                   int
	seq                     int
	created, updated        time.Time
}

func (b *bookmark) number() int { return b.seq }

func (b *bookmark) folderID() string {
	if b.folder == nil {
		return ""
	}
	return b.folder.id
}

// object returns what is bookmarked, in the API's words.
func (b *bookmark) object() (id, kind string) {
	if b.comment != "" {
		return b.comment, "comment"
	}
	return b.activity, "activity"
}

// A folder holds some of a user's bookmarks.
type folder struct {
	id, name, user   string
	custom           map[string]any
	seq              int
	created, updated time.Time
}

func (f *folder) number() int { return f.seq }

// bookmarkResponse is the API's BookmarkResponse.
type bookmarkResponse struct {
	ObjectID   string           `json:"object_id"`
	ObjectType string           `json:"object_type"`
	ActivityID string           `json:"activity_id"`
	Activity   activityResponse `json:"activity"`
	Comment    *commentResponse `json:"comment,omitempty"`
	User       userResponse     `json:"user"`
	Folder     *folderResponse  `json:"folder,omitempty"`
	Custom     map[string]any   `json:"custom"`
	CreatedAt  int64            `json:"created_at"`
	UpdatedAt  int64            `json:"updated_at"`
}

// folderResponse is the API's BookmarkFolderResponse.
type folderResponse struct {
	ID        string         `json:"id"`
	Name      string         `json:"name"`
	User      userResponse   `json:"user"`
	Custom    map[string]any `json:"custom"`
	CreatedAt int64          `json:"created_at"`
	UpdatedAt int64          `json:"updated_at"`
}

func (v *view) bookmark(b *bookmark) bookmarkResponse {
	r := bookmarkResponse{
		ActivityID: b.activity, User: v.userNamed(b.user), Custom: orEmptyMap(b.custom),
		CreatedAt: b.created.UnixNano(), UpdatedAt: b.updated.UnixNano(),
	}
	r.ObjectID, r.ObjectType = b.object()
	if a, ok := v.s.acts.Get(b.activity); ok { // or it was forgotten, and the bookmark is on its way out
		r.Activity = v.bareActivity(a)
	}
	if m, ok := v.s.comments.Get(b.comment); ok {
		comment := v.comment(m)
		r.Comment = &comment
	}
	if b.folder != nil {
		f := v.folder(b.folder)
		r.Folder = &f
	}
	return r
}

func (v *view) folder(f *folder) folderResponse {
	return folderResponse{
		ID: f.id, Name: f.name, User: v.userNamed(f.user), Custom: orEmptyMap(f.custom), CreatedAt: f.created.UnixNano(), UpdatedAt: f.updated.UnixNano(),
	}
}

// A bookmarkRequest is a bookmark as a client describes it.
type bookmarkRequest struct {
	acting
	FolderID    string         `json:"folder_id"`
	NewFolderID string         `json:"new_folder_id"`
	NewFolder   *folderRequest `json:"new_folder"`
	Custom      map[string]any `json:"custom"`
}

type folderRequest struct {
	Name   string         `json:"name"`
	Custom map[string]any `json:"custom"`
}

// A bookmarked is what a call bookmarks.
type bookmarked struct {
	reactions *reactions
	activity  *activity
	comment   *comment // nil: the activity itself
}

// bookmarkable returns what the path names.
func (s *Server) bookmarkable(c *call) (bookmarked, *failure) {
	if c.r.PathValue("comment") != "" {
		m, a, f := s.commentNamed(c, c.r.PathValue("comment"))
		if f != nil {
			return bookmarked{}, f
		}
		return bookmarked{&m.reactions, a, m}, nil
	}
	a, f := s.activity(c)
	if f != nil {
		return bookmarked{}, f
	}
	return bookmarked{&a.reactions, a, nil}, nil
}

// find returns where a user's bookmark in a folder is, or -1.
func (t bookmarked) find(user, folderID string) int {
	return slices.IndexFunc(t.reactions.bookmarks, func(b *bookmark) bool { return b.user == user && b.folderID() == folderID })
}

// keep writes down how much of the memory the bookmarked thing takes.
func (s *Server) keep(t bookmarked) {
	if t.comment != nil {
		s.keepComment(t.comment)
	} else {
		s.keepActivity(t.activity)
	}
}

// addBookmark bookmarks an activity or a comment, in a folder or a new one or none. Doing it again
// changes the bookmark's custom data.
func (s *Server) addBookmark(c *call) (object, *failure) {
	t, f := s.bookmarkable(c)
	if f != nil {
		return nil, f
	}
	var req bookmarkRequest
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	user, f := c.actor(req.acting)
	if f != nil {
		return nil, f
	}
	in, f := s.folderFor(user, req.FolderID, req.NewFolder)
	if f != nil {
		return nil, f
	}
	s.ensureUser(user)
	s.seq++
	now := s.now()
	b := &bookmark{user: user, activity: t.activity.id, folder: in, custom: req.Custom, bytes: len(c.body), seq: s.seq, created: now, updated: now}
	if t.comment != nil {
		b.comment = t.comment.id
	}
	if i := t.find(user, b.folderID()); i >= 0 {
		b.created = t.reactions.bookmarks[i].created
		t.reactions.bookmarks[i] = b
	} else if t.reactions.bookmarks = append(t.reactions.bookmarks, b); len(t.reactions.bookmarks) > maxBookmarks {
		t.reactions.bookmarks = t.reactions.bookmarks[1:]
	}
	s.keep(t)
	s.recordEffect(c)
	return s.bookmarkChanged("feeds.bookmark.added", b), nil
}

// updateBookmark changes a bookmark's custom data, or moves it to another folder or a new one.
// folder_id says which of the user's bookmarks of the thing is meant.
func (s *Server) updateBookmark(c *call) (object, *failure) {
	t, f := s.bookmarkable(c)
	if f != nil {
		return nil, f
	}
	var req bookmarkRequest
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	user, f := c.actor(req.acting)
	if f != nil {
		return nil, f
	}
	i := t.find(user, req.FolderID)
	if i < 0 {
		return nil, notFound("user '%s' has no such bookmark", user)
	}
	b := t.reactions.bookmarks[i]
	if req.NewFolderID != "" || req.NewFolder != nil {
		in, f := s.folderFor(user, req.NewFolderID, req.NewFolder)
		if f != nil {
			return nil, f
		}
		b.folder = in
	}
	if req.Custom != nil {
		b.custom = req.Custom
	}
	b.updated = s.now()
	s.recordEffect(c)
	return s.bookmarkChanged("feeds.bookmark.updated", b), nil
}

// deleteBookmark takes a bookmark back. The query says in which folder it is, if it is in one, and
// a server says there whose it is.
func (s *Server) deleteBookmark(c *call) (object, *failure) {
	t, f := s.bookmarkable(c)
	if f != nil {
		return nil, f
	}
	user, f := c.actor(c.queried())
	if f != nil {
		return nil, f
	}
	i := t.find(user, c.r.URL.Query().Get("folder_id"))
	if i < 0 {
		return nil, notFound("user '%s' has no such bookmark", user)
	}
	b := t.reactions.bookmarks[i]
	t.reactions.bookmarks = slices.Delete(t.reactions.bookmarks, i, i+1)
	s.keep(t)
	s.recordEffect(c)
	return s.bookmarkChanged("feeds.bookmark.deleted", b), nil
}

// bookmarkChanged tells the user's own sockets of a bookmark, and returns the answer.
func (s *Server) bookmarkChanged(kind string, b *bookmark) object {
	v := s.view(viewer{user: b.user, server: true})
	r := v.bookmark(b)
	s.publishTo(b.user, kind, object{"bookmark": r, "user": v.userOf(b.user)})
	return object{"bookmark": r}
}
