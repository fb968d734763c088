package testserver

import "net/http"

// routes returns the server's operations. A path that is none of them is judged like any other, and then not found.
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

		"POST /api/v2/feeds/feed_groups/{group}/feeds/{id}": {"GetOrCreateFeed", anybody, s.getOrCreateFeed},
		"POST /api/v2/feeds/feeds/query":                    {"QueryFeeds", anybody, s.queryFeeds},

		"POST /api/v2/feeds/activities":        {"AddActivity", usersAndServers, s.addActivity},
		"GET /api/v2/feeds/activities/{id}":    {"GetActivity", anybody, s.getActivity},
		"PUT /api/v2/feeds/activities/{id}":    {"UpdateActivity", usersAndServers, s.updateActivity},
		"PATCH /api/v2/feeds/activities/{id}":  {"UpdateActivityPartial", usersAndServers, s.updateActivityPartial},
		"DELETE /api/v2/feeds/activities/{id}": {"DeleteActivity", usersAndServers, s.deleteActivity},
		"POST /api/v2/feeds/activities/query":  {"QueryActivities", anybody, s.queryActivities},

		"POST /api/v2/feeds/activities/{id}/reactions":          {"AddActivityReaction", usersAndServers, s.addReaction},
		"DELETE /api/v2/feeds/activities/{id}/reactions/{type}": {"DeleteActivityReaction", usersAndServers, s.deleteReaction},

		"POST /api/v2/feeds/comments":        {"AddComment", usersAndServers, s.addComment},
		"GET /api/v2/feeds/comments":         {"GetComments", anybody, s.getComments},
		"GET /api/v2/feeds/comments/{id}":    {"GetComment", anybody, s.getComment},
		"PATCH /api/v2/feeds/comments/{id}":  {"UpdateComment", usersAndServers, s.updateComment},
		"DELETE /api/v2/feeds/comments/{id}": {"DeleteComment", usersAndServers, s.deleteComment},

		"POST /api/v2/feeds/follows":                     {"Follow", usersAndServers, s.addFollow},
		"DELETE /api/v2/feeds/follows/{source}/{target}": {"Unfollow", usersAndServers, s.unfollow},
		"POST /api/v2/feeds/follows/query":               {"QueryFollows", anybody, s.queryFollows},

		// The paths of Stream's older chat clients, as far as logging in goes: see chat.go.
		"POST /guest":  {"CreateGuest", withoutToken, chat(s.createGuest)},
		"GET /users":   {"QueryUsers", anybody, chat(s.queryUsers)},
		"POST /users":  {"UpdateUsers", usersAndServers, chat(s.updateUsers)},
		"PATCH /users": {"UpdateUsersPartial", usersAndServers, chat(s.updateUsersPartial)},
		"GET /app":     {"GetApp", anybody, chat(s.getApp)},
		"PATCH /app":   {"UpdateApp", serversOnly, chat(s.updateApp)},

		"/": {"Request", anybody, func(c *call) (object, *failure) {
			return nil, notFound("there is no operation %s %s", c.r.Method, c.r.URL.Path)
		}},
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, rt) })
	}
	mux.HandleFunc("GET /api/v2/connect", func(w http.ResponseWriter, r *http.Request) { s.connect(w, r, feedsSocket) })
	mux.HandleFunc("GET /connect", func(w http.ResponseWriter, r *http.Request) { s.connect(w, r, chatSocket) })
	return mux
}
