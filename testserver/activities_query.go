package testserver

import (
	"encoding/json"
	"math"
	"time"
)

// queryActivities finds activities, the newest first unless told otherwise. A server finds those
// that are private only if it says so, and with a user_id it finds what that user does.
func (s *Server) queryActivities(c *call) (object, *failure) {
	var req struct {
		acting
		query
		Enrich  bool `json:"enrich_own_fields"`
		Expired bool `json:"include_expired_activities"`
		Private bool `json:"include_private_activities"`
	}
	if f := c.decode(&req); f != nil {
		return nil, f
	}
	who, f := c.viewer(req.acting)
	if f != nil {
		return nil, f
	}
	who.server = who.server && who.user == ""
	v := s.view(who)
	v.enrich = req.Enrich
	now := s.now()
	list := only(&s.acts, func(a *activity) bool {
		return v.maySee(a) && (req.Expired || !a.expired(now)) && (!who.server || req.Private || a.Visibility != visiblePrivate)
	})
	page, ans, f := find(list, req.query, activityFields(), activityKeys())
	if f != nil {
		return nil, f
	}
	ans["activities"] = describe(page, func(a *activity) activityResponse { return v.activity(a) })
	return ans, nil
}

// activityFields are what activities can be filtered by.
func activityFields() fields[*activity] {
	return fields[*activity]{
		"id":            textField(idOps, func(a *activity) string { return a.id }),
		"activity_type": textField(idOps, func(a *activity) string { return a.kind }),
		"user_id":       textField(idOps, func(a *activity) string { return a.user }),
		"text":          textField(searchOps, func(a *activity) string { return a.Text }),
		"feed":          anyOf(idOps, func(a *activity) []string { return a.feeds }),
		"filter_tags":   tagsField(func(a *activity) []string { return a.FilterTags }),
		"interest_tags": tagsField(func(a *activity) []string { return a.InterestTags }),
		"popularity":    numberField(orderOps, func(a *activity) float64 { return float64(a.popularity()) }),
		"hidden":        boolField("$eq", func(*activity) bool { return false }),
		"custom":        objectField(customOps, func(a *activity) map[string]any { return a.Custom }),
		"search_data":   objectField("$contains $in $path_exists", func(a *activity) map[string]any { return a.SearchData }),
		"created_at":    timeField(orderOps, func(a *activity) time.Time { return a.created }),
		"expires_at":    timeField(orderOps+" $exists", func(a *activity) time.Time { return a.ExpiresAt.Time }),
		"near":          nearField(func(a *activity) *location { return a.Location }),
		"within_bounds": boundsField(func(a *activity) *location { return a.Location }),
	}
}

// activityKeys are what activities can be sorted by.
func activityKeys() sortKeys[*activity] {
	return sortKeys[*activity]{
		"created_at": func(a *activity) sortKey { return timeKey(a.created) },
		"popularity": func(a *activity) sortKey { return intKey(a.popularity()) },
	}
}

// nearField finds what is within a distance, in kilometres: {"lat": 52.5, "lng": 13.4, "distance":
// 10}.
func nearField[T any](at func(T) *location) field[T] {
	return field[T]{ops: "$eq", compile: func(_, _ string, raw json.RawMessage) func(T) bool {
		center, ok := parse[struct {
			location
			Distance float64 `json:"distance"`
		}](raw)
		return condition(ok, func(v T) bool {
			place := at(v)
			return place != nil && place.distance(center.location) <= center.Distance
		})
	}}
}

// distance returns how far it is to another place over the surface of a round Earth, in kilometres.
func (l location) distance(m location) float64 {
	const radius = 6371
	rad := func(deg float64) float64 { return deg * math.Pi / 180 }
	cos := math.Sin(rad(l.Lat))*math.Sin(rad(m.Lat)) + math.Cos(rad(l.Lat))*math.Cos(rad(m.Lat))*math.Cos(rad(l.Lng-m.Lng))
	return radius * math.Acos(max(-1, min(1, cos)))
}

// boundsField finds what lies in a box: {"ne_lat": .., "ne_lng": .., "sw_lat": .., "sw_lng": ..}.
func boundsField[T any](at func(T) *location) field[T] {
	return field[T]{ops: "$eq", compile: func(_, _ string, raw json.RawMessage) func(T) bool {
		box, ok := parse[struct {
			North float64 `json:"ne_lat"`
			East  float64 `json:"ne_lng"`
			South float64 `json:"sw_lat"`
			West  float64 `json:"sw_lng"`
		}](raw)
		return condition(ok, func(v T) bool {
			l := at(v)
			return l != nil && box.South <= l.Lat && l.Lat <= box.North && box.West <= l.Lng && l.Lng <= box.East
		})
	}}
}
