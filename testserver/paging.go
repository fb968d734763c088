package testserver

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"slices"

	"github.com/stayauth/stayauth/testserver/internal/memory"
)

// paging is how a client asks for a part of a list.
type paging struct {
	Limit int    `json:"limit"`
	Next  string `json:"next"`
	Prev  string `json:"prev"`
}

const (
	defaultLimit = 25
	maxLimit     = 100
)

// size returns how many a page holds.
func (p paging) size() (int, *failure) {
	switch {
	case p.Limit < 0 || p.Limit > maxLimit:
		return 0, badInput("limit must be between 0 and %d", maxLimit)
	case p.Next != "" && p.Prev != "":
		return 0, badInput("next and prev can't be used together")
	case p.Limit == 0:
		return defaultLimit, nil
	}
	return p.Limit, nil
}

// A position is where something stands in a sorted list. Cursors hold positions and not counts, so
// a page begins where the last one ended even if something was added meanwhile.
type position struct {
	Keys []sortKey `json:"k"`
	Seq  int       `json:"n"` // among those whose keys are the same
}

func (p position) cursor() string {
	b, _ := json.Marshal(p) // numbers and strings
	return base64.RawURLEncoding.EncodeToString(b)
}

// parseCursor reads a cursor of a list that is sorted by so many keys.
func parseCursor(s string, keys int) (position, *failure) {
	var p position
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || json.Unmarshal(b, &p) != nil || len(p.Keys) != keys {
		return p, badInput("next or prev is not a cursor of this list")
	}
	return p, nil
}

// A numbered thing has a number that grows with the time at which it came into being.
type numbered interface{ number() int }

// paginate sorts list and returns the page of it that is asked for, and an answer with the cursors
// of its neighbours: next is missing at the end of the list, prev at its beginning.
func paginate[T numbered](list []T, by order[T], p paging) ([]T, object, *failure) {
	limit, f := p.size()
	if f != nil {
		return nil, nil, f
	}
	positions := make(map[int]position, len(list))
	for _, v := range list {
		positions[v.number()] = by.position(v)
	}
	at := func(v T) position { return positions[v.number()] }
	slices.SortFunc(list, func(a, b T) int { return by.compare(at(a), at(b)) })

	from, to := 0, min(limit, len(list))
	if p.Next != "" || p.Prev != "" {
		start, f := parseCursor(cmp.Or(p.Next, p.Prev), len(by))
		if f != nil {
			return nil, nil, f
		}
		i, found := slices.BinarySearchFunc(list, start, func(v T, start position) int { return by.compare(at(v), start) })
		if p.Prev != "" {
			from, to = max(0, i-limit), i
		} else {
			if found {
				i++
			}
			from, to = i, min(i+limit, len(list))
		}
	}
	page, ans := list[from:to], object{}
	if len(page) > 0 && to < len(list) {
		ans["next"] = at(page[len(page)-1]).cursor()
	}
	if len(page) > 0 && from > 0 {
		ans["prev"] = at(page[0]).cursor()
	}
	return page, ans, nil
}

// A query is what all lists that can be searched are asked with.
type query struct {
	paging
	Filter filter   `json:"filter"`
	Sort   []sortBy `json:"sort"`
}

// find returns the page of a list that a query asks for, the newest first unless it says otherwise,
// and an answer with the cursors of its neighbours.
func find[T numbered](list []T, q query, fs fields[T], keys sortKeys[T]) ([]T, object, *failure) {
	matches, f := compile(q.Filter, fs)
	if f != nil {
		return nil, nil, f
	}
	by, f := keys.order(q.Sort)
	if f != nil {
		return nil, nil, f
	}
	return paginate(slices.DeleteFunc(list, func(v T) bool { return !matches(v) }), by, q.paging)
}

// only returns the entries that are wanted, oldest first.
func only[V any](m *memory.Map[V], wanted func(V) bool) []V {
	var list []V
	for _, v := range m.All() {
		if wanted(v) {
			list = append(list, v)
		}
	}
	return list
}
