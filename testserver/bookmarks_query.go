package testserver

import (
	"slices"
	"time"
)

// folderFor returns the user's folder that a client names, or the new one that it describes, or nil
// for none. s.mu is held.
func (s *Server) folderFor(user, id string, req *folderRequest) (*folder, *failure) {
	switch {
	case req != nil && req.Name == "":
		return nil, badInput("name is missing in new_folder")
	case req != nil:
		s.seq++
		now := s.now()
		f := &folder{id: newUUID(), name: req.Name, user: user, custom: req.Custom, seq: s.seq, created: now, updated: now}
		s.folders.Put(f.id, f, len(encode(object{"folder": s.view(viewer{}).folder(f)})))
		return f, nil
	case id == "":
		return nil, nil
	}
	f, ok := s.folders.Get(id)
	if !ok || f.user != user {
		return nil, notFound("user '%s' has no bookmark folder '%s'", user, id)
	}
	return f, nil
}

// ownFolder returns the folder that the path names, if it is the caller's.
func (s *Server) ownFolder(c *call) (*folder, *failure) {
	id := c.r.PathValue("folder")
	f, ok := s.folders.Get(id)
	if !ok {
		return nil, notFound("bookmark folder '%s' does not exist", id)
	}
	return f, c.owns(f.user, "bookmark folder '"+id+"'")
}

// updateFolder changes what is given of a folder.
func (s *Server) updateFolder(c *call) (object, *failure) {
	f, fail := s.ownFolder(c)
	if fail != nil {
		return nil, fail
	}
	var req folderRequest
	if fail := c.decode(&req); fail != nil {
		return nil, fail
	}
	if req.Name != "" {
		f.name = req.Name
	}
	if req.Custom != nil {
		f.custom = req.Custom
	}
	f.updated = s.now()
	r := s.view(viewer{}).folder(f)
	s.folders.Put(f.id, f, len(encode(object{"folder": r})))
	s.recordEffect(c)
	s.publishTo(f.user, "feeds.bookmark_folder.updated", object{"bookmark_folder": r, "user": r.User.userCommon})
	return object{"bookmark_folder": r}, nil
}

// deleteFolder deletes a folder and the bookmarks in it.
func (s *Server) deleteFolder(c *call) (object, *failure) {
	f, fail := s.ownFolder(c)
	if fail != nil {
		return nil, fail
	}
	s.folders.Remove(f.id)
	for _, rs := range s.allReactions() {
		rs.bookmarks = slices.DeleteFunc(rs.bookmarks, func(b *bookmark) bool { return b.folder == f })
	}
	s.recordEffect(c)
	r := s.view(viewer{}).folder(f)
	s.publishTo(f.user, "feeds.bookmark_folder.deleted", object{"bookmark_folder": r, "user": r.User.userCommon})
	return object{}, nil
}

// allReactions returns what all users have made of all activities and comments. s.mu is held.
func (s *Server) allReactions() (all []*reactions) {
	for _, a := range s.acts.All() {
		all = append(all, &a.reactions)
	}
	for _, m := range s.comments.All() {
		all = append(all, &m.reactions)
	}
	return all
}

// queryBookmarks finds the caller's bookmarks, the newest first unless told otherwise.
func (s *Server) queryBookmarks(c *call) (object, *failure) {
	var req struct {
		acting
		query
		Enrich bool `json:"enrich_own_fields"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	who, f := c.viewer(req.acting)
	if f != nil {
		return nil, f
	}
	v := s.view(who)
	v.enrich = req.Enrich
	var list []*bookmark
	for _, rs := range s.allReactions() {
		for _, b := range rs.bookmarks {
			a, ok := s.acts.Get(b.activity)
			if ok && v.maySee(a) && (b.user == who.user || who.user == "" && who.server) {
				list = append(list, b)
			}
		}
	}
	page, ans, f := find(list, req.query, fields[*bookmark]{
		"activity_id": textField(idOps, func(b *bookmark) string { return b.activity }),
		"object_id":   textField(idOps, func(b *bookmark) string { id, _ := b.object(); return id }),
		"object_type": textField(idOps, func(b *bookmark) string { _, kind := b.object(); return kind }),
		"folder_id":   textField(idOps+" $exists", (*bookmark).folderID),
		"user_id":     textField(idOps, func(b *bookmark) string { return b.user }),
		"created_at":  timeField(orderOps, func(b *bookmark) time.Time { return b.created }),
		"updated_at":  timeField(orderOps, func(b *bookmark) time.Time { return b.updated }),
	}, sortKeys[*bookmark]{
		"created_at": func(b *bookmark) sortKey { return timeKey(b.created) },
		"updated_at": func(b *bookmark) sortKey { return timeKey(b.updated) },
	})
	if f != nil {
		return nil, f
	}
	ans["bookmarks"] = describe(page, v.bookmark)
	return ans, nil
}

// queryFolders finds the caller's bookmark folders, the newest first unless told otherwise.
func (s *Server) queryFolders(c *call) (object, *failure) {
	var req struct {
		acting
		query
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	who, f := c.viewer(req.acting)
	if f != nil {
		return nil, f
	}
	list := only(&s.folders, func(f *folder) bool { return f.user == who.user || who.user == "" && who.server })
	page, ans, f := find(list, req.query, fields[*folder]{
		"user_id":     textField(idOps, func(f *folder) string { return f.user }),
		"folder_name": textField(tagOps, func(f *folder) string { return f.name }),
		"custom":      objectField(customOps, func(f *folder) map[string]any { return f.custom }),
		"created_at":  timeField(orderOps, func(f *folder) time.Time { return f.created }),
		"updated_at":  timeField(orderOps, func(f *folder) time.Time { return f.updated }),
	}, sortKeys[*folder]{
		"created_at": func(f *folder) sortKey { return timeKey(f.created) },
		"updated_at": func(f *folder) sortKey { return timeKey(f.updated) },
	})
	if f != nil {
		return nil, f
	}
	ans["bookmark_folders"] = describe(page, s.view(who).folder)
	return ans, nil
}
