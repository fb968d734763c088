package testserver

import "net/http"

// aFeed is the path of a feed.
const aFeed = "/api/v2/feeds/feed_groups/{group}/feeds/{id}"

// routes returns the server's operations. A path that is none of them is judged like any other, and
// then not found.
func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, rt := range map[string]route{
		"POST /token": {"Token", tokenEndpoint, s.token},

		"POST /api/v2/guest":  {"CreateGuest", withoutToken, s.createGuest},
		"GET /api/v2/users":   {"QueryUsers", anybody, s.queryUsers},
		"POST /api/v2/users":  {"UpdateUsers", usersAndServers, s.updateUsers},
		"PATCH /api/v2/users": {"UpdateUsersPartial", usersAndServers, s.updateUsersPartial},
		"GET /api/v2/app":     {"GetApp", anybody, s.getApp},
		"PATCH /api/v2/app":   {"UpdateApp", serversOnly, s.updateApp},

		"POST /api/v2/uploads/file":    {"UploadFile", usersAndServers, s.uploadFile},
		"POST /api/v2/uploads/image":   {"UploadImage", usersAndServers, s.uploadImage},
		"DELETE /api/v2/uploads/file":  {"DeleteFile", usersAndServers, s.deleteUpload("file")},
		"DELETE /api/v2/uploads/image": {"DeleteImage", usersAndServers, s.deleteUpload("image")},

		"POST " + aFeed:                                  {"GetOrCreateFeed", anybody, s.getOrCreateFeed},
		"PUT " + aFeed:                                   {"UpdateFeed", usersAndServers, s.updateFeed},
		"DELETE " + aFeed:                                {"DeleteFeed", usersAndServers, s.deleteFeed},
		"DELETE " + aFeed + "/watch":                     {"StopWatchingFeed", usersAndServers, s.stopWatching},
		"POST " + aFeed + "/change_visibility":           {"ChangeFeedVisibility", usersAndServers, s.changeVisibility},
		"POST " + aFeed + "/activities/mark/batch":       {"MarkActivity", usersAndServers, s.markActivities},
		"POST " + aFeed + "/activities/{activity}/pin":   {"PinActivity", usersAndServers, s.addPin},
		"DELETE " + aFeed + "/activities/{activity}/pin": {"UnpinActivity", usersAndServers, s.removePin},
		"POST " + aFeed + "/pinned_activities/query":     {"QueryPinnedActivities", anybody, s.queryPins},
		"PATCH " + aFeed + "/members":                    {"UpdateFeedMembers", usersAndServers, s.updateMembers},
		"POST " + aFeed + "/members/query":               {"QueryFeedMembers", anybody, s.queryMembers},
		"POST " + aFeed + "/members/accept":              {"AcceptFeedMemberInvite", usersAndServers, s.answerInvite(true)},
		"POST " + aFeed + "/members/reject":              {"RejectFeedMemberInvite", usersAndServers, s.answerInvite(false)},
		"POST /api/v2/feeds/feeds/query":                 {"QueryFeeds", anybody, s.queryFeeds},
		"POST /api/v2/feeds/feeds/batch":                 {"CreateFeedsBatch", usersAndServers, s.createFeeds},
		"POST /api/v2/feeds/feeds/delete":                {"DeleteFeedsBatch", serversOnly, s.deleteFeeds},
		"POST /api/v2/feeds/feeds/own/batch":             {"OwnBatch", usersAndServers, s.ownBatch},

		"POST /api/v2/feeds/activities":                {"AddActivity", usersAndServers, s.addActivity},
		"POST /api/v2/feeds/activities/batch":          {"UpsertActivities", usersAndServers, s.upsertActivities},
		"PATCH /api/v2/feeds/activities/batch/partial": {"UpdateActivitiesPartialBatch", serversOnly, s.updateActivitiesPartial},
		"POST /api/v2/feeds/activities/delete":         {"DeleteActivities", usersAndServers, s.deleteActivities},
		"POST /api/v2/feeds/activities/query":          {"QueryActivities", anybody, s.queryActivities},
		"GET /api/v2/feeds/activities/{id}":            {"GetActivity", anybody, s.getActivity},
		"PUT /api/v2/feeds/activities/{id}":            {"UpdateActivity", usersAndServers, s.updateActivity},
		"PATCH /api/v2/feeds/activities/{id}":          {"UpdateActivityPartial", usersAndServers, s.updateActivityPartial},
		"DELETE /api/v2/feeds/activities/{id}":         {"DeleteActivity", usersAndServers, s.deleteActivity},

		"POST /api/v2/feeds/activities/reactions/query":         {"BatchQueryActivityReactions", usersAndServers, s.ownReactionsTo},
		"POST /api/v2/feeds/comments/reactions/query":           {"BatchQueryCommentReactions", usersAndServers, s.ownReactionsToComments},
		"POST /api/v2/feeds/activities/{id}/reactions":          {"AddActivityReaction", usersAndServers, s.addReaction},
		"POST /api/v2/feeds/activities/{id}/reactions/query":    {"QueryActivityReactions", anybody, s.queryReactions},
		"DELETE /api/v2/feeds/activities/{id}/reactions/{type}": {"DeleteActivityReaction", usersAndServers, s.deleteReaction},

		"POST /api/v2/feeds/activities/{id}/bookmarks":      {"AddBookmark", usersAndServers, s.addBookmark},
		"PATCH /api/v2/feeds/activities/{id}/bookmarks":     {"UpdateBookmark", usersAndServers, s.updateBookmark},
		"DELETE /api/v2/feeds/activities/{id}/bookmarks":    {"DeleteBookmark", usersAndServers, s.deleteBookmark},
		"POST /api/v2/feeds/comments/{comment}/bookmarks":   {"AddCommentBookmark", usersAndServers, s.addBookmark},
		"PATCH /api/v2/feeds/comments/{comment}/bookmarks":  {"UpdateCommentBookmark", usersAndServers, s.updateBookmark},
		"DELETE /api/v2/feeds/comments/{comment}/bookmarks": {"DeleteCommentBookmark", usersAndServers, s.deleteBookmark},
		"POST /api/v2/feeds/bookmarks/query":                {"QueryBookmarks", usersAndServers, s.queryBookmarks},
		"POST /api/v2/feeds/bookmark_folders/query":         {"QueryBookmarkFolders", usersAndServers, s.queryFolders},
		"PATCH /api/v2/feeds/bookmark_folders/{folder}":     {"UpdateBookmarkFolder", usersAndServers, s.updateFolder},
		"DELETE /api/v2/feeds/bookmark_folders/{folder}":    {"DeleteBookmarkFolder", usersAndServers, s.deleteFolder},

		"GET /api/v2/feeds/comments":                          {"GetComments", anybody, s.getComments},
		"POST /api/v2/feeds/comments":                         {"AddComment", usersAndServers, s.addComment},
		"POST /api/v2/feeds/comments/batch":                   {"AddCommentsBatch", usersAndServers, s.addComments},
		"POST /api/v2/feeds/comments/query":                   {"QueryComments", anybody, s.queryComments},
		"GET /api/v2/feeds/comments/{id}":                     {"GetComment", anybody, s.getComment},
		"PATCH /api/v2/feeds/comments/{id}":                   {"UpdateComment", usersAndServers, s.updateComment},
		"POST /api/v2/feeds/comments/{id}/partial":            {"UpdateCommentPartial", usersAndServers, s.updateCommentPartial},
		"DELETE /api/v2/feeds/comments/{id}":                  {"DeleteComment", usersAndServers, s.deleteComment},
		"GET /api/v2/feeds/comments/{id}/replies":             {"GetCommentReplies", anybody, s.getReplies},
		"POST /api/v2/feeds/comments/{id}/reactions":          {"AddCommentReaction", usersAndServers, s.addCommentReaction},
		"POST /api/v2/feeds/comments/{id}/reactions/query":    {"QueryCommentReactions", anybody, s.queryCommentReactions},
		"DELETE /api/v2/feeds/comments/{id}/reactions/{type}": {"DeleteCommentReaction", usersAndServers, s.deleteCommentReaction},

		"POST /api/v2/feeds/follows":                     {"Follow", usersAndServers, s.addFollow},
		"PATCH /api/v2/feeds/follows":                    {"UpdateFollow", usersAndServers, s.updateFollow},
		"POST /api/v2/feeds/follows/upsert":              {"GetOrCreateFollow", usersAndServers, s.upsertFollow},
		"POST /api/v2/feeds/follows/batch":               {"FollowBatch", usersAndServers, s.followBatch},
		"POST /api/v2/feeds/follows/batch/upsert":        {"GetOrCreateFollows", usersAndServers, s.upsertFollows},
		"POST /api/v2/feeds/follows/accept":              {"AcceptFollow", usersAndServers, s.decideFollow(true)},
		"POST /api/v2/feeds/follows/reject":              {"RejectFollow", usersAndServers, s.decideFollow(false)},
		"POST /api/v2/feeds/follows/query":               {"QueryFollows", anybody, s.queryFollows},
		"DELETE /api/v2/feeds/follows/{source}/{target}": {"Unfollow", usersAndServers, s.unfollow},
		"POST /api/v2/feeds/unfollow/upsert":             {"GetOrCreateUnfollow", usersAndServers, s.upsertUnfollow},
		"POST /api/v2/feeds/unfollow/batch":              {"UnfollowBatch", usersAndServers, s.unfollowBatch(true)},
		"POST /api/v2/feeds/unfollow/batch/upsert":       {"GetOrCreateUnfollows", usersAndServers, s.unfollowBatch(false)},

		// The paths of Stream's older chat clients, as far as logging in goes: see chat.go.
		"POST /guest":  {"CreateGuest", withoutToken, chat(s.createGuest)},
		"GET /users":   {"QueryUsers", anybody, chat(s.queryUsers)},
		"POST /users":  {"UpdateUsers", usersAndServers, chat(s.updateUsers)},
		"PATCH /users": {"UpdateUsersPartial", usersAndServers, chat(s.updateUsersPartial)},
		"GET /app":     {"GetApp", anybody, chat(s.getApp)},
		"PATCH /app":   {"UpdateApp", serversOnly, chat(s.updateApp)},

		"/": {"Request", anybody, func(c *call) (object, *failure) {
			return nil, notFound("github.com/stayauth/stayauth/testserver does not serve %s %s: the comment of its Server lists what it does", c.r.Method, c.r.URL.Path)
		}},
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, rt) })
	}
	mux.HandleFunc("GET "+uploadPath+"{id}/{name}", s.serveUpload)
	mux.HandleFunc("GET /api/v2/connect", func(w http.ResponseWriter, r *http.Request) { s.connect(w, r, feedsSocket) })
	mux.HandleFunc("GET /connect", func(w http.ResponseWriter, r *http.Request) { s.connect(w, r, chatSocket) })
	return mux
}
