package testserver

import (
	"encoding/json"
	"slices"
	"time"
)

// userFields are what users can be filtered by.
func userFields() fields[*user] {
	const (
		dates = "$eq $exists $gt $gte $in $lt $lte"
		texts = dates + " $autocomplete"
	)
	never := func(*user) bool { return false }
	custom := func(name string) func(*user) string {
		return func(u *user) string { s, _ := u.custom[name].(string); return s }
	}
	return fields[*user]{
		"id":                textField(texts+" $ne $nin", func(u *user) string { return u.id }),
		"name":              textField(texts, func(u *user) string { return u.name }),
		"role":              textField(dates, func(u *user) string { return u.role }),
		"language":          textField("$eq", func(u *user) string { return u.language }),
		"email":             textField(idOps, custom("email")),
		"username":          textField("$autocomplete $eq", custom("username")),
		"teams":             anyOf(tagOps, func(u *user) []string { return u.teams }),
		"custom":            objectField(customOps, func(u *user) map[string]any { return u.custom }),
		"banned":            boolField("$eq $ne", never),
		"bypass_moderation": boolField("$eq $ne", never),
		"shadow_banned":     boolField("$eq $ne", never),
		"last_active":       timeField(dates, func(*user) time.Time { return time.Time{} }),
		"created_at":        timeField(dates, func(u *user) time.Time { return u.created }),
		"updated_at":        timeField(dates, func(u *user) time.Time { return u.updated }),
	}
}

// userKeys are what users can be sorted by.
func userKeys() sortKeys[*user] {
	return sortKeys[*user]{
		"id":         func(u *user) sortKey { return sortKey{Text: u.id} },
		"name":       func(u *user) sortKey { return sortKey{Text: u.name} },
		"role":       func(u *user) sortKey { return sortKey{Text: u.role} },
		"created_at": func(u *user) sortKey { return timeKey(u.created) },
		"updated_at": func(u *user) sortKey { return timeKey(u.updated) },
	}
}

const maxOffset = 1000

// queryUsers finds users, in the order in which they came into being unless told otherwise. It is
// the one list that is paged by offset.
func (s *Server) queryUsers(c *call) (object, *failure) {
	var req struct {
		Filter *filter  `json:"filter_conditions"`
		Sort   []sortBy `json:"sort"`
		Limit  int      `json:"limit"`
		Offset int      `json:"offset"`
	}
	payload := []byte(c.r.URL.Query().Get("payload"))
	var given map[string]json.RawMessage
	_ = json.Unmarshal(payload, &given) // what can't be read is told below
	switch {
	case len(payload) == 0:
		return nil, badInput("payload is missing: it is the JSON of a query, in the query of the URL")
	case json.Unmarshal(payload, &req) != nil:
		return nil, badInput("payload is not the JSON of a query")
	case given["filter_conditions"] == nil:
		return nil, badInput("filter_conditions is missing in the payload")
	case req.Offset < 0 || req.Offset > maxOffset:
		return nil, badInput("offset must be between 0 and %d", maxOffset)
	}
	limit, f := paging{Limit: req.Limit}.size()
	if f != nil {
		return nil, f
	}
	if req.Filter == nil {
		req.Filter = &filter{}
	}
	matches, f := compile(*req.Filter, userFields())
	if f != nil {
		return nil, f
	}
	if len(req.Sort) == 0 {
		req.Sort = []sortBy{{"created_at", 1}}
	}
	by, f := userKeys().order(req.Sort)
	if f != nil {
		return nil, f
	}
	found := only(&s.users, matches)
	slices.SortStableFunc(found, func(a, b *user) int { return by.compare(by.position(a), by.position(b)) })
	users := []fullUserResponse{}
	for _, u := range found[min(req.Offset, len(found)):] {
		if len(users) < limit {
			users = append(users, u.full())
		}
	}
	return object{"users": users}, nil
}

// number orders users whose dates are the same: by nothing, so that they stay as they are.
func (*user) number() int { return 0 }
